//! Paths as text: cleans and joins them without access to the file system.
//!
//! Patterns, follow paths and link targets are all reduced to their shortest form before they are
//! compared, as in Go's `path/filepath` on Unix, which builders use.

/// The shortest equivalent path: no empty or `.` parts, and each `..` resolved if possible.
///
/// An absolute path cannot go above `/`; a relative path keeps each `..` that cannot be resolved.
/// An empty result becomes `.`.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&"..") | None if rooted => {}
                Some(&"..") | None => parts.push(".."),
                Some(_) => drop(parts.pop()),
            },
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => String::from("."),
        (false, false) => joined,
    }
}

/// `base` joined with `below`, cleaned; an absolute `below` is treated as relative to `base`.
pub(super) fn join(base: &str, below: &str) -> String {
    match (base.is_empty(), below.is_empty()) {
        (true, true) => String::new(),
        (true, false) => clean(below),
        (false, true) => clean(base),
        (false, false) => clean(&format!("{base}/{below}")),
    }
}

/// Splits a clean relative path into its parent directory (`.` at the top) and its name.
pub(super) fn split_name(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or((".", path))
}

#[cfg(test)]
mod tests {
    use super::{clean, join, split_name};

    #[test]
    fn a_path_is_shortened_by_its_text_alone() {
        for (given, shortest) in [
            ("", "."),
            (".", "."),
            ("/", "/"),
            ("//a///b/", "/a/b"),
            ("./a/./b", "a/b"),
            ("a/..", "."),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            ("../../a/..", "../.."),
            ("/..", "/"),
            ("/../a", "/a"),
            ("a/...", "a/..."),
            ("!/a/", "!/a"),
            ("!./a", "!./a"),
            ("a\\/b", "a\\/b"),
        ] {
            assert_eq!(clean(given), shortest, "{given:?}");
        }
    }

    #[test]
    fn joining_strips_a_leading_slash_and_never_leaves_one_at_the_end() {
        assert_eq!(join(".", "/a/b/"), "a/b");
        assert_eq!(join(".", "/"), ".");
        assert_eq!(join("", ""), "");
        assert_eq!(join("/x", ""), "/x");
        assert_eq!(join("", "x/"), "x");
        assert_eq!(join("..", ".."), "../..");
        assert_eq!(join("a", "../b"), "b");
    }

    #[test]
    fn a_name_is_what_follows_the_last_slash() {
        assert_eq!(split_name("a/b/c"), ("a/b", "c"));
        assert_eq!(split_name("a"), (".", "a"));
    }
}
