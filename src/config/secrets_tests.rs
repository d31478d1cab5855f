use std::ffi::OsString;

use proptest::prelude::*;

use super::*;

fn read(value: &str) -> (Vec<(String, String)>, String) {
    let mut findings = Findings::default();
    let variables = [
        ("NPM_TOKEN", "npm_0123456789"),
        ("EMPTY", ""),
        (
            "KEY",
            "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n",
        ),
        ("LITERAL", "$LITERAL"),
    ];
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let environment = Environment::read(variables, &mut findings);
    let variables = SecretVariables {
        secrets: Some(value.to_owned()),
    };
    let plan = Secrets::parse(&variables, &environment, &mut findings).finish(&mut findings);
    let exposed = plan.values.iter();
    let exposed = exposed.map(|(id, value)| (id.clone(), value.expose_secret().to_owned()));
    (exposed.collect(), findings.into_error().to_string())
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(id, value)| ((*id).into(), (*value).into()))
        .collect()
}

#[test]
fn every_form_gives_ids_and_values() {
    for (value, expected) in [
        ("npm=a=b ", vec![("npm", "a=b ")]),
        ("a=1\r\n  b= 2", vec![("a", "1"), ("b", " 2")]),
        ("NPM_TOKEN", vec![("NPM_TOKEN", "npm_0123456789")]),
        ("EMPTY\nother=", vec![("EMPTY", ""), ("other", "")]),
        (
            "KEY",
            vec![(
                "KEY",
                "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n",
            )],
        ),
        (
            "\0key=one\ntwo\n\0x=y",
            vec![("key", "one\ntwo\n"), ("x", "y")],
        ),
        (
            "key: |\n  one\n  two\nx: 'y'",
            vec![("key", "one\ntwo\n"), ("x", "y")],
        ),
        (
            "{a: 1.10, NPM_TOKEN: }",
            vec![("a", "1.10"), ("NPM_TOKEN", "npm_0123456789")],
        ),
        (
            "//registry.npmjs.org/:_authToken=x",
            vec![("//registry.npmjs.org/:_authToken", "x")],
        ),
        (
            "GIT_AUTH_TOKEN.example.com:8443=x",
            vec![("GIT_AUTH_TOKEN.example.com:8443", "x")],
        ),
        ("1=a\né=b", vec![("1", "a"), ("é", "b")]),
    ] {
        assert_eq!(read(value), (owned(&expected), String::new()), "{value:?}");
    }
}

#[test]
fn invalid_entries_are_reported_without_their_values() {
    let long = format!("\0a=hunter2{}", "x".repeat(SECRET_LIMIT_BYTES));
    for (value, problem, advice) in [
        (
            "=hunter2",
            "entry 1 does not start with an id and `=`",
            "write `ID=VALUE`",
        ),
        (
            "a b=hunter2",
            "entry 1 does not start with an id",
            "no white space",
        ),
        ("a,b=hunter2", "entry 1 does not start with an id", "comma"),
        (
            "- a=hunter2",
            "entry 1 does not start with an id",
            "write `ID=VALUE`",
        ),
        (
            "ABSENT",
            "`ABSENT` has no value, and the pipe has no variable of that name",
            "write `ID=$NAME`",
        ),
        (
            "LITERAL",
            "`LITERAL` has no value, and the pipe has no variable",
            "write `ID=$NAME`",
        ),
        (
            "key=-----BEGIN KEY-----\nhunter2hunter2\n-----END KEY-----",
            "entry 2 has no value",
            "several lines as an entry of a list",
        ),
        (
            "a=hunter2\na=hunter2",
            "entry 2 has the same id as an earlier entry",
            "write each id once",
        ),
        (
            "TOKEN=x\nTOKEN=y",
            "`TOKEN` has the same id as an earlier entry",
            "write each id once",
        ),
        (
            "a=$UNSET",
            "entry 1 refers to a variable that is not set in this pipeline",
            "set that variable",
        ),
        (
            "a=${hunter2}",
            "entry 1 refers to a variable that is not set",
            "or remove the entry",
        ),
        (
            "id=npm,src=hunter2",
            "entry 1 has the form of the option `--secret`",
            "`ID` alone for the variable of that name",
        ),
        (
            "type=env,id=hunter2",
            "entry 1 has the form of the option `--secret`",
            "write `ID=VALUE`",
        ),
        (
            "a: [hunter2]",
            "not a YAML mapping of ids to plain values, near line 1, column 4",
            "write `ID=VALUE`",
        ),
        (
            "a: hunter2\n\tb: c",
            "not a YAML mapping of ids to plain values",
            "write `ID=VALUE`",
        ),
        (
            &long,
            "entry 1 has a value of more than 512000 bytes",
            "BuildKit allows no larger secret",
        ),
    ] {
        let (_, error) = read(value);
        assert!(
            error.contains(&format!("SECRETS: {problem}")),
            "{value:?}: {error}"
        );
        assert!(error.contains(advice), "{value:?}: {error}");
        assert!(!error.contains("hunter2"), "{value:?}: {error}");
    }
}

#[test]
fn the_largest_secret_is_accepted_and_ids_are_shown_in_debug_output() {
    let value = format!("\0A={}", "x".repeat(SECRET_LIMIT_BYTES));
    let (values, error) = read(&value);
    assert_eq!((values.len(), &*error), (1, ""));
    let plan = SecretsPlan {
        values: vec![("npm".into(), "hunter2".to_owned().into())],
    };
    assert_eq!(format!("{plan:?}"), r#"{"npm": "***"}"#);
}

#[test]
fn a_secret_is_masked_in_messages_also_line_by_line() {
    let mut findings = Findings::default();
    let variables = SecretVariables {
        secrets: Some("\0a=first-line\nsecond-line\n\0b".to_owned()),
    };
    let environment = Environment::read([], &mut findings);
    let _secrets = Secrets::parse(&variables, &environment, &mut findings);
    assert_eq!(findings.shown("x second-line"), "`x ***`");
    assert_eq!(findings.shown("first-line\nsecond-line"), "`***`");
}

proptest! {
    #[test]
    fn any_value_passes_unchanged_through_an_array(value in "[^\0]{0,40}") {
        prop_assume!(value.trim().is_empty() || is_set(&value));
        prop_assert_eq!(read(&format!("\0npm={value}")).0, owned(&[("npm", &value)]));
    }

    #[test]
    fn any_text_passes_unchanged_through_a_mapping(value in "\\PC{0,40}") {
        prop_assume!(value.trim().is_empty() || is_set(&value));
        let yaml = serde_yaml::to_string(&std::collections::BTreeMap::from([("npm", &value)])).unwrap();
        prop_assert_eq!(read(&yaml).0, owned(&[("npm", &value)]), "{}", yaml);
    }

    #[test]
    fn no_text_panics_and_no_value_is_shown(text in "([a-zA-Z]{1,3}(=|: |:|,|)|[{}\\[\\]&*\"'|>\n ,-]|s3cret){0,12}") {
        prop_assert!(!read(&text).1.contains("s3cret"));
    }
}
