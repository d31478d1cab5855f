//! The syntax of a verb: `%`, flags, a width, a precision, the number of an argument, a letter.

use super::MAX_WIDTH;

/// A verb.
pub(super) struct Verb<'a> {
    pub(super) letter: char,
    /// The number of the argument, from 1, as `%[1]d` has it.
    pub(super) argument: Option<usize>,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    flags: &'a str,
}

impl Verb<'_> {
    /// Whether the verb has a flag: `0`, `#`, `-`, `+` or a space.
    pub(super) fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }
}

/// Reads a verb after its `%`, and returns what follows it.
pub(super) fn next_verb(text: &str) -> Result<(Verb<'_>, &str), String> {
    let after_flags = text.trim_start_matches(['0', '#', '-', '+', ' ']);
    let flags = text.strip_suffix(after_flags).unwrap_or_default();
    let (width, mut rest) = count(after_flags)?;
    let mut precision = None;
    if let Some(after) = rest.strip_prefix('.') {
        let (digits, after) = count(after)?;
        precision = Some(digits.unwrap_or(0));
        rest = after;
    }
    let mut argument = None;
    if let Some(after) = rest.strip_prefix('[') {
        let (number, after) = count(after)?;
        let number = number.filter(|number| *number > 0);
        let after = after.strip_prefix(']').filter(|_| number.is_some());
        rest = after.ok_or("a number in `[]` of the format is not valid")?;
        argument = number;
    }
    let mut characters = rest.chars();
    let letter = characters.next().ok_or("the format ends in a verb")?;
    if !letter.is_ascii_alphabetic() {
        return Err(format!(
            "the format has `{letter}` where the letter of a verb is expected; write `%%` for a percent sign"
        ));
    }
    let verb = Verb {
        letter,
        argument,
        width,
        precision,
        flags,
    };
    Ok((verb, characters.as_str()))
}

fn count(text: &str) -> Result<(Option<usize>, &str), String> {
    let rest = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let digits = text.strip_suffix(rest).unwrap_or_default();
    if digits.is_empty() {
        return Ok((None, rest));
    }
    let number = digits.parse().ok().filter(|number| *number <= MAX_WIDTH);
    let number = number.ok_or_else(|| format!("{digits} in the format is too large"))?;
    Ok((Some(number), rest))
}
