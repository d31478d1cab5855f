//! Generated definitions: the library and the released CLI must give the same answer, or both an error.
//!
//! CI runs the same definitions each time. For others set `BAKE_SEEDS` to a range such as `1000..6000` and run
//! `cargo test -p depot-bake --test bake_corpus differential -- --nocapture`. All failures are printed before the test fails.
//!
//! | module | content |
//! |---|---|
//! | `expression`, `grammar` | expressions |
//! | `definition` | variables, functions, targets with a matrix, groups |
//! | `hcl`, `json` | a definition as text |
//! | `compose` | compose files |
//! | `overrides` | arguments and the environment |
//! | `case` | all of a run |
//! | `cli` | runs the CLI and the library |
//!
//! The documented differences from the CLI do not occur: see `grammar`, `definition`, `overrides` and `compose`. If the CLI crashes,
//! an error and a useful answer are both correct.

mod case;
mod cli;
mod compose;
mod definition;
mod expression;
mod grammar;
mod hcl;
mod json;
mod overrides;

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::answer::{Outcome, first_difference};
use case::Case;
use cli::Trial;

/// The definitions of a run without `BAKE_SEEDS`.
const SEEDS: Range<u64> = 0..300;

/// Processes of the CLI at a time.
const WORKERS: usize = 2;

/// Further runs of the CLI if its answer differs: it chooses some orders by chance.
const RETRIES: usize = 8;

/// The fewest definitions, in percent, that both read without an error: without content a comparison proves little.
const MIN_SUCCESSES: u64 = 50;

#[test]
fn generated_definitions_give_the_answer_of_the_cli() {
    let Some(cli) = cli::cli() else {
        return;
    };
    let seeds = std::env::var_os("BAKE_SEEDS").map(|range| parse(range.to_str().unwrap()));
    let is_default = seeds.is_none();
    let seeds = seeds.unwrap_or(SEEDS);
    let next = AtomicU64::new(seeds.start);
    let successes = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    match compare(&cli, seed) {
                        Ok(true) => drop(successes.fetch_add(1, Ordering::Relaxed)),
                        Ok(false) => {}
                        Err(report) => failures.lock().unwrap().push((seed, report)),
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    let count = seeds.end - seeds.start;
    let successes = successes.into_inner();
    println!(
        "{count} generated definitions, {successes} of them without an error, {} differences",
        failures.len()
    );
    let reports: Vec<String> = failures.into_iter().map(|(_, report)| report).collect();
    assert!(
        reports.is_empty(),
        "{} differences:\n{}",
        reports.len(),
        reports.join("\n")
    );
    assert!(
        !is_default || successes * 100 >= count * MIN_SUCCESSES,
        "only {successes} of {count} definitions have no error"
    );
}

/// A range such as `0..1000`.
fn parse(range: &str) -> Range<u64> {
    let (start, end) = range.split_once("..").unwrap();
    start.parse().unwrap()..end.parse().unwrap()
}

/// Whether both succeed; a report if the answers differ.
fn compare(cli: &Path, seed: u64) -> Result<bool, String> {
    let case = Case::generate(seed);
    let trial = Trial::new(cli, &case);
    let ours = trial.ours();
    let mut theirs = trial.theirs();
    for _ in 0..RETRIES {
        let Some(difference) = difference(&case, &theirs, &ours) else {
            return Ok(matches!(
                (&theirs, &ours),
                (Outcome::Json(_), Outcome::Json(_))
            ));
        };
        let again = trial.theirs();
        if self::difference(&case, &theirs, &again).is_none() {
            return Err(report(seed, &case, &difference, &theirs, &ours));
        }
        theirs = again;
    }
    Err(report(
        seed,
        &case,
        "the CLI's answer varies",
        &theirs,
        &ours,
    ))
}

fn difference(case: &Case, theirs: &Outcome, ours: &Outcome) -> Option<String> {
    match (theirs, ours) {
        (_, Outcome::Panic) => Some("the library panics".to_owned()),
        (Outcome::Panic, _) | (Outcome::Error(_), Outcome::Error(_)) => None,
        (Outcome::Error(_), Outcome::Json(_)) => Some("only the CLI reports an error".to_owned()),
        (Outcome::Json(_), Outcome::Error(_)) => {
            Some("only the library reports an error".to_owned())
        }
        (Outcome::Json(theirs), Outcome::Json(ours)) => {
            let (theirs, ours) = (normal(case, theirs), normal(case, ours));
            (theirs != ours).then(|| first_difference("", &theirs, &ours))
        }
    }
}

/// The answer with sorted members of groups if their order varies.
fn normal(case: &Case, answer: &Value) -> Value {
    let mut answer = answer.clone();
    let groups = answer.get_mut("group").and_then(Value::as_object_mut);
    for group in groups.into_iter().flat_map(|groups| groups.values_mut()) {
        if let Some(targets) = group.get_mut("targets").and_then(Value::as_array_mut)
            && case.is_unordered
        {
            targets.sort_by_key(ToString::to_string);
        }
    }
    answer
}

fn report(seed: u64, case: &Case, difference: &str, theirs: &Outcome, ours: &Outcome) -> String {
    let mut text = format!("=== seed {seed}: {difference}\n");
    for (name, content) in &case.files {
        let _ = writeln!(text, "--- {name}\n{content}");
    }
    let _ = writeln!(text, "--- environment: {:?}", case.environment);
    let _ = writeln!(text, "--- arguments: {:?}", case.arguments);
    for (origin, outcome) in [("CLI", theirs), ("library", ours)] {
        let outcome = match outcome {
            Outcome::Json(json) => json.to_string(),
            Outcome::Error(error) => format!("error: {error}"),
            Outcome::Panic => "crash".to_owned(),
        };
        let _ = writeln!(text, "--- {origin}: {outcome}");
    }
    text
}
