//! Replaces everything in a log that differs between two runs, and nothing else.
//!
//! The rules, in this order:
//!
//! 1. Values that the test knows, such as ids and directories, are replaced by their names: `[build]`, `[context]`.
//! 2. Statuses that are not `done` (`#5 transferring context: 1.2MB 5.0s`) are dropped, because only slow ones are printed.
//!    The time in a status that is `done` is dropped for the same reason.
//!    The slowest steps of the summary are dropped too.
//! 3. Times, sizes, ports, versions of Docker, and a builder's references and mounts become `[time]`, `[size]`, `[port]`,
//!    `[version]`, `[ref]` and `[mount]`. Digests are numbered: equal digests have equal numbers. In the address of a
//!    blob the digest becomes `[blob]`: blobs are pushed concurrently, so any of them can fail first.
//! 4. All blocks of a step are joined at the place of the first one, because a busy machine prints a step in more blocks,
//!    and its result before or after a warning. The result of the step is printed once, as its last line. `CANCELED` is
//!    dropped: it is printed only if the builder reports it before the program ends.
//! 5. The steps of several builders are concurrent. So if a log has steps of both architectures, these are sorted by phase
//!    (launch, connect, build, merge), then by architecture, and numbered again. The order within one architecture stays.

use std::fmt::Write;

/// A part of the log.
enum Part {
    Line(String),
    Step(Step),
}

/// All lines of one step.
#[derive(Default)]
struct Step {
    number: u32,
    name: Option<String>,
    lines: Vec<String>,
    result: Option<String>,
}

/// The log after these rules. `names` are pairs of a value and its name, the longest value first if one contains another.
pub fn redact(log: &str, names: &[(String, &str)]) -> String {
    let log = names.iter().fold(log.to_owned(), |log, (value, name)| {
        log.replace(value.as_str(), name)
    });
    let mut parts: Vec<Part> = Vec::new();
    for line in log.lines() {
        match step_line(line) {
            Some((number, text)) => step(&mut parts, number).add(text),
            // Separates steps.
            None if line.is_empty() || is_slow_step(line) => {}
            None => parts.push(Part::Line(redact_words(line))),
        }
    }
    number_digests(&print(parts))
}

/// The step with this number.
fn step(parts: &mut Vec<Part>, number: u32) -> &mut Step {
    let is_step = |part: &Part| matches!(part, Part::Step(step) if step.number == number);
    let at = parts.iter().position(is_step).unwrap_or(parts.len());
    if at == parts.len() {
        parts.push(Part::Step(Step {
            number,
            ..Step::default()
        }));
    }
    match &mut parts[at] {
        Part::Step(step) => step,
        Part::Line(line) => panic!("{line}"),
    }
}

/// `  slowest  4.1s  33%  [2/4] RUN make`; only the first has the title.
fn is_slow_step(line: &str) -> bool {
    let line = line.strip_prefix("  slowest").unwrap_or(line);
    let mut words = line.split_whitespace();
    let has_time = words.next().is_some_and(is_seconds);
    line.starts_with("  ") && has_time && words.next().is_some_and(|word| word.ends_with('%'))
}

/// Splits `#5 text`.
fn step_line(line: &str) -> Option<(u32, &str)> {
    let (number, text) = line.strip_prefix('#')?.split_once(' ')?;
    Some((number.parse().ok()?, text))
}

impl Step {
    fn add(&mut self, text: &str) {
        let is_result = ["DONE ", "CACHED", "ERROR: "]
            .iter()
            .any(|word| text.starts_with(word));
        if is_result {
            self.result = Some(redact_words(text));
        } else if text.starts_with('[') || text.starts_with("exporting to ") {
            self.name = Some(redact_words(text));
        } else if let Some(line) = redact_line(text) {
            self.lines.push(line);
        }
    }
}

impl Part {
    fn is_step(&self) -> bool {
        matches!(self, Self::Step(_))
    }

    /// The name of the step; empty for another line.
    fn name(&self) -> &str {
        match self {
            Self::Step(step) => step.name.as_deref().unwrap_or_default(),
            Self::Line(_) => "",
        }
    }

    fn is_of(&self, architecture: &str) -> bool {
        self.name().contains(architecture)
    }

    /// The phase of the step, and its architecture.
    fn phase(&self) -> (usize, usize) {
        let phases = [
            "[depot] launching",
            "[depot] connecting",
            "[linux/",
            "[depot] merging",
        ];
        let phase = phases
            .iter()
            .position(|&phase| self.name().starts_with(phase));
        (
            phase.unwrap_or(phases.len()),
            usize::from(self.is_of("arm64") && !self.is_of("amd64")),
        )
    }
}

/// A line of a step: its output, which begins with its time, or a finished status. `None` for everything else.
fn redact_line(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split(' ').collect();
    match &words[..] {
        [time, rest @ ..] if is_elapsed(time) => {
            Some(format!("[time] {}", redact_words(&rest.join(" "))))
        }
        [status @ .., time, "done"] if is_seconds(time) => {
            Some(redact_words(&format!("{} done", status.join(" "))))
        }
        [.., "done"] => Some(redact_words(text)),
        _ => None,
    }
}

/// The parts as text, with an empty line between two steps.
fn print(mut parts: Vec<Part>) -> String {
    for steps in parts.chunk_by_mut(|left, right| left.is_step() && right.is_step()) {
        let has = |architecture| steps.iter().any(|part| part.is_of(architecture));
        if has("amd64") && has("arm64") {
            steps.sort_by_key(Part::phase);
        }
    }
    let mut output = String::new();
    let mut number = 0;
    let mut follows_step = false;
    for part in parts {
        let is_step = part.is_step();
        match part {
            Part::Line(line) => output.push_str(&[&line, "\n"].concat()),
            Part::Step(step) => {
                if follows_step {
                    output.push('\n');
                }
                number += 1;
                let lines = step.name.into_iter().chain(step.lines).chain(step.result);
                for line in lines {
                    writeln!(output, "#{number} {line}").unwrap();
                }
            }
        }
        follows_step = is_step;
    }
    output
}

fn redact_words(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let before = words.last().map(String::as_str);
        let is_time = match before {
            // The last lines of a failed step, which are printed again, begin with their times.
            None => is_elapsed(word),
            // `trying again in 0.8 s`.
            Some("in") => is_number(word),
            _ => false,
        };
        let is_version =
            before == Some("Docker") && word.starts_with(|first: char| first.is_ascii_digit());
        words.push(match (is_time, is_version) {
            (true, _) => "[time]".to_owned(),
            (_, true) => "[version]".to_owned(),
            _ => redact_word(word),
        });
    }
    words.join(" ")
}

fn redact_word(word: &str) -> String {
    let core = word.trim_matches(['(', ')', ',', ':', ';', '.', '`']);
    let replacement = if is_seconds(core) {
        "[time]".to_owned()
    } else if is_size(core) {
        "[size]".to_owned()
    } else if is_reference(core) {
        "[ref]".to_owned()
    } else if let Some((_, rest)) = core.split_once("/buildkit-mount") {
        let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        format!("[mount]{rest}")
    } else if let Some((before, _)) = core.split_once("/blobs/sha256:") {
        format!("{before}/blobs/[blob]")
    } else if let Some((before, port)) = core.split_once("127.0.0.1:") {
        let rest = port.trim_start_matches(|digit: char| digit.is_ascii_digit());
        format!("{before}127.0.0.1:[port]{rest}")
    } else {
        return word.to_owned();
    };
    word.replacen(core, &replacement, 1)
}

/// `1.2s`, as in `DONE 1.2s`.
fn is_seconds(word: &str) -> bool {
    word.strip_suffix('s')
        .is_some_and(|number| is_number(number) && number.contains('.'))
}

/// `0.312`, as before each line of a step's output.
fn is_elapsed(word: &str) -> bool {
    is_number(word)
        && word
            .split_once('.')
            .is_some_and(|(_, rest)| rest.len() == 3)
}

/// `107B` or `1.9MB`.
fn is_size(word: &str) -> bool {
    let number = word.strip_suffix('B').unwrap_or_default();
    is_number(number.trim_end_matches(['k', 'M', 'G']))
}

fn is_number(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// The id of a builder's snapshot: `soz60ulqwnngfcw1qtqjhwofb::kajqi4ih517kqdglytnwk2bea`.
fn is_reference(word: &str) -> bool {
    word.split("::").all(|id| {
        id.len() == 25
            && id
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

/// Numbers the digests: `sha256:[1]`.
fn number_digests(log: &str) -> String {
    let mut parts = log.split("sha256:");
    let mut output = parts.next().unwrap_or_default().to_owned();
    let mut digests: Vec<&str> = Vec::new();
    for part in parts {
        let (digest, rest) = part.split_at_checked(64).unwrap_or((part, ""));
        let at = digests
            .iter()
            .position(|&known| known == digest)
            .unwrap_or_else(|| {
                digests.push(digest);
                digests.len() - 1
            });
        write!(output, "sha256:[{}]{rest}", at + 1).unwrap();
    }
    output
}

#[test]
fn runs_that_differ_only_in_times_and_order_have_one_redacted_log() {
    let names = [("a1b2c3".to_owned(), "[build]")];
    let quick = format!(
        "INFO: build: a1b2c3\n#1 [internal] load .dockerignore\n#1 transferring context: 2B done\n#1 DONE 0.0s\n\n\
         #2 [1/1] RUN make\n#2 0.312 compiling 3 files\n#2 DONE 1.2s\n✔ built sha256:{} in 1.3s\n",
        "0".repeat(64)
    );
    let slow = format!(
        "INFO: build: a1b2c3\n#1 [internal] load .dockerignore\n#1 DONE 0.1s\n\n#2 [1/1] RUN make\n#2 7.001 compiling 3 files\n#2 ...\n\n\
         #1 [internal] load .dockerignore\n#1 transferring context:\n#1 transferring context: 2B 0.6s\n#1 transferring context: 2B 5.1s done\n#1 DONE 0.1s\n\n\
         #2 [1/1] RUN make\n#2 DONE 9.9s\n✔ built sha256:{} in 10.1s\n",
        "1".repeat(64)
    );
    let expected = "INFO: build: [build]\n\
        #1 [internal] load .dockerignore\n#1 transferring context: [size] done\n#1 DONE [time]\n\n\
        #2 [1/1] RUN make\n#2 [time] compiling 3 files\n#2 DONE [time]\n\
        ✔ built sha256:[1] in [time]\n";
    assert_eq!(redact(&quick, &names), expected);
    assert_eq!(redact(&slow, &names), expected);
}

#[test]
fn concurrent_steps_of_two_builders_are_sorted() {
    let log = "#1 [depot] launching arm64 machine\n#1 DONE 0.0s\n\n#2 [depot] launching amd64 machine\n#2 ...\n\n\
        #3 [linux/arm64 1/1] COPY a b\n#3 DONE 0.0s\n\n#2 [depot] launching amd64 machine\n#2 DONE 0.1s\n\n\
        #4 [linux/amd64 1/1] COPY a b\n#4 DONE 0.0s\n";
    let expected = "#1 [depot] launching amd64 machine\n#1 DONE [time]\n\n#2 [depot] launching arm64 machine\n#2 DONE [time]\n\n\
        #3 [linux/amd64 1/1] COPY a b\n#3 DONE [time]\n\n#4 [linux/arm64 1/1] COPY a b\n#4 DONE [time]\n";
    assert_eq!(redact(log, &[]), expected);
}

#[test]
fn only_values_that_differ_are_replaced() {
    let log = "ERROR: the builder at 127.0.0.1:4711 could not be reached within 20 s; trying again in 0.8 s (1 of 6)\n\
        ERROR: failed to walk /tmp/x/buildkit-mount749504186/dist: HEAD https://example.com/v2/app/blobs/sha256:0123: 401\n\
        #1 [load] app:1 into Docker 26.1.5+dfsg1\n#1 0.041 0 of 1 layers already exist, sending 1 (107B)\n";
    let expected = "ERROR: the builder at 127.0.0.1:[port] could not be reached within 20 s; trying again in [time] s (1 of 6)\n\
        ERROR: failed to walk [mount]/dist: HEAD https://example.com/v2/app/blobs/[blob]: 401\n\
        #1 [load] app:1 into Docker [version]\n#1 [time] 0 of 1 layers already exist, sending 1 ([size])\n";
    assert_eq!(redact(log, &[]), expected);
}
