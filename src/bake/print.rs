//! The JSON form of a definition, as `depot bake --print` shows it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::flags::{Attestation, Cache, Export, Secret, Ssh};
use crate::ordered::IntoOrdered;
use crate::target::{Group, Target};

/// Groups and targets; without groups, `group` is absent.
pub(crate) fn definition(
    groups: &BTreeMap<String, Group>,
    targets: &BTreeMap<String, Target>,
) -> Value {
    let mut members = Map::new();
    if !groups.is_empty() {
        let groups = groups
            .iter()
            .map(|(name, value)| (name.clone(), group(value)));
        members.insert("group".into(), Value::Object(groups.into_ordered()));
    }
    let targets = targets
        .iter()
        .map(|(name, value)| (name.clone(), target(value)));
    members.insert("target".into(), Value::Object(targets.into_ordered()));
    Value::Object(members)
}

fn group(group: &Group) -> Value {
    let mut members = Members::default();
    members.text("description", &group.description);
    members.0.insert("targets".into(), json!(group.targets));
    Value::Object(members.0)
}

fn target(target: &Target) -> Value {
    let mut members = Members::default();
    members.text("description", &target.description);
    members.list("inherits", target.inherits.as_ref(), |name| json!(name));
    members.list("attest", target.attest.as_ref(), attestation);
    members.value("context", target.context.as_ref());
    members.map("contexts", target.contexts.as_ref());
    members.value("dockerfile", target.dockerfile.as_ref());
    members.value("dockerfile-inline", target.dockerfile_inline.as_ref());
    members.map("args", target.args.as_ref());
    members.map("labels", target.labels.as_ref());
    members.list("tags", target.tags.as_ref(), |tag| json!(tag));
    members.list("cache-from", target.cache_from.as_ref(), cache);
    members.list("cache-to", target.cache_to.as_ref(), cache);
    members.value("target", target.target.as_ref());
    members.list("secret", target.secrets.as_ref(), secret);
    members.list("ssh", target.ssh.as_ref(), ssh);
    members.list("platforms", target.platforms.as_ref(), |platform| {
        json!(platform)
    });
    members.list("output", target.outputs.as_ref(), export);
    members.value("pull", target.pull.as_ref());
    members.value("no-cache", target.no_cache.as_ref());
    members.value("network", target.network.as_ref());
    members.list(
        "no-cache-filter",
        target.no_cache_filter.as_ref(),
        |stage| json!(stage),
    );
    members.value("shm-size", target.shm_size.as_ref());
    members.text("project_id", &target.project_id);
    Value::Object(members.0)
}

fn cache(cache: &Cache) -> Value {
    let mut members = Members::attributes(&cache.attributes);
    members.0.insert("type".into(), json!(cache.kind));
    Value::Object(members.0)
}

fn export(export: &Export) -> Value {
    let mut members = Members::attributes(&export.attributes);
    members.0.insert("type".into(), json!(export.kind));
    members.text("dest", &export.destination);
    Value::Object(members.0)
}

fn attestation(attestation: &Attestation) -> Value {
    let mut members = Members::attributes(&attestation.attributes);
    members.0.insert("type".into(), json!(attestation.kind));
    if attestation.disabled {
        members.0.insert("disabled".into(), json!(true));
    }
    Value::Object(members.0)
}

fn secret(secret: &Secret) -> Value {
    let mut members = Members::default();
    members.text("id", &secret.id);
    members.text("src", &secret.path);
    members.text("env", &secret.variable);
    Value::Object(members.0)
}

fn ssh(ssh: &Ssh) -> Value {
    let mut members = Members::default();
    members.text("id", &ssh.id);
    if !ssh.paths.is_empty() {
        members.0.insert("paths".into(), json!(ssh.paths));
    }
    Value::Object(members.0)
}

/// The members of a JSON object; parts that are not set are absent.
#[derive(Default)]
struct Members(Map<String, Value>);

impl Members {
    fn attributes(attributes: &BTreeMap<String, String>) -> Self {
        let members = attributes
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)));
        Self(members.into_ordered())
    }

    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.0.insert(name.into(), json!(text));
        }
    }

    fn value<T: Clone + Into<Value>>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.0.insert(name.into(), value.clone().into());
        }
    }

    fn list<T>(&mut self, name: &str, list: Option<&Vec<T>>, entry: impl Fn(&T) -> Value) {
        if let Some(list) = list.filter(|list| !list.is_empty()) {
            self.0.insert(name.into(), list.iter().map(entry).collect());
        }
    }

    fn map<T: Clone + Into<Value>>(&mut self, name: &str, map: Option<&BTreeMap<String, T>>) {
        if let Some(map) = map.filter(|map| !map.is_empty()) {
            let members = map
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into()));
            self.0
                .insert(name.into(), Value::Object(members.into_ordered()));
        }
    }
}
