//! Results of hostile and of ordinary builders, and existing files in their place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::tree::Limits;
use super::*;

const MODIFIED: i64 = 1_577_836_800_000_000_000;

fn entry(path: &str, kind: Kind) -> Entry {
    Entry {
        path: path.into(),
        permissions: if kind == Kind::Directory {
            0o755
        } else {
            0o644
        },
        kind,
        modified_nanoseconds: MODIFIED,
    }
}

fn directory(path: &str) -> (Entry, &'static [u8]) {
    (entry(path, Kind::Directory), b"")
}

fn file(path: &str, content: &'static str) -> (Entry, &'static [u8]) {
    let size = content.len() as u64;
    (entry(path, Kind::File { size }), content.as_bytes())
}

fn link(path: &str, target: &str) -> (Entry, &'static [u8]) {
    let target = target.into();
    (entry(path, Kind::Link { target }), b"")
}

fn hard_link(path: &str, target: &str) -> (Entry, &'static [u8]) {
    let target = target.into();
    (entry(path, Kind::HardLink { target }), b"")
}

/// A clone with the place `out`, which may exist, and a directory outside of it.
struct Ground {
    folder: tempfile::TempDir,
    place: Place,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("clone");
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/file"), "kept").unwrap();
        let place = Place {
            path: root.join("out"),
            staging: root.join(".staging"),
            root,
        };
        Self { folder, place }
    }

    /// A path in the place; the place itself if it is empty.
    fn out(&self, path: &str) -> std::path::PathBuf {
        match path {
            "" => self.place.path.clone(),
            path => self.place.path.join(path),
        }
    }

    /// Receives a result and moves it to its place.
    fn receive(&self, entries: Vec<(Entry, &[u8])>) -> Result<Totals, WriteError> {
        let staging = Staging::create(&self.place).unwrap();
        let (name, tree) = staging.tree().unwrap();
        let mut listing = tree.begin();
        for (entry, content) in entries {
            if let Some(waiting) = listing.entry(entry)? {
                let mut file = listing.open(waiting)?;
                for piece in content.chunks(3) {
                    listing.write(&mut file, piece)?;
                }
                listing.complete(file)?;
            }
        }
        listing.end()?;
        let received = Received::of_tree(name, &tree)?;
        staging.place(&received, &self.place)?;
        drop(staging);
        Ok(received.totals)
    }

    /// Everything in the clone and outside of it: path, and content or target.
    fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        add_files(self.folder.path(), self.folder.path(), &mut files);
        files
    }

    #[track_caller]
    fn assert_nothing_outside(&self) {
        let outside: Vec<_> = self
            .files()
            .into_iter()
            .filter(|(path, _)| !path.starts_with("clone"))
            .collect();
        let kept = ("outside/file".to_owned(), "kept".to_owned());
        assert_eq!(outside, [("outside".to_owned(), "/".to_owned()), kept]);
    }
}

fn add_files(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let content = if metadata.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if metadata.is_dir() {
            add_files(root, &path, files);
            "/".to_owned()
        } else {
            fs::read_to_string(&path).unwrap()
        };
        let name = path.strip_prefix(root).unwrap().to_string_lossy();
        files.insert(name.into_owned(), content);
    }
}

#[test]
fn a_result_is_written_with_its_permissions_times_and_links() {
    let ground = Ground::new();
    let mut closed = directory("closed");
    closed.0.permissions = 0o555;
    let mut program = file("program", "#!");
    program.0.permissions = 0o755;
    let mut early = file("z", "before 1970");
    early.0.modified_nanoseconds = -1;
    let totals = ground
        .receive(vec![
            directory("a"),
            hard_link_target(),
            hard_link("b", "a/file"),
            closed,
            file("closed/empty", ""),
            file("closed/file", "in a read-only directory"),
            link("link", "/etc/passwd"),
            program,
            early,
        ])
        .unwrap();
    assert_eq!((totals.files, totals.skipped), (7, 0));
    assert_eq!(totals.bytes, 10 + 24 + 2 + 11);
    let metadata = |path: &str| ground.out(path).symlink_metadata().unwrap();
    assert_eq!(
        fs::read_to_string(ground.out("a/file")).unwrap(),
        "0123456789"
    );
    assert_eq!(metadata("a/file").ino(), metadata("b").ino());
    for (path, mode) in [
        ("a", 0o755),
        ("a/file", 0o644),
        ("closed", 0o555),
        ("program", 0o755),
    ] {
        assert_eq!(metadata(path).permissions().mode() & 0o7777, mode, "{path}");
    }
    for path in ["a", "a/file", "closed", "closed/empty", "link"] {
        assert_eq!(metadata(path).mtime(), MODIFIED / 1_000_000_000, "{path}");
    }
    assert_eq!(
        (metadata("z").mtime(), metadata("z").mtime_nsec()),
        (-1, 999_999_999)
    );
    assert_eq!(
        fs::read_link(ground.out("link")).unwrap(),
        Path::new("/etc/passwd")
    );
    ground.assert_nothing_outside();
    // No staging directory remains.
    assert_eq!(fs::read_dir(&ground.place.root).unwrap().count(), 1);
}

fn hard_link_target() -> (Entry, &'static [u8]) {
    file("a/file", "0123456789")
}

#[test]
fn devices_fifos_and_sockets_are_skipped_and_counted() {
    let ground = Ground::new();
    let special = |path| (entry(path, Kind::Special), &b""[..]);
    let totals = ground
        .receive(vec![special("a"), file("b", "x"), special("c")])
        .unwrap();
    assert_eq!(
        (totals.skipped, totals.first_skipped.as_deref()),
        (2, Some("a"))
    );
    assert_eq!(fs::read_dir(ground.out("")).unwrap().count(), 1);
}

/// Makes a list for the path of a directory outside of the clone.
type List = fn(&str) -> Vec<(Entry, &'static [u8])>;

#[test]
fn a_hostile_list_writes_nothing_outside_and_nothing_to_the_place() {
    let target = |ground: &Ground| {
        ground
            .folder
            .path()
            .join("outside")
            .to_string_lossy()
            .into_owned()
    };
    let lists: Vec<List> = vec![
        // A link, then an entry below it.
        |outside| vec![link("a", outside), file("a/file", "new")],
        |outside| vec![link("a", outside), directory("a/b")],
        |_| vec![link("a", "../../outside"), file("a/file", "new")],
        |_| vec![link("a", "."), file("a/file", "new")],
        // A directory that becomes a link.
        |outside| vec![directory("a"), link("a", outside), file("a/file", "new")],
        |outside| vec![file("a", ""), link("a", outside)],
        // Paths that leave the directory.
        |_| vec![file("../file", "new")],
        |_| vec![file("../outside/file", "new")],
        |outside| vec![file(&format!("{outside}/file"), "new")],
        |_| vec![directory("a"), file("a/../../../outside/file", "new")],
        |_| vec![directory("..")],
        |_| vec![file(".", "new")],
        |_| vec![file("", "new")],
        |_| vec![file("a\0b", "new")],
        // Hard links to something outside, to a link, or to nothing.
        |outside| vec![hard_link("a", &format!("{outside}/file"))],
        |_| vec![hard_link("a", "../../outside/file")],
        |outside| vec![link("a", &format!("{outside}/file")), hard_link("b", "a")],
        |_| vec![hard_link("a", "b"), file("b", "new")],
        |_| vec![directory("a"), hard_link("b", "a")],
        |_| vec![hard_link("a", "a")],
        // More or less content than announced.
        |_| vec![(entry("a", Kind::File { size: 1 }), b"more")],
        |_| vec![(entry("a", Kind::File { size: 9 }), b"less")],
        // Names and targets that the system rejects.
        |_| vec![file(&"x".repeat(256), "new")],
        |_| vec![file(&"x/".repeat(3000), "new")],
        |_| vec![link("a", "")],
    ];
    for (number, list) in lists.iter().enumerate() {
        let ground = Ground::new();
        let entries = list(&target(&ground));
        let error = ground.receive(entries).unwrap_err();
        ground.assert_nothing_outside();
        let left = fs::read_dir(&ground.place.root).unwrap().count();
        assert_eq!(left, 0, "list {number}: {error}");
    }
}

#[test]
fn existing_files_are_kept_replaced_and_never_written_through() {
    let ground = Ground::new();
    let outside = ground.folder.path().join("outside");
    fs::create_dir_all(ground.out("directory/inner")).unwrap();
    fs::create_dir_all(ground.out("becomes file/inner")).unwrap();
    fs::write(ground.out("kept"), "old").unwrap();
    fs::write(ground.out("directory/kept"), "old").unwrap();
    fs::write(ground.out("becomes directory"), "old").unwrap();
    symlink(&outside, ground.out("link to directory")).unwrap();
    symlink(outside.join("file"), ground.out("link to file")).unwrap();
    fs::hard_link(outside.join("file"), ground.out("other name")).unwrap();
    fs::set_permissions(ground.out("kept"), fs::Permissions::from_mode(0o400)).unwrap();
    ground
        .receive(vec![
            directory("becomes directory"),
            file("becomes directory/new", "new"),
            file("becomes file", "new"),
            directory("directory"),
            directory("directory/inner"),
            file("directory/inner/new", "new"),
            directory("link to directory"),
            file("link to directory/file", "new"),
            file("link to file", "new"),
            file("other name", "new"),
        ])
        .unwrap();
    ground.assert_nothing_outside();
    let files = ground.files();
    for (path, content) in [
        ("kept", "old"),
        ("directory/kept", "old"),
        ("directory/inner/new", "new"),
        ("becomes directory/new", "new"),
        ("becomes file", "new"),
        ("link to directory/file", "new"),
        ("link to file", "new"),
        ("other name", "new"),
    ] {
        assert_eq!(files[&format!("clone/out/{path}")], content, "{path}");
    }
    // The result of a second run replaces that of the first one.
    ground
        .receive(vec![link("kept", "target"), link("link to file", "/")])
        .unwrap();
    assert_eq!(ground.files()["clone/out/kept"], "-> target");
}

#[test]
fn a_place_that_has_become_a_link_is_not_followed() {
    let ground = Ground::new();
    symlink("../outside", ground.out("")).unwrap();
    let error = ground
        .receive(vec![file("new", "new")])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot create the directory `"),
        "{error}"
    );
    ground.assert_nothing_outside();

    let mut ground = Ground::new();
    symlink("../outside", ground.out("")).unwrap();
    ground.place.path = ground.out("deeper/place");
    ground.receive(vec![file("new", "new")]).unwrap_err();
    ground.assert_nothing_outside();
}

#[test]
fn a_file_is_replaced_and_a_directory_is_not() {
    let ground = Ground::new();
    let write = |content: &str| {
        let staging = Staging::create(&ground.place).unwrap();
        let (name, mut file) = staging.file().unwrap();
        std::io::Write::write_all(&mut file, content.as_bytes()).unwrap();
        let received = Received::of_file(name, content.len() as u64);
        staging.place(&received, &ground.place)
    };
    symlink("../outside/file", ground.out("")).unwrap();
    write("first").unwrap();
    assert_eq!(ground.files()["clone/out"], "first");
    write("second").unwrap();
    assert_eq!(ground.files()["clone/out"], "second");
    fs::remove_file(ground.out("")).unwrap();
    fs::create_dir_all(ground.out("inner")).unwrap();
    assert!(write("third").is_err());
    ground.assert_nothing_outside();
    assert_eq!(fs::read_dir(&ground.place.root).unwrap().count(), 1);
}

#[test]
fn a_result_is_incomplete_until_every_list_has_ended() {
    let ground = Ground::new();
    let staging = Staging::create(&ground.place).unwrap();
    let (name, tree) = staging.tree().unwrap();
    let (mut first, mut second) = (tree.begin(), tree.begin());
    first.end().unwrap();
    let unfinished = tree.take();
    assert!(matches!(unfinished, Err(WriteError::Incomplete)));
    second.end().unwrap();
    // A transfer that goes on after its end is not valid.
    first.fail();
    assert!(matches!(tree.take(), Err(WriteError::Incomplete)));
    staging.discard(&name, &tree);
    let closed = tree.begin().entry(entry("a", Kind::Directory));
    assert!(matches!(closed, Err(WriteError::Closed)));

    let (name, tree) = staging.tree().unwrap();
    let nothing = Received::of_tree(name, &tree);
    assert!(matches!(nothing, Err(WriteError::Incomplete)));
}

#[test]
fn the_number_of_entries_and_the_length_of_names_are_limited() {
    let ground = Ground::new();
    let staging = Staging::create(&ground.place).unwrap();
    let limits = Limits {
        entries: 10,
        names_bytes: 100,
    };
    let errors = [7, 40].map(|length| {
        let (_name, tree) = staging.tree_within(limits).unwrap();
        // All lists of a result have one limit.
        let mut listings = [tree.begin(), tree.begin()];
        let mut numbers = 0..20;
        numbers.find_map(|number: usize| {
            let path = format!("{number:0>length$}");
            let listing = listings.get_mut(number % 2).unwrap();
            let error = listing.entry(entry(&path, Kind::Special)).err()?;
            Some((number, error))
        })
    });
    assert!(matches!(
        errors[0],
        Some((10, WriteError::TooManyEntries(10)))
    ));
    assert!(matches!(
        errors[1],
        Some((2, WriteError::TooManyNames(100)))
    ));
}
