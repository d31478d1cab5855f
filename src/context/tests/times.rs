//! Times that are derived from content and path.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::time::UNIX_EPOCH;

use super::{Folder, Tree, entries, everything, text};

const ENTRIES: [&str; 6] = ["a/", "a/one", "a/two", "b/one", "empty/", "link -> a/one"];

/// The announced times by path.
fn times(tree: &Tree) -> BTreeMap<String, i64> {
    let entries = entries(tree, &everything()).into_iter();
    entries
        .map(|entry| (text(entry.path), entry.stat.modified_nanoseconds))
        .collect()
}

fn of_content(folder: &Folder) -> BTreeMap<String, i64> {
    times(&folder.tree().with_times_of_content())
}

#[test]
fn two_clones_have_the_same_times() {
    let (first, second) = (Folder::new(ENTRIES), Folder::new(ENTRIES));
    File::open(second.at("a/one"))
        .unwrap()
        .set_modified(UNIX_EPOCH)
        .unwrap();
    // A moved directory.
    fs::rename(second.at("b"), second.at("c")).unwrap();
    fs::rename(second.at("c"), second.at("b")).unwrap();
    assert_ne!(times(&first.tree()), times(&second.tree()));
    let times = of_content(&first);
    assert_eq!(times, of_content(&second));
    let years = |time: i64| time / 1_000_000_000 / 86_400 / 365 + 1970;
    for (path, time) in &times {
        assert!((2001..=2022).contains(&years(*time)), "{path}: {time}");
    }
    let mut distinct: Vec<_> = times.values().collect();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), times.len(), "{times:?}");
}

#[test]
fn a_change_has_another_time_and_the_old_content_has_the_old_one() {
    let folder = Folder::new(ENTRIES);
    let before = of_content(&folder);
    let content = fs::read(folder.at("a/one")).unwrap();
    fs::write(folder.at("a/one"), "A/one").unwrap();
    fs::remove_file(folder.at("link")).unwrap();
    std::os::unix::fs::symlink("a/two", folder.at("link")).unwrap();
    let after = of_content(&folder);
    for (path, time) in &before {
        let is_changed = matches!(&**path, "a/one" | "link");
        assert_eq!(after[path] != *time, is_changed, "{path}");
    }
    fs::write(folder.at("a/one"), content).unwrap();
    assert_eq!(of_content(&folder)["a/one"], before["a/one"]);
}

#[test]
fn a_file_that_cannot_be_read_has_a_new_time() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new(["a"]);
    fs::set_permissions(folder.at("a"), fs::Permissions::from_mode(0o0)).unwrap();
    let times = || super::without_rights(|| of_content(&folder)["a"]);
    assert_ne!(times(), times());
}
