//! `regex`, `regexall` and `regex_replace`. Patterns have Go's syntax and meaning; `syntax` translates them to those of the crate `regex`.

mod syntax;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::call::{Call, Outcome, Parameter, Standard, failure, quote, wrong};
use crate::hcl::scope::CallError;
use crate::ordered::IntoOrdered;
use crate::value::{Type, Value};

const TEXT: Parameter = Parameter::STRING;

/// Limits of the memory of a compiled pattern, in bytes, with the weight of a search.
const SIZES: [(usize, usize); 4] = [(1 << 14, 1), (1 << 17, 8), (1 << 20, 64), (1 << 22, 256)];

/// The most characters of a pattern.
const MAX_PATTERN: usize = 20_000;

/// A search that fails reads the rest of the text. Few do, so each of many takes only this part of the steps.
const REST_PART: usize = 4;

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new("regex", &[TEXT, TEXT], |call| {
        let pattern = Pattern::new(call, 0)?;
        let mut result = None;
        pattern.compiled.search(call, call.text(1)?, |captures| {
            result = Some(pattern.result(call, captures)?);
            Ok(ControlFlow::Break(()))
        })?;
        result.ok_or_else(|| failure("the pattern does not match any part of the string"))
    }),
    Standard::new("regex_replace", &[TEXT, TEXT, TEXT], replace),
    Standard::new("regexall", &[TEXT, TEXT], |call| {
        let pattern = Pattern::new(call, 0)?;
        let mut results = Vec::new();
        pattern.compiled.search(call, call.text(1)?, |captures| {
            call.reserve_values(1)?;
            results.push(pattern.result(call, captures)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Value::list(pattern.kind, results))
    }),
];

/// A pattern, and how much longer than that of a small pattern a search takes.
struct Compiled {
    regex: Regex,
    weight: usize,
}

impl Compiled {
    fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > MAX_PATTERN {
            return Err("the pattern is too long".into());
        }
        let translation = syntax::translate(pattern)?;
        for (size, weight) in SIZES {
            let mut builder = RegexBuilder::new(&translation);
            match builder.size_limit(size).nest_limit(100).build() {
                Ok(regex) => return Ok(Self { regex, weight }),
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(error) => {
                    // The last line is the problem; the lines before show the translation.
                    let text = error.to_string();
                    let problem = text.lines().last().unwrap_or_default();
                    let problem = problem.strip_prefix("error: ").unwrap_or(problem);
                    let pattern = quote(pattern);
                    return Err(format!("{pattern} is not a valid pattern: {problem}"));
                }
            }
        }
        Err("the pattern is too large".into())
    }

    /// Visits the matches that do not overlap. An empty match inside of a character is none.
    fn search(
        &self,
        call: &Call<'_>,
        text: &str,
        mut visit: impl FnMut(&Captures<'_>) -> Result<ControlFlow<()>, CallError>,
    ) -> Result<(), CallError> {
        call.spend([text.len() + 1, self.weight])?;
        for captures in self.regex.captures_iter(text.as_bytes()) {
            let Some(found) = captures.get(0) else {
                continue;
            };
            let rest = text.len().saturating_sub(found.end());
            call.spend([rest / REST_PART + 1, self.weight])?;
            if found.is_empty() && !text.is_char_boundary(found.start()) {
                continue;
            }
            if visit(&captures)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A pattern with the type of its result: a string without groups, a tuple of groups, or an object of named ones.
struct Pattern {
    compiled: Compiled,
    kind: Type,
}

impl Pattern {
    fn new(call: &Call<'_>, argument: usize) -> Result<Self, CallError> {
        let compiled = Compiled::new(call.text(argument)?);
        let compiled = compiled.map_err(|problem| wrong(argument, problem))?;
        let groups: Vec<Option<&str>> = compiled.regex.capture_names().skip(1).collect();
        let names: Option<Vec<&str>> = groups.iter().copied().collect();
        let kind = match names {
            _ if groups.is_empty() => Type::String,
            Some(names) => {
                let types = names
                    .into_iter()
                    .map(|name| (name.to_owned(), Type::String));
                Type::Object(Rc::new(types.into_ordered()))
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
        Ok(Self { compiled, kind })
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
                for (index, name) in self.compiled.regex.capture_names().enumerate() {
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

fn replace(call: &Call<'_>) -> Outcome {
    let (text, replacement) = (call.text(0)?, call.text(2)?);
    let compiled = Compiled::new(call.text(1)?).map_err(|problem| wrong(1, problem))?;
    let mut result = Vec::new();
    let mut end = 0;
    compiled.search(call, text, |captures| {
        let before = result.len();
        if let Some(found) = captures.get(0) {
            let kept = text.as_bytes().get(end..found.start());
            result.extend_from_slice(kept.unwrap_or_default());
            end = found.end();
        }
        captures.expand(replacement.as_bytes(), &mut result);
        call.reserve(result.len() - before)?;
        Ok(ControlFlow::Continue(()))
    })?;
    result.extend_from_slice(text.as_bytes().get(end..).unwrap_or_default());
    call.string(part(&result)?)
}
