//! Counts what transfers of a directory list and send, and finds files that a checkout lacks.
//!
//! Costs no system call for an entry: sizes come from the walk, and content is checked as it is sent. Only if the checkout uses Git
//! LFS, small files that the builder did not request are opened, at most [`MAX_PROBES`], after everything else was sent.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::checkout::{POINTER_BYTES, is_pointer};
use super::error::shown;
use super::stat::{Entry, mode};

/// Folders at most this deep are counted separately.
const MAX_DEPTH: usize = 4;

/// The maximum number of folders that are counted.
const MAX_FOLDERS: usize = 10_000;

/// The maximum number of small files that are opened after a transfer.
const MAX_PROBES: usize = 1000;

/// The maximum number of files that are named; the others are only counted.
const MAX_NAMED: usize = 1000;

/// The number of large folders that are reported.
const LARGEST: usize = 3;

/// A folder is replaced by one below it that has at least this many percent of its bytes.
const MAIN_PART_PERCENT: u64 = 90;

/// The counts of all transfers of one directory.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// Whether files may be Git LFS pointers.
    uses_lfs: bool,
    /// Folders that are empty, although they should not be. Relative to the directory.
    empty: BTreeSet<Vec<u8>>,
    sent_bytes: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// The largest complete list of one transfer.
    list: List,
    pointers: BTreeSet<String>,
    empty: BTreeSet<String>,
}

/// The list of one transfer.
#[derive(Debug, Default)]
pub(crate) struct List {
    bytes: u64,
    /// The bytes below each folder.
    folders: HashMap<Vec<u8>, u64>,
    /// The folder of the last file, and the bytes of its files so far.
    current: (Vec<u8>, u64),
    /// Small files.
    small: Vec<Vec<u8>>,
    empty: BTreeSet<String>,
}

/// The result, with paths as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The size of all selected files.
    pub(crate) bytes: u64,
    /// The bytes of content that were sent.
    pub(crate) sent_bytes: u64,
    /// At most three folders with the most bytes, of which none contains another.
    pub(crate) largest: Vec<(String, u64)>,
    /// Git LFS pointers.
    pub(crate) pointers: Vec<String>,
    /// Folders that are empty, although they should not be.
    pub(crate) empty: Vec<String>,
}

impl Census {
    /// A census of a checkout. `empty`: folders of it that are empty, relative to the directory.
    pub(crate) fn of_checkout(uses_lfs: bool, empty: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            uses_lfs,
            empty: empty.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Adds an entry to the list of a transfer. Entries are in the order of a walk.
    pub(crate) fn list(&self, list: &mut List, entry: &Entry) {
        let (path, stat) = (&*entry.path, &entry.stat);
        if stat.mode & mode::DIRECTORY != 0 {
            if self.empty.contains(path) {
                list.empty.insert(shown(path));
            }
            return;
        }
        // A further name of a file has no content of its own.
        if !stat.has_content() || !stat.link_name.is_empty() {
            return;
        }
        let size = u64::try_from(stat.size).unwrap_or(0);
        list.add(path, size);
        if self.uses_lfs && POINTER_BYTES.contains(&size) && list.small.len() < MAX_PROBES {
            list.small.push(path.to_vec());
        }
    }

    /// Records content that was sent.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Checks the start of a file with `size` bytes.
    pub(crate) fn check(&self, path: &[u8], size: u64, start: &[u8]) {
        if POINTER_BYTES.contains(&size) && is_pointer(start) {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            if found.pointers.len() < MAX_NAMED {
                found.pointers.insert(shown(path));
            }
        }
    }

    /// Adds a complete list. `open` opens a listed file; files that cannot be opened are skipped. Blocks.
    pub(crate) fn complete(&self, mut list: List, open: impl Fn(&[u8]) -> Option<File>) {
        list.flush();
        for path in std::mem::take(&mut list.small) {
            let Some(file) = open(&path) else { continue };
            let mut start = Vec::new();
            if file.take(POINTER_BYTES.end).read_to_end(&mut start).is_ok() {
                self.check(&path, start.len() as u64, &start);
            }
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.empty.append(&mut list.empty);
        // Other machines and repeated transfers list the same files.
        if list.bytes >= found.list.bytes {
            found.list = list;
        }
    }

    /// The result so far.
    pub(crate) fn counted(&self) -> Counted {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let largest = largest(&found.list.folders).into_iter();
        Counted {
            bytes: found.list.bytes,
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            largest: largest.map(|(path, bytes)| (shown(path), bytes)).collect(),
            pointers: found.pointers.iter().cloned().collect(),
            empty: found.empty.iter().cloned().collect(),
        }
    }
}

impl List {
    fn add(&mut self, path: &[u8], size: u64) {
        self.bytes = self.bytes.saturating_add(size);
        let slash = path.iter().rposition(|&byte| byte == b'/');
        let folder = path.get(..slash.unwrap_or(0)).unwrap_or_default();
        if folder != self.current.0 {
            self.flush();
            self.current.0 = folder.to_vec();
        }
        self.current.1 = self.current.1.saturating_add(size);
    }

    /// Adds the bytes of the current folder to it and to those above it.
    fn flush(&mut self) {
        let (folder, bytes) = std::mem::take(&mut self.current);
        if bytes == 0 || folder.is_empty() {
            return;
        }
        let slashes = folder.iter().enumerate();
        let ends = slashes.filter_map(|(at, &byte)| (byte == b'/').then_some(at));
        for end in ends.chain([folder.len()]).take(MAX_DEPTH) {
            let above = folder.get(..end).unwrap_or_default();
            if let Some(sum) = self.folders.get_mut(above) {
                *sum = sum.saturating_add(bytes);
            } else if self.folders.len() < MAX_FOLDERS {
                self.folders.insert(above.to_vec(), bytes);
            }
        }
    }
}

/// The folders with the most bytes. A folder with most of its bytes in one folder below it is replaced by that.
fn largest(folders: &HashMap<Vec<u8>, u64>) -> Vec<(&[u8], u64)> {
    let parent = |path: &[u8]| path.iter().rposition(|&byte| byte == b'/');
    // The largest folder directly below each folder.
    let mut below: HashMap<&[u8], (&[u8], u64)> = HashMap::new();
    let mut top = Vec::new();
    for (path, &bytes) in folders {
        let Some(slash) = parent(path) else {
            top.push((&**path, bytes));
            continue;
        };
        let known = below.entry(path.get(..slash).unwrap_or_default());
        let known = known.or_insert((path, bytes));
        if bytes > known.1 {
            *known = (path, bytes);
        }
    }
    let mut largest: Vec<_> = top
        .into_iter()
        .map(|(mut path, mut bytes)| {
            while let Some(&(child, part)) = below.get(path)
                && u128::from(part) * 100 >= u128::from(bytes) * u128::from(MAIN_PART_PERCENT)
            {
                (path, bytes) = (child, part);
            }
            (path, bytes)
        })
        .collect();
    largest.sort_unstable_by(|(one, more), (other, less)| less.cmp(more).then(one.cmp(other)));
    largest.truncate(LARGEST);
    largest
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::stat::Stat;
    use super::*;

    fn entry(path: &str, size: i64, mode: u32) -> Entry {
        let stat = Stat {
            mode,
            size,
            ..Stat::default()
        };
        Entry {
            path: path.into(),
            stat,
        }
    }

    fn counted(census: &Census, files: &[(&str, i64)]) -> Counted {
        let mut list = List::default();
        for &(path, size) in files {
            census.list(&mut list, &entry(path, size, 0o644));
        }
        census.complete(list, |_| None);
        census.counted()
    }

    #[test]
    fn the_largest_folders_are_named_as_deep_as_they_are_large() {
        let counted = counted(
            &Census::default(),
            &[
                ("Dockerfile", 1000),
                (".git/objects/pack/a", 300),
                (".git/refs", 100),
                ("data/a", 10),
                ("packages/web/node_modules/x/y/z/deep/file", 950),
                ("packages/web/src/a", 50),
                ("small/a", 1),
            ],
        );
        assert_eq!(counted.bytes, 2411);
        let largest = counted.largest.iter();
        let largest: Vec<_> = largest.map(|(path, bytes)| (&**path, *bytes)).collect();
        assert_eq!(
            largest,
            [
                ("packages/web/node_modules/x", 950),
                (".git", 400),
                ("data", 10)
            ]
        );
    }

    #[test]
    fn transfers_of_the_same_directory_are_listed_once() {
        let census = Census::default();
        for _ in 0..2 {
            counted(&census, &[("a/b", 7)]);
            census.sent(3);
        }
        let counted = census.counted();
        assert_eq!((counted.bytes, counted.sent_bytes), (7, 6));
        assert_eq!(counted.largest, [("a".to_owned(), 7)]);
    }

    #[test]
    fn links_and_directories_have_no_bytes() {
        let census = Census::of_checkout(false, [b"libs/x".to_vec()]);
        let mut list = List::default();
        for (path, bits) in [
            ("libs", mode::DIRECTORY),
            ("libs/x", mode::DIRECTORY),
            ("libs/y", mode::DIRECTORY),
            ("link", mode::LINK),
            ("fifo", mode::FIFO),
        ] {
            census.list(&mut list, &entry(path, 100, bits));
        }
        let mut further = entry("further", 100, 0);
        further.stat.link_name = b"first".to_vec();
        census.list(&mut list, &further);
        census.complete(list, |_| None);
        let counted = census.counted();
        assert_eq!(counted.bytes, 0);
        assert_eq!(counted.empty, ["libs/x"]);
    }

    const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
        oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

    #[test]
    fn pointers_are_found_in_sent_files_and_in_files_that_the_builder_has() {
        let census = Census::of_checkout(true, []);
        let size = POINTER.len() as u64;
        census.check(b"sent.bin", size, POINTER.as_bytes());
        census.check(b"document.txt", 5000, POINTER.as_bytes());
        let mut list = List::default();
        let size = i64::try_from(size).unwrap();
        for path in ["kept.bin", "sent.bin", "gone.bin"] {
            census.list(&mut list, &entry(path, size, 0o644));
        }
        census.list(&mut list, &entry("large.bin", 1 << 30, 0o644));
        census.complete(list, |path| {
            assert_ne!(path, b"large.bin");
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(POINTER.as_bytes()).unwrap();
            std::io::Seek::rewind(&mut file).unwrap();
            (path != b"gone.bin").then_some(file)
        });
        assert_eq!(census.counted().pointers, ["kept.bin", "sent.bin"]);
    }

    #[test]
    fn nothing_is_opened_without_git_lfs_and_folders_are_bounded() {
        let census = Census::default();
        let mut list = List::default();
        for number in 0..2 * MAX_FOLDERS {
            let path = format!("{number}/a/b/c/d/e/f");
            census.list(&mut list, &entry(&path, 200, 0o644));
        }
        assert!(list.folders.len() <= MAX_FOLDERS && list.small.is_empty());
        census.complete(list, |_| panic!("opened"));
    }
}
