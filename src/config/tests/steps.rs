//! The variables of steps and of the cache, together with all others.

use std::fs;

use secrecy::ExposeSecret;

use super::{Clone, PROJECT, TOKEN};
use crate::config::Plan;

fn arguments(plan: &Plan) -> Vec<(&str, &str)> {
    plan.images[0].build.build_args.iter().collect()
}

#[test]
fn a_build_argument_takes_precedence_over_the_epoch() {
    let clone = Clone::new();
    let epoch = ("SOURCE_DATE_EPOCH", "1700000000");
    let (plan, warnings) = clone.read(&[TOKEN, PROJECT, epoch]).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(arguments(&plan), [epoch]);
    let written = ("BUILD_ARGS", "A=b\nSOURCE_DATE_EPOCH=5");
    let (plan, _) = clone.read(&[TOKEN, PROJECT, epoch, written]).unwrap();
    assert_eq!(arguments(&plan), [("A", "b"), ("SOURCE_DATE_EPOCH", "5")]);
    // Also an entry that takes its value from the variable itself.
    let inherited = ("BUILD_ARGS", "SOURCE_DATE_EPOCH");
    let (plan, _) = clone.read(&[TOKEN, PROJECT, epoch, inherited]).unwrap();
    assert_eq!(arguments(&plan), [epoch]);
}

#[test]
fn proxies_of_a_docker_configuration_are_build_arguments() {
    let clone = Clone::new();
    let proxies = r#"{"proxies": {
        "default": {"httpProxy": "http://me:pass-word-1@proxy:3128", "noProxy": "localhost,.example.com"},
        "tcp://other:2375": {"httpsProxy": "http://me:pass-word-2@proxy:3128"}
    }}"#;
    fs::write(clone.path().join("config.json"), proxies).unwrap();
    let file = ("DOCKER_CONFIG", "config.json");
    let (plan, warnings) = clone.read(&[TOKEN, PROJECT, file]).unwrap();
    assert_eq!(warnings, []);
    let address = "http://me:pass-word-1@proxy:3128";
    assert_eq!(
        arguments(&plan),
        [
            ("HTTP_PROXY", address),
            ("http_proxy", address),
            ("NO_PROXY", "localhost,.example.com"),
            ("no_proxy", "localhost,.example.com"),
        ]
    );
    for password in ["pass-word-1", "pass-word-2"] {
        let mut secrets = plan.secrets().map(ExposeSecret::expose_secret);
        assert!(secrets.any(|secret| secret == password), "{password}");
        assert!(!format!("{plan:?}").contains(password));
    }
    // The frontend ignores the case of these names, so a second one could replace the written value.
    let written = ("BUILD_ARGS", "http_proxy=http://mine:1\nNO_PROXY=");
    let (plan, _) = clone.read(&[TOKEN, PROJECT, file, written]).unwrap();
    assert_eq!(
        arguments(&plan),
        [("http_proxy", "http://mine:1"), ("NO_PROXY", "")]
    );
    let host = ("DOCKER_HOST", "tcp://other:2375");
    let (plan, _) = clone.read(&[TOKEN, PROJECT, file, host]).unwrap();
    let address = "http://me:pass-word-2@proxy:3128";
    assert_eq!(
        arguments(&plan),
        [("HTTPS_PROXY", address), ("https_proxy", address)]
    );
}

#[test]
fn faults_of_steps_are_reported_with_all_others() {
    let clone = Clone::new();
    fs::write(clone.path().join("config.json"), r#"{"proxies": []}"#).unwrap();
    let error = clone
        .read(&[
            TOKEN,
            PROJECT,
            ("CONTEXT", "missing"),
            ("SOURCE_DATE_EPOCH", "soon"),
            ("NO_CACHE", "true"),
            ("NO_CACHE_FILTER", "base"),
            ("PULL", "maybe"),
            ("NETWORK", "bridge"),
            ("ADD_HOSTS", "db"),
            ("SHM_SIZE", "big"),
            ("ULIMITS", "files=1"),
            ("CGROUP_PARENT", "a b"),
            ("ALLOW", "all"),
            ("DOCKER_CONFIG", "config.json"),
        ])
        .unwrap_err();
    let names: Vec<&str> = error
        .faults()
        .iter()
        .map(super::super::Fault::variable)
        .collect();
    assert_eq!(
        names,
        [
            "CONTEXT",
            "SOURCE_DATE_EPOCH",
            "NO_CACHE_FILTER",
            "PULL",
            "NETWORK",
            "ADD_HOSTS",
            "SHM_SIZE",
            "ULIMITS",
            "CGROUP_PARENT",
            "ALLOW",
            "DOCKER_CONFIG",
        ]
    );
}
