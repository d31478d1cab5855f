//! Small definitions and the answers of the CLI.

use std::io;
use std::path::Path;

use crate::Request;

/// The argument `A` of the target `t`, with the variable `ENV`; the message of the error otherwise.
fn argument(files: &[&str], env: &str) -> Result<Option<String>, String> {
    let variable = |name: &str| (name == "ENV").then(|| env.to_owned());
    let read_file = |path: &Path| {
        let index = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok());
        let file: Option<&&str> = index.and_then(|index: usize| files.get(index));
        let text = file.ok_or(io::ErrorKind::NotFound)?;
        Ok(text.as_bytes().to_vec())
    };
    let mut request = Request::new(&variable, &read_file);
    request.files = (0..files.len())
        .map(|index| format!("{index}.hcl"))
        .collect();
    request.targets.push("t".into());
    let definition = crate::read(&request).map_err(|error| error.to_string())?;
    let target = definition.targets.get("t").unwrap();
    Ok(target
        .args
        .as_ref()
        .and_then(|args| args.get("A").cloned().flatten()))
}

#[test]
fn a_variable_with_a_type_and_no_value_is_null_and_no_attribute_accepts_it() {
    for (expression, expected) in [
        ("v == null ? \"null\" : \"set\"", Some("null")),
        ("try(upper(v), \"none\")", Some("none")),
        ("try(v[0], \"none\")", Some("none")),
        ("join(\",\", v[*])", Some("")),
        ("jsonencode(v)", Some("null")),
        ("can(v)", Some("true")),
        ("v == \"x\"", Some("false")),
        ("v", None),
        ("\"${v}\"", None),
        ("upper(v)", None),
        ("coalesce(v, \"x\")", None),
        ("try(v, \"x\")", None),
        (
            "(true ? { a = v, b = \"x\" } : { a = v, b = \"y\" }).b",
            None,
        ),
        // The CLI crashes.
        ("v == null ? \"x\" : v", None),
    ] {
        for kind in ["string", "list(string)", "any"] {
            let text = format!(
                "variable \"v\" {{ type = {kind} }}\ntarget \"t\" {{ args = {{ A = {expression} }} }}"
            );
            let value = argument(&[&text], "").ok().flatten();
            assert_eq!(value.as_deref(), expected, "{text}");
        }
    }
    let unused = "variable \"v\" { type = object({ a = string }) }\ntarget \"t\" {}";
    assert_eq!(argument(&[unused], ""), Ok(None));
    let used = "variable \"v\" { type = string }\ntarget \"t\" { target = v }";
    let error = argument(&[used], "").unwrap_err();
    assert!(error.contains("give it a default value"), "{error}");
}

#[test]
fn a_reference_sees_the_attributes_of_all_blocks_that_are_merged_already() {
    let first = "target \"a\" { tags = [\"x\"] }";
    let second = "target \"a\" { target = \"build\" }\ntarget \"t\" { args = { A = \"x${target.a.target}\" } }";
    assert_eq!(argument(&[first, second], ""), Ok(Some("xbuild".into())));
    // The second block is not merged yet.
    let early =
        "target \"t\" { args = { A = \"x${target.a.target}\" } }\ntarget \"a\" { tags = [\"x\"] }";
    let late = "target \"a\" { target = \"build\" }";
    assert_eq!(argument(&[early, late], ""), Ok(Some("xbuild".into())));
    let nothing = "target \"a\" { dockerfile = \"x\" }\ntarget \"t\" { args = { A = \"x${target.a.target}\" } }";
    assert!(argument(&[first, nothing], "").is_err());
}

#[test]
fn the_environment_sets_a_list_by_one_line_of_values() {
    let text =
        "variable \"ENV\" { type = list(string) }\ntarget \"t\" { args = { A = jsonencode(ENV) } }";
    for (env, expected) in [
        ("a,b", Some("[\"a\",\"b\"]")),
        ("a\nb,c\n", Some("[\"a\\nb\",\"c\"]")),
        ("", None),
    ] {
        let value = argument(&[text], env).ok().flatten();
        assert_eq!(value.as_deref(), expected, "{env:?}");
    }
}

#[test]
fn the_condition_of_an_empty_for_is_checked_if_it_depends_on_no_element() {
    for (condition, is_right) in [
        ("x == \"a\"", true),
        ("x.name", true),
        ("false", true),
        ("true && missing", false),
        ("hasindex(\"a\", 1)", false),
        ("null", false),
        ("\"yes\"", false),
        ("x == \"a\" && !(1 + \"a\" == 2)", false),
        ("contains([x], upper([]))", false),
        ("try(missing, x)", true),
        ("x ? missing : true", true),
    ] {
        let text = format!(
            "target \"t\" {{ args = {{ A = jsonencode([for x in [] : x if {condition}]) }} }}"
        );
        assert_eq!(argument(&[&text], "").is_ok(), is_right, "{condition}");
    }
}
