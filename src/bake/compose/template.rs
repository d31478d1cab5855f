//! Replaces `$NAME` and `${NAME}` in text, with the modifiers of compose.
//!
//! | form | value |
//! |---|---|
//! | `${A:-text}`, `${A-text}` | `text` if A is unset; with `:`, also if it is empty |
//! | `${A:+text}`, `${A+text}` | `text` if A is set; with `:`, only if it is not empty |
//! | `${A:?text}`, `${A?text}` | an error if A is unset; with `:`, also if it is empty |
//! | `$$` | `$` |
//!
//! The text of a modifier has variables of its own and ends at its brace, on the same line. A `$` before any other character is kept.

use crate::Error;
use crate::budget::Budget;

/// The value of a variable.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces the variables of a text.
pub(crate) fn substitute(text: &str, lookup: Lookup<'_>, budget: &Budget) -> Result<String, Error> {
    budget.step()?;
    let mut output = String::new();
    let mut rest = text;
    let mut line = Line::default();
    while let Some(index) = rest.find('$') {
        output.push_str(rest.get(..index).unwrap_or_default());
        let after = rest.get(index + 1..).unwrap_or_default();
        rest = if let Some(after) = after.strip_prefix('$') {
            output.push('$');
            after
        } else if let Some(inner) = after.strip_prefix('{') {
            let (value, after) = braced(text, inner, &mut line, lookup, budget)?;
            output.push_str(&value);
            after
        } else {
            let (name, after) = after.split_at(name_length(after));
            if name.is_empty() {
                output.push('$');
            } else {
                let value = lookup(name).unwrap_or_default();
                budget.bytes(value.len())?;
                output.push_str(&value);
            }
            after
        };
        budget.bytes(index + 1)?;
    }
    budget.bytes(rest.len())?;
    output.push_str(rest);
    Ok(output)
}

/// The last brace of the line, which is the same for all variables of the line.
#[derive(Default)]
struct Line {
    /// The bytes from the end of the line, and from behind the brace, to the end of the text.
    found: Option<(usize, Option<usize>)>,
}

impl Line {
    /// The length of the part of `inner` up to and with the last brace of its line.
    fn last_brace(&mut self, inner: &str) -> Option<usize> {
        let known = self.found.filter(|(end, _)| inner.len() > *end);
        let (_, behind) = known.unwrap_or_else(|| {
            let length = inner.find('\n').unwrap_or(inner.len());
            let brace = inner.get(..length).and_then(|line| line.rfind('}'));
            let found = (
                inner.len() - length,
                brace.map(|brace| inner.len() - brace - 1),
            );
            self.found = Some(found);
            found
        });
        inner.len().checked_sub(behind?)
    }
}

/// The value of a variable in braces and what follows it; `inner` starts behind the opening brace.
fn braced<'a>(
    text: &str,
    inner: &'a str,
    line: &mut Line,
    lookup: Lookup<'_>,
    budget: &Budget,
) -> Result<(String, &'a str), Error> {
    let invalid = || {
        Error::new(format!(
            "invalid variable in `{}`; write `$$` for a dollar sign",
            shortened(text)
        ))
    };
    let (name, rest) = inner.split_at(name_length(inner));
    if name.is_empty() {
        return Err(invalid());
    }
    if let Some(rest) = rest.strip_prefix('}') {
        let value = lookup(name).unwrap_or_default();
        budget.bytes(value.len())?;
        return Ok((value, rest));
    }
    let (is_strict, modifier) = rest
        .strip_prefix(':')
        .map_or((false, rest), |rest| (true, rest));
    let Some(kind) = modifier.chars().next().filter(|kind| "-+?".contains(*kind)) else {
        return Err(invalid());
    };
    let longest = line.last_brace(inner).ok_or_else(invalid)?;
    let candidate = inner.get(..longest).unwrap_or_default();
    let length = closing_brace(candidate, budget)?.unwrap_or(longest.saturating_sub(1));
    let start = inner.len() - modifier.len() + 1;
    let argument = inner.get(start..length).ok_or_else(invalid)?;
    let rest = inner.get(length + 1..).unwrap_or_default();

    let value = lookup(name);
    let is_present = value
        .as_ref()
        .is_some_and(|value| !is_strict || !value.is_empty());
    let value = match (kind, is_present) {
        ('-', false) | ('+', true) => budget.deeper(|| substitute(argument, lookup, budget))?,
        ('?', false) => {
            let reason = budget.deeper(|| substitute(argument, lookup, budget))?;
            let separator = if reason.is_empty() { "" } else { ": " };
            return Err(Error::new(format!(
                "the variable `{name}` is required{separator}{reason}"
            )));
        }
        _ => value.unwrap_or_default(),
    };
    budget.bytes(value.len())?;
    Ok((value, rest))
}

/// The brace that closes the one before `text`. The character behind an opening brace does not matter.
fn closing_brace(text: &str, budget: &Budget) -> Result<Option<usize>, Error> {
    let mut open = 1_usize;
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'}' => open -= 1,
            b'{' => {
                open += 1;
                bytes.next();
            }
            _ => {}
        }
        if open == 0 {
            budget.steps(u64::try_from(index / 64).unwrap_or(u64::MAX))?;
            return Ok(Some(index));
        }
    }
    budget.steps(u64::try_from(text.len() / 64).unwrap_or(u64::MAX))?;
    Ok(None)
}

/// The length of the name at the start of a text.
fn name_length(text: &str) -> usize {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return 0;
    }
    text.find(|character: char| !(character == '_' || character.is_ascii_alphanumeric()))
        .unwrap_or(text.len())
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        substitute(text, &lookup, &Budget::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn variables_are_replaced() {
        for (text, expected) in [
            ("$A-${A}$$A$1$", "a-a$A$1$"),
            ("${U:-x}${U-y}${EMPTY:-z}${EMPTY-w}", "xyz"),
            ("${A:+x}${A+y}${EMPTY:+z}${EMPTY+w}${U+v}", "xyw"),
            ("${A:?m}${EMPTY?m}", "a"),
            ("${U:-${A}}/${U:-b}c}", "a/bc}"),
            ("${U:-$$A}", "$A"),
            ("${U:-{\"a\": 1}}", "{\"a\": 1}"),
            ("${U:-{}}", "{}"),
            ("a\n${U:-x}\n}${A}", "a\nx\n}a"),
            ("${U}", ""),
            ("${U:-a:-b}", "a:-b"),
            ("${U-a?b}", "a?b"),
        ] {
            assert_eq!(value(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn bad_variables_are_errors() {
        for text in [
            "${",
            "${}",
            "${1}",
            "${A",
            "${A!}",
            "${A:x}",
            "${U:-x\n}",
            "${U:?}",
            "${U?m}",
            "${EMPTY:?m $A}",
            "${U:-${}}",
        ] {
            assert!(value(text).is_err(), "{text}");
        }
        assert_eq!(
            value("${U?no $A}").unwrap_err(),
            "the variable `U` is required: no a"
        );
    }

    #[test]
    fn deep_and_long_texts_are_harmless() {
        let deep = "${U:-".repeat(100_000) + &"}".repeat(100_000);
        assert!(value(&deep).is_err());
        assert_eq!(value(&"${A:-x}".repeat(100_000)).unwrap().len(), 100_000);
        assert!(value(&"${A:-{}".repeat(10_000)).is_ok());
    }
}
