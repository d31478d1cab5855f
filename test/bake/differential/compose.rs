//! Random compose files.
//!
//! Names of services have no dots, and values of `additional_contexts` are text: `docs/bake.md` documents differences for the others.

use std::fmt::Write as _;

use crate::numbers::Numbers;

/// Lines of `build`. `W` stands for a word, `V` for a value with variables, `U` for one between quotes, `S` for a service.
const BUILD: &[&str] = &[
    "context: ./W",
    "context: .",
    "context: https://example.com/W.git",
    "dockerfile: V",
    "dockerfile: ../W.Dockerfile",
    "dockerfile_inline: |\n  FROM W\n  RUN echo V",
    "dockerfile_inline: >-\n  FROM W\n\n  RUN V",
    "target: V",
    "args:\n  A: V\n  N: 1.50\n  T: yes\n  E:\n  O: 0o17",
    "args:\n  - A=V\n  - B\n  - EMPTY",
    "args: {A: U, \"B\": 'U', C: !!str 12}",
    "args: &args\n  SHARED: V",
    "args:\n  <<: *common\n  A: W",
    "labels:\n  org.a: V\n  b: 12",
    "labels:\n  - a=V\n  - b",
    "tags:\n  - W/W:V\n  - W",
    "tags: [W, W, \"U\"]",
    "platforms:\n  - linux/amd64\n  - linux/arm64",
    "cache_from:\n  - W/W:V\n  - type=gha,scope=W",
    "cache_to: [\"type=local,dest=W\", \"type=inline\"]",
    "no_cache: true",
    "pull: ${BOOL}",
    "no_cache_filter: W",
    "network: V",
    "privileged: false",
    "shm_size: 128m",
    "shm_size: 1024",
    "extra_hosts:\n  - \"host:10.0.0.1\"",
    "ulimits:\n  nofile: 100\n  nproc: {soft: 1, hard: 2}",
    "additional_contexts:\n  W: docker-image://V",
    "additional_contexts:\n  - W=./W",
    "additional_contexts:\n  base: service:S",
    "ssh:\n  - default\n  - W=W/key",
    "ssh:\n  default:",
    "ssh: [\"default\"]",
    "secrets:\n  - file-secret",
    "secrets:\n  - source: env-secret\n    target: W\n  - file-secret",
    "provenance: true",
    "provenance: mode=max",
    "sbom: \"U\"",
    "sbom: false",
    "x-depot:\n  project-id: W",
    "x-other: {a: [1, W]}",
    "x-bake:\n  tags: [W, \"U\"]\n  platforms: linux/arm64 linux/amd64\n  pull: true",
    "x-bake:\n  output: type=image,push=true\n  no-cache: true\n  cache-from:\n    - type=local,src=W\n    - W/W",
    "x-bake:\n  contexts:\n    W: ./W\n  no-cache-filter: [W]\n  secret: [\"id=W,src=W\"]",
    "x-bake:\n  ssh: W\n  cache-to: type=inline",
    "isolation: default",
];

/// Lines of a service.
const SERVICE: &[&str] = &[
    "image: W/W:V",
    "environment:\n  B: V\n  C:",
    "environment: [\"B=U\", EMPTY]",
    "profiles: [W]",
    "depends_on: [S]",
    "depends_on:\n  S:\n    condition: service_started",
    "ports: [\"80:8080\", 443]",
    "ports:\n  - target: 80\n    published: \"8080\"",
    "volumes: [\"./W:/W:ro\", \"data:/data\"]",
    "command: [W, \"U\"]",
    "restart: always",
    "healthcheck: {test: [CMD, W], interval: 10s}",
    "deploy: {replicas: 2}",
    "env_file: .env",
    "env_file:\n  - path: missing.env\n    required: false",
    "networks: [net]",
    "x-anything: V",
    "extends: S",
    "extends:\n  service: S",
    "extends:\n  file: base.yml\n  service: base",
    "<<: *service",
];

/// Lines that are wrong at the place of those of `build`.
const MISTAKES: &[&str] = &[
    "unknown: W",
    "no_cache_filter: [W, W]",
    "args: W",
    "args: [1, 2]",
    "tags: W",
    "platforms:\n  a: b",
    "target: 12",
    "target: [W]",
    "context: {a: b}",
    "secrets:\n  - missing-secret",
    "additional_contexts:\n  base: service:missing",
    "shm_size: W",
    "no_cache: W",
    "labels: 12",
    "args:\n  A: [1]",
    "ssh: W",
    "x-bake: W",
    "x-bake:\n  tags: {a: b}",
    "x-bake:\n  unknown: W",
    "cache_from: W",
    "dockerfile: ${MISSING:?is required}",
    "target: ${",
    "target: ${A",
    "target: ${A:-${B}",
    "target: $1",
    "target: *missing",
    "target: a: b",
    "target: \"a",
    "target: W\ntarget: W",
    "args:\n  <<: W",
    "args:\n\tA: b",
    "cache_from: [\"type=\"]",
    "cache_from: [\"ref=W\"]",
    "x-bake:\n  secret: [\"id\"]",
    "dockerfile: W\ndockerfile_inline: FROM W",
    "x-bake:\n  pull: W",
    "x-depot: W",
    "provenance: [W]",
    "ulimits:\n  nofile: W",
    "secrets:\n  - external-secret",
];

const VALUES: &[&str] = &[
    "W",
    "a-${A}",
    "${A:-W}",
    "${MISSING:-W}",
    "${MISSING-${A}}",
    "${EMPTY:-W}",
    "${EMPTY-W}",
    "${A:+W}",
    "${EMPTY+W}",
    "$A",
    "$$A",
    "${MISSING}",
    "${B:?W}",
    "x${A}y${B}",
    "'${A}'",
    "\"${A:-a b}\"",
    "1.10",
    "\"é\"",
    "${DOTENV}",
    "${MISSING:-$${A}}",
    "\"W # W\"",
    "W # W",
    "~",
    "2024-01-01",
    "0x1F",
    "'it''s'",
    "\"\\t\\u00e9\"",
    "${A}${B}",
    "on",
    "null",
    "1e3",
    "${NUMBER}",
];

/// Values that can stand between quotes.
const QUOTED_VALUES: &[&str] = &[
    "W",
    "a-${A}",
    "${A:-W}",
    "${EMPTY-W}",
    "$A",
    "$$A",
    "${MISSING}",
    "a b",
    "é",
    "${B:?W}",
    "a # b",
    "12",
];

const WORDS: &[&str] = &["a", "b", "app", "x1", "rel-2", "Main", "w.x"];

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
