//! The selected entries and their order.

use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::{Folder, entries, error, everything, paths, selection, text, without_rights};
use crate::context::error::WalkError;
use crate::context::stat::mode;
use crate::context::{Directory, Entry, NamedFile, Selection, Tree};

const FOLDER: [&str; 13] = [
    "Dockerfile",
    "a/b/c.rs",
    "a/b/d.md",
    "a/e.rs",
    "a-b",
    "a.b",
    "docs/README.md",
    "docs/more/x.md",
    "empty/",
    "node_modules/m/index.js",
    "node_modules/m/keep.md",
    "src/main.rs",
    "z",
];

#[test]
fn names_are_sorted_by_bytes_and_directories_come_first() {
    let folder = Folder::new(["b", "B", "a/z", "a/a", "a-", "a0", "a/é", "a/~"]);
    let expected = ["B", "a", "a/a", "a/z", "a/~", "a/é", "a-", "a0", "b"];
    assert_eq!(paths(&folder.tree(), &everything()), expected);
}

/// Includes, excludes and the selected entries.
#[test]
fn patterns_select_entries() {
    let folder = Folder::new(FOLDER);
    let tree = folder.tree();
    let table: &[(&[&str], &[&str], &str)] = &[
        // A parent that is not selected itself is listed right before its first selected entry.
        (&["a/b/c.rs"], &[], "a a/b a/b/c.rs"),
        (&["**/*.rs"], &[], "a a/b a/b/c.rs a/e.rs src src/main.rs"),
        (&["a"], &[], "a a/b a/b/c.rs a/b/d.md a/e.rs"),
        (&["a/*"], &[], "a a/b a/b/c.rs a/b/d.md a/e.rs"),
        (&["a/**"], &[], "a a/b a/b/c.rs a/b/d.md a/e.rs"),
        (&["*.b", "z"], &[], "a.b z"),
        (&["nothing"], &[], ""),
        (&["empty"], &[], "empty"),
        (&["empty/**"], &[], ""),
        (&["/z"], &[], ""),
        (&["./z/"], &[], "z"),
        (&["a", "!a/b"], &[], "a a/e.rs"),
        (&[""], &[], ""),
        // Dockerfile and ignore file, which a builder requests first.
        (
            &["Dockerfile", "Dockerfile.dockerignore", "dockerfile"],
            &[],
            "Dockerfile",
        ),
        (
            &[],
            &["a", "docs", "node_modules"],
            "Dockerfile a-b a.b empty src src/main.rs z",
        ),
        (&[], &["**"], ""),
        (&[], &["*", "!src"], "src src/main.rs"),
        (&[], &["*", "!src/*.rs"], "src src/main.rs"),
        (
            &[],
            &["**", "!**/*.md"],
            "a a/b a/b/d.md docs docs/README.md docs/more docs/more/x.md \
          node_modules node_modules/m node_modules/m/keep.md",
        ),
        (&[], &["*", "!docs", "docs/more"], "docs docs/README.md"),
        (
            &["docs"],
            &["**/*.md", "!docs/README.md"],
            "docs docs/README.md docs/more",
        ),
        (
            &["**/*.md"],
            &["node_modules", "!node_modules/m/keep.md", "docs/more"],
            "a a/b a/b/d.md docs docs/README.md node_modules node_modules/m node_modules/m/keep.md",
        ),
        (&["a/b"], &["a"], ""),
        (
            &[],
            &["a", "!a/b/*", "[d-z]*", "D*"],
            "a a/b a/b/c.rs a/b/d.md a-b a.b",
        ),
    ];
    for (includes, excludes, expected) in table {
        let expected: Vec<&str> = expected.split_whitespace().collect();
        let found = paths(&tree, &selection(includes, excludes, &[]));
        assert_eq!(
            found, expected,
            "includes {includes:?}, excludes {excludes:?}"
        );
    }
}

#[test]
fn a_directory_that_no_exception_can_reach_into_is_not_even_opened() {
    let folder = Folder::new(["secret/x", "open/y"]);
    fs::set_permissions(folder.at("secret"), fs::Permissions::from_mode(0o0)).unwrap();
    let tree = folder.tree();
    let found = without_rights(|| {
        paths(
            &tree,
            &selection(&[], &["secret", "!open/y", "!secrets"], &[]),
        )
    });
    assert_eq!(found, ["open", "open/y"]);
    let found = without_rights(|| paths(&tree, &selection(&["open"], &[], &[])));
    assert_eq!(found, ["open", "open/y"]);
}

#[test]
fn an_unreadable_directory_is_an_error_if_selected_and_otherwise_named_in_the_summary() {
    let folder = Folder::new(["private/x", "y.md"]);
    fs::set_permissions(folder.at("private"), fs::Permissions::from_mode(0o300)).unwrap();
    let tree = folder.tree();
    let error = without_rights(|| error(&tree, &everything()));
    assert!(
        matches!(&error, WalkError::Directory { path, .. } if path == "private"),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains(".dockerignore"));

    let mut found = Vec::new();
    let mut collect = |entry: Entry| {
        found.push(text(entry.path));
        ControlFlow::Continue(())
    };
    let summary = without_rights(|| {
        tree.walk(&selection(&["**/*.md"], &[], &[]), &mut collect)
            .unwrap()
    });
    assert_eq!(found, ["y.md"]);
    assert_eq!(summary.unreadable, ["private"]);
}

#[test]
fn an_invalid_pattern_is_reported_with_its_list() {
    let folder = Folder::new(["a"]);
    let message = |includes: &[&str], excludes: &[&str]| {
        let error = error(&folder.tree(), &selection(includes, excludes, &[]));
        format!("{error}: {}", std::error::Error::source(&error).unwrap())
    };
    assert!(
        message(&["x", "["], &[])
            .starts_with("the include patterns cannot be applied: pattern `[`")
    );
    assert!(
        message(&[], &["a[b-a]"])
            .starts_with("the exclude patterns cannot be applied: pattern `a[b-a]`")
    );
}

#[test]
fn the_visitor_can_end_the_walk() {
    let folder = Folder::new(FOLDER);
    let mut seen = Vec::new();
    let mut first_two = |entry: Entry| {
        seen.push(text(entry.path));
        if seen.len() == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    // Also between a directory that is listed late and its first selected entry.
    folder
        .tree()
        .walk(&selection(&["a/b/c.rs"], &[], &[]), &mut first_two)
        .unwrap();
    assert_eq!(seen, ["a", "a/b"]);
}

#[test]
fn a_very_deep_folder_is_walked_with_few_open_files() {
    let deep = "d/".repeat(300);
    let mut specs: Vec<String> = (1..300)
        .map(|depth| format!("{}f", "d/".repeat(depth)))
        .collect();
    specs.push(format!("{deep}x.end"));
    let folder = Folder::new(specs.iter().map(String::as_str));
    // Directories, and on the way back up a file behind each.
    assert_eq!(entries(&folder.tree(), &everything()).len(), 300 + 299 + 1);
    // All three hundred come late, for the only file that is wanted.
    let found = paths(&folder.tree(), &selection(&["**/*.end"], &[], &[]));
    assert_eq!(found.len(), 301);
    assert_eq!(found.last(), specs.last());
}

#[test]
fn single_files_are_listed_under_their_names_and_read_through_links_to_them() {
    let folder = Folder::new([
        "clone/docker/prod",
        "clone/app/f",
        "clone/app/.dockerignore -> x",
    ]);
    let root = Arc::new(Tree::new(&folder.at("clone"), &[]).unwrap());
    let file = |name: &str| NamedFile::new(name, "docker/prod", Arc::clone(&root));
    let read = |directory: &Directory, selection: &Selection, name: &str| {
        let mut text = String::new();
        let mut file = directory.view(selection).open(name.as_bytes()).unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    };
    let listed = |directory: &Directory, selection: &Selection| {
        let mut found = Vec::new();
        let mut visit = |entry: Entry| {
            found.push((text(entry.path), entry.stat.mode & mode::KIND));
            ControlFlow::Continue(())
        };
        directory
            .view(selection)
            .walk(selection, &mut visit)
            .unwrap();
        found
    };

    let files = Directory::Files(vec![file("b"), file("a")]);
    let wanted = selection(&[], &[], &["b", "b.dockerignore"]);
    assert_eq!(
        listed(&files, &wanted),
        [("a".to_owned(), 0), ("b".to_owned(), 0)]
    );
    assert_eq!(read(&files, &wanted, "b"), "clone/docker/prod");
    assert!(files.view(&wanted).open(b"docker/prod").is_err());

    let context = Directory::Tree {
        tree: Tree::new(&folder.at("clone/app"), &[]).unwrap(),
        ignore_file: Some(file(".dockerignore")),
    };
    let ignore_file = selection(&[], &[], &[".dockerignore"]);
    assert_eq!(
        listed(&context, &ignore_file),
        [(".dockerignore".to_owned(), 0)]
    );
    assert_eq!(
        read(&context, &ignore_file, ".dockerignore"),
        "clone/docker/prod"
    );
    // Any other transfer gets the link.
    assert_eq!(
        listed(&context, &everything()),
        [
            (".dockerignore".to_owned(), mode::LINK),
            ("f".to_owned(), 0)
        ]
    );
}
