//! The corpus of public bake definitions: each invocation must give the answer of the released depot CLI.
//!
//! `corpus/README.md` describes the folders. `differences.txt` lists the invocations whose answer differs, with the reason. An
//! invocation that differs without being listed is a failure, and so is a listed one that gives the same answer.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and its table is read"
)]

mod answer;
mod command;
mod differential;
mod mutations;
mod numbers;

use std::collections::BTreeMap;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use answer::Outcome;
use command::Invocation;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/bake/corpus")
}

#[test]
fn each_invocation_of_the_corpus_gives_the_answer_of_the_cli() {
    let known = known_differences();
    let mut differences = BTreeMap::new();
    let mut all = 0;
    for folder in folders(&corpus()) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let (mut count, mut same) = (0, 0);
        for (index, line) in fs::read_to_string(folder.join("run.txt"))
            .unwrap()
            .lines()
            .enumerate()
        {
            let number = index + 1;
            count += 1;
            match compare(&folder, number, line) {
                None => same += 1,
                Some(difference) => {
                    differences.insert((name.clone(), number), difference);
                }
            }
        }
        all += count;
        println!("{name:32} {same:3} / {count}");
    }
    println!("{:32} {:3} / {all}", "all", all - differences.len());

    let mut failures = Vec::new();
    for ((folder, number), difference) in &differences {
        if !known.contains_key(&(folder.clone(), *number)) {
            failures.push(format!("{folder} {number}: {difference}"));
        }
    }
    for (folder, number) in known.keys() {
        if !differences.contains_key(&(folder.clone(), *number)) {
            failures.push(format!(
                "{folder} {number}: is the same now; remove it from differences.txt"
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Runs one line; the difference, if there is one.
fn compare(folder: &Path, number: usize, line: &str) -> Option<String> {
    let invocation = Invocation::parse(line);
    let outcome = catch_unwind(|| invocation.run(folder)).unwrap_or(Outcome::Panic);
    answer::difference(folder, number, &invocation.marks, &outcome)
}

fn folders(corpus: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("run.txt").exists())
        .collect();
    folders.sort();
    folders
}

/// The folder, the number of the line, and the reason of each known difference.
fn known_differences() -> BTreeMap<(String, usize), String> {
    include_str!("differences.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (folder, rest) = line.split_once(' ').unwrap();
            let (number, reason) = rest.split_once(' ').unwrap();
            (
                (folder.to_owned(), number.parse().unwrap()),
                reason.to_owned(),
            )
        })
        .collect()
}
