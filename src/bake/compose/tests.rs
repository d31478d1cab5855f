//! Compose files and the services that the released CLI finds in them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::rc::Rc;

use proptest::prelude::*;

use super::{Compose, Kind, Service};
use crate::Source;
use crate::budget::Budget;

/// Loads the files with names that start with `compose`; `FOO` is `foo`, `EMPTY` is empty.
fn load(files: &[(&str, &str)]) -> Result<Vec<Service>, String> {
    let variable = |name: &str| match name {
        "FOO" => Some("foo".to_owned()),
        "EMPTY" => Some(String::new()),
        "HOME" => Some("/home/user".to_owned()),
        _ => None,
    };
    let read = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found
            .map(|(_, text)| text.as_bytes().to_vec())
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    let budget = Budget::default();
    let load = || {
        let compose = Compose::new(&variable, &read, &budget)?;
        let mut sources = Vec::new();
        for (name, text) in files.iter().filter(|(name, _)| name.starts_with("compose")) {
            let source = Rc::new(Source {
                name: (*name).to_owned(),
                text: (*text).to_owned(),
            });
            assert!(matches!(compose.detect(&source)?, Kind::Compose));
            sources.push(source);
        }
        compose.load(&sources)
    };
    load()
        .map(Option::unwrap_or_default)
        .map_err(|error| error.to_string())
}

/// The attributes that are not empty, one service a line.
fn shown(services: &[Service]) -> String {
    let mut text = String::new();
    for service in services {
        text.push_str(&service.name);
        let map = |map: &BTreeMap<String, String>| {
            map.iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
        };
        let one = |value: &Option<String>| value.iter().cloned().collect::<Vec<_>>();
        for (name, values) in [
            ("context", one(&service.context)),
            ("contexts", map(&service.contexts)),
            ("dockerfile", one(&service.dockerfile)),
            ("inline", one(&service.dockerfile_inline)),
            ("target", one(&service.target)),
            ("args", map(&service.args)),
            ("labels", map(&service.labels)),
            ("tags", service.tags.clone()),
            ("platforms", service.platforms.clone()),
            ("from", service.cache_from.clone()),
            ("secrets", service.secrets.clone()),
            ("ssh", service.ssh.clone()),
            ("attest", service.attest.clone()),
            ("project", one(&service.project_id)),
            ("outputs", service.extra.outputs.clone()),
        ] {
            if !values.is_empty() {
                let _ = write!(text, " {name}[{}]", values.join(" "));
            }
        }
        text.push('\n');
    }
    text
}

#[track_caller]
fn assert_services(files: &[(&str, &str)], expected: &str) {
    match load(files) {
        Ok(services) => assert_eq!(shown(&services).trim_end(), expected, "{files:?}"),
        Err(error) => panic!("{files:?}: {error}"),
    }
}

#[test]
fn a_service_has_all_attributes_of_its_build() {
    let file = r#"
services:
  a.b:
    image: i:1
    environment: [V=v]
    build:
      context: ./x/
      dockerfile: D
      target: t
      args: {A: 1.50, V: , NONE: , N: 0x10}
      labels: [l=1, m]
      platforms: [linux/amd64]
      cache_from: [c]
      secrets: [s, {source: e}]
      ssh: [default, k=./k]
      provenance: mode=max
      sbom: true
      additional_contexts: [c=../c, s=service:b]
      x-bake: {output: "type=local,dest=o -", contexts: {c: other, d: e}}
      x-depot: {project-id: p}
  b: {build: b, image: j}
  c: {image: k}
secrets: {s: {file: "a,b"}, e: {environment: E}}
"#;
    assert_services(
        &[("compose.yaml", file)],
        "a_b context[x] contexts[c=../c d=e s=target:b] dockerfile[D] target[t] args[A=1.5 N=16 V=v] labels[l=1 m=] \
         tags[i:1] platforms[linux/amd64] from[c] secrets[id=s,\"src=a,b\" id=e,env=E] ssh[default k=k] \
         attest[type=sbom,disabled=false type=provenance,mode=max] project[p] outputs[type=local,dest=o -]\n\
         b context[b] tags[j]",
    );
}

const BASE: &str = "services: {a: {image: i, build: {context: x, args: {A: 1, B: 2}, tags: [t]}}}";

#[test]
fn later_files_merge_over_earlier_ones() {
    for (second, expected) in [
        (
            "services: {a: {build: {args: [B=3, C=4], tags: [u, t]}}}",
            "a context[x] args[A=1 B=3 C=4] tags[t u]",
        ),
        (
            "services: {a: {build: z}}",
            "a context[z] args[A=1 B=2] tags[t]",
        ),
        (
            "services: {a: {build: !override {target: q}}}",
            "a context[.] target[q] tags[i]",
        ),
        (
            "services: {a: {build: {args: !reset null, tags: !override [n]}}}",
            "a context[x] tags[n]",
        ),
        (
            "x-q: &q {args: !reset null}\nservices: {a: {build: {<<: *q, target: m}}}",
            "a context[x] target[m] tags[t]",
        ),
        ("services: {a: !reset {}, b: {build: .}}", "b context[.]"),
    ] {
        assert_services(
            &[("compose.1.yaml", BASE), ("compose.2.yaml", second)],
            expected,
        );
    }
    assert_services(
        &[(
            "compose.yaml",
            "services: {a: {build: {args: {A: 1}}}}\n---\nservices: {a: {build: {args: {B: 2}}}}",
        )],
        "a context[.] args[A=1 B=2]",
    );
}

#[test]
fn services_extend_others() {
    for (files, expected) in [
        (
            vec![(
                "compose.yaml",
                "services: {b: {build: {context: x, args: {A: 1}}}, a: {extends: b, build: {args: {B: 2}}}}",
            )],
            "b context[x] args[A=1]\na context[x] args[A=1 B=2]",
        ),
        (
            vec![
                (
                    "compose.yaml",
                    "services: {a: {extends: {file: sub/o.yaml, service: b}, build: {target: t}}}",
                ),
                (
                    "sub/o.yaml",
                    "services: {b: {extends: c, build: {context: ./ctx}}, c: {build: {args: {C: \"${FOO}\"}}}}",
                ),
            ],
            "a context[sub/ctx] target[t] args[C=foo]",
        ),
        (
            vec![
                (
                    "compose.yaml",
                    "include: [sub/i.yaml]\nservices: {a: {extends: i}}",
                ),
                (
                    "sub/i.yaml",
                    "services: {i: {build: {context: ./c, args: {X: \"${X}\"}}}}",
                ),
                ("sub/.env", "X=x"),
            ],
            "a context[sub/c] args[X=x]\ni context[sub/c] args[X=x]",
        ),
    ] {
        assert_services(&files, expected);
    }
}

#[test]
fn variables_come_from_the_environment_and_from_files() {
    assert_services(
        &[
            (
                "compose.yaml",
                "name: p\nservices: {a: {image: \"${COMPOSE_PROJECT_NAME}/${FOO}\", build: {args: [FOO, D, E, N]}, env_file: e}}",
            ),
            (".env", "FOO=weak\nD=\"d$FOO\""),
            ("e", "E=$D"),
        ],
        "a context[.] args[D=dweak E=dweak FOO=foo] tags[p/foo]",
    );
}

#[test]
fn problems_are_errors_with_their_place() {
    for (file, expected) in [
        (
            "services: {a: {build: {foo: 1}}}",
            "compose.yaml:1:29: `services.a.build` has an unknown attribute `foo`",
        ),
        (
            "services: {a: {build: .}}\nfoo: 1",
            "compose.yaml:2:6: the file has an unknown attribute `foo`",
        ),
        (
            "services: {a: {build: {tags: x}}}",
            "compose.yaml:1:30: `services.a.build.tags` must be a list, not text",
        ),
        (
            "services: {a: {build: {tags: [2]}}}",
            "compose.yaml:1:31: `services.a.build.tags` has an item that is a number",
        ),
        (
            "services: {a: {build: ., build: x}}",
            "compose.yaml:1:26: duplicate key `build`",
        ),
        (
            "services: {a: {build: {args: {1: x}}}}",
            "compose.yaml:1:31: the key `1` is a number: quote it to make it text",
        ),
        (
            "services: {a: {}}",
            "compose.yaml:1:15: the service `a` needs `build` or `image`",
        ),
        (
            "services: {a: {extends: a, build: .}}",
            "compose.yaml:1:25: the service `a` extends itself",
        ),
        (
            "services: {a: {extends: b, build: .}}",
            "compose.yaml:1:25: the service `b` does not exist in `compose.yaml`",
        ),
        (
            "services: {a: {image: \"${X?no}\", build: .}}",
            "compose.yaml:1:23: the variable `X` is required: no",
        ),
        (
            "services: {a: {build: {secrets: [s]}}}",
            "compose.yaml:1:34: the service `a` refers to the build secret `s`, which is not defined in `secrets`",
        ),
        (
            "services: {a: {build: ., depends_on: [a]}}",
            "compose.yaml:1:15: the service `a` is in or behind a cycle of `depends_on`",
        ),
        (
            "x: &a {b: *a}",
            "compose.yaml:1:11: an alias inside of its own anchor",
        ),
        (
            "a: *b",
            "compose.yaml:1:4: invalid YAML: while parsing node, found unknown anchor",
        ),
        ("- a", "compose.yaml:1:1: a compose file must be a mapping"),
        (
            "include: [compose.yaml]",
            "compose.yaml:1:11: `compose.yaml` includes itself",
        ),
        ("", "the compose file `compose.yaml` is empty"),
    ] {
        let error = load(&[("compose.yaml", file)]).unwrap_err();
        assert_eq!(error.lines().next(), Some(expected), "{file}");
    }
}

#[test]
fn a_later_file_corrects_values_of_an_earlier_one() {
    let earlier = "services: {a: {build: {x-depot: text, x-bake: text}}}";
    let later = "services: {a: {build: {x-depot: {project-id: p}, x-bake: {tags: [t]}}}}";
    assert_services(
        &[("compose.yaml", earlier), ("compose.2.yaml", later)],
        "a context[.] tags[t] project[p]",
    );
    assert!(load(&[("compose.yaml", earlier)]).is_err());
}

#[test]
fn bombs_are_errors() {
    let mut aliases = "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n".to_owned();
    for level in 1..20 {
        let items = vec![format!("*x{}", level - 1); 10].join(", ");
        let _ = writeln!(aliases, "x{level}: &x{level} [{items}]");
    }
    let mut chain = "services:\n".to_owned();
    for index in 0..5000 {
        let _ = writeln!(chain, "  s{index}: {{extends: s{}, build: .}}", index + 1);
    }
    let deep = "[".repeat(100_000);
    for text in [aliases, chain, deep] {
        assert!(load(&[("compose.yaml", &text)]).is_err());
    }
}

/// Texts of the parts that compose files have, in any order.
fn text() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "services:",
        "\n  a:",
        "\n    build:",
        "\n      args:",
        "\n      - ",
        "{",
        "}",
        "[",
        "]",
        ": ",
        ", ",
        "&x ",
        "*x",
        "<<: ",
        "!reset ",
        "!override ",
        "$",
        "${A",
        ":-",
        "}",
        "\"",
        "'",
        "|\n",
        "\n",
        "  ",
        "---\n",
        "build: .",
        "extends: a",
        "include: [c]",
        "1.5",
        "null",
        "x-bake: ",
        "tags: ",
        "ports: ['1:2']",
        "volumes: [a:/b]",
        "#",
        "\t",
        "é",
        "~",
        "? ",
        "%",
        "!!int ",
        "...\n",
    ];
    prop::collection::vec(prop::sample::select(PARTS), 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in text(), second in text(), any in any::<String>()) {
        for text in [&text, &any] {
            let _ = load(&[("compose.yaml", text), ("compose.2.yaml", &second), ("c", &second), (".env", &any)]);
            let _ = load(&[("compose.yaml", text), ("c", &second)]);
        }
    }
}
