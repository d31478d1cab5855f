//! Logins of Docker configurations.

use proptest::prelude::*;

use secrecy::ExposeSecret;

use super::*;

fn outcome(json: &str) -> (Vec<String>, Vec<(String, String)>, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), json).unwrap();
    let mut findings = Findings::default();
    let read = read(
        &folder.path().display().to_string(),
        Path::new("/"),
        &mut findings,
    );
    let shown = |login: &Credential| {
        let password = login.password().expose_secret();
        format!("{} {} {password}", login.host(), login.username())
    };
    let logins = read.logins.iter().map(shown).collect();
    (logins, read.helpers, findings.into_error().to_string())
}

#[test]
fn every_form_of_a_login_is_read() {
    let auth = STANDARD.encode("me:pass:word");
    let json = serde_json::json!({
        "auths": {
            "https://index.docker.io/v1/": { "auth": auth },
            "a.example": { "username": "u", "password": "p" },
            "b.example:5000": { "identitytoken": "refresh", "auth": STANDARD.encode("x:") },
            "kept.elsewhere": {},
        },
        "credHelpers": { "c.example": "ecr-login" },
        "credsStore": "desktop",
        "HttpHeaders": {},
    });
    let (logins, helpers, error) = outcome(&json.to_string());
    assert_eq!(
        logins,
        [
            "a.example u p",
            "b.example:5000  refresh",
            "docker.io me pass:word"
        ]
    );
    assert_eq!(error, "");
    let helpers: Vec<_> = helpers
        .iter()
        .map(|(host, program)| format!("{host} {program}"))
        .collect();
    assert_eq!(helpers, ["c.example ecr-login", " desktop"]);
}

/// The password that is used for a host of two entries, and how many warnings there are. Each entry's password is its name.
fn chosen(entries: &[(&str, &str)]) -> (Vec<String>, usize) {
    let auths: Map<String, Value> = entries
        .iter()
        .map(|&(address, password)| {
            let entry = match password {
                "" => serde_json::json!({}),
                password => serde_json::json!({ "username": "u", "password": password }),
            };
            (address.to_owned(), entry)
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let json = serde_json::json!({ "auths": auths }).to_string();
    std::fs::write(folder.path().join(FILE), json).unwrap();
    let mut findings = Findings::default();
    let path = folder.path().display().to_string();
    let read = read(&path, Path::new("/"), &mut findings);
    let password = |login: &Credential| login.password().expose_secret().to_owned();
    let passwords = read.logins.iter().map(password).collect();
    (passwords, findings.into_error().warnings().len())
}

#[test]
fn of_two_entries_for_one_host_docker_uses_the_exact_one() {
    let hub = "https://index.docker.io/v1/";
    for (entries, password) in [
        (
            [
                ("https://registry.example/v1/", "old"),
                ("registry.example", "exact"),
            ],
            Some("exact"),
        ),
        (
            [
                ("http://a.example:5000", "old"),
                ("a.example:5000", "exact"),
            ],
            Some("exact"),
        ),
        (
            [("a.example/v2/", "old"), ("a.example", "exact")],
            Some("exact"),
        ),
        (
            [("A.example", "old"), ("a.example", "exact")],
            Some("exact"),
        ),
        (
            [("https://z.example/", "old"), ("Z.example", "case")],
            Some("old"),
        ),
        ([("docker.io", "name"), (hub, "exact")], Some("exact")),
        ([("index.docker.io", "name"), (hub, "exact")], Some("exact")),
        (
            [("https://index.docker.io/v2/", "name"), (hub, "exact")],
            Some("exact"),
        ),
        // An exact entry without a login hides the others.
        (
            [
                ("https://registry.example/v1/", "old"),
                ("registry.example", ""),
            ],
            None,
        ),
        ([("docker.io", "name"), (hub, "")], None),
    ] {
        let (passwords, warnings) = chosen(&entries);
        let expected: Vec<String> = password.into_iter().map(str::to_owned).collect();
        assert_eq!((passwords, warnings), (expected, 0), "{entries:?}");
    }
    // None is exact, and Docker uses one of them.
    let (passwords, warnings) = chosen(&[
        ("https://a.example/v1/", "one"),
        ("http://a.example", "two"),
    ]);
    assert_eq!((passwords, warnings), (vec!["one".to_owned()], 1));
    let (passwords, _) = chosen(&[("docker.io", "name")]);
    assert_eq!(passwords, ["name"]);
}

#[test]
fn an_invalid_file_is_reported_without_its_content() {
    let (_, _, error) = outcome("hunter2");
    assert!(
        error.contains("is not a JSON object") && !error.contains("hunter2"),
        "{error}"
    );
    let (_, _, error) = outcome(r#"{"auths":{"a.example":{"auth":"hunter2!"}}}"#);
    assert!(
        error.contains("the entry `a.example`") && !error.contains("hunter2"),
        "{error}"
    );
    let mut findings = Findings::default();
    read("nowhere", Path::new("/"), &mut findings);
    let error = findings.into_error().to_string();
    assert!(
        error.starts_with("DOCKER_CONFIG: `/nowhere` cannot be read"),
        "{error}"
    );
    // Opening it would wait for a writer.
    let folder = tempfile::tempdir().unwrap();
    bounded_file::make_fifo(&folder.path().join(FILE));
    let mut findings = Findings::default();
    keep_secrets(".", folder.path(), &mut findings);
    read(".", folder.path(), &mut findings);
    let error = findings.into_error().to_string();
    assert!(
        error.contains("config.json` cannot be read: it is not a regular file"),
        "{error}"
    );
}

#[test]
fn a_credential_helper_is_a_fault_only_if_its_login_is_needed() {
    let amazon = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    let reported = |helper: &str, image: &str, logins: &[Credential]| {
        let configuration = Configuration {
            helpers: vec![(helper.to_owned(), "ecr-login".to_owned())],
            empty: vec!["d.example".to_owned()],
            ..Configuration::default()
        };
        let pushed = [Reference::parse(image).unwrap()];
        let mut findings = Findings::default();
        report_helpers(&configuration, logins, &pushed, &mut findings);
        let error = findings.into_error();
        (error.faults().len(), error.warnings().len())
    };
    let login = Credential::new("c.example", "u".into(), "p".into());
    assert_eq!(reported("c.example", "c.example/app:1", &[]), (1, 0));
    assert_eq!(reported("c.example", "acme/app:1", &[]), (0, 1));
    assert_eq!(reported("c.example", "c.example/app:1", &[login]), (0, 0));
    assert_eq!(reported(amazon, &format!("{amazon}/app:1"), &[]), (0, 0));
    // Docker calls the program, although the file has a login.
    let login = Credential::new("c.example", "u".into(), "p".into());
    let configuration = Configuration {
        logins: vec![login.clone()],
        helpers: vec![("c.example".to_owned(), "ecr-login".to_owned())],
        ..Configuration::default()
    };
    let mut findings = Findings::default();
    report_helpers(&configuration, &[login], &[], &mut findings);
    let warning = findings.into_error().warnings()[0].to_string();
    assert_eq!(
        warning,
        "DOCKER_CONFIG gets the login for `c.example` from the program `ecr-login`, which cannot run in the pipe: the login in \
         the file is used instead"
    );
    // Of "all others", those that have an empty entry.
    assert_eq!(reported("", "d.example/app:1", &[]), (1, 0));
    assert_eq!(reported("", "e.example/app:1", &[]), (0, 1));
}

#[test]
fn a_configuration_in_place_of_its_path_is_never_shown() {
    let auth = STANDARD.encode("me:hunter2");
    let json = format!(r#"{{"auths":{{"a.example":{{"auth":"{auth}"}}}}}}"#);
    for value in [&json, &STANDARD.encode(&json)] {
        let mut findings = Findings::default();
        read(value, Path::new("/"), &mut findings);
        let error = findings.into_error().to_string();
        assert!(
            error.starts_with("DOCKER_CONFIG: contains the configuration itself instead"),
            "{error}"
        );
        assert!(!error.contains(&auth), "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in r#"([{}\[\]":,]|auths|auth|s3cret|null|1){0,16}"#) {
        let (_, _, error) = outcome(&text);
        prop_assert!(!error.contains("s3cret"));
    }
}
