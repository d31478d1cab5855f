//! Files that must never be sent are never sent.

use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};

use super::{Folder, everything, paths, selection, text, without_rights};
use crate::context::walk::WalkSummary;
use crate::context::{Entry, OpenError, Selection, Tree, TreeError};

const GENERATED: &str = ".bitbucket/pipelines/generated";

fn pipeline() -> Folder {
    Folder::new([
        ".bitbucket/pipelines/generated/pipes/secret",
        ".bitbucket/pipelines/generated-not",
        ".bitbucket/x",
        "link -> .bitbucket/pipelines/generated",
        "deep -> .bitbucket/pipelines/generated/pipes/secret",
        "src/main",
    ])
}

#[test]
fn a_withheld_directory_is_neither_listed_nor_opened() {
    let folder = pipeline();
    let tree = Tree::new(&folder.at(""), &[folder.at(GENERATED)]).unwrap();
    let everything_else = [
        ".bitbucket",
        ".bitbucket/pipelines",
        ".bitbucket/pipelines/generated-not",
        ".bitbucket/x",
        "deep",
        "link",
        "src",
        "src/main",
    ];
    let mut found = Vec::new();
    let summary = walk(&tree, &everything(), &mut |entry| {
        found.push(text(entry.path));
    });
    assert_eq!(found, everything_else);
    assert_eq!(summary, WalkSummary::default());
    let nothing: [&str; 0] = [];
    assert_eq!(paths(&tree, &selection(&["**/secret"], &[], &[])), nothing);
    assert_eq!(paths(&tree, &selection(&[GENERATED], &[], &[])), nothing);
    assert_eq!(
        paths(
            &tree,
            &selection(&[".bitbucket/pipelines/generated/pipes/secret"], &[], &[])
        ),
        nothing
    );
    assert_eq!(
        paths(
            &tree,
            &selection(&[], &["*", "!.bitbucket/pipelines/generated/**"], &[])
        ),
        nothing
    );
    assert_eq!(
        paths(&tree, &selection(&[], &[], &["link/pipes/secret"])),
        ["link"]
    );
    assert_eq!(
        paths(
            &tree,
            &selection(&[], &[], &["deep", ".bitbucket/pipelines/generated/*"])
        ),
        ["deep"]
    );
    for path in [GENERATED, ".bitbucket/pipelines/generated/pipes/secret"] {
        assert!(
            matches!(tree.open(path), Err(OpenError::NotListed { .. })),
            "{path}"
        );
    }
    assert!(tree.open(".bitbucket/pipelines/generated-not").is_ok());
}

#[test]
fn a_directory_is_withheld_under_its_other_names_and_before_it_exists() {
    let folder = pipeline();
    symlink(folder.at(""), folder.at("src/clone")).unwrap();
    let through_a_link = folder.at("src/clone").join(GENERATED);
    let later = folder.at("later/on");
    let tree = Tree::new(&folder.at("src/clone"), &[through_a_link, later]).unwrap();
    fs::create_dir_all(folder.at("later/on/x")).unwrap();
    let found = paths(&tree, &everything());
    assert!(
        !found
            .iter()
            .any(|path| path.starts_with(GENERATED) && !path.ends_with("-not")),
        "{found:?}"
    );
    assert!(
        found.contains(&"later".to_owned()) && !found.contains(&"later/on".to_owned()),
        "{found:?}"
    );
}

#[test]
fn a_folder_within_a_withheld_one_cannot_be_offered() {
    let folder = pipeline();
    let never = [folder.at(GENERATED)];
    for root in [
        folder.at(GENERATED),
        folder.at(GENERATED).join("pipes"),
        folder.at("link"),
    ] {
        let error = Tree::new(&root, &never).unwrap_err();
        assert!(
            matches!(error, TreeError::Withheld { .. }),
            "{root:?}: {error:?}"
        );
    }
}

#[test]
fn only_a_directory_can_be_offered() {
    let folder = pipeline();
    for root in ["src/main", "missing"] {
        let error = Tree::new(&folder.at(root), &[]).unwrap_err();
        assert!(
            matches!(&error, TreeError::Open { path, .. } if *path == folder.at(root)),
            "{error:?}"
        );
    }
}

/// Both ways of opening files, with and without `openat2`.
fn both_ways(root: &Path) -> [Tree; 2] {
    let new = || Tree::new(root, &[]).unwrap();
    [new(), new().without_openat2()]
}

#[test]
fn a_file_is_opened_only_within_the_folder_and_never_through_a_link() {
    let outside = Folder::new(["f", "d/f"]);
    let folder = Folder::new(["a/b/f", "f"]);
    symlink(outside.at("f"), folder.at("out")).unwrap();
    symlink(outside.at("d"), folder.at("a/d")).unwrap();
    symlink("b", folder.at("a/inside")).unwrap();
    for tree in both_ways(&folder.at("")) {
        for path in ["f", "a/b/f"] {
            let mut content = String::new();
            tree.open(path)
                .unwrap()
                .read_to_string(&mut content)
                .unwrap();
            assert_eq!(content, path);
        }
        for path in [
            "out",
            "a/d/f",
            "a/inside/f",
            "missing",
            "a/missing/f",
            "f/below",
        ] {
            let error = tree.open(path).unwrap_err();
            assert!(matches!(error, OpenError::Gone { .. }), "{path}: {error:?}");
        }
        let absolute = outside.at("f");
        for path in [
            "",
            ".",
            "..",
            "../f",
            "a/../f",
            "a//f",
            "/f",
            "a/",
            absolute.to_str().unwrap(),
        ] {
            let error = tree.open(path).unwrap_err();
            assert!(
                matches!(error, OpenError::NotListed { .. }),
                "{path}: {error:?}"
            );
        }
        assert!(matches!(tree.open("a"), Err(OpenError::NotAFile { .. })));
        assert_eq!(
            paths(&tree, &selection(&[], &[], &["a/inside/f"])),
            ["a", "a/b", "a/b/f", "a/inside"]
        );
    }
}

#[test]
fn a_fifo_in_the_place_of_a_file_does_not_hang() {
    let folder = Folder::new(["f"]);
    for tree in both_ways(&folder.at("")) {
        fs::remove_file(folder.at("f")).unwrap();
        rustix::fs::mknodat(CWD, folder.at("f"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(matches!(tree.open("f"), Err(OpenError::NotAFile { .. })));
    }
}

#[test]
fn a_file_without_permission_is_reported_with_a_hint() {
    let folder = Folder::new(["f"]);
    fs::set_permissions(folder.at("f"), fs::Permissions::from_mode(0o0)).unwrap();
    for tree in both_ways(&folder.at("")) {
        let error = without_rights(|| tree.open("f").unwrap_err());
        assert!(
            matches!(&error, OpenError::Unreadable { path, .. } if path == "f"),
            "{error:?}"
        );
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_directory_replaced_by_a_link_during_the_walk_is_not_followed() {
    let outside = Folder::new(["secret", "sub/secret"]);
    let folder = Folder::new(["d/sub/f", "d/z", "e"]);
    let aside = folder.at("aside");
    let mut found = Vec::new();
    let summary = walk(&folder.tree(), &everything(), &mut |entry| {
        if entry.path == b"d" {
            fs::rename(folder.at("d"), &aside).unwrap();
            symlink(outside.at(""), folder.at("d")).unwrap();
        }
        found.push(text(entry.path));
    });
    assert_eq!(found, ["d", "e"]);
    assert_eq!(summary.vanished.as_deref(), Some("d"));

    // A directory that was already entered stays the same, even after it was moved.
    let folder = Folder::new(["d/sub/f", "d/z", "e"]);
    let aside: PathBuf = folder.at("aside");
    let mut found = Vec::new();
    walk(&folder.tree(), &everything(), &mut |entry| {
        if entry.path == b"d/sub" {
            fs::rename(folder.at("d"), &aside).unwrap();
            symlink(outside.at(""), folder.at("d")).unwrap();
        }
        found.push(text(entry.path));
    });
    assert_eq!(found, ["d", "d/sub", "d/sub/f", "d/z", "e"]);
}

#[test]
fn an_entry_that_vanishes_is_skipped_and_its_neighbours_are_not() {
    let folder = Folder::new(["a", "b", "c", "d/x", "e"]);
    let mut found = Vec::new();
    let summary = walk(&folder.tree(), &everything(), &mut |entry| {
        if entry.path == b"a" {
            fs::remove_file(folder.at("b")).unwrap();
            fs::remove_dir_all(folder.at("d")).unwrap();
        }
        found.push(text(entry.path));
    });
    assert_eq!(found, ["a", "c", "e"]);
    assert_eq!(summary.vanished.as_deref(), Some("b"));
}

#[test]
fn a_deep_directory_replaced_by_another_is_not_returned_to() {
    let deep = "d/".repeat(100);
    let folder = Folder::new([&*format!("{deep}f"), "d/z", "y"]);
    let mut found = Vec::new();
    let summary = walk(&folder.tree(), &everything(), &mut |entry| {
        if entry.path.ends_with(b"/f") {
            // Far above, and no longer open.
            fs::rename(folder.at("d"), folder.at("aside")).unwrap();
            fs::create_dir(folder.at("d")).unwrap();
            fs::write(folder.at("d/z"), "another").unwrap();
        }
        found.push(text(entry.path));
    });
    assert_eq!(found.len(), 102, "the directories, `f` and `y`");
    assert_eq!(found.last().unwrap(), "y");
    assert_eq!(summary.vanished.as_deref(), Some("d/z"));
}

fn walk(tree: &Tree, selection: &Selection, visit: &mut dyn FnMut(Entry)) -> WalkSummary {
    let mut visit = |entry| {
        visit(entry);
        ControlFlow::Continue(())
    };
    tree.walk(selection, &mut visit).unwrap()
}

#[test]
fn a_folder_below_another_is_not_opened_through_links() {
    let folder = Folder::new(["clone/app/f", "outside/secret", "clone/link -> ../outside"]);
    let root = folder.at("clone").canonicalize().unwrap();
    for clone in [
        Tree::new(&root, &[]).unwrap(),
        Tree::new(&root, &[]).unwrap().without_openat2(),
    ] {
        let app = clone.below(&root, &root.join("app"), &[]).unwrap();
        assert_eq!(paths(&app, &everything()), ["f"]);
        let all = clone.below(&root, &root, &[]).unwrap();
        assert_eq!(paths(&all, &everything()), ["app", "app/f", "link"]);
        for path in ["link", "link/deeper", "app/../../outside", "missing"] {
            let error = clone.below(&root, &root.join(path), &[]).unwrap_err();
            assert!(matches!(error, TreeError::Open { .. }), "{path}: {error:?}");
        }
        assert!(clone.below(&root, &folder.at("outside"), &[]).is_err());
        // A folder that is already open stays the same.
        fs::rename(root.join("app"), root.join("moved")).unwrap();
        symlink("../outside", root.join("app")).unwrap();
        assert_eq!(paths(&app, &everything()), ["f"]);
        assert!(clone.below(&root, &root.join("app"), &[]).is_err());
        fs::remove_file(root.join("app")).unwrap();
        fs::rename(root.join("moved"), root.join("app")).unwrap();
    }
}
