//! The short run: each target with random bytes, with the seeds of `fuzz/`, and with changed seeds.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

/// A change of an input, within its length.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    /// Inserts a piece of another seed.
    Splice(Index, Index, Index, usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let place = |index: &Index, bytes: &[u8]| index.index(bytes.len() + 1);
        let piece = |bytes: &[u8], from: usize, length: usize| {
            bytes[from..bytes.len().min(from + length)].to_vec()
        };
        match self {
            Self::Set(at, byte) => {
                let at = place(at, bytes);
                if let Some(old) = bytes.get_mut(at) {
                    *old = *byte;
                }
            }
            Self::Insert(at, new) => {
                let at = place(at, bytes);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, length) => {
                let at = place(at, bytes);
                bytes.drain(at..bytes.len().min(at + length));
            }
            Self::Repeat(at, length) => {
                let at = place(at, bytes);
                let again = piece(bytes, at, *length);
                bytes.splice(at..at, again);
            }
            Self::Splice(at, seed, from, length) => {
                let at = place(at, bytes);
                let seed = &seeds[seed.index(seeds.len())];
                let new = piece(seed, place(from, seed), *length);
                bytes.splice(at..at, new);
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..5),
        "[\\[\\]{}\"'\\\\:,*!/\\n\\r\\x1b0-9a-z-]{1,4}".prop_map(String::into_bytes),
    ];
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (index(), bytes).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (index(), 1..20_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        (index(), 1..40_usize).prop_map(|(at, length)| Change::Repeat(at, length)),
        (index(), index(), index(), 1..60_usize)
            .prop_map(|(at, seed, from, length)| Change::Splice(at, seed, from, length)),
    ]
}

/// Runs `entry` with its seeds, with `cases` changed seeds, and with the same number of random inputs.
fn short_run(target: &str, cases: u32, entry: impl Fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let files = fs::read_dir(folder.join(target)).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for seed in &seeds {
        entry(seed);
    }
    let mut runner = TestRunner::new(Config {
        cases,
        // A finding becomes a test in the file of the faulty code.
        failure_persistence: None,
        ..Config::default()
    });
    let changes = (any::<Index>(), prop::collection::vec(change(), 1..6));
    let ran = runner.run(&changes, |(seed, changes)| {
        let mut bytes = seeds[seed.index(seeds.len())].clone();
        for change in &changes {
            change.apply(&mut bytes, &seeds);
        }
        entry(&bytes);
        Ok(())
    });
    ran.unwrap();
    let any_bytes = prop::collection::vec(any::<u8>(), 0..300);
    let ran = runner.run(&any_bytes, |bytes| {
        entry(&bytes);
        Ok(())
    });
    ran.unwrap();
}

macro_rules! short_runs {
    ($($target:ident: $cases:expr),* $(,)?) => {
        $(
            #[test]
            fn $target() {
                short_run(stringify!($target), $cases, super::$target);
            }
        )*

        /// Every target in `fuzz/` has a short run, and every short run has a target.
        #[test]
        fn every_target_has_a_short_run() {
            let mut targets = vec![$(stringify!($target)),*, "config", "file_send", "file_sync"];
            targets.sort_unstable();
            let seeds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
            let mut seeded: Vec<_> = fs::read_dir(seeds).unwrap().map(|folder| folder.unwrap().file_name()).collect();
            seeded.sort_unstable();
            assert_eq!(seeded, targets);
            let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml");
            let manifest = fs::read_to_string(manifest).unwrap();
            let named = manifest.lines().filter_map(|line| line.strip_prefix("path = \"targets/")?.strip_suffix(".rs\""));
            let mut named: Vec<_> = named.collect();
            named.sort_unstable();
            assert_eq!(named, targets);
        }
    };
}

short_runs! {
    bake: 300,
    cache_entries: 1000,
    challenges: 1000,
    checkouts: 1000,
    copied_manifests: 500,
    csv_entries: 1000,
    depot_responses: 1000,
    depot_errors: 1000,
    docker_responses: 200,
    git_addresses: 1000,
    images: 500,
    metadata: 500,
    outputs: 500,
    patterns: 500,
    progress: 500,
    proxy_responses: 500,
    references: 1000,
    registry_prefixes: 1000,
    registry_responses: 500,
    sboms: 500,
    secrets: 1000,
    solve_errors: 500,
    ssh_agent: 500,
    ssh_keys: 500,
    steps: 1000,
    tags: 1000,
    text: 1000,
    token_responses: 500,
}

#[test]
fn config() {
    let folder = TempDir::new().unwrap();
    short_run("config", 300, |bytes| super::config(bytes, folder.path()));
}

#[test]
fn file_sync() {
    let folder = TempDir::new().unwrap();
    short_run("file_sync", 150, |bytes| {
        super::file_sync(bytes, folder.path());
    });
}

#[test]
fn file_send() {
    let folder = TempDir::new().unwrap();
    short_run("file_send", 150, |bytes| {
        super::file_send(bytes, folder.path());
    });
}
