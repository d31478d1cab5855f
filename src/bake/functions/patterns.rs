//! `regex`, `regexall` and `regex_replace`. Patterns have Go's syntax and meaning; `syntax` translates them to those of the crate `regex`.

mod syntax;

use std::collections::BTreeMap;
use std::rc::Rc;

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::call::{Call, Outcome, Parameter, Standard, failure, wrong};
use crate::hcl::scope::CallError;
use crate::value::{Type, Value};

const TEXT: Parameter = Parameter::STRING;

/// The most memory of a compiled pattern, in bytes.
const MAX_SIZE: usize = 4 << 20;

/// The most characters of a pattern.
const MAX_PATTERN: usize = 20_000;

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new("regex", &[TEXT, TEXT], |call| {
        let pattern = Pattern::new(call, 0)?;
        let text = call.text(1)?;
        spend(call, text)?;
        let captures = matches(&pattern.regex, text).next();
        let captures =
            captures.ok_or_else(|| failure("the pattern does not match any part of the string"))?;
        pattern.result(call, &captures)
    }),
    Standard::new("regex_replace", &[TEXT, TEXT, TEXT], replace),
    Standard::new("regexall", &[TEXT, TEXT], |call| {
        let pattern = Pattern::new(call, 0)?;
        let text = call.text(1)?;
        let mut results = Vec::new();
        spend(call, text)?;
        for found in matches(&pattern.regex, text) {
            call.reserve_values(1)?;
            spend(call, text.get(..64).unwrap_or(text))?;
            results.push(pattern.result(call, &found)?);
        }
        Ok(Value::list(pattern.kind, results))
    }),
];

/// A search takes time for each byte.
fn spend(call: &Call<'_>, text: &str) -> Result<(), CallError> {
    let steps = u64::try_from(text.len()).unwrap_or(u64::MAX);
    call.budget.steps(steps / 4).map_err(CallError::whole)
}

/// The matches that do not overlap. Those of nothing inside of a character are none.
fn matches<'a>(regex: &'a Regex, text: &'a str) -> impl Iterator<Item = Captures<'a>> {
    let matches = regex.captures_iter(text.as_bytes());
    matches.filter(|captures| {
        let found = captures.get(0);
        found.is_some_and(|found| !found.is_empty() || text.is_char_boundary(found.start()))
    })
}

/// A pattern with the type of its result: a string without groups, a tuple of groups, or an object of named ones.
struct Pattern {
    regex: Regex,
    kind: Type,
}

impl Pattern {
    fn new(call: &Call<'_>, argument: usize) -> Result<Self, CallError> {
        let regex = compile(call.text(argument)?).map_err(|problem| wrong(argument, problem))?;
        let groups: Vec<Option<&str>> = regex.capture_names().skip(1).collect();
        let names: Option<Vec<&str>> = groups.iter().copied().collect();
        let kind = match names {
            _ if groups.is_empty() => Type::String,
            Some(names) => {
                let types = names
                    .into_iter()
                    .map(|name| (name.to_owned(), Type::String));
                Type::Object(Rc::new(types.collect()))
            }
            None if groups.iter().all(Option::is_none) => {
                Type::Tuple(Rc::new(vec![Type::String; groups.len()]))
            }
            None => {
                return Err(wrong(
                    argument,
                    "the pattern has groups with a name and groups without one",
                ));
            }
        };
        Ok(Self { regex, kind })
    }

    /// The match, or its groups; null for a group that is not part of it.
    fn result(&self, call: &Call<'_>, captures: &Captures<'_>) -> Outcome {
        let text_of = |index: usize| match captures.get(index) {
            Some(found) => call.string(part(found.as_bytes())?),
            None => Ok(Value::Null(Type::String)),
        };
        call.reserve_values(captures.len())?;
        match self.kind {
            Type::String => text_of(0),
            Type::Object(_) => {
                let mut groups = BTreeMap::new();
                for (index, name) in self.regex.capture_names().enumerate() {
                    if let Some(name) = name {
                        groups.insert(name.to_owned(), text_of(index)?);
                    }
                }
                Ok(Value::object(groups))
            }
            _ => {
                let groups = (1..captures.len()).map(text_of);
                Ok(Value::tuple(groups.collect::<Result<_, _>>()?))
            }
        }
    }
}

/// A match begins and ends between characters; `\B` is the exception, as it can be between bytes.
fn part(bytes: &[u8]) -> Result<&str, CallError> {
    std::str::from_utf8(bytes).map_err(|_| failure("the pattern matches a part of a character"))
}

fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err("the pattern is too long".into());
    }
    let translation = syntax::translate(pattern)?;
    let mut builder = RegexBuilder::new(&translation);
    let regex = builder.size_limit(MAX_SIZE).nest_limit(100).build();
    regex.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large".into(),
        error => {
            // The last line is the problem; the lines before show the translation.
            let text = error.to_string();
            let problem = text.lines().last().unwrap_or_default();
            let problem = problem.strip_prefix("error: ").unwrap_or(problem);
            format!("`{pattern}` is not a valid pattern: {problem}")
        }
    })
}

fn replace(call: &Call<'_>) -> Outcome {
    let (text, replacement) = (call.text(0)?, call.text(2)?);
    let regex = compile(call.text(1)?).map_err(|problem| wrong(1, problem))?;
    let mut result = Vec::new();
    let mut end = 0;
    spend(call, text)?;
    for groups in matches(&regex, text) {
        let Some(found) = groups.get(0) else {
            continue;
        };
        spend(call, text.get(..64).unwrap_or(text))?;
        let before = result.len();
        result.extend_from_slice(text.as_bytes().get(end..found.start()).unwrap_or_default());
        groups.expand(replacement.as_bytes(), &mut result);
        end = found.end();
        call.reserve(result.len() - before)?;
    }
    result.extend_from_slice(text.as_bytes().get(end..).unwrap_or_default());
    call.string(part(&result)?)
}
