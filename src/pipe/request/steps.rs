//! The frontend's attributes for the environment of the `RUN` steps, and the privileges of the request.
//!
//! The attributes are those of BuildKit's `frontend/dockerui/config.go`. Lists are one line of CSV; no entry contains a comma or a
//! quote.

use std::collections::HashMap;

use crate::config::plan::{BuildPlan, Network, StepsPlan};

/// Adds the attributes of the steps and of the parts that do not come from the cache.
pub(super) fn add_attributes(attributes: &mut HashMap<String, String>, build: &BuildPlan) {
    let mut insert = |name: &str, value: String| {
        attributes.insert(name.to_owned(), value);
    };
    // An empty list would stand for all stages.
    if !build.freshness.stages.is_empty() {
        insert("no-cache", build.freshness.stages.join(","));
    }
    if build.freshness.pull {
        insert("image-resolve-mode", "pull".into());
    }
    let StepsPlan {
        network,
        hosts,
        shm_size,
        ulimits,
        cgroup_parent,
        privileges: _,
    } = &build.steps;
    match network {
        Network::Default => {}
        Network::None => insert("force-network-mode", "none".into()),
        Network::Host => insert("force-network-mode", "host".into()),
    }
    if !hosts.is_empty() {
        insert("add-hosts", joined(hosts));
    }
    if let Some(size) = shm_size {
        insert("shm-size", size.to_string());
    }
    if !ulimits.is_empty() {
        insert("ulimit", joined(ulimits));
    }
    if let Some(parent) = cgroup_parent {
        insert("cgroup-parent", parent.clone());
    }
}

/// The privileges that the steps may request.
pub(super) fn entitlements(build: &BuildPlan) -> Vec<String> {
    let privileges = build.steps.privileges.iter();
    privileges
        .map(|privilege| privilege.name().to_owned())
        .collect()
}

fn joined<T: ToString>(entries: &[T]) -> String {
    let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
    entries.join(",")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::fs;

    use super::*;
    use crate::config::read;

    /// The attributes and entitlements of these variables.
    fn request(variables: &[(&str, &str)]) -> (BTreeMap<String, String>, Vec<String>) {
        let clone = tempfile::tempdir().unwrap();
        fs::write(clone.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        let usual = [("DEPOT_TOKEN", "token"), ("DEPOT_PROJECT_ID", "project")];
        let variables = usual.iter().chain(variables);
        let variables =
            variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let (plan, warnings) = read(variables, clone.path()).unwrap();
        assert_eq!(warnings, []);
        let build = &plan.images[0].build;
        let mut attributes = HashMap::new();
        add_attributes(&mut attributes, build);
        (attributes.into_iter().collect(), entitlements(build))
    }

    #[test]
    fn each_variable_becomes_an_attribute_of_the_frontend() {
        for (variable, value, attribute) in [
            ("NO_CACHE_FILTER", "base, test", ("no-cache", "base,test")),
            ("PULL", "true", ("image-resolve-mode", "pull")),
            ("NETWORK", "none", ("force-network-mode", "none")),
            (
                "ADD_HOSTS",
                "a:1.2.3.4, b=[::1]",
                ("add-hosts", "a=1.2.3.4,b=::1"),
            ),
            ("SHM_SIZE", "1.5g", ("shm-size", "1610612736")),
            (
                "ULIMITS",
                "nofile=1:2 cpu=-1",
                ("ulimit", "nofile=1:2,cpu=-1:-1"),
            ),
            ("CGROUP_PARENT", "/builds", ("cgroup-parent", "/builds")),
        ] {
            let (attributes, entitlements) = request(&[(variable, value)]);
            let expected = BTreeMap::from([(attribute.0.to_owned(), attribute.1.to_owned())]);
            assert_eq!(attributes, expected, "{variable}");
            assert_eq!(entitlements, [""; 0], "{variable}");
        }
    }

    #[test]
    fn values_that_change_nothing_add_no_attribute() {
        for (variable, value) in [
            ("NO_CACHE_FILTER", " , "),
            ("PULL", "false"),
            ("NETWORK", "default"),
            ("ADD_HOSTS", ","),
            ("ULIMITS", ","),
            ("ALLOW", ","),
        ] {
            assert_eq!(request(&[(variable, value)]), <_>::default(), "{variable}");
        }
    }

    #[test]
    fn the_network_of_the_builder_is_also_an_entitlement() {
        let (attributes, entitlements) = request(&[("NETWORK", "host")]);
        assert_eq!(attributes["force-network-mode"], "host");
        assert_eq!(entitlements, ["network.host"]);
        let (attributes, entitlements) = request(&[("ALLOW", "security.insecure, network.host")]);
        assert!(attributes.is_empty());
        assert_eq!(entitlements, ["security.insecure", "network.host"]);
    }
}
