//! The JSON form of a definition, as `depot bake --print` shows it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::flags::{Attestation, Cache, Export, Secret, Ssh};
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
        members.insert("group".into(), Value::Object(groups.collect()));
    }
    let targets = targets
        .iter()
        .map(|(name, value)| (name.clone(), target(value)));
    members.insert("target".into(), Value::Object(targets.collect()));
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
    members.list("inherits", &target.inherits, |name| json!(name));
    members.list("attest", &target.attest, attestation);
    members.value("context", &target.context);
    members.map("contexts", &target.contexts);
    members.value("dockerfile", &target.dockerfile);
    members.value("dockerfile-inline", &target.dockerfile_inline);
    members.map("args", &target.args);
    members.map("labels", &target.labels);
    members.list("tags", &target.tags, |tag| json!(tag));
    members.list("cache-from", &target.cache_from, cache);
    members.list("cache-to", &target.cache_to, cache);
    members.value("target", &target.target);
    members.list("secret", &target.secrets, secret);
    members.list("ssh", &target.ssh, ssh);
    members.list("platforms", &target.platforms, |platform| json!(platform));
    members.list("output", &target.outputs, export);
    members.value("pull", &target.pull);
    members.value("no-cache", &target.no_cache);
    members.value("network", &target.network);
    members.list("no-cache-filter", &target.no_cache_filter, |stage| {
        json!(stage)
    });
    members.value("shm-size", &target.shm_size);
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
        Self(members.collect())
    }

    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.0.insert(name.into(), json!(text));
        }
    }

    fn value<T: Clone + Into<Value>>(&mut self, name: &str, value: &Option<T>) {
        if let Some(value) = value {
            self.0.insert(name.into(), value.clone().into());
        }
    }

    fn list<T>(&mut self, name: &str, list: &Option<Vec<T>>, entry: impl Fn(&T) -> Value) {
        if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
            self.0.insert(name.into(), list.iter().map(entry).collect());
        }
    }

    fn map<T: Clone + Into<Value>>(&mut self, name: &str, map: &Option<BTreeMap<String, T>>) {
        if let Some(map) = map.as_ref().filter(|map| !map.is_empty()) {
            let members = map
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into()));
            self.0.insert(name.into(), Value::Object(members.collect()));
        }
    }
}
