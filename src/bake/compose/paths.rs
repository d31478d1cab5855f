//! Relative paths are joined with the directory of their file.

use super::canonical::entries;
use super::node::{Data, Node, list_mut};
use crate::Error;

/// Joins relative paths with `directory`. `~` is the home directory `home`.
pub(crate) fn resolve_paths(
    root: &mut Node,
    directory: &str,
    home: Option<&str>,
) -> Result<(), Error> {
    for (name, service) in entries(root, "services") {
        if let Some(build) = service.get_mut("build") {
            let contexts = build
                .get_mut("additional_contexts")
                .and_then(Node::as_map_mut);
            for (_, node) in contexts.into_iter().flatten() {
                resolve_context(node, directory, home)?;
            }
            if let Some(node) = build.get_mut("context") {
                resolve_context(node, directory, home)?;
            }
            for (_, node) in build
                .get_mut("ssh")
                .and_then(Node::as_map_mut)
                .into_iter()
                .flatten()
            {
                resolve(node, directory, home, true);
            }
        }
        for node in list_mut(service.get_mut("env_file")) {
            if let Some(path) = node.get_mut("path") {
                resolve(path, directory, home, false);
            }
        }
        for node in list_mut(service.get_mut("label_file")) {
            resolve(node, directory, home, false);
        }
        if let Some(node) = service
            .get_mut("extends")
            .and_then(|node| node.get_mut("file"))
        {
            resolve(node, directory, home, false);
        }
        for node in list_mut(service.get_mut("volumes")) {
            let is_bind = node.get("type").and_then(Node::as_text) == Some("bind");
            if is_bind && node.get("source").is_none() {
                return Err(node.error(format!(
                    "a bind volume of the service `{name}` needs a source"
                )));
            }
        }
    }
    for kind in ["secrets", "configs"] {
        for (_, resource) in entries(root, kind) {
            if let Some(node) = resource.get_mut("file") {
                resolve(node, directory, home, true);
            }
        }
    }
    Ok(())
}

fn resolve_context(node: &mut Node, directory: &str, home: Option<&str>) -> Result<(), Error> {
    const REMOTE: [&str; 4] = ["service:", "github.com/", "git@", "git://"];
    let Some(text) = node.as_text() else {
        return Err(node.error(format!("a context must be text, not {}", node.kind())));
    };
    if !text.contains("://") && !REMOTE.iter().any(|prefix| text.starts_with(prefix)) {
        resolve(node, directory, home, false);
    }
    Ok(())
}

fn resolve(node: &mut Node, directory: &str, home: Option<&str>, is_empty_joined: bool) {
    let Data::Text(text) = &mut node.data else {
        return;
    };
    if let (Some(rest), Some(home)) = (text.strip_prefix('~'), home) {
        *text = join(home, rest);
    }
    if !text.starts_with('/') && !is_windows(text) && (is_empty_joined || !text.is_empty()) {
        *text = join(directory, text);
    }
}

/// Whether a path starts with a drive of Windows.
fn is_windows(path: &str) -> bool {
    let mut bytes = path.bytes().skip(1);
    bytes.next() == Some(b':') && bytes.next().is_some_and(|byte| b"\\/".contains(&byte))
}

/// Two parts of a path as one; nothing if both are empty.
pub(crate) fn join(directory: &str, path: &str) -> String {
    match (directory.is_empty(), path.is_empty()) {
        (true, true) => String::new(),
        (true, false) => clean(path),
        (false, true) => clean(directory),
        (false, false) => clean(&format!("{directory}/{path}")),
    }
}

/// The shortest form of a path.
pub(crate) fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (is_absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, expected) in [
            (".", "."),
            ("./a/../b/", "b"),
            ("../x", "../x"),
            ("a/../..", ".."),
            ("/a/../..", "/"),
            ("//a", "/a"),
        ] {
            assert_eq!(clean(path), expected);
        }
        assert_eq!(join("", ""), "");
        assert_eq!(join("sub", "../a"), "a");
    }
}
