//! Secrets in the plan, in faults and in warnings.

use super::*;

/// A different value in every secret variable.
const SECRETS: [(&str, &str); 9] = [
    ("DOCKERHUB_USERNAME", "me"),
    ("DOCKERHUB_TOKEN", "planted-hub"),
    (
        "REGISTRIES",
        "- {registry: b.example, username: u, password: planted-list}",
    ),
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "planted-key"),
    ("AWS_SESSION_TOKEN", "planted-session"),
    (
        "AWS_OIDC_ROLE_ARN",
        "arn:aws:iam::123456789012:role/pipelines",
    ),
    ("BITBUCKET_STEP_OIDC_TOKEN", "planted-identity"),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "planted-container"),
];

#[test]
fn a_plan_shows_no_secret_and_knows_all() {
    let clone = Clone::new();
    let container = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/keys");
    let all = [&ALL[..], &SECRETS, &[PROJECT, container]].concat();
    let (plan, warnings) = clone.read(&all).unwrap();
    let shown = format!("{plan:?} {plan:#?} {warnings:?}");
    assert!(
        shown.contains("VERSION") && shown.contains("robot"),
        "{shown}"
    );
    for secret in ["hunter2", "hunter3", "hunter4", "planted"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let known: Vec<&str> = plan.secrets().map(ExposeSecret::expose_secret).collect();
    for secret in [
        "depot-token-hunter2",
        "password-hunter3",
        "planted-hub",
        "planted-list",
        "planted-key",
        "planted-session",
        "planted-identity",
        "planted-container",
    ] {
        assert!(known.contains(&secret), "{secret}");
    }
}

#[test]
fn a_fault_shows_no_secret_of_a_wrong_variable() {
    let clone = Clone::new();
    let wrong = [
        ("IMAGE", "planted-identity:planted-key:planted-list"),
        ("TARGET", "planted-hub planted-session"),
        ("REGISTRY_INSECURE", "planted-container/x"),
    ];
    let error = clone
        .read(&[&SECRETS[..], &[TOKEN, PROJECT], &wrong].concat())
        .unwrap_err();
    assert_eq!(error.faults().len(), 3, "{error}");
    assert!(!error.to_string().contains("planted"), "{error}");
}

#[test]
fn an_invalid_build_argument_is_reported_without_its_value() {
    let clone = Clone::new();
    for (value, fault) in [
        (
            "A=b\n\"KEY=s3cret\"",
            "BUILD_ARGS: entry 2 does not start with a name and `=`; write `NAME=VALUE`",
        ),
        (
            "A=b\ns3cret",
            "BUILD_ARGS: entry 2 has no value, and the pipe has no variable of that name; write",
        ),
        (
            "VERSION",
            "BUILD_ARGS: `VERSION` has no value, and the pipe has no variable of that name; write",
        ),
        (
            "A: {s3cret: s3cret}",
            "BUILD_ARGS: not a YAML mapping of names to plain values, near line 1, column 4; write",
        ),
    ] {
        let error = clone
            .read(&[TOKEN, PROJECT, ("BUILD_ARGS", value)])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(fault) && !error.contains("s3cret"),
            "{error}"
        );
    }
}

#[test]
fn a_secret_in_the_wrong_variable_is_not_shown() {
    let clone = Clone::new();
    for name in [
        "PUSH",
        "IMAGE",
        "PLATFORMS",
        "REGISTRY",
        "CONTEXT",
        "DOCKERFILE",
        "DEPOT_API_URL",
        "IMAGE_COUNT",
        "DEBUG",
    ] {
        let value = format!("X {}", TOKEN.1);
        let login = [("REGISTRY_USERNAME", "me"), ("REGISTRY_PASSWORD", "word")];
        let shown =
            match clone.read(&[&[TOKEN, PROJECT, (name, value.as_str())][..], &login].concat()) {
                Err(error) => format!("{error} {error:?}"),
                Ok((_, warnings)) => {
                    let lines: Vec<_> = warnings.iter().map(ToString::to_string).collect();
                    format!("{} {warnings:?}", lines.join(" "))
                }
            };
        assert!(
            !shown.contains("hunter2") && shown.contains(name),
            "{shown}"
        );
    }
}

#[test]
fn build_arguments_that_look_like_secrets_are_masked_with_one_warning() {
    let clone = Clone::new();
    let (plan, warnings) = clone
        .read(&[
            TOKEN,
            PROJECT,
            (
                "BUILD_ARGS",
                "NPM_TOKEN=npm-hunter2\nVERSION=1.10-hunter3\nDB_PASSWORD\nAUTH=true\nINDEX=https://me:p%40ss-w@a.example/",
            ),
            ("DB_PASSWORD", "db-hunter4"),
        ])
        .unwrap();
    let secrets: Vec<_> = plan.secrets().map(ExposeSecret::expose_secret).collect();
    for secret in ["npm-hunter2", "db-hunter4", "p%40ss-w", "p@ss-w"] {
        assert!(secrets.contains(&secret), "{secret}");
    }
    assert!(!secrets.contains(&"1.10-hunter3") && !secrets.contains(&"true"));
    let names = ["`NPM_TOKEN`", "`DB_PASSWORD`"].map(str::to_owned);
    let names = names.to_vec();
    // A part of it is too short to be masked.
    let readable = vec!["`INDEX`".to_owned()];
    assert_eq!(
        warnings,
        [
            Warning::SecretBuildArguments { names },
            Warning::ReadableBuildArguments { names: readable }
        ]
    );
    let warning = warnings[0].to_string();
    assert!(
        warning.contains("for each, add the line `NPM_TOKEN=$NAME` to SECRETS")
            && warning.contains("`RUN --mount=type=secret,id=NPM_TOKEN`")
            && !warning.contains("hunter"),
        "{warning}"
    );
}

#[test]
fn secrets_that_the_run_does_not_use_are_masked() {
    let clone = Clone::new();
    let folder = tempfile::tempdir().unwrap();
    let login = |word: &str| {
        base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            format!("me:{word}"),
        )
    };
    let json = serde_json::json!({ "auths": {
        "https://a.example/v1/": { "auth": login("planted-loser") },
        "a.example": { "auth": login("planted-winner"), "registrytoken": "planted-token" },
    }});
    fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
    let (plan, _) = clone
        .read(&[
            TOKEN,
            PROJECT,
            ("AWS_SESSION_TOKEN", "planted-session"),
            ("DOCKER_CONFIG", &folder.path().display().to_string()),
        ])
        .unwrap();
    let secrets: Vec<_> = plan.secrets().map(ExposeSecret::expose_secret).collect();
    for secret in [
        "planted-session",
        "planted-loser",
        "planted-winner",
        "planted-token",
    ] {
        assert!(secrets.contains(&secret), "{secret}");
    }
}

#[test]
fn a_secret_build_argument_that_is_not_masked_has_a_warning_of_its_own() {
    let clone = Clone::new();
    for value in ["hunter2", "password"] {
        let argument = format!("PASSWORD={value}");
        let (_, warnings) = clone
            .read(&[TOKEN, PROJECT, ("BUILD_ARGS", &argument)])
            .unwrap();
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        let [warning] = &warnings[..] else {
            panic!("{value}: {warnings:?}");
        };
        let start = "BUILD_ARGS: `PASSWORD` looks like a secret; it is not masked in the log";
        assert!(warning.starts_with(start), "{warning}");
    }
    for argument in [
        "PASSWORD=",
        "PASSWORD=true",
        "AUTH=on",
        "TOKEN=0",
        "AUTH=hunter2",
    ] {
        let (_, warnings) = clone
            .read(&[TOKEN, PROJECT, ("BUILD_ARGS", argument)])
            .unwrap();
        assert_eq!(warnings, [], "{argument}");
    }
}

#[test]
fn a_secret_build_argument_is_not_shown_in_faults_of_others() {
    let clone = Clone::new();
    let error = clone
        .read(&[
            TOKEN,
            PROJECT,
            ("PUSH", "npm-hunter2"),
            ("BUILD_ARGS", "NPM_TOKEN=npm-hunter2"),
        ])
        .unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
