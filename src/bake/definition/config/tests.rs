use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::*;

fn target(name: &str, change: impl FnOnce(&mut Target)) -> Target {
    let mut target = Target {
        name: name.into(),
        ..Target::default()
    };
    change(&mut target);
    target
}

fn group(name: &str, targets: &[&str]) -> Group {
    Group {
        name: name.into(),
        description: String::new(),
        targets: Some(list(targets)),
    }
}

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// `app` inherits from `base` and links to `lib`; `all` has both, `empty` has none, `loop` has itself.
fn config() -> Config {
    Config {
        groups: vec![
            group("all", &["app", "lib", "inner"]),
            group("inner", &["lib"]),
            group("empty", &[]),
            group("loop", &["loop", "lib"]),
        ],
        targets: vec![
            target("base", |base| {
                base.tags = Some(list(&["base:1"]));
                base.platforms = Some(list(&["linux/amd64"]));
                base.args = Some(BTreeMap::from([
                    ("A".into(), Some("a".into())),
                    ("B".into(), Some("b".into())),
                ]));
            }),
            target("app", |app| {
                app.inherits = Some(list(&["base"]));
                app.args = Some(BTreeMap::from([
                    ("A".into(), Some("app".into())),
                    ("N".into(), None),
                ]));
                app.contexts = Some(BTreeMap::from([
                    ("lib".into(), "target:lib".into()),
                    ("none".into(), String::new()),
                ]));
            }),
            target("lib", |lib| lib.tags = Some(list(&["lib:1", "", "lib:1"]))),
            target("self", |own| own.inherits = Some(list(&["self"]))),
            target("ring-a", |ring| {
                ring.contexts = Some(BTreeMap::from([("x".into(), "target:ring-b".into())]));
            }),
            target("ring-b", |ring| {
                ring.contexts = Some(BTreeMap::from([("x".into(), "target:ring-a".into())]));
            }),
        ],
    }
}

fn select(targets: &[&str], overrides: &[&str]) -> Result<Value, String> {
    let variable = |name: &str| (name == "FROM_ENVIRONMENT").then(|| "env".to_owned());
    let read_file = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let mut request = Request::new(&variable, &read_file);
    request.targets = list(targets);
    request.overrides = list(overrides);
    let definition = config().select(&request, Vec::new(), &Budget::default());
    definition
        .map(|definition| definition.to_json())
        .map_err(|error| error.to_string())
}

/// One attribute of a target, after overrides.
fn attribute(target: &str, attribute: &str, overrides: &[&str]) -> Value {
    select(&[target], overrides).unwrap()["target"][target][attribute].clone()
}

#[test]
fn targets_inherit_and_groups_expand() {
    assert_eq!(
        select(&["all"], &[]).unwrap(),
        json!({
            "group": {
                "all": { "targets": ["app", "lib", "inner"] },
                "default": { "targets": ["all"] },
                "inner": { "targets": ["lib"] },
            },
            "target": {
                "app": {
                    "args": { "A": "app", "B": "b" },
                    "context": ".",
                    "contexts": { "lib": "target:lib" },
                    "dockerfile": "Dockerfile",
                    "platforms": ["linux/amd64"],
                    "tags": ["base:1"],
                },
                "lib": { "context": ".", "dockerfile": "Dockerfile", "tags": ["lib:1"] },
            },
        })
    );
}

#[test]
fn a_linked_target_is_built_without_outputs() {
    let json = select(&["app"], &["*.output=type=image"]).unwrap();
    assert_eq!(
        json["target"]["app"]["output"],
        json!([{ "type": "image" }])
    );
    assert_eq!(json["target"]["lib"]["output"], Value::Null);
    assert_eq!(json["group"], json!({ "default": { "targets": ["app"] } }));
}

#[test]
fn overrides_change_attributes() {
    for (name, text, field, expected) in [
        (
            "app",
            "app.args.A=x=y",
            "args",
            json!({ "A": "x=y", "B": "b" }),
        ),
        (
            "app",
            "a*.args.FROM_ENVIRONMENT",
            "args",
            json!({ "A": "app", "B": "b", "FROM_ENVIRONMENT": "env" }),
        ),
        (
            "app",
            "*.args.NOT_SET",
            "args",
            json!({ "A": "app", "B": "b" }),
        ),
        (
            "app",
            "base.args.B=x",
            "args",
            json!({ "A": "app", "B": "x" }),
        ),
        (
            "app",
            "app.args.A.B=dots",
            "args",
            json!({ "A": "app", "A.B": "dots", "B": "b" }),
        ),
        ("app", "app.tags+=more", "tags", json!(["base:1", "more"])),
        ("app", "app.tags=one", "tags", json!(["one"])),
        ("app", "app.tags=", "tags", Value::Null),
        ("app", "app.labels.L=1", "labels", json!({ "L": "1" })),
        ("app", "app.contexts.lib=", "contexts", Value::Null),
        (
            "app",
            "app.platform=linux/arm64",
            "platforms",
            json!(["linux/arm64"]),
        ),
        (
            "app",
            "app.cache-from=a,b",
            "cache-from",
            json!([{ "type": "registry", "ref": "a" }, { "type": "registry", "ref": "b" }]),
        ),
        (
            "app",
            "app.secrets=id=a,src=f",
            "secret",
            json!([{ "id": "a", "src": "f" }]),
        ),
        (
            "app",
            "app.ssh=default",
            "ssh",
            json!([{ "id": "default" }]),
        ),
        (
            "app",
            "app.attest=type=sbom",
            "attest",
            json!([{ "type": "sbom" }]),
        ),
        (
            "app",
            "app.output=out",
            "output",
            json!([{ "type": "local", "dest": "out" }]),
        ),
        (
            "app",
            "app.push=false",
            "output",
            json!([{ "type": "image", "push": "true" }]),
        ),
        ("app", "app.no-cache=T", "no-cache", json!(true)),
        ("app", "app.context=x", "context", json!("x")),
        ("app", "app.shm-size=1g", "shm-size", json!("1g")),
    ] {
        assert_eq!(attribute(name, field, &[text]), expected, "{text}");
    }
    assert_eq!(
        attribute("app", "tags", &["app.tags=a", "*.tags=b"]),
        json!(["a", "b"])
    );
}

#[test]
fn problems_are_reported() {
    for (target, overrides, expected) in [
        ("nope", "", "no target `nope`; the definition has"),
        ("self", "", "inherits from itself"),
        ("ring-a", "", "ring-a → ring-b → ring-a"),
        ("empty", "", ""),
        ("loop", "", "empty or contains itself"),
        ("app", "app", "expected `TARGET.KEY=VALUE`"),
        ("app", "app.tags", "expected `TARGET.KEY=VALUE`"),
        ("app", "app.args=x", "expected `TARGET.args.NAME=VALUE`"),
        ("app", "app.labels=x", "expected `TARGET.labels.NAME=VALUE`"),
        ("app", "app.project_id=x", "unknown key `project_id`"),
        ("app", "zzz*.tags=x", "no target matches `zzz*`"),
        ("app", "[.tags=x", "`[` is not a pattern"),
        ("app", "app.pull=maybe", "`maybe` is neither true nor false"),
        ("app", "app.secrets=what=x", "unknown key `what`"),
    ] {
        let overrides: Vec<&str> = Some(overrides)
            .filter(|text| !text.is_empty())
            .into_iter()
            .collect();
        match select(&[target], &overrides) {
            Ok(_) => assert_eq!(expected, "", "{target} {overrides:?}"),
            Err(error) => assert!(
                !expected.is_empty() && error.contains(expected),
                "{target} {overrides:?}: {error}"
            ),
        }
    }
}
