//! Compares an outcome with the answers of the released CLI.

use std::fs;
use std::path::Path;

use serde_json::Value;

pub enum Outcome {
    Json(Value),
    Error(String),
    Panic,
}

/// The shortest run of digits and signs that is a time.
const MIN_TIME_DIGITS: usize = 8;

/// The first difference between the outcome and the right answers.
pub fn difference(
    folder: &Path,
    number: usize,
    marks: &[String],
    outcome: &Outcome,
) -> Option<String> {
    let marked = |name: &str| marks.iter().any(|mark| mark == name);
    if let Outcome::Panic = outcome {
        return Some("panics".to_owned());
    }
    if marked("crash") {
        return None;
    }
    let answers = answers(folder, number);
    match outcome {
        Outcome::Panic => None,
        Outcome::Error(error) if answers.is_empty() => {
            assert!(!error.is_empty());
            None
        }
        Outcome::Error(error) => Some(format!(
            "error: {}",
            error.lines().next().unwrap_or_default()
        )),
        Outcome::Json(json) => {
            let normal = |json: &Value| normal(json, marked("unstable"), marked("unordered"));
            let ours = normal(json);
            let Some(first) = answers.first() else {
                let error = fs::read_to_string(folder.join(format!("{number}.err"))).unwrap();
                return Some(format!("succeeds; expected the error: {}", error.trim()));
            };
            if answers.iter().any(|answer| normal(answer) == ours) {
                return None;
            }
            Some(first_difference("", &normal(first), &ours))
        }
    }
}

/// All right answers; none if an error is right.
fn answers(folder: &Path, number: usize) -> Vec<Value> {
    let read =
        |name: String| Some(serde_json::from_slice(&fs::read(folder.join(name)).ok()?).unwrap());
    let first = read(format!("{number}.json"));
    let others = (1..).map_while(|other| read(format!("{number}.alt{other}.json")));
    first.into_iter().chain(others).collect()
}

/// The JSON with times masked and with lists of targets sorted, if the marks say so.
fn normal(json: &Value, unstable: bool, unordered: bool) -> Value {
    match json {
        Value::String(text) if unstable => Value::String(mask(text)),
        Value::Array(elements) => {
            let elements = elements
                .iter()
                .map(|element| normal(element, unstable, unordered));
            let mut elements: Vec<Value> = elements.collect();
            if unordered {
                elements.sort_by_key(ToString::to_string);
            }
            Value::Array(elements)
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), normal(value, unstable, unordered)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// Replaces what looks like a date or a time.
fn mask(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_time = |character: char| character.is_ascii_digit() || "T:Z-".contains(character);
        let end = rest
            .find(|character| !is_time(character))
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        if run.chars().filter(char::is_ascii_digit).count() >= MIN_TIME_DIGITS {
            masked.push_str("<time>");
        } else {
            masked.push_str(run);
        }
        rest = after;
        if end == 0 {
            masked.push(first);
            rest = rest.strip_prefix(first).unwrap();
        }
    }
    masked
}

/// The first place where two values differ.
pub fn first_difference(path: &str, theirs: &Value, ours: &Value) -> String {
    if let (Value::Object(theirs), Value::Object(ours)) = (theirs, ours) {
        for name in theirs.keys().chain(ours.keys()) {
            let (left, right) = (theirs.get(name), ours.get(name));
            match (left, right) {
                (Some(left), Some(right)) if left == right => {}
                (Some(left), Some(right)) => {
                    return first_difference(&format!("{path}.{name}"), left, right);
                }
                (left, right) => {
                    let show =
                        |value: Option<&Value>| value.map_or("nothing".into(), ToString::to_string);
                    return format!(
                        "{path}.{name}: expected {}, found {}",
                        show(left),
                        show(right)
                    );
                }
            }
        }
    }
    format!("{path}: expected {theirs}, found {ours}")
}
