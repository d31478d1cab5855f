//! Attributes and overrides with what the released CLI prints for them, one `ATTRIBUTE # JSON` a line.

use std::path::Path;

use crate::{Error, Request};

/// The JSON of an attribute that `line` sets in a definition, or by `set KEY=VALUE`.
fn printed(line: &str) -> Result<serde_json::Value, Error> {
    let (over, body) = match line.strip_prefix("set ") {
        Some(over) => (vec![format!("*.{over}")], ""),
        None => (Vec::new(), line),
    };
    let key = line.trim_start_matches("set ").split([' ', '=']).next();
    let key = match key.unwrap() {
        "secrets" => "secret",
        key => key,
    };
    let file = format!("target \"default\" {{\n{body}\n}}\n");
    let read = |path: &Path| match path.to_str() {
        Some("docker-bake.hcl") => Ok(file.clone().into_bytes()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    let request = Request {
        files: vec!["docker-bake.hcl".into()],
        overrides: over,
        ..Request::new(&|_| None, &read)
    };
    let mut json = crate::read(&request)?.to_json();
    Ok(json["target"]["default"][key].take())
}

#[test]
fn attributes_print_as_the_cli_prints_them() {
    let mut failures = String::new();
    for line in include_str!("tests.txt").lines() {
        let (attribute, expected) = line.rsplit_once(" # ").unwrap();
        let expected: Option<serde_json::Value> = match expected {
            "error" => None,
            json => Some(serde_json::from_str(json).unwrap()),
        };
        match (printed(attribute), expected) {
            (Ok(found), Some(expected)) if found == expected => {}
            (Err(_), None) => {}
            (found, expected) => {
                let text = format!("{attribute}\n  expected {expected:?}\n  found    {found:?}\n");
                failures.push_str(&text);
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}
