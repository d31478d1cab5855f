//! The metadata of each type of entry.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::{Folder, entries, error, everything, paths, selection, text};
use crate::context::error::WalkError;
use crate::context::stat::mode;
use crate::context::{Entry, MAX_PATH_BYTES, OpenError, Tree};

fn only(tree: &Tree, path: &str) -> Entry {
    entries(tree, &everything())
        .into_iter()
        .find(|entry| entry.path == path.as_bytes())
        .unwrap()
}

#[test]
fn modes_sizes_and_times_are_kept() {
    let folder = Folder::new(["dir/", "file", "suid"]);
    fs::set_permissions(folder.at("dir"), fs::Permissions::from_mode(0o1770)).unwrap();
    fs::set_permissions(folder.at("file"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(folder.at("suid"), fs::Permissions::from_mode(0o6755)).unwrap();
    for (name, seconds, nanoseconds) in [
        ("dir", 7, 5),
        ("file", 1_234_567_890, 123_456_789),
        ("suid", -2, 1),
    ] {
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, folder.at(name), &times, AtFlags::empty()).unwrap();
    }
    let tree = folder.tree();
    let stats = |name| {
        let stat = only(&tree, name).stat;
        (stat.mode, stat.size, stat.modified_nanoseconds)
    };
    assert_eq!(
        stats("dir"),
        (mode::DIRECTORY | mode::STICKY | 0o770, 0, 7_000_000_005)
    );
    // The second is the file's own; the nanoseconds are derived from the content.
    let (mode, size, time) = stats("file");
    assert_eq!((mode, size), (0o640, 4));
    assert_eq!(time.div_euclid(1_000_000_000), 1_234_567_890);
    let (mode, size, time) = stats("suid");
    assert_eq!((mode, size), (mode::SET_USER | mode::SET_GROUP | 0o755, 4));
    assert_eq!(time.div_euclid(1_000_000_000), -2);
}

#[test]
fn links_are_sent_as_links_wherever_they_lead() {
    let folder = Folder::new([
        "a/f",
        "in -> a",
        "dangling -> no/where",
        "out -> /etc/passwd",
        "up -> ../../..",
        "loop -> loop",
    ]);
    let found = entries(&folder.tree(), &everything());
    let links: Vec<_> = found
        .iter()
        .filter(|entry| entry.stat.mode & mode::LINK != 0)
        .collect();
    let stats: Vec<_> = links
        .iter()
        .map(|link| {
            (
                text(link.path.clone()),
                text(link.stat.link_name.clone()),
                link.stat.size,
            )
        })
        .collect();
    let row = |path: &str, target: &str, size| (path.to_owned(), target.to_owned(), size);
    assert_eq!(
        stats,
        [
            row("dangling", "no/where", 8),
            row("in", "a", 1),
            row("loop", "loop", 4),
            row("out", "/etc/passwd", 11),
            row("up", "../../..", 8)
        ]
    );
    assert!(
        links
            .iter()
            .all(|link| !link.stat.has_content() && link.stat.mode == mode::LINK | 0o777)
    );
    assert!(
        !found.iter().any(|entry| entry.path == b"in/f"),
        "links are not walked through"
    );
}

#[test]
fn fifos_are_sent_as_such_and_sockets_as_empty_files() {
    let folder = Folder::new(["file"]);
    rustix::fs::mknodat(
        CWD,
        folder.at("fifo"),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let _listener = UnixListener::bind(folder.at("socket")).unwrap();
    fs::set_permissions(folder.at("socket"), fs::Permissions::from_mode(0o700)).unwrap();
    let tree = folder.tree();
    let (fifo, socket) = (only(&tree, "fifo").stat, only(&tree, "socket").stat);
    assert_eq!(
        (fifo.mode, fifo.size, fifo.has_content()),
        (mode::FIFO | 0o600, 0, false)
    );
    assert_eq!(
        (socket.mode, socket.size, socket.has_content()),
        (0o700, 0, true)
    );
    for name in ["fifo", "socket"] {
        let error = tree.open(name).unwrap_err();
        assert!(
            matches!(&error, OpenError::NotAFile { path } if path == name),
            "{error:?}"
        );
    }
}

#[test]
fn devices_are_sent_with_their_numbers() {
    let devices = Tree::new(Path::new("/dev"), &[]).unwrap();
    let found = entries(&devices, &selection(&["null"], &[], &[]));
    let [null] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        null.stat.mode & !0o777,
        mode::DEVICE | mode::CHARACTER_DEVICE
    );
    assert_eq!((null.stat.device_major, null.stat.device_minor), (1, 3));
    assert!(matches!(
        devices.open("null"),
        Err(OpenError::NotAFile { .. })
    ));
}

#[test]
fn further_names_of_a_file_are_links_to_the_first_that_was_sent() {
    let folder = Folder::new(["b/one", "b/two"]);
    fs::hard_link(folder.at("b/one"), folder.at("a")).unwrap();
    fs::hard_link(folder.at("b/one"), folder.at("c")).unwrap();
    let tree = folder.tree();
    let stats = |excludes: &[&str]| -> Vec<(String, String, i64)> {
        let found = entries(&tree, &selection(&[], excludes, &[])).into_iter();
        found
            .filter(|entry| entry.stat.has_content())
            .map(|entry| {
                (
                    text(entry.path),
                    text(entry.stat.link_name),
                    entry.stat.size,
                )
            })
            .collect()
    };
    let row = |path: &str, link: &str| (path.to_owned(), link.to_owned(), 5);
    assert_eq!(
        stats(&[]),
        [
            row("a", ""),
            row("b/one", "a"),
            row("b/two", ""),
            row("c", "a")
        ]
    );
    assert_eq!(
        stats(&["a"]),
        [row("b/one", ""), row("b/two", ""), row("c", "b/one")]
    );
}

#[test]
fn further_names_of_a_symbolic_link_lead_to_its_target() {
    let folder = Folder::new(["orig/bin/t -> tool", "orig/bin/tool"]);
    fs::create_dir_all(folder.at("copy/bin")).unwrap();
    fs::hard_link(folder.at("orig/bin/t"), folder.at("copy/bin/t")).unwrap();
    let links: Vec<_> = entries(&folder.tree(), &everything())
        .into_iter()
        .filter(|entry| entry.stat.mode & mode::LINK != 0)
        .map(|entry| (text(entry.path), text(entry.stat.link_name)))
        .collect();
    let row = |path: &str| (path.to_owned(), "tool".to_owned());
    assert_eq!(links, [row("copy/bin/t"), row("orig/bin/t")]);
}

#[test]
fn a_file_with_a_time_of_its_own_is_announced_with_it_unless_its_directory_was_moved() {
    let folder = Folder::new(["clone/app/dist/v", "clone/app/src/v", "clone/moved/v"]);
    let root = folder.at("clone").canonicalize().unwrap();
    let own = |tree: &Tree, path: &str| {
        let stat = only(tree, path).stat;
        assert_eq!(
            stat.has_own_time,
            stat.modified_nanoseconds == stat.version.modified_nanoseconds(),
            "{path}"
        );
        stat.has_own_time
    };
    let clone = Tree::new(&root, &[]).unwrap();
    let app = clone.below(&root, &root.join("app"), &[]).unwrap();
    assert!(own(&app, "dist/v") && own(&app, "src/v"));

    // A move within the tick in which a directory was filled leaves no trace.
    let next_tick = || {
        let now = || {
            fs::write(folder.at("probe"), "x").unwrap();
            fs::metadata(folder.at("probe"))
                .unwrap()
                .modified()
                .unwrap()
        };
        let start = now();
        while now() == start {}
    };

    // Another directory replaces it: its files may have the times of the old files.
    next_tick();
    fs::rename(root.join("app/dist"), root.join("old")).unwrap();
    fs::rename(root.join("moved"), root.join("app/dist")).unwrap();
    assert!(!own(&app, "dist/v") && own(&app, "src/v"));
    // The same for the context itself.
    next_tick();
    fs::rename(root.join("app"), root.join("other")).unwrap();
    let other = clone.below(&root, &root.join("other"), &[]).unwrap();
    assert!(!own(&other, "src/v"));

    // A file with a time that was set is announced by its content alone.
    let touch = |path: &str, content: &str| {
        fs::write(root.join(path), content).unwrap();
        let file = fs::File::open(root.join(path)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        only(&clone, path).stat.modified_nanoseconds
    };
    let first = touch("old/v", "1.0.1");
    assert_eq!(touch("old/v", "1.0.1"), first);
    assert_ne!(touch("old/v", "1.0.2"), first);
}

#[test]
fn extended_attributes_are_kept() {
    let folder = Folder::new(["file", "plain", "dir/", "l -> file"]);
    let long = vec![7; 3000];
    let set = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::setxattr(folder.at(path), name, value, XattrFlags::empty())
    };
    match set("file", "user.short", b"\0x") {
        // A file system without attributes: nothing to keep, and no error.
        Err(Errno::OPNOTSUPP) => assert!(only(&folder.tree(), "file").stat.attributes.is_empty()),
        outcome => {
            outcome.unwrap();
            set("file", "user.long", &long).unwrap();
            set("dir", "user.dir", b"").unwrap();
            let tree = folder.tree();
            let user = |path| {
                let mut attributes = only(&tree, path).stat.attributes;
                attributes.retain(|name, _| name.starts_with("user."));
                attributes.into_iter().collect::<Vec<_>>()
            };
            assert_eq!(
                user("file"),
                [
                    ("user.long".to_owned(), long),
                    ("user.short".to_owned(), b"\0x".to_vec())
                ]
            );
            assert_eq!(user("dir"), [("user.dir".to_owned(), Vec::new())]);
            assert_eq!((user("plain"), user("l")), (Vec::new(), Vec::new()));
        }
    }
}

#[test]
fn odd_names_are_just_names() {
    let folder = Folder::new([
        "back\\slash",
        "new\nline",
        " space ",
        "*",
        "[",
        "a:b",
        "-rf",
    ]);
    let expected = [
        " space ",
        "*",
        "-rf",
        "[",
        "a:b",
        "back\\slash",
        "new\nline",
    ];
    assert_eq!(paths(&folder.tree(), &everything()), expected);
    assert_eq!(
        paths(
            &folder.tree(),
            &selection(&["back\\\\slash", "new?line"], &[], &[])
        ),
        ["back\\slash", "new\nline"]
    );
}

#[test]
fn names_and_targets_that_are_not_utf8_are_listed_as_they_are() {
    let folder = Folder::new(["dir/f", "z"]);
    let odd = OsStr::from_bytes(b"dir/caf\xe9\n");
    fs::write(folder.at(odd), "content").unwrap();
    symlink(OsStr::from_bytes(b"caf\xe9"), folder.at("l")).unwrap();
    let tree = folder.tree();
    let found = entries(&tree, &everything());
    let names: Vec<_> = found.iter().map(|entry| &*entry.path).collect();
    assert_eq!(names, [&b"dir"[..], b"dir/caf\xe9\n", b"dir/f", b"l", b"z"]);
    assert_eq!(found[3].stat.link_name, b"caf\xe9");
    assert!(tree.open(odd.as_bytes()).is_ok());
    for excludes in ["dir/caf??", "dir/caf*", "**/caf*", "dir/c*"] {
        assert_eq!(
            paths(&tree, &selection(&[], &[excludes, "l"], &[])),
            ["dir", "dir/f", "z"],
            "{excludes}"
        );
    }
}

#[test]
fn a_path_longer_than_the_limit_is_reported_unless_it_is_excluded() {
    let folder = Folder::new(["z"]);
    let name = "n".repeat(255);
    let mut parent = rustix::fs::open(folder.at(""), OFlags::PATH, Mode::empty()).unwrap();
    for _ in 0..=MAX_PATH_BYTES / 256 {
        rustix::fs::mkdirat(&parent, &name, Mode::RWXU).unwrap();
        parent = rustix::fs::openat(&parent, &name, OFlags::PATH, Mode::empty()).unwrap();
    }
    let failure = error(&folder.tree(), &everything());
    assert!(
        matches!(failure, WalkError::PathTooLong { length: 4351, .. }),
        "{failure:?}"
    );
    assert_eq!(paths(&folder.tree(), &selection(&[], &["n*"], &[])), ["z"]);
}
