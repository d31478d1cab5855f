//! Changes definitions of the corpus at random: whatever a file holds, reading it ends with targets or with an error.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use depot_bake::Request;

use crate::numbers::Numbers;

/// Changed copies of each file.
const COPIES: u64 = 6;

/// The largest file that is changed, in bytes.
const MAX_LENGTH: u64 = 20_000;

/// Pieces that are inserted.
pub const PIECES: [&str; 20] = [
    "\"",
    "${",
    "%{ if ",
    "}",
    "{",
    "[",
    "]",
    "(",
    ")",
    "...",
    "[*]",
    ".*",
    "null",
    "<<-E\n",
    "=",
    "-",
    "*",
    "\u{feff}",
    "99999999999",
    "for x in ",
];

#[test]
fn changed_definitions_end_with_targets_or_an_error() {
    let mut files = Vec::new();
    definitions(&crate::corpus(), &mut files);
    files.sort();
    assert!(files.len() > 100);
    for (index, file) in files.iter().enumerate() {
        let text = fs::read(file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        for copy in 0..COPIES {
            let mut numbers = Numbers::new((index as u64) << 8 | copy);
            let changed = change(&text, &mut numbers);
            let result = catch_unwind(|| read(&name, &changed));
            assert!(
                result.is_ok(),
                "{} copy {copy} panics:\n{}",
                file.display(),
                String::from_utf8_lossy(&changed)
            );
        }
    }
}

fn read(name: &str, content: &[u8]) {
    let variable = |_: &str| None;
    let read_file = |path: &Path| {
        if path == Path::new(name) {
            Ok(content.to_vec())
        } else {
            Err(std::io::ErrorKind::NotFound.into())
        }
    };
    let mut request = Request::new(&variable, &read_file);
    request.files.push(name.to_owned());
    if let Err(error) = depot_bake::read(&request) {
        assert!(!error.to_string().is_empty());
    }
}

/// Inserts, removes and repeats a few parts.
fn change(text: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut changed = text.to_vec();
    for _ in 0..=numbers.below(3) {
        let start = numbers.below(changed.len());
        let end = (start + numbers.below(12)).min(changed.len());
        match numbers.below(3) {
            0 => drop(changed.drain(start..end)),
            1 => {
                let part = changed.get(start..end).unwrap().to_vec();
                drop(changed.splice(start..start, part));
            }
            _ => {
                let piece = PIECES.get(numbers.below(PIECES.len())).unwrap();
                drop(changed.splice(start..start, piece.bytes()));
            }
        }
    }
    changed
}

/// All files of the corpus with HCL, JSON or YAML, but no answers.
fn definitions(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            definitions(&path, files);
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_definition = [".hcl", ".json", ".yml", ".yaml"]
            .iter()
            .any(|end| name.ends_with(end));
        let is_answer = name.starts_with(|first: char| first.is_ascii_digit());
        if is_definition && !is_answer && fs::metadata(&path).unwrap().len() < MAX_LENGTH {
            files.push(path);
        }
    }
}
