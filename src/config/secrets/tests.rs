use std::ffi::OsString;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// A clone with secret files, and a directory next to it.
struct Clone(tempfile::TempDir);

impl Clone {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clone = Self(folder);
        for folder in [
            "clone/keys",
            "clone/.bitbucket/pipelines/generated",
            "outside",
        ] {
            std::fs::create_dir_all(clone.0.path().join(folder)).unwrap();
        }
        let large = "x".repeat(SECRET_LIMIT_BYTES + 1);
        let largest = "x".repeat(SECRET_LIMIT_BYTES);
        for (file, content) in [
            (
                "clone/keys/npmrc",
                "registry=x\n//r.example/:_authToken=file-token-1\n",
            ),
            ("clone/keys/empty", ""),
            ("clone/keys/large", &large),
            ("clone/keys/largest", &largest),
            (
                "clone/.bitbucket/pipelines/generated/key",
                "generated-secret",
            ),
            ("outside/file", "x"),
        ] {
            std::fs::write(clone.0.path().join(file), content).unwrap();
        }
        std::fs::write(
            clone.root().join("keys/binary"),
            b"\xff\xfe\0text-of-binary\0\n\xff",
        )
        .unwrap();
        for (target, link) in [
            ("keys/npmrc", "link"),
            ("../outside/file", "out"),
            ("nowhere", "dangling"),
        ] {
            std::os::unix::fs::symlink(target, clone.root().join(link)).unwrap();
        }
        crate::io::bounded_file::make_fifo(&clone.root().join("fifo"));
        clone
    }

    fn root(&self) -> std::path::PathBuf {
        self.0.path().canonicalize().unwrap().join("clone")
    }

    fn read(&self, variables: &SecretVariables) -> (SecretsPlan, String) {
        read_in(&self.root(), variables)
    }
}

fn read_in(root: &Path, variables: &SecretVariables) -> (SecretsPlan, String) {
    let mut findings = Findings::default();
    let set = [
        ("NPM_TOKEN", "npm_0123456789"),
        ("EMPTY", ""),
        (
            "KEY",
            "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n",
        ),
        ("LITERAL", "$LITERAL"),
    ];
    let set = set.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let environment = Environment::read(set, &mut findings);
    let places = Places::new(root, Some(root.as_os_str()), &mut findings);
    let parsed = Secrets::parse(variables, &environment, &mut findings);
    let plan = parsed.finish(&places, &mut findings);
    let error = findings.into_error().to_string();
    (plan, error.replace(&root.display().to_string(), "CLONE"))
}

fn read(value: &str) -> (Vec<(String, String)>, String) {
    let variables = SecretVariables {
        secrets: Some(value.to_owned()),
        ..SecretVariables::default()
    };
    let (plan, error) = read_in(Path::new("/"), &variables);
    let exposed = plan.values.iter();
    let exposed = exposed.map(|(id, value)| (id.clone(), value.expose_secret().to_owned()));
    (exposed.collect(), error)
}

fn files(value: &str, secrets: Option<&str>) -> (SecretsPlan, String) {
    let variables = SecretVariables {
        secret_files: Some(value.to_owned()),
        secrets: secrets.map(str::to_owned),
        ..SecretVariables::default()
    };
    Clone::new().read(&variables)
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
            "//npm.example.com/:_authToken=x",
            vec![("//npm.example.com/:_authToken", "x")],
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
            "a file belongs in SECRET_FILES",
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
        ..SecretsPlan::default()
    };
    assert_eq!(format!("{plan:?}"), r#"{"npm": "***"}"#);
}

#[test]
fn a_secret_is_masked_in_messages_also_line_by_line() {
    let mut findings = Findings::default();
    let variables = SecretVariables {
        secrets: Some("\0a=first-line\nsecond-line\n\0b".to_owned()),
        ..SecretVariables::default()
    };
    let environment = Environment::read([], &mut findings);
    let _secrets = Secrets::parse(&variables, &environment, &mut findings);
    assert_eq!(findings.shown("x second-line"), "`x ***`");
    assert_eq!(findings.shown("first-line\nsecond-line"), "`***`");
}

#[test]
fn a_file_is_found_in_the_clone_and_its_lines_are_masked() {
    let value = "npm=keys/npmrc\nbin = keys/binary\nlinked=link\ngenerated=.bitbucket/pipelines/generated/key\nempty=keys/empty\n\
                 largest=keys/largest";
    for value in [
        value.to_owned(),
        value.replace('\n', "\0").replacen("npm", "\0npm", 1),
    ] {
        let (plan, error) = files(&value, Some("other=x"));
        assert_eq!(error, "");
        let found: Vec<_> = plan
            .files
            .iter()
            .map(|file| {
                let ends = file
                    .path
                    .iter()
                    .rev()
                    .take(2)
                    .map(|part| part.to_str().unwrap());
                format!("{} {}", file.id, ends.collect::<Vec<_>>().join(" "))
            })
            .collect();
        assert_eq!(
            found,
            [
                "npm npmrc keys",
                "bin binary keys",
                "linked npmrc keys",
                "generated key generated",
                "empty empty keys",
                "largest largest keys"
            ]
        );
        assert_eq!(
            plan.files[1].label,
            "the secret `bin` (`keys/binary` in SECRET_FILES)"
        );
        let masked: Vec<_> = plan
            .masked
            .iter()
            .map(ExposeSecret::expose_secret)
            .collect();
        for text in ["file-token-1", "text-of-binary", "generated-secret"] {
            assert!(masked.contains(&text), "{text}: {masked:?}");
        }
    }
}

#[test]
fn invalid_files_are_reported() {
    let nine = (0..9).map(|index| format!("f{index}=keys/largest\n"));
    let nine: String = nine.collect();
    for (value, problem, advice) in [
        ("keys/npmrc", "`keys/npmrc` has no `=`", "write `ID=PATH`"),
        (
            "=keys/npmrc",
            "entry 1 does not start with an id and `=`",
            "write `ID=PATH`",
        ),
        (
            "a b=keys/npmrc",
            "entry 1 does not start with an id",
            "no white space",
        ),
        ("npm=", "`npm` has no path after its `=`", "write `ID=PATH`"),
        (
            "npm=$UNSET",
            "`npm` refers to a variable that is not set",
            "remove the entry",
        ),
        (
            "npm=keys/none",
            "`CLONE/keys/none` does not exist",
            "a file in the clone",
        ),
        (
            "npm=dangling",
            "`CLONE/dangling` is a broken link",
            "a file in the clone",
        ),
        (
            "npm=keys",
            "`CLONE/keys` is a directory",
            "a file in the clone",
        ),
        (
            "npm=fifo",
            "`CLONE/fifo` is not a regular file",
            "a file in the clone",
        ),
        (
            "npm=out",
            "is outside of the clone directory `CLONE`",
            "a file in the clone",
        ),
        (
            "npm=/etc/hostname",
            "`/etc/hostname` is outside of the clone directory",
            "a file in the clone",
        ),
        (
            "npm=keys/large",
            "`CLONE/keys/large` has more than 512000 bytes",
            "a file in the clone",
        ),
        (
            "npm=keys/npmrc\nnpm=link",
            "`npm` has the same id as an earlier entry",
            "write each id once",
        ),
        (
            "TOKEN=keys/npmrc",
            "`TOKEN` has the same id as an entry of SECRETS",
            "in SECRETS or in SECRET_FILES",
        ),
        (
            "id=npm,src=keys/npmrc",
            "`id` has the form of the option `--secret`",
            "write `ID=PATH`",
        ),
        (
            "npm: [keys]",
            "not a YAML mapping of ids to paths",
            "write `ID=PATH`",
        ),
        (
            &nine,
            "the files have more than 4194304 bytes together",
            "list fewer files",
        ),
    ] {
        let (_, error) = files(value, Some("TOKEN=hunter2"));
        let found = error.starts_with("SECRET_FILES: ") && error.contains(problem);
        assert!(found && error.contains(advice), "{value:?}: {error}");
    }
}

#[test]
fn a_secret_in_place_of_a_path_is_not_shown() {
    let key = "-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNzaC1rZXktdjEAAAAA";
    for secret in ["ghp_0123456789abcdefghijABCDEFGHIJ", key] {
        let (_, error) = files(&format!("npm={secret}"), None);
        let expected = "`npm` has a value that looks like a secret, not like the path of a file; write the path of a file, or set";
        assert!(error.contains(expected), "{error}");
        assert!(
            !error.contains("ghp_") && !error.contains("b3Blbn"),
            "{error}"
        );
    }
}

#[test]
fn an_id_has_no_quotes_and_brackets() {
    for value in ["'npm=x'", "\"npm=abcdefgh\"", "[\"npm=x\"]"] {
        let (_, error) = outcome(value);
        assert!(error.starts_with("SECRETS: "), "{value}: {error}");
    }
}

#[test]
fn plans_with_other_secrets_are_not_equal() {
    let plan = |secrets: &str| {
        Clone::new()
            .read(&SecretVariables {
                secrets: Some(secrets.to_owned()),
                ..SecretVariables::default()
            })
            .0
    };
    assert_eq!(plan("a=1\nb=2"), plan("a=1\nb=2"));
    for other in ["a=1", "a=1\nb=3", "a=1\nc=2", "a=1\nb=2\nc=3"] {
        assert_ne!(plan("a=1\nb=2"), plan(other));
    }
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
