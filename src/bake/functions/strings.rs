//! Strings: case, parts, padding, trimming, splitting and joining, paths.
//!
//! Lengths and offsets count what a reader sees as a character (a grapheme cluster).

use std::rc::Rc;

use unicode_segmentation::UnicodeSegmentation as _;

use super::call::{Call, Outcome, Parameter, Standard, failure, wrong};
use crate::value::Value;

const TEXT: Parameter = Parameter::STRING;
const ONE: &[Parameter] = &[TEXT];
const TWO: &[Parameter] = &[TEXT, TEXT];

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new("basename", ONE, |call| call.string(base(call.text(0)?))),
    Standard::new("byteslen", &[Parameter::BYTES], no_bytes),
    Standard::new(
        "bytesslice",
        &[Parameter::BYTES, Parameter::NUMBER, Parameter::NUMBER],
        no_bytes,
    ),
    Standard::new("chomp", ONE, |call| {
        call.string(call.text(0)?.trim_end_matches(['\r', '\n']))
    }),
    Standard::new("dirname", ONE, |call| {
        let path = call.text(0)?;
        let end = path.rfind('/').map_or(0, |index| index + 1);
        call.string(clean(path.get(..end).unwrap_or_default()))
    }),
    Standard::new("indent", &[Parameter::NUMBER, TEXT], indent),
    Standard::new("join", ONE, join).rest(Parameter::STRINGS),
    Standard::new("lower", ONE, |call| {
        let characters = call.text(0)?.chars();
        call.string(characters.map(lower).collect::<String>())
    }),
    Standard::new("replace", &[TEXT, TEXT, TEXT], replace),
    Standard::new("reverse", ONE, |call| {
        let characters = call.text(0)?.graphemes(true);
        call.string(characters.rev().collect::<String>())
    }),
    Standard::new("sanitize", ONE, |call| {
        let valid =
            |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
        let name = call.text(0)?.replace(|character| !valid(character), "_");
        call.string(name)
    }),
    Standard::new("sort", &[Parameter::STRINGS], sort),
    Standard::new("split", TWO, split),
    Standard::new("strlen", ONE, |call| {
        let length = call.text(0)?.graphemes(true).count();
        Ok(Value::integer(i64::try_from(length).unwrap_or(i64::MAX)))
    }),
    Standard::new(
        "substr",
        &[TEXT, Parameter::NUMBER, Parameter::NUMBER],
        substr,
    ),
    Standard::new("title", ONE, title),
    Standard::new("trim", TWO, |call| {
        let removed: Vec<char> = call.text(1)?.chars().collect();
        call.string(call.text(0)?.trim_matches(removed.as_slice()))
    }),
    Standard::new("trimprefix", TWO, |call| {
        let text = call.text(0)?;
        call.string(text.strip_prefix(call.text(1)?).unwrap_or(text))
    }),
    Standard::new("trimspace", ONE, |call| call.string(call.text(0)?.trim())),
    Standard::new("trimsuffix", TWO, |call| {
        let text = call.text(0)?;
        call.string(text.strip_suffix(call.text(1)?).unwrap_or(text))
    }),
    Standard::new("upper", ONE, |call| {
        let characters = call.text(0)?.chars();
        call.string(characters.map(upper).collect::<String>())
    }),
];

/// The parameter has rejected every value before.
fn no_bytes(_: &Call<'_>) -> Outcome {
    Err(failure("bytes are required"))
}

/// The upper case of a character if that is one character, as Go maps characters.
fn upper(character: char) -> char {
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) => upper,
        _ => character,
    }
}

fn lower(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

/// The last element of a path.
fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        _ if path.is_empty() => ".",
        None | Some("") => "/",
        Some(name) => name,
    }
}

/// The shortest form of a path: without `.`, `..` after a name, and duplicate slashes.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => {
                names.pop();
            }
            ".." if rooted => {}
            _ => names.push(name),
        }
    }
    match (rooted, names.is_empty()) {
        (true, _) => format!("/{}", names.join("/")),
        (false, true) => ".".into(),
        (false, false) => names.join("/"),
    }
}

fn indent(call: &Call<'_>) -> Outcome {
    let spaces = usize::try_from(call.integer(0)?);
    let spaces = spaces.map_err(|_| wrong(0, "the number of spaces must not be negative"))?;
    let text = call.text(1)?;
    let lines = text.matches('\n').count();
    call.reserve(text.len().saturating_add(lines.saturating_mul(spaces)))?;
    let line = if lines > 0 {
        " ".repeat(spaces)
    } else {
        String::new()
    };
    Ok(Value::string(text.replace('\n', &format!("\n{line}"))))
}

fn replace(call: &Call<'_>) -> Outcome {
    let (text, old, new) = (call.text(0)?, call.text(1)?, call.text(2)?);
    let growth = text.matches(old).count().saturating_mul(new.len());
    call.reserve(text.len().saturating_add(growth))?;
    Ok(Value::string(text.replace(old, new)))
}

fn join(call: &Call<'_>) -> Outcome {
    let separator = call.text(0)?;
    if call.rest(1).is_empty() {
        return Err(failure("at least one list is required"));
    }
    let mut texts = Vec::new();
    for argument in 1..call.arguments.len() {
        for element in call.elements(argument)?.iter() {
            let text = element.as_str();
            let text = text.ok_or_else(|| wrong(argument, "an element of the list is null"))?;
            call.reserve(text.len().saturating_add(separator.len()))?;
            texts.push(text);
        }
    }
    Ok(Value::string(texts.join(separator)))
}

fn sort(call: &Call<'_>) -> Outcome {
    let mut texts: Vec<Rc<str>> = Vec::new();
    for element in call.elements(0)?.iter() {
        match element {
            Value::String(text) => texts.push(Rc::clone(text)),
            _ => return Err(wrong(0, "an element of the list is null")),
        }
    }
    texts.sort();
    call.strings(texts)
}

fn split(call: &Call<'_>) -> Outcome {
    let (separator, text) = (call.text(0)?, call.text(1)?);
    if separator.is_empty() {
        return call.strings(text.chars().map(String::from));
    }
    call.strings(text.split(separator))
}

/// A negative offset counts from the end, a negative length is the rest.
fn substr(call: &Call<'_>) -> Outcome {
    let (text, offset, length) = (call.text(0)?, call.integer(1)?, call.integer(2)?);
    let mut start = offset;
    if offset < 0 {
        let count = text.graphemes(true).count();
        start = offset.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
    } else if length == 0 {
        return call.string("");
    }
    // An offset before the start is the start.
    let start = usize::try_from(start).unwrap_or(0);
    // After a negative offset, the CLI takes the length 0 for the rest.
    let length = usize::try_from(length).ok().filter(|length| *length > 0);
    let rest = text.graphemes(true).skip(start);
    call.string(rest.take(length.unwrap_or(usize::MAX)).collect::<String>())
}

/// Upper case for each character after one that is not part of a word.
fn title(call: &Call<'_>) -> Outcome {
    let in_word = |character: char| match character {
        '_' => true,
        _ if character.is_ascii() => character.is_ascii_alphanumeric(),
        _ => !character.is_whitespace(),
    };
    let mut before = ' ';
    let title = call.text(0)?.chars().map(|character| {
        let start = !in_word(before);
        before = character;
        if start { upper(character) } else { character }
    });
    call.string(title.collect::<String>())
}
