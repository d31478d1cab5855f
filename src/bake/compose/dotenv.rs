//! Files of variables, `.env` and `env_file`: `NAME=value` or `NAME: value` a line, with quotes, comments and variables.
//!
//! A value in quotes can have several lines. In double quotes, escapes such as `\n` are replaced, then variables; in single quotes
//! neither. A line with a name only takes the value from outside.

use std::collections::BTreeMap;

use super::template::{self, Lookup};
use crate::Error;
use crate::budget::Budget;

/// Adds the variables of a file. A variable of `outside` wins over one of the file.
pub(crate) fn parse(
    text: &str,
    file: &str,
    variables: &mut BTreeMap<String, String>,
    outside: Lookup<'_>,
    budget: &Budget,
) -> Result<(), Error> {
    let mut rest = text;
    while let Some(statement) = statement(rest) {
        budget.step()?;
        let line = || text.len() - statement.len();
        let fail = |message: String| {
            let number = text.get(..line()).unwrap_or_default().matches('\n').count() + 1;
            Error::new(format!("{file}:{number}: {message}"))
        };
        let name = name(statement).map_err(fail)?;
        if name.is_inherited {
            if let Some(value) = outside(name.text) {
                variables.insert(name.text.to_owned(), value);
            }
            rest = name.rest;
            continue;
        }
        let (value, after) = value(name.rest).map_err(fail)?;
        let value = match value {
            Value::Literal(value) => value,
            Value::Template(value) => {
                let lookup = |name: &str| outside(name).or_else(|| variables.get(name).cloned());
                template::substitute(&value, &lookup, budget)
                    .map_err(|error| fail(error.to_string()))?
            }
        };
        budget.bytes(name.text.len() + value.len())?;
        variables.insert(name.text.to_owned(), value);
        rest = after;
    }
    Ok(())
}

/// The text from the next statement on.
fn statement(text: &str) -> Option<&str> {
    let mut rest = text.trim_start();
    while rest.starts_with('#') {
        rest = rest
            .split_once('\n')
            .map_or("", |(_, rest)| rest)
            .trim_start();
    }
    (!rest.is_empty()).then_some(rest)
}

struct Name<'a> {
    text: &'a str,
    /// No value follows on the line.
    is_inherited: bool,
    rest: &'a str,
}

fn name(statement: &str) -> Result<Name<'_>, String> {
    let text = match statement.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t', '\n', '\r', '\x0c']) => {
            rest.trim_start_matches(is_blank)
        }
        _ => statement,
    };
    let is_part = |character: char| {
        is_blank(character) || "_.-[]".contains(character) || character.is_alphanumeric()
    };
    let end = text.find(|character| !is_part(character));
    let Some((end, character)) = end.and_then(|end| Some((end, text.get(end..)?.chars().next()?)))
    else {
        if text.is_empty() {
            return Err("`export` needs a name".into());
        }
        // A name at the end of the file, without a line break, is ignored.
        return Ok(Name {
            text: "",
            is_inherited: false,
            rest: text,
        });
    };
    if !matches!(character, '=' | ':' | '\n') {
        return Err(format!(
            "the character `{character}` cannot be part of a name"
        ));
    }
    let name = text.get(..end).unwrap_or_default().trim_end();
    if name.contains(' ') {
        return Err(format!("the name `{name}` has a space"));
    }
    let rest = text.get(end + 1..).unwrap_or_default();
    Ok(Name {
        text: name,
        is_inherited: character == '\n',
        rest: rest.trim_start_matches(is_blank),
    })
}

enum Value {
    Literal(String),
    /// Variables are to be replaced.
    Template(String),
}

fn value(text: &str) -> Result<(Value, &str), String> {
    let Some(quote) = text.chars().next().filter(|first| "'\"".contains(*first)) else {
        let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
        let line = line.split_once(" #").map_or(line, |(value, _)| value);
        return Ok((Value::Template(line.trim_end().to_owned()), rest));
    };
    let mut value = String::new();
    let mut is_escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        if character == quote && !is_escaped {
            let rest = text.get(index + 1..).unwrap_or_default();
            let value = if quote == '"' {
                Value::Template(unescaped(&value))
            } else {
                Value::Literal(value)
            };
            return Ok((value, rest));
        }
        if character == '\\' && !is_escaped {
            is_escaped = true;
            continue;
        }
        if is_escaped && character != quote {
            value.push('\\');
        }
        is_escaped = false;
        value.push(character);
    }
    Err(format!("the quote {quote} is not closed"))
}

/// Replaces escapes. A dollar sign stays escaped, for the template.
fn unescaped(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        output.push_str(before);
        let mut characters = after.chars();
        let replacement = match characters.next() {
            Some('a') => "\x07",
            Some('b') => "\x08",
            Some('f') => "\x0c",
            Some('n') => "\n",
            Some('r') => "\r",
            Some('t') => "\t",
            Some('v') => "\x0b",
            Some('$') => "$$",
            Some('"') => "\"",
            Some('\\') => "\\",
            Some('0') => {
                rest = octal(characters.as_str(), &mut output);
                continue;
            }
            _ => {
                output.push('\\');
                rest = after;
                continue;
            }
        };
        output.push_str(replacement);
        rest = characters.as_str();
    }
    output.push_str(rest);
    output
}

/// `\0` and three octal digits are a character; with fewer digits only the zero is dropped.
fn octal<'a>(text: &'a str, output: &mut String) -> &'a str {
    let count = text.bytes().take(3).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(count);
    match u8::from_str_radix(digits, 8) {
        Ok(code) if count == 3 => output.push(char::from(code)),
        _ => {
            output.push('\\');
            output.push_str(digits);
        }
    }
    rest
}

/// A space other than a line break.
fn is_blank(character: char) -> bool {
    matches!(
        character,
        '\t' | '\x0b' | '\x0c' | '\r' | ' ' | '\u{85}' | '\u{a0}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> Result<String, String> {
        let mut variables = BTreeMap::new();
        let outside = |name: &str| (name == "OUT").then(|| "out".to_owned());
        parse(text, ".env", &mut variables, &outside, &Budget::default())
            .map_err(|error| error.to_string())?;
        let shown: Vec<String> = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Ok(shown.join("|"))
    }

    #[test]
    fn values_are_read() {
        for (text, expected) in [
            ("A=1\nB = 2 # c\nC: 3\r\nexport D=4#5", "A=1|B=2|C=3|D=4#5"),
            (
                "# c\n\nA='x $B \\n'\nB=\"y\\n$A\" # c\n",
                "A=x $B \\n|B=y\nx $B \\n",
            ),
            ("A=\nB=2", "A=|B=2"),
            ("OUT\nU\nA=$OUT${U:-u}", "A=outu|OUT=out"),
            ("A=\"l1\nl2\"\nB=\\$A", "A=l1\nl2|B=\\l1\nl2"),
            (
                "A=\"\\$B \\\"q\\\" \\\\ \\0101 \\01\"",
                "A=$B \"q\" \\ A \\1",
            ),
            ("A=x#y z", "A=x#y z"),
            ("A=x", "A=x"),
        ] {
            assert_eq!(variables(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn bad_files_are_errors() {
        for (text, expected) in [
            (
                "A=1\nB!=2",
                ".env:2: the character `!` cannot be part of a name",
            ),
            ("A B=1", ".env:1: the name `A B` has a space"),
            ("A='x", ".env:1: the quote ' is not closed"),
            (
                "A=${",
                ".env:1: invalid variable in `${`; write `$$` for a dollar sign",
            ),
        ] {
            assert_eq!(variables(text).unwrap_err(), expected, "{text}");
        }
    }
}
