//! Changes of directories that a builder does not detect.
//!
//! A builder that has a directory from the last transfer applies a new mode and new extended
//! attributes to it, but does not report the change to its cache (`fsutil`, `diskwriter.go`): a
//! `COPY` of the directory stays cached with the old mode. A digest of them in the session's key
//! makes the builder start with an empty directory when they change.

use std::collections::HashMap;
use std::hash::Hasher;

use rustix::fs::{AtFlags, FileType, statat};
use twox_hash::XxHash3_64;

use super::announced::hash_attributes;
use super::filter::Marks;
use super::levels::Levels;
use super::observer::AttributeReader;
use super::tree::Tree;

/// Directories of one kind: the same mode and the same extended attributes.
#[derive(Debug, Default)]
struct Kind {
    directories: u64,
    /// The sum of the hashes of their paths, which does not depend on their order.
    paths: u64,
}

impl Tree {
    /// A digest that changes when the mode or an extended attribute of a directory changes.
    ///
    /// It stays the same when a directory of the most common kind is added or removed, as in most
    /// changes of a repository. Directories that cannot be read are treated as empty. Blocks. Uses
    /// as much memory as a walk; see [`super`].
    #[must_use]
    pub(crate) fn directory_digest(&self) -> u64 {
        let mut kinds: HashMap<u64, Kind> = HashMap::new();
        let mut attributes = AttributeReader::default();
        let Ok(mut levels) = Levels::new(self) else {
            return 0;
        };
        while let Some(entry) = levels.next() {
            if entry != FileType::Directory || self.withholds(levels.path()) {
                continue;
            }
            let Ok(place) = levels.current() else {
                continue;
            };
            let Ok(found) = statat(place.directory, place.name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let mut hasher = XxHash3_64::new();
            hasher.write_u32(found.st_mode);
            let attributes = attributes.read(place.directory, place.name);
            hash_attributes(&mut hasher, &attributes);
            let kind = kinds.entry(hasher.finish()).or_default();
            kind.directories += 1;
            kind.paths = kind.paths.wrapping_add(XxHash3_64::oneshot(place.path));
            // A directory that cannot be entered is empty for a builder, too.
            let _unreadable = levels.enter(Marks::default(), true);
        }
        digest(&kinds)
    }
}

fn digest(kinds: &HashMap<u64, Kind>) -> u64 {
    let common = kinds
        .iter()
        .max_by_key(|(hash, kind)| (kind.directories, **hash))
        .map(|(hash, _)| *hash);
    let mut others: Vec<_> = kinds
        .iter()
        .filter(|(hash, _)| Some(**hash) != common)
        .collect();
    others.sort_unstable_by_key(|(hash, _)| **hash);
    let mut hasher = XxHash3_64::new();
    hasher.write_u64(common.unwrap_or_default());
    for (hash, kind) in others {
        hasher.write_u64(*hash);
        hasher.write_u64(kind.paths);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    fn digest_of(folder: &Path) -> u64 {
        Tree::new(folder, &[]).unwrap().directory_digest()
    }

    #[test]
    fn a_mode_changes_the_digest_and_an_ordinary_directory_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::create_dir_all(at("conf")).unwrap();
        let plain = digest_of(folder.path());
        fs::create_dir(at("new")).unwrap();
        fs::write(at("a/file"), "x").unwrap();
        assert_eq!(digest_of(folder.path()), plain);

        let mut seen = vec![plain];
        for (path, mode) in [
            ("conf", 0o700),
            ("conf", 0o750),
            ("a/b", 0o700),
            ("a/b", 0o1755),
        ] {
            fs::set_permissions(at(path), Permissions::from_mode(mode)).unwrap();
            let digest = digest_of(folder.path());
            assert!(!seen.contains(&digest), "{path} {mode:o}");
            seen.push(digest);
        }
        fs::set_permissions(at("conf"), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(at("a/b"), Permissions::from_mode(0o755)).unwrap();
        assert_eq!(digest_of(folder.path()), plain);
    }

    #[test]
    fn two_directories_that_swap_their_modes_change_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for name in ["a", "b", "c", "d"] {
            fs::create_dir(at(name)).unwrap();
        }
        let mut digests = ["a", "b"].map(|name| {
            fs::set_permissions(at(name), Permissions::from_mode(0o700)).unwrap();
            let digest = digest_of(folder.path());
            fs::set_permissions(at(name), Permissions::from_mode(0o755)).unwrap();
            digest
        });
        digests.sort_unstable();
        assert_ne!(digests[0], digests[1]);
    }
}
