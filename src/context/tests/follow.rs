//! Paths whose links are followed.

use super::{Folder, error, paths, selection};
use crate::context::error::WalkError;
use crate::context::follow::{resolve, without_nested};

const LINKS: [&str; 16] = [
    "data/real",
    "data/other",
    "dir/one -> ../data/real",
    "dir/two -> /data/other",
    "dir/plain",
    "chain -> dir/one",
    "folder -> data",
    "out -> ../../../etc/passwd",
    "abroad -> /etc/passwd",
    "dangling -> nowhere/at/all",
    "self -> self",
    "ping -> pong",
    "pong -> ping/x",
    "root -> /",
    "star -> d*r/one",
    "data/up -> ..",
];

fn resolved(folder: &Folder, given: &[&str]) -> Option<Vec<String>> {
    let given: Vec<String> = given.iter().map(|&path| path.to_owned()).collect();
    resolve(&folder.tree(), &given).unwrap()
}

#[test]
fn links_are_resolved_inside_the_root() {
    let folder = Folder::new(LINKS);
    let table: &[(&[&str], &[&str])] = &[
        (&["data/real"], &["data/real"]),
        (&["/data/real/"], &["data/real"]),
        (&["missing/x"], &["missing/x"]),
        (&["chain"], &["chain", "data/real", "dir/one"]),
        (&["folder/real"], &["data/real", "folder"]),
        // A target above the root is relative to the root.
        (&["out"], &["etc/passwd", "out"]),
        (&["abroad"], &["abroad", "etc/passwd"]),
        (&["../dir/one"], &["../dir/one"]),
        (&["dangling"], &["dangling", "nowhere/at/all"]),
        (&["self"], &["self"]),
        (&["self/x"], &["self"]),
        (&["ping"], &["ping", "pong"]),
        (
            &["folder/up/chain"],
            &["chain", "data/real", "data/up", "dir/one", "folder"],
        ),
        // Wildcards.
        (&["dir/*"], &["data/other", "data/real", "dir/*"]),
        (&["dir/t*"], &["data/other", "dir/t*"]),
        (&["dir/p*"], &["dir/p*"]),
        (&["di?/one"], &["di?/one"]),
        (&["dir/\\*"], &["dir/\\*"]),
        // A link may itself lead to a wildcard; that one is not expanded in the middle of a path.
        (&["star"], &["d*r/one", "star"]),
        // Nested paths are needed once.
        (&["data", "data/real", "dir/one"], &["data", "dir/one"]),
        (&["data/real", "data/real"], &["data/real"]),
    ];
    for (given, expected) in table {
        assert_eq!(
            resolved(&folder, given).as_deref().unwrap(),
            *expected,
            "{given:?}"
        );
    }
}

#[test]
fn a_path_that_is_or_leads_to_the_root_selects_everything() {
    let folder = Folder::new(LINKS);
    for given in [
        &["."][..],
        &["/"],
        &[""],
        &["root"],
        &["data/real", "a/../."],
        &["data/up"],
    ] {
        assert_eq!(resolved(&folder, given), None, "{given:?}");
    }
}

/// The entries of a selection of followed paths and includes.
#[test]
fn followed_paths_join_the_includes() {
    let folder = Folder::new(LINKS);
    let tree = folder.tree();
    assert_eq!(
        paths(&tree, &selection(&[], &[], &["chain"])),
        ["chain", "data", "data/real", "dir", "dir/one"]
    );
    assert_eq!(
        paths(&tree, &selection(&["dir/plain"], &["**/real"], &["chain"])),
        ["chain", "dir", "dir/one", "dir/plain"]
    );
    assert_eq!(
        paths(&tree, &selection(&["dir/plain"], &[], &["root"])),
        ["dir", "dir/plain"]
    );
    assert_eq!(
        paths(&tree, &selection(&["."], &[], &["self"])).len(),
        18,
        "an include of the root is none"
    );
    assert_eq!(
        paths(&tree, &selection(&["."], &[], &[])),
        [""; 0],
        "but alone it matches nothing"
    );
    assert_eq!(paths(&tree, &selection(&[], &[], &["nothing"])), [""; 0]);
}

#[test]
fn nested_paths_are_removed_from_a_sorted_list() {
    let without = |paths: &[&str]| without_nested(paths.iter().map(|&path| path.to_owned()));
    assert_eq!(
        without(&["a", "a-b", "a/b"]).unwrap(),
        ["a", "a-b", "a/b"],
        "bytes sort so, and it stays"
    );
    assert_eq!(without(&["a", "a/b", "a/b/c", "ab"]).unwrap(), ["a", "ab"]);
    assert_eq!(without(&["/x", "a", "/x"]).unwrap(), ["a", "/x"]);
    assert_eq!(without(&["a", "."]), None);
}

#[test]
fn a_long_chain_of_links_is_followed_without_recursion() {
    let links: Vec<String> = (0..5000)
        .map(|at| format!("l{at} -> l{}", at + 1))
        .collect();
    let folder = Folder::new(links.iter().map(String::as_str));
    assert_eq!(resolved(&folder, &["l0"]).unwrap().len(), 5001);
}

#[test]
fn links_that_make_the_path_longer_each_time_are_an_error() {
    let tail = "x/".repeat(1800);
    let links: Vec<String> = (0..30)
        .map(|at| format!("l{at} -> l{}/{tail}", at + 1))
        .collect();
    let folder = Folder::new(links.iter().map(String::as_str));
    let failure = error(&folder.tree(), &selection(&[], &[], &["l0"]));
    assert!(
        matches!(failure, WalkError::FollowTooFar { .. }),
        "{failure:?}"
    );
}
