//! Random compose files.
//!
//! Names of services have no dots, and values of `additional_contexts` are text: `docs/bake.md` documents differences for the others.

mod lines;

use std::fmt::Write as _;

use crate::numbers::Numbers;
use lines::{BUILD, MISTAKES, QUOTED_VALUES, SERVICE, VALUES, WORDS};

const SERVICES: [&str; 5] = ["web", "api", "db-1", "job_2", "Base"];

/// A file with its name.
type File = (String, String);

/// The files, and the names of the targets. The first ones are definitions, the number of which is also returned.
pub struct Compose {
    pub definitions: Vec<File>,
    /// Files that the definitions refer to.
    pub others: Vec<File>,
    pub targets: Vec<String>,
}

impl Compose {
    pub fn generate(numbers: &mut Numbers, mut is_wrong: bool) -> Self {
        let count = 1 + numbers.below(4);
        let names = SERVICES.get(..count).unwrap();
        let mut first = String::from(
            "x-common: &common\n  SHARED: ${A:-s}\n  A: 1\nx-service: &service\n  image: W/shared\n  labels: [a]\n",
        );
        if numbers.percent(10) {
            first.insert_str(0, "version: \"3.8\"\n");
        }
        if numbers.percent(10) {
            first.insert_str(0, "name: project\n");
        }
        first.push_str("services:\n");
        for (index, name) in names.iter().enumerate() {
            // A service refers to those before it only, so that most files have no cycles.
            let known = names.get(..index).unwrap();
            service(&mut first, numbers, name, known, &mut is_wrong);
        }
        first.push_str(
            "secrets:\n  file-secret:\n    file: ./secret.txt\n  env-secret:\n    environment: SECRET\n  external-secret:\n    external: true\n\
             volumes:\n  data:\nnetworks:\n  net: {}\n",
        );
        let mut definitions = vec![("compose.yml".to_owned(), words(&first, numbers))];
        if numbers.percent(25) {
            let mut second = String::from(
                "x-common: &common {OTHER: \"U\"}\nx-service: &service {image: other}\nservices:\n",
            );
            let name = numbers.pick(names);
            service(&mut second, numbers, name, &[], &mut is_wrong);
            let other = numbers.pick(names);
            if other != name && numbers.percent(40) {
                let tag = numbers.pick(&[
                    "tags: !reset null",
                    "args: !override {A: W}",
                    "labels: !reset []",
                    "platforms: !override [linux/arm64]",
                ]);
                let _ = write!(second, "  {other}:\n    build:\n      {tag}\n");
            }
            definitions.push(("override.yaml".to_owned(), words(&second, numbers)));
        }
        if numbers.percent(20) {
            let name = numbers.pick(names);
            let hcl = format!(
                "target \"{name}\" {{\n  args = {{ A = \"hcl\", H = upper(\"W\") }}\n  tags = [\"W\"]\n}}\n"
            );
            definitions.push(("docker-bake.hcl".to_owned(), words(&hcl, numbers)));
        }
        let base = "services:\n  base:\n    image: base:V\n    build:\n      context: ./sub\n      args:\n        BASE: V\n      tags: [W]\n";
        let others = vec![
            ("base.yml".to_owned(), words(base, numbers)),
            (
                ".env".to_owned(),
                "DOTENV=from-file\nA=from-file\nQ='x y' # c\nexport R=\"${A}-r\"\n".to_owned(),
            ),
        ];
        Self {
            definitions,
            others,
            targets: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }
}

/// The variables of the environment.
pub fn environment(numbers: &mut Numbers) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for (name, value) in [
        ("A", "env-a"),
        ("B", "env b"),
        ("BOOL", "true"),
        ("NUMBER", "12"),
        ("EMPTY", ""),
        ("COMPOSE_PROJECT_NAME", "proj"),
    ] {
        if numbers.percent(85) {
            variables.push((name.to_owned(), value.to_owned()));
        }
    }
    variables
}

fn service(
    text: &mut String,
    numbers: &mut Numbers,
    name: &str,
    known: &[&str],
    is_wrong: &mut bool,
) {
    let _ = writeln!(text, "  {name}:");
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..numbers.below(4) {
        add(&mut lines, numbers.pick(SERVICE), known, numbers);
    }
    let mut build: Vec<String> = Vec::new();
    for _ in 0..=numbers.below(6) {
        add(&mut build, numbers.pick(BUILD), known, numbers);
    }
    if *is_wrong && numbers.percent(60) {
        *is_wrong = false;
        build.push((*numbers.pick(MISTAKES)).to_owned());
    }
    match numbers.below(12) {
        0 => lines.push("build: ./W".to_owned()),
        1 => lines.push("image: W\n# no build".to_owned()),
        _ if build.is_empty() => lines.push("build: {}".to_owned()),
        _ => lines.push(format!("build:\n{}", indented(&build, "  "))),
    }
    text.push_str(&indented(&lines, "    "));
    text.push('\n');
}

/// Adds a line, unless its key exists already or it needs a service that does not exist.
fn add(lines: &mut Vec<String>, line: &str, known: &[&str], numbers: &mut Numbers) {
    let key = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    if lines.iter().any(|other| key(other) == key(line)) {
        return;
    }
    let needs_service = line.contains(" S") || line.contains(":S") || line.contains("[S");
    if needs_service && known.is_empty() {
        return;
    }
    let line = if needs_service {
        line.replacen('S', numbers.pick(known), 1)
    } else {
        line.to_owned()
    };
    lines.push(line);
}

fn indented(lines: &[String], indent: &str) -> String {
    let lines = lines.iter().flat_map(|lines| lines.lines());
    lines
        .map(|line| format!("{indent}{line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Replaces `U`, `V` and `W`, except in longer words.
fn words(text: &str, numbers: &mut Numbers) -> String {
    let tables = [('U', QUOTED_VALUES), ('V', VALUES), ('W', WORDS)];
    let replace = |text: String, (letter, items)| replaced(&text, letter, items, numbers);
    tables.into_iter().fold(text.to_owned(), replace)
}

fn replaced(text: &str, letter: char, items: &[&str], numbers: &mut Numbers) -> String {
    let mut result = String::new();
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_part = |other: char| other.is_ascii_alphanumeric() || other == '_';
        if character == letter
            && !is_part(before)
            && !characters.peek().is_some_and(|next| is_part(*next))
        {
            result.push_str(numbers.pick(items));
        } else {
            result.push(character);
        }
        before = character;
    }
    result
}
