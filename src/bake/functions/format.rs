//! `format` and `formatlist`, with verbs as those of `printf`.

mod number;
mod verb;

use unicode_segmentation::UnicodeSegmentation as _;

use super::call::{Call, Outcome, Parameter, Standard, failure, sequence, wrong};
use crate::hcl::scope::CallError;
use crate::value::{Type, Value};
use verb::{Verb, next_verb};

const TEXT: &[Parameter] = &[Parameter::STRING];

/// The most characters of a width or a precision.
const MAX_WIDTH: usize = 1_000_000;

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new("format", TEXT, |call| {
        let arguments: Vec<&Value> = call.rest(1).iter().collect();
        let text = format(call, call.text(0)?, &arguments)?;
        Ok(Value::string(text))
    })
    .rest(Parameter::NULLABLE),
    Standard::new("formatlist", TEXT, format_list).rest(Parameter::NULLABLE),
];

/// Formats once for each element of the lists, which all have one length; other arguments are the same each time.
fn format_list(call: &Call<'_>) -> Outcome {
    let mut length = None;
    for (index, argument) in call.rest(1).iter().enumerate() {
        let Some(values) = sequence(argument) else {
            continue;
        };
        if length.is_some_and(|length| length != values.len()) {
            return Err(wrong(
                index + 1,
                format!(
                    "the list has {} elements, but one before has {}",
                    values.len(),
                    length.unwrap_or_default()
                ),
            ));
        }
        length = Some(values.len());
    }
    let mut texts = Vec::new();
    for index in 0..length.unwrap_or(1) {
        call.reserve_values(1)?;
        let arguments = call.rest(1).iter();
        let arguments: Option<Vec<&Value>> = arguments
            .map(|argument| match sequence(argument) {
                Some(values) => values.get(index),
                None => Some(argument),
            })
            .collect();
        let text = format(call, call.text(0)?, &arguments.unwrap_or_default())?;
        texts.push(Value::string(text));
    }
    Ok(Value::list(Type::String, texts))
}

fn format(call: &Call<'_>, format: &str, arguments: &[&Value]) -> Result<String, CallError> {
    let mut text = String::new();
    let mut rest = format;
    let mut next = 1;
    let mut highest = 0;
    while let Some((literal, after)) = rest.split_once('%') {
        text.push_str(literal);
        if let Some(after) = after.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        let (verb, after) = next_verb(after).map_err(|problem| wrong(0, problem))?;
        let position = verb.argument.unwrap_or(next);
        highest = highest.max(position);
        next = position + 1;
        let argument = arguments.get(position - 1);
        let argument = argument.ok_or_else(|| {
            failure(format!(
                "the verb %{} needs argument {position} of {}",
                verb.letter,
                arguments.len()
            ))
        })?;
        call.reserve(
            verb.width
                .unwrap_or(0)
                .saturating_add(verb.precision.unwrap_or(0)),
        )?;
        let formatted = formatted(&verb, argument);
        let formatted =
            formatted.map_err(|problem| wrong(position, format!("%{}: {problem}", verb.letter)))?;
        call.reserve(formatted.len())?;
        text.push_str(&formatted);
        rest = after;
    }
    text.push_str(rest);
    call.reserve(text.len())?;
    if highest < arguments.len() {
        return Err(wrong(
            highest + 1,
            format!(
                "the format uses {highest} arguments, but has {}",
                arguments.len()
            ),
        ));
    }
    Ok(text)
}

fn formatted(verb: &Verb<'_>, argument: &Value) -> Result<String, String> {
    if verb.letter != 'v' && argument.is_null() {
        return Err("null cannot be formatted".into());
    }
    let converted = |kind: &Type| {
        let value = argument.convert(kind);
        value.map_err(|error| error.message().to_owned())
    };
    match verb.letter {
        'v' => match argument {
            Value::String(text) if !verb.has('#') => Ok(pad(verb, text)),
            Value::Number(number) if !verb.has('#') => Ok(pad(verb, &number::shortest(number))),
            other => {
                let json = other.to_json();
                Ok(pad(
                    verb,
                    &json.map_err(|error| error.message().to_owned())?,
                ))
            }
        },
        't' => match converted(&Type::Bool)? {
            Value::Bool(value) => Ok(value.to_string()),
            _ => Err("a bool is required".into()),
        },
        'b' | 'd' | 'o' | 'x' | 'X' | 'e' | 'E' | 'f' | 'g' | 'G' => {
            match converted(&Type::Number)? {
                Value::Number(number) => number::formatted(verb, &number),
                _ => Err("a number is required".into()),
            }
        }
        's' | 'q' => {
            let value = converted(&Type::String)?;
            let text = value.as_str().unwrap_or_default();
            let text: String = match verb.precision {
                Some(precision) if precision > 0 => text.graphemes(true).take(precision).collect(),
                _ => text.to_owned(),
            };
            if verb.letter == 's' {
                return Ok(pad(verb, &text));
            }
            let json = Value::string(text).to_json();
            Ok(pad(
                verb,
                &json.map_err(|error| error.message().to_owned())?,
            ))
        }
        letter => Err(format!("the verb `{letter}` does not exist")),
    }
}

/// Fills up to the width, which counts what a reader sees as a character.
fn pad(verb: &Verb<'_>, text: &str) -> String {
    let width = verb.width.unwrap_or(0);
    let missing = width.saturating_sub(text.graphemes(true).count());
    let padding = if verb.has('0') { "0" } else { " " }.repeat(missing);
    if verb.has('-') {
        format!("{text}{padding}")
    } else {
        format!("{padding}{text}")
    }
}
