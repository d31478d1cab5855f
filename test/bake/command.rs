//! The lines of a `run.txt`: environment, arguments of `depot bake`, standard input and marks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use depot_bake::{Flags, Request};

use crate::answer::Outcome;

/// The environment of the corpus; see its README.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("HOME", "/home/user"),
    ("DEPOT_TOKEN", "x"),
    ("DEPOT_NO_UPDATE_NOTIFIER", "1"),
];

/// Flags with a value that change nothing in the definition.
const OTHER_VALUES: [&str; 6] = [
    "--metadata-file",
    "--progress",
    "--project",
    "--save-tag",
    "--build-platform",
    "--lint-fail-on",
];

/// Switches that change nothing in the definition.
const OTHER_SWITCHES: [&str; 4] = ["--print", "--load", "--save", "--lint"];

pub struct Invocation {
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
    input: Option<String>,
    pub marks: Vec<String>,
}

impl Invocation {
    pub fn parse(line: &str) -> Self {
        let mut words = words(line).into_iter().peekable();
        let mut environment: BTreeMap<String, String> = ENVIRONMENT
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        while let Some(word) = words.next_if(|word| word != "bake") {
            let (name, value) = word.split_once('=').unwrap();
            environment.insert(name.to_owned(), value.to_owned());
        }
        words.next();
        let mut invocation = Self {
            environment,
            arguments: Vec::new(),
            input: None,
            marks: Vec::new(),
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "<" => invocation.input = words.next(),
                "#" => invocation.marks.extend(words.by_ref()),
                _ => invocation.arguments.push(word),
            }
        }
        invocation
    }

    /// A command with these variables besides those of the corpus.
    pub fn new(variables: &[(String, String)], arguments: &[String]) -> Self {
        let defaults = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            environment: defaults
                .into_iter()
                .chain(variables.iter().cloned())
                .collect(),
            arguments: arguments.to_vec(),
            input: None,
            marks: Vec::new(),
        }
    }

    /// All variables, for a run of the CLI.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    pub fn run(&self, folder: &Path) -> Outcome {
        let variable = |name: &str| self.environment.get(name).cloned();
        let read_file = |path: &Path| {
            if path == Path::new("-") {
                let input = self
                    .input
                    .as_ref()
                    .map(|input| fs::read(folder.join(input)));
                return input.unwrap_or_else(|| Ok(Vec::new()));
            }
            fs::read(folder.join(path))
        };
        let mut request = Request::new(&variable, &read_file);
        "linux/amd64".clone_into(&mut request.platform);
        // As `--print` does without the flags.
        request.flags = Flags {
            no_cache: Some(false),
            pull: Some(false),
            ..Flags::default()
        };
        if let Err(problem) = self.set_arguments(&mut request) {
            return Outcome::Error(problem);
        }
        match depot_bake::read(&request) {
            Ok(definition) => Outcome::Json(definition.to_json()),
            Err(error) => Outcome::Error(error.to_string()),
        }
    }

    /// Sets what the arguments of `depot bake` say.
    fn set_arguments(&self, request: &mut Request) -> Result<(), String> {
        let mut arguments = self.arguments.iter();
        while let Some(argument) = arguments.next() {
            let (flag, value) = match argument.split_once('=') {
                Some((flag, value)) if flag.starts_with('-') => (flag, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            let switch = || value.as_deref().is_none_or(|value| value == "true");
            match flag {
                "--push" => request.flags.push = switch(),
                "--no-cache" => request.flags.no_cache = Some(switch()),
                "--pull" => request.flags.pull = Some(switch()),
                _ if OTHER_SWITCHES.contains(&flag) => {}
                _ if !flag.starts_with('-') => request.targets.push(argument.clone()),
                _ => {
                    let mut value = || value.clone().or_else(|| arguments.next().cloned());
                    match flag {
                        "-f" | "--file" => request.files.extend(value()),
                        "--set" => request.overrides.extend(value()),
                        "--sbom" => request.flags.sbom = value(),
                        "--provenance" => request.flags.provenance = value(),
                        _ if OTHER_VALUES.contains(&flag) => {
                            value();
                        }
                        _ => return Err(format!("unknown flag: {flag}")),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Splits a line into words, with the quotes of a shell.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' => words.extend(word.take()),
            '\'' => {
                let quoted = characters.by_ref().take_while(|next| *next != '\'');
                word.get_or_insert_default().extend(quoted);
            }
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(next) = characters.next().filter(|next| *next != '"') {
                    match next {
                        '\\' => word.extend(characters.next()),
                        _ => word.push(next),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(characters.next()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}
