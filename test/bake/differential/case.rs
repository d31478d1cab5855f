//! One generated definition with the arguments and the environment of its run.

use super::compose::{self, Compose};
use super::definition::Definition;
use super::expression::Writer;
use super::{hcl, json, overrides};
use crate::mutations::PIECES;
use crate::numbers::Numbers;

/// The share of cases with a mistake, in percent.
const MISTAKES: usize = 15;

/// The share of cases with a change at random, in percent. Most of them are mistakes in the syntax.
const CHANGES: usize = 5;

pub struct Case {
    /// Each file with its name.
    pub files: Vec<(String, String)>,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// The members of groups are compared as sets: the CLI's order of the targets of a matrix varies.
    pub is_unordered: bool,
}

impl Case {
    pub fn generate(seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        match numbers.below(20) {
            0..=10 => Self::definition(numbers, false),
            11..=14 => Self::definition(numbers, true),
            _ => Self::compose(numbers),
        }
    }

    /// Changes the first file, or gives it a name that does not show its kind.
    fn vary(mut self, mut numbers: Numbers) -> Self {
        let (name, text) = self.files.first_mut().unwrap();
        if numbers.percent(CHANGES) {
            change(text, &mut numbers);
        }
        if numbers.percent(3) {
            let old = std::mem::replace(name, "definition".to_owned());
            match self.arguments.iter_mut().find(|argument| **argument == old) {
                Some(argument) => argument.clone_from(name),
                None => self.arguments.extend(["-f".to_owned(), name.clone()]),
            }
        }
        self
    }

    fn definition(mut numbers: Numbers, is_json: bool) -> Self {
        let is_wrong = numbers.percent(MISTAKES);
        let mut writer = Writer::new(numbers);
        writer.mistakes = usize::from(is_wrong);
        let definition = Definition::generate(&mut writer, None);
        let write = if is_json { json::write } else { hcl::write };
        let name = if is_json {
            "docker-bake.json"
        } else {
            "docker-bake.hcl"
        };
        let mut files = vec![(name.to_owned(), write(&definition, &mut writer.numbers))];
        let mut is_unordered = definition.is_unordered;
        if writer.numbers.percent(20) {
            // The second file changes variables and targets of the first one.
            writer.names.clear();
            let second = Definition::generate(&mut writer, Some(&definition));
            is_unordered |= second.is_unordered;
            files.push(if writer.numbers.percent(30) {
                let text = json::write(&second, &mut writer.numbers);
                ("override.json".to_owned(), text)
            } else {
                let text = hcl::write(&second, &mut writer.numbers);
                ("override.hcl".to_owned(), text)
            });
        }
        let mut numbers = writer.numbers;
        let mut arguments = file_arguments(&files, &mut numbers);
        arguments.extend(overrides::arguments(
            &mut numbers,
            &definition.targets,
            is_wrong,
        ));
        Self {
            arguments,
            environment: overrides::environment(&mut numbers, &definition.variables, is_wrong),
            files,
            is_unordered,
        }
        .vary(numbers)
    }

    fn compose(mut numbers: Numbers) -> Self {
        let is_wrong = numbers.percent(MISTAKES);
        let compose = Compose::generate(&mut numbers, is_wrong);
        let mut arguments = file_arguments(&compose.definitions, &mut numbers);
        arguments.extend(overrides::arguments(
            &mut numbers,
            &compose.targets,
            is_wrong,
        ));
        let mut environment = overrides::environment(&mut numbers, &[], is_wrong);
        environment.extend(compose::environment(&mut numbers));
        Self {
            files: compose
                .definitions
                .into_iter()
                .chain(compose.others)
                .collect(),
            arguments,
            environment,
            is_unordered: false,
        }
        .vary(numbers)
    }
}

/// `-f` for each file; sometimes none for files that are read by default.
fn file_arguments(files: &[(String, String)], numbers: &mut Numbers) -> Vec<String> {
    if files.len() == 1 && numbers.percent(20) {
        return Vec::new();
    }
    let files = files
        .iter()
        .flat_map(|(name, _)| ["-f".to_owned(), name.clone()]);
    files.collect()
}

/// Inserts, removes or repeats a short part of a text.
fn change(text: &mut String, numbers: &mut Numbers) {
    let starts: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
    let first = numbers.below(starts.len());
    let last = (first + numbers.below(6)).min(starts.len() - 1);
    let (start, end) = (*starts.get(first).unwrap(), *starts.get(last).unwrap());
    match numbers.below(3) {
        0 => text.replace_range(start..end, ""),
        1 => {
            let part = text.get(start..end).unwrap().to_owned();
            text.insert_str(start, &part);
        }
        _ => text.insert_str(start, numbers.pick(&PIECES)),
    }
}
