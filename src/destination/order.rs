//! The order of a list of entries: a directory comes before its entries, which are sorted by the bytes of their names.
//!
//! With this order, each path occurs once, and the parent of an entry is a directory of the same list. Those are the rules of the
//! receiver in BuildKit's own client (`Validator` of `fsutil`).

use super::error::WriteError;

/// The longest path, in bytes: the limit of a system call.
const MAX_PATH_BYTES: usize = 4095;

/// The largest number of directories above an entry. Each of them can be open while a result is moved or removed.
const MAX_DEPTH: usize = 200;

/// Checks one entry after the other.
#[derive(Debug)]
pub(super) struct Order {
    /// The directories above the last entry, outermost first, beginning with the root.
    directories: Vec<Level>,
}

#[derive(Debug, Default)]
struct Level {
    path: Vec<u8>,
    /// The name of its last entry.
    last: Vec<u8>,
}

impl Order {
    pub(super) fn new() -> Self {
        Self {
            directories: vec![Level::default()],
        }
    }

    /// Checks the path of the next entry. The entries of a directory follow after it.
    ///
    /// # Errors
    /// The path is not a plain relative path, or is not valid after the entries before it.
    pub(super) fn check(&mut self, path: &[u8], is_directory: bool) -> Result<(), WriteError> {
        let invalid = |problem| Err(WriteError::invalid(path, problem));
        if path.len() > MAX_PATH_BYTES {
            return invalid("is longer than the limit of the system");
        }
        let mut names = path.split(|&byte| byte == b'/');
        if names.any(|name| matches!(name, b"" | b"." | b"..")) {
            return invalid("is not a plain relative path");
        }
        if path.contains(&0) {
            return invalid("contains a zero byte");
        }
        let separator = path.iter().rposition(|&byte| byte == b'/');
        let (parent, name) = match separator {
            Some(at) => (
                path.get(..at).unwrap_or_default(),
                path.get(at + 1..).unwrap_or_default(),
            ),
            None => (&b""[..], path),
        };
        let Some(depth) = self
            .directories
            .iter()
            .rposition(|level| level.path == parent)
        else {
            return invalid("is not in a directory that was listed before");
        };
        self.directories.truncate(depth + 1);
        if let Some(level) = self.directories.last_mut() {
            if *name <= *level.last {
                return invalid("is not in the order of the list");
            }
            level.last = name.to_vec();
        }
        if is_directory {
            if self.directories.len() > MAX_DEPTH {
                return invalid("is in too many directories");
            }
            self.directories.push(Level {
                path: path.to_vec(),
                last: Vec::new(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn first_invalid<'a>(paths: &[&'a str]) -> Option<&'a str> {
        let mut order = Order::new();
        let mut paths = paths.iter();
        paths
            .find(|path| {
                let (path, is_directory) = match path.strip_suffix('/') {
                    Some(path) if !path.is_empty() => (path, true),
                    _ => (**path, false),
                };
                order.check(path.as_bytes(), is_directory).is_err()
            })
            .copied()
    }

    #[test]
    fn a_walk_is_valid() {
        let walk = ["a/", "a/b/", "a/b/c", "a/b.c", "a-", "b/", "b/x"];
        assert_eq!(first_invalid(&walk), None);
        let root = ["..a", "...", "a b"];
        assert_eq!(first_invalid(&["...", "..a", "a b"]), None, "{root:?}");
    }

    #[test]
    fn a_path_that_leaves_the_directory_or_the_order_is_invalid() {
        for paths in [
            &["../x"][..],
            &["/x"],
            &["/"],
            &[""],
            &["."],
            &[".."],
            &["a/", "a/../x"],
            &["a/", "a//x"],
            &["a/", "a/./x"],
            &["a/", "a/x\0y"],
            // The parent was not listed, is a file, or is finished.
            &["a/x"],
            &["a", "a/x"],
            &["a/", "b/", "a/x"],
            // Twice, or not sorted.
            &["a", "a"],
            &["a/", "a/"],
            &["a/", "a/x", "a"],
            &["b", "a"],
            &["a/", "a/y", "a/x"],
        ] {
            assert_eq!(first_invalid(paths), paths.last().copied(), "{paths:?}");
        }
    }

    #[test]
    fn paths_and_depth_are_limited() {
        let mut order = Order::new();
        assert!(order.check(&[b'x'; MAX_PATH_BYTES + 1], false).is_err());
        let mut path = b"d".to_vec();
        let mut depth = 0;
        while order.check(&path, true).is_ok() {
            depth += 1;
            path.extend_from_slice(b"/d");
        }
        assert_eq!(depth, MAX_DEPTH);
    }

    proptest! {
        #[test]
        fn an_accepted_entry_is_new_and_in_a_listed_directory(
            list in prop::collection::vec(("[ab./\0]{0,6}|[a-c](/[a-c]){0,3}", any::<bool>()), 0..12),
        ) {
            let mut order = Order::new();
            let mut directories = HashSet::from([String::new()]);
            let mut accepted = HashSet::new();
            for (path, is_directory) in list {
                if order.check(path.as_bytes(), is_directory).is_err() {
                    continue;
                }
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                prop_assert!(directories.contains(parent), "{path}");
                prop_assert!(!path.split('/').any(|name| ["", ".", ".."].contains(&name)));
                prop_assert!(accepted.insert(path.clone()), "{path} twice");
                if is_directory {
                    directories.insert(path);
                }
            }
        }
    }
}
