//! References between the parts of a model, and attributes that exclude each other.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{Data, Map, Node};
use super::values::{at, size};
use crate::Error;
use crate::budget::Budget;

/// The prefix of a value that names a service.
pub(crate) const SERVICE_PREFIX: &str = "service:";

/// Checks all files of a definition together.
pub(crate) fn check(model: &Node, budget: &Budget) -> Result<(), Error> {
    let empty = Map::new();
    let services = model
        .get("services")
        .and_then(Node::as_map)
        .unwrap_or(&empty);
    for (name, service) in services {
        budget.step()?;
        let context = Context {
            model,
            services,
            name,
            service,
        };
        context.check_build()?;
        context.check_references()?;
        context.check_rest()?;
    }
    for (name, secret) in model
        .get("secrets")
        .and_then(Node::as_map)
        .into_iter()
        .flatten()
    {
        let is_external = secret.get("external").is_some_and(is_true);
        let has_source = ["file", "environment"].iter().any(|source| {
            secret
                .get(source)
                .and_then(Node::as_text)
                .is_some_and(|text| !text.is_empty())
        });
        if !is_external && !has_source {
            return Err(secret.error(format!("the secret `{name}` needs `file` or `environment`")));
        }
    }
    check_cycles(services, budget)
}

struct Context<'a> {
    model: &'a Node,
    services: &'a Map,
    name: &'a str,
    service: &'a Node,
}

impl<'a> Context<'a> {
    /// An attribute with a value that is not empty text.
    fn text(&self, attribute: &str) -> Option<&'a str> {
        self.service
            .get(attribute)?
            .as_text()
            .filter(|text| !text.is_empty())
    }

    fn error(&self, node: &Node, message: &str) -> Error {
        node.error(format!("the service `{}` {message}", self.name))
    }

    fn check_build(&self) -> Result<(), Error> {
        let Some(build) = self.service.get("build").filter(|node| !node.is_null()) else {
            if self.text("image").is_none() && self.service.get("provider").is_none() {
                return Err(self.error(self.service, "needs `build` or `image`"));
            }
            return Ok(());
        };
        let has = |attribute: &str| {
            build
                .get(attribute)
                .and_then(Node::as_text)
                .is_some_and(|text| !text.is_empty())
        };
        if has("dockerfile") && has("dockerfile_inline") {
            return Err(self.error(
                build,
                "has both `dockerfile` and `dockerfile_inline`: remove one",
            ));
        }
        let contexts = build.get("additional_contexts").and_then(Node::as_map);
        for (_, node) in contexts.into_iter().flatten() {
            let Some(other) = node
                .as_text()
                .and_then(|text| text.strip_prefix(SERVICE_PREFIX))
            else {
                continue;
            };
            let service = self.services.get(other).ok_or_else(|| {
                self.error(
                    node,
                    &format!("has the service `{other}` as a context, which does not exist"),
                )
            })?;
            if service.get("build").is_none_or(Node::is_null) {
                return Err(self.error(
                    node,
                    &format!("has the service `{other}` as a context, which has no `build`"),
                ));
            }
        }
        let platforms = build
            .get("platforms")
            .and_then(Node::as_list)
            .unwrap_or_default();
        if let Some(platform) = self.text("platform")
            && !platforms.is_empty()
            && !platforms
                .iter()
                .any(|node| node.as_text() == Some(platform))
        {
            return Err(self.error(
                build,
                &format!("needs its `platform` {platform} in `build.platforms`"),
            ));
        }
        self.check_sources("secrets", build.get("secrets"), "build secret")
    }

    /// The sources of a list of mounts must exist.
    fn check_sources(&self, kind: &str, mounts: Option<&Node>, label: &str) -> Result<(), Error> {
        for mount in mounts.and_then(Node::as_list).into_iter().flatten() {
            let source = mount.get("source").map(Node::to_string).unwrap_or_default();
            self.check_exists(kind, &source, mount, label)?;
        }
        Ok(())
    }

    fn check_exists(&self, kind: &str, name: &str, node: &Node, label: &str) -> Result<(), Error> {
        if self.model.get(kind).and_then(|map| map.get(name)).is_some() {
            return Ok(());
        }
        // A volume or network without attributes is empty.
        if self
            .model
            .get(kind)
            .and_then(Node::as_map)
            .is_some_and(|map| map.contains_key(name))
        {
            return Ok(());
        }
        Err(self.error(
            node,
            &format!("refers to the {label} `{name}`, which is not defined in `{kind}`"),
        ))
    }

    fn check_references(&self) -> Result<(), Error> {
        let networks = self.service.get("networks").and_then(Node::as_map);
        if let (Some(mode), Some(networks)) = (self.service.get("network_mode"), networks)
            && self.text("network_mode").is_some()
            && !networks.is_empty()
        {
            return Err(self.error(mode, "has both `network_mode` and `networks`: remove one"));
        }
        for (kind, label) in [("networks", "network"), ("models", "model")] {
            for (name, node) in self
                .service
                .get(kind)
                .and_then(Node::as_map)
                .into_iter()
                .flatten()
            {
                self.check_exists(kind, name, node, label)?;
            }
        }
        for (kind, label) in [("secrets", "secret"), ("configs", "config")] {
            self.check_sources(kind, self.service.get(kind), label)?;
        }
        for (name, node) in self
            .service
            .get("depends_on")
            .and_then(Node::as_map)
            .into_iter()
            .flatten()
        {
            if !self.services.contains_key(name) {
                return Err(self.error(
                    node,
                    &format!("depends on the service `{name}`, which does not exist"),
                ));
            }
        }
        if let Some(other) = self
            .text("network_mode")
            .and_then(|mode| mode.strip_prefix(SERVICE_PREFIX))
            && !self.services.contains_key(other)
        {
            return Err(self.error(
                self.service,
                &format!("uses the network of the service `{other}`, which does not exist"),
            ));
        }
        let mut targets = BTreeSet::new();
        let tmpfs = self.service.get("tmpfs");
        let tmpfs = tmpfs.map(|node| node.as_list().unwrap_or(std::slice::from_ref(node)));
        for node in tmpfs.into_iter().flatten() {
            let text = node.to_string();
            let path = text.split(':').next().unwrap_or_default();
            if !targets.insert(path.to_owned()) {
                return Err(self.error(node, &format!("mounts two things at `{path}`")));
            }
        }
        for volume in self
            .service
            .get("volumes")
            .and_then(Node::as_list)
            .into_iter()
            .flatten()
        {
            let is_volume = volume.get("type").and_then(Node::as_text) == Some("volume");
            if let Some(source) = volume.get("source").and_then(Node::as_text)
                && is_volume
                && !source.is_empty()
            {
                self.check_exists("volumes", source, volume, "volume")?;
            }
            let target = volume
                .get("target")
                .map(Node::to_string)
                .unwrap_or_default();
            if !targets.insert(target.clone()) {
                return Err(self.error(volume, &format!("mounts two things at `{target}`")));
            }
        }
        Ok(())
    }

    /// Limits of the service and of `deploy` are the same.
    fn check_limits(&self) -> Result<(), Error> {
        for (own, of_deploy) in [
            ("cpus", "deploy.resources.limits.cpus"),
            ("mem_limit", "deploy.resources.limits.memory"),
            ("mem_reservation", "deploy.resources.reservations.memory"),
            ("pids_limit", "deploy.resources.limits.pids"),
        ] {
            let section = of_deploy
                .rsplit_once('.')
                .map_or("", |(section, _)| section);
            let node = self.service.get(own);
            let value = amount(node);
            if let Some(node) = node
                && value != 0.0
                && at(self.service, section).is_some_and(|section| !section.is_null())
                && (value - amount(at(self.service, of_deploy))).abs() > f64::EPSILON
            {
                return Err(self.error(
                    node,
                    &format!("has different values of `{own}` and `{of_deploy}`"),
                ));
            }
        }
        Ok(())
    }

    fn check_rest(&self) -> Result<(), Error> {
        let test = self
            .service
            .get("healthcheck")
            .and_then(|node| node.get("test"));
        if let Some(first) = test.and_then(Node::as_list).and_then(<[Node]>::first)
            && !matches!(first.as_text(), Some("CMD" | "CMD-SHELL" | "NONE"))
        {
            return Err(first.error("`healthcheck.test` must start with CMD, CMD-SHELL or NONE"));
        }
        for watch in at(self.service, "develop.watch")
            .and_then(Node::as_list)
            .into_iter()
            .flatten()
        {
            let action = watch.get("action").and_then(Node::as_text);
            let has_target = watch
                .get("target")
                .and_then(Node::as_text)
                .is_some_and(|target| !target.is_empty());
            if !has_target && !matches!(action, Some("rebuild" | "restart")) {
                return Err(
                    watch.error("`develop.watch` needs the attribute `target` for this action")
                );
            }
        }
        self.check_limits()?;
        let deploy = self.service.get("deploy");
        let replicas = deploy.and_then(|node| node.get("replicas"));
        let scale = self.service.get("scale");
        if let (Some(scale), Some(replicas)) = (scale, replicas)
            && scale.to_string() != replicas.to_string()
        {
            return Err(self.error(
                scale,
                "has different values of `scale` and `deploy.replicas`",
            ));
        }
        let Some(count) = scale.or(replicas) else {
            return Ok(());
        };
        if matches!(count.data, Data::Integer(value) if value < 0) {
            return Err(self.error(count, "cannot have fewer than 0 replicas"));
        }
        if matches!(count.data, Data::Integer(value) if value > 1)
            && self.text("container_name").is_some()
        {
            return Err(self.error(count, "has `container_name` and more than one replica"));
        }
        Ok(())
    }
}

/// The number or size of a node; 0 if it has none.
fn amount(node: Option<&Node>) -> f64 {
    node.and_then(|node| size(&node.to_string()))
        .unwrap_or_default()
}

fn is_true(node: &Node) -> bool {
    matches!(node.data, Data::Bool(true))
}

/// No service depends on itself, also not through others.
fn check_cycles(services: &Map, budget: &Budget) -> Result<(), Error> {
    // The number of dependencies that have not been resolved, and who waits for a service.
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    let mut waiting: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, service) in services {
        let depends_on = service.get("depends_on").and_then(Node::as_map);
        open.insert(name, depends_on.map_or(0, Map::len));
        for (other, _) in depends_on.into_iter().flatten() {
            budget.step()?;
            waiting.entry(other).or_default().push(name);
        }
    }
    let mut ready: Vec<&str> = open
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(name, _)| *name)
        .collect();
    while let Some(name) = ready.pop() {
        open.remove(name);
        for other in waiting.get(name).into_iter().flatten() {
            budget.step()?;
            if let Some(count) = open.get_mut(other) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ready.push(other);
                }
            }
        }
    }
    match open
        .keys()
        .next()
        .and_then(|name| services.get(*name).map(|node| (name, node)))
    {
        Some((name, service)) => Err(service.error(format!(
            "the service `{name}` is in or behind a cycle of `depends_on`"
        ))),
        None => Ok(()),
    }
}
