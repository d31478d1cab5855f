//! Logins of several variables for several hosts.

use super::*;

fn variables() -> RegistryVariables {
    RegistryVariables {
        dockerhub_username: Some("me".into()),
        dockerhub_token: Some("hub-token".into()),
        registry: Some("a.example".into()),
        registry_username: Some("robot".into()),
        registry_password: Some("word".into()),
        ..RegistryVariables::default()
    }
}

fn outcome(variables: RegistryVariables) -> (Vec<String>, String) {
    let mut findings = Findings::default();
    let (logins, _) = read(variables, Path::new("/"), &[], &mut findings);
    let shown = |login: &Credential| format!("{}@{}", login.username(), login.host());
    (
        logins.iter().map(shown).collect(),
        findings.into_error().to_string(),
    )
}

#[test]
fn all_logins_count_at_once() {
    let list = "- {registry: b.example, username: u, password: p}\n";
    let all = RegistryVariables {
        registries: Some(list.into()),
        ..variables()
    };
    let (logins, error) = outcome(all);
    assert_eq!(logins, ["me@docker.io", "robot@a.example", "u@b.example"]);
    assert_eq!(error, "");
}

#[test]
fn two_logins_for_one_host_in_the_list_are_a_fault_and_the_same_twice_is_one() {
    let list = "- {registry: a.example, username: robot, password: word}\n\
                - {registry: a.example, username: robot, password: word}\n\
                - {registry: A.Example, username: robot, password: other}\n";
    let same = RegistryVariables {
        registries: Some(list.into()),
        ..variables()
    };
    let (logins, error) = outcome(same);
    assert_eq!(logins.len(), 2);
    assert_eq!(
        error,
        "entry 3 of REGISTRIES: has a different login for `a.example` than entry 1 of REGISTRIES; remove one of the two"
    );
}

#[test]
fn the_login_of_the_more_specific_variable_is_used() {
    let two = |used: &str, ignored: &str| Warning::TwoLogins {
        host: "docker.io".into(),
        used: used.into(),
        ignored: ignored.into(),
    };
    let list = "- {registry: index.docker.io, username: listed, password: other}";
    let with = |registry: Option<&str>, registries: Option<&str>| RegistryVariables {
        registry: registry.map(Into::into),
        registries: registries.map(Into::into),
        ..variables()
    };
    let (hosts, error, warnings) = of_push(with(Some("docker.io"), None), &["acme/app"]);
    assert_eq!((hosts.len(), error.as_str()), (1, ""));
    assert_eq!(warnings, [two("DOCKERHUB_TOKEN", "REGISTRY_PASSWORD")]);
    let (logins, error) = outcome(with(Some("docker.io"), Some(list)));
    assert_eq!((logins, error.as_str()), (vec!["me@docker.io".into()], ""));
    let without_hub = RegistryVariables {
        dockerhub_username: None,
        dockerhub_token: None,
        ..with(Some("docker.io"), Some(list))
    };
    let (_, error, warnings) = of_push(without_hub, &["acme/app"]);
    assert_eq!(error, "");
    assert_eq!(
        warnings,
        [two("REGISTRY_PASSWORD", "entry 1 of REGISTRIES")]
    );
}

/// The hosts with a login, the faults and the warnings of a push to these names.
fn of_push(variables: RegistryVariables, names: &[&str]) -> (Vec<String>, String, Vec<Warning>) {
    let names = names.iter().map(|name| Reference::parse(name).unwrap());
    let names: Vec<_> = names.collect();
    let mut findings = Findings::default();
    let (logins, password) = read(variables, Path::new("/"), &names, &mut findings);
    let hosts = logins.iter().map(|login| login.host().to_owned()).collect();
    let password = password.map(|password| password.expose_secret().to_owned());
    let (faults, warnings) = if findings.is_faultless() {
        (String::new(), findings.into_warnings())
    } else {
        (findings.into_error().to_string(), Vec::new())
    };
    assert!(!faults.contains("word") && password.is_none_or(|password| password == "word"));
    (hosts, faults, warnings)
}

#[test]
fn a_login_without_a_host_is_sent_to_none() {
    let hostless = || RegistryVariables {
        registry_username: Some("robot".into()),
        registry_password: Some("word".into()),
        ..RegistryVariables::default()
    };
    for names in [
        &[][..],
        &["localhost:5000/app"],
        &[
            "127.0.0.1:5000/app",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app",
        ],
        // The registry can accept pushes without a login, or Depot can have one.
        &["a.example/app"],
        &["registry.depot.dev/project:1"],
    ] {
        let warning = vec![Warning::LoginWithoutHost];
        assert_eq!(of_push(hostless(), names), (vec![], String::new(), warning));
    }
    let (hosts, error, _) = of_push(hostless(), &["acme/app"]);
    assert_eq!(hosts.len(), 0);
    assert!(
        error.starts_with(
            "REGISTRY: not set, though REGISTRY_USERNAME and REGISTRY_PASSWORD are, and the push to `docker.io` has no \
             login; set it to the host that they belong to"
        ),
        "{error}"
    );
    // Another login for that host.
    let with_hub = RegistryVariables {
        dockerhub_username: Some("me".into()),
        dockerhub_token: Some("hub-token".into()),
        registries: Some("- {registry: a.example, username: u, password: p}".into()),
        ..hostless()
    };
    let (hosts, error, warnings) = of_push(with_hub, &["acme/app", "a.example/app"]);
    assert_eq!(hosts, ["docker.io", "a.example"]);
    assert_eq!(
        (error.as_str(), &warnings[..]),
        ("", &[Warning::LoginWithoutHost][..])
    );
}

#[test]
fn a_host_without_a_login_is_not_a_fault() {
    let host = |host: &str, registries: Option<&str>| RegistryVariables {
        registry: Some(host.into()),
        registries: registries.map(Into::into),
        ..RegistryVariables::default()
    };
    for registry in ["a.example", "https://a.example/team", "acme"] {
        for names in [&[][..], &["b.example/app"], &["a.example/app"]] {
            let warning = vec![Warning::HostWithoutLogin];
            let outcome = of_push(host(registry, None), names);
            assert_eq!(outcome, (vec![], String::new(), warning));
        }
    }
    for registry in [
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        "public.ecr.aws",
        "localhost:5000",
        "http://127.0.0.1:5000/",
        "[::1]:5000",
    ] {
        let name = format!(
            "{}/app",
            registry.trim_matches('/').rsplit('/').next().unwrap()
        );
        let outcome = of_push(host(registry, None), &[&name]);
        assert_eq!(outcome, (vec![], String::new(), vec![]), "{registry}");
    }
    let listed = "- {registry: a.example, username: u, password: p}";
    for registry in ["a.example", "https://A.example/team"] {
        let (hosts, error, warnings) = of_push(host(registry, Some(listed)), &["a.example/app"]);
        assert_eq!((hosts.len(), error.as_str(), warnings.len()), (1, "", 0));
    }
}

#[test]
fn the_host_of_an_address_in_registry_is_used() {
    let with = |registry: &str| RegistryVariables {
        registry: Some(registry.into()),
        registry_username: Some("robot".into()),
        registry_password: Some("word".into()),
        ..RegistryVariables::default()
    };
    let (hosts, error, warnings) = of_push(with("https://a.example/"), &["a.example/app"]);
    assert_eq!(hosts, ["a.example"]);
    assert_eq!((error.as_str(), warnings.len()), ("", 0));
    for names in [&[][..], &["a.example/team/app"]] {
        let (hosts, error, warnings) = of_push(with("a.example/team"), names);
        assert_eq!((hosts, error.as_str()), (vec!["a.example".to_owned()], ""));
        let value = "`a.example/team`".into();
        let host = "a.example".into();
        assert_eq!(warnings, [Warning::RegistryWithPath { value, host }]);
    }
}

#[test]
fn a_registry_without_a_host_is_a_fault_if_a_push_may_need_the_login() {
    let with = |registry: &str| RegistryVariables {
        registry: Some(registry.into()),
        registry_username: Some("robot".into()),
        registry_password: Some("word".into()),
        ..RegistryVariables::default()
    };
    for names in [&[][..], &["localhost:5000/app"]] {
        let (hosts, error, warnings) = of_push(with("acme"), names);
        assert_eq!((hosts.len(), error.as_str()), (0, ""));
        let value = "`acme`".into();
        assert_eq!(warnings, [Warning::RegistryWithoutHost { value }]);
    }
    for (registry, fault) in [
        (
            "acme",
            "REGISTRY: `acme` is not a host; write just the host, such as",
        ),
        (
            "https://me:word@a.example",
            "REGISTRY: `***@a.example` is not a host; write just the host, such as",
        ),
    ] {
        let (_, error, _) = of_push(with(registry), &["acme/app"]);
        assert!(error.starts_with(fault), "{error}");
    }
}

#[test]
fn insecure_hosts_are_hosts_and_never_docker_hub() {
    let mut findings = Findings::default();
    let hosts = insecure(
        Some("A.example:5000, b.example a.example:5000"),
        &mut findings,
    );
    assert_eq!(hosts, ["a.example:5000", "b.example"]);
    assert!(findings.is_faultless());
    insecure(Some("https://c.example/x docker.io"), &mut findings);
    let error = findings.into_error().to_string();
    assert_eq!(error.lines().count(), 2, "{error}");
    assert!(
        error.contains("Docker Hub, whose certificate is always verified"),
        "{error}"
    );
}
