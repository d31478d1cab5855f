//! Random arguments and variables of the environment.

use super::definition::Variable;
use super::expression::Kind;
use crate::numbers::Numbers;

/// Overrides of attributes. `T` stands for a target, `W` for a word.
///
/// None sets `output`: with `--push`, the CLI applies the two in an order by chance.
const OVERRIDES: &[&str] = &[
    "T.args.W=W",
    "T.args.A=",
    "*.args.W=x y",
    "T.args.ENV_ARG",
    "T.args.MISSING_ARG",
    "T.tags=W/W:1",
    "T.tags+=W",
    "T.tags=",
    "*.platform=linux/arm64",
    "T.platform=linux/amd64,linux/arm64",
    "T.platform+=W",
    "T.context=./W",
    "T.contexts.W=docker-image://W",
    "T.contexts.base=",
    "T.dockerfile=W",
    "T.target=W",
    "T.network=none",
    "T.labels.W=W=W",
    "T.labels.a.b=W",
    "T.no-cache=true",
    "T.pull=0",
    "*.no-cache-filter=W",
    "T.no-cache-filter+=W,W",
    "T.cache-from=W/W",
    "T.cache-from+=type=gha,W=W",
    "T.cache-from=",
    "T.cache-to=type=inline",
    "T.cache-to+=type=registry,ref=W",
    "T.secrets=id=W",
    "T.secrets+=id=W,src=W",
    "T.ssh=default",
    "T.ssh+=W=W",
    "T.attest=type=sbom",
    "T.attest+=type=provenance,mode=W",
    "T.attest=type=provenance,disabled=true",
    "T.shm-size=W",
    "t*.tags=W",
    "[a-t]*.args.W=W",
    "t?.target=W",
    "?*.args.A=1",
];

/// Overrides that are wrong, or wrong for most definitions.
const MISTAKES: &[&str] = &[
    "T.args=W",
    "T.tags",
    "T",
    "missing.tags=W",
    "T.unknown=W",
    "T.pull=W",
    "zz*.args.A=1",
    "T.cache-from=W=W",
    "T.secrets=W=W",
    "T.attest=W",
    "T.contexts=W",
    "[.args.A=1",
    "T.inherits=W",
    "T.labels=W",
    "",
    "T.secrets=type=W,id=a",
    "T.output=",
];

const WORDS: &[&str] = &["a", "b", "A", "B", "X", "rel-2", "é", "W1"];

/// The arguments after the files.
pub fn arguments(numbers: &mut Numbers, targets: &[String], is_wrong: bool) -> Vec<String> {
    let mut arguments = Vec::new();
    let target = |numbers: &mut Numbers| {
        let names: Vec<&str> = targets.iter().map(String::as_str).collect();
        if names.is_empty() {
            "default"
        } else {
            numbers.pick(&names)
        }
        .to_owned()
    };
    if numbers.percent(93) {
        for _ in 0..=numbers.below(3) {
            arguments.push(target(numbers));
        }
    }
    if is_wrong && numbers.percent(20) {
        arguments.push((*numbers.pick(&["g0", "g1", "default", "t0", "app.x"])).to_owned());
    }
    let mut overrides = Vec::new();
    if numbers.percent(45) {
        for _ in 0..=numbers.below(3) {
            overrides.push(*numbers.pick(&OVERRIDES.iter().collect::<Vec<_>>()));
        }
    }
    if is_wrong && numbers.percent(20) {
        overrides.push(*numbers.pick(&MISTAKES.iter().collect::<Vec<_>>()));
    }
    for pattern in overrides {
        let name = target(numbers);
        let mut text = String::new();
        for character in pattern.chars() {
            match character {
                'T' => text.push_str(&name),
                'W' => text.push_str(numbers.pick(WORDS)),
                other => text.push(other),
            }
        }
        arguments.extend(["--set".to_owned(), text]);
    }
    for flag in [
        "--no-cache",
        "--pull",
        "--push",
        "--sbom=true",
        "--provenance=mode=max",
        "--provenance=false",
        "--sbom=generator=x",
    ] {
        if numbers.percent(3) {
            arguments.push(flag.to_owned());
        }
    }
    arguments
}

/// The variables of the environment, some of which set variables of the definition.
pub fn environment(
    numbers: &mut Numbers,
    variables: &[Variable],
    is_wrong: bool,
) -> Vec<(String, String)> {
    let mut environment = vec![("ENV_ARG".to_owned(), "from env".to_owned())];
    if numbers.percent(5) {
        environment.push(("SOURCE_DATE_EPOCH".to_owned(), "1700000000".to_owned()));
    }
    for Variable {
        name,
        kind,
        has_type,
    } in variables
    {
        let can_be_set = *has_type || matches!(kind, Kind::Text | Kind::Number | Kind::Boolean);
        if !numbers.percent(20) || !can_be_set && !is_wrong {
            continue;
        }
        // Numbers are never hexadecimal.
        let (right, wrong): (&[&str], &[&str]) = match kind {
            Kind::Text => (&["", "x", "${V0}", "a,b", "é"], &["x"]),
            Kind::Number => (
                &["1", "2.50", "-3e2", "1_000", ".5", "1."],
                &["", "x", "NaN"],
            ),
            Kind::Boolean => (&["true", "0", "T", "FALSE"], &["yes", ""]),
            Kind::Texts => (&["a,b", "\"a,b\",c", "a,,b", "a\nb", " a, b"], &["", "\"a"]),
            Kind::Numbers => (&["1,2", "1.5"], &["x", ""]),
            Kind::Map => (
                &["a=b", "a=1,c=x=y", "\"a=b,c\",d=e"],
                &["a", "", "a=1,a=2"],
            ),
            Kind::Object | Kind::Objects => (&[], &["x", "{}"]),
        };
        let values = if is_wrong && numbers.percent(30) {
            wrong
        } else {
            right
        };
        if !values.is_empty() {
            environment.push((name.clone(), (*numbers.pick(values)).to_owned()));
        }
        if numbers.percent(if values.is_empty() { 60 } else { 10 }) {
            let json = json(numbers, *kind, is_wrong);
            environment.push((format!("{name}_JSON"), json.to_owned()));
        }
    }
    environment
}

/// The value of a variable as JSON.
fn json(numbers: &mut Numbers, kind: Kind, is_wrong: bool) -> &'static str {
    if is_wrong && numbers.percent(40) {
        return numbers.pick(&["{", "null", "[]", "{}", "\"x\"", "12", "[null]"]);
    }
    numbers.pick(match kind {
        Kind::Text => &["\"x\"", "12", "true"],
        Kind::Number => &["12", "1.50", "\"3\""],
        Kind::Boolean => &["true", "\"false\""],
        Kind::Texts => &["[\"a\", \"b\"]", "[]", "[1, true]"],
        Kind::Numbers => &["[1, 2.5]", "[\"1\"]"],
        Kind::Map => &["{\"a\": \"b\"}", "{}", "{\"a\": 1, \"b\": null}"],
        Kind::Object => &[
            "{\"name\": \"n\", \"on\": true, \"tags\": [\"x\"]}",
            "{\"name\": \"n\", \"count\": 2, \"on\": \"false\", \"tags\": [], \"more\": 1}",
        ],
        Kind::Objects => &[
            "[]",
            "[{\"name\": \"n\", \"count\": 1, \"on\": true, \"tags\": [\"x\"]}]",
        ],
    })
}
