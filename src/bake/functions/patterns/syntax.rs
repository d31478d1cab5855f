//! The translation of a pattern of Go (RE2) to one of the crate `regex`.
//!
//! | Go | difference |
//! |---|---|
//! | `\d \w \s \b` and their opposites | only ASCII |
//! | `[` `&&` `--` `~~` in a class | no operators |
//! | `{` without numbers | a character |
//! | `\Q…\E`, octal numbers | exist only in Go |
//! | `\<` and other escapes of punctuation | the character |
//! | flags | `i m s U` |

use std::fmt::Write as _;

const DIGITS: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = r"\t\n\f\r\x20";

/// The largest count of repetitions.
const MAX_REPETITIONS: u32 = 1000;

/// Translates a pattern. Mistakes that both syntaxes reject stay in it.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut translation = Translation {
        rest: pattern,
        output: String::new(),
    };
    let mut repeated = false;
    while let Some(character) = translation.take() {
        let repeats = match character {
            '*' | '+' | '?' => true,
            '{' => translation.counts().is_some(),
            _ => false,
        };
        if repeats && repeated {
            return Err("the pattern repeats a repetition; put the first one in a group".into());
        }
        match character {
            '\\' => translation.escape(false)?,
            '[' => translation.class()?,
            '{' => translation.repetition()?,
            '(' => translation.group()?,
            _ => translation.output.push(character),
        }
        repeated = repeats;
        if repeats && translation.skip("?") {
            translation.output.push('?');
        }
    }
    Ok(translation.output)
}

struct Translation<'a> {
    rest: &'a str,
    output: String,
}

impl<'a> Translation<'a> {
    fn take(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let character = characters.next();
        self.rest = characters.as_str();
        character
    }

    /// Removes a prefix.
    fn skip(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A character that stands for itself.
    fn literal(&mut self, character: char) {
        if character.is_alphanumeric() {
            self.output.push(character);
        } else {
            let _ = write!(self.output, r"\x{{{:X}}}", u32::from(character));
        }
    }

    /// An escape after its backslash.
    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let character = self
            .take()
            .ok_or("a backslash is at the end of the pattern")?;
        let set = match character.to_ascii_lowercase() {
            'd' => DIGITS,
            'w' => WORD,
            's' => SPACE,
            _ => "",
        };
        match character {
            'd' | 'w' | 's' | 'D' | 'W' | 'S' => {
                let not = if character.is_ascii_uppercase() {
                    "^"
                } else {
                    ""
                };
                let _ = write!(self.output, "[{not}{set}]");
            }
            'b' | 'B' if !in_class => {
                let _ = write!(self.output, r"(?-u:\{character})");
            }
            'Q' if !in_class => self.quote(),
            'p' | 'P' => self.property(character),
            'x' if self.rest.starts_with('{') => {
                // A number in braces is not a repetition.
                let end = self.rest.find('}').map_or(self.rest.len(), |end| end + 1);
                let (number, rest) = self.rest.split_at(end);
                self.output.push_str(r"\x");
                self.output.push_str(number);
                self.rest = rest;
            }
            '0'..='7' => self.octal(character)?,
            'x' | 'a' | 'f' | 't' | 'n' | 'r' | 'v' => {
                self.output.push('\\');
                self.output.push(character);
            }
            'A' | 'z' if !in_class => {
                self.output.push('\\');
                self.output.push(character);
            }
            _ if character.is_ascii() && !character.is_ascii_alphanumeric() => {
                self.literal(character);
            }
            _ => return Err(format!(r"the pattern has an unknown escape `\{character}`")),
        }
        Ok(())
    }

    /// Text up to `\E`.
    fn quote(&mut self) {
        let (text, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
        self.rest = rest;
        for character in text.chars() {
            self.literal(character);
        }
    }

    /// `\pL` or `\p{Greek}`, and `\p{^Greek}`, which is the opposite.
    fn property(&mut self, letter: char) {
        let opposite = if letter == 'p' { 'P' } else { 'p' };
        let negated = self.rest.starts_with("{^");
        let letter = if negated { opposite } else { letter };
        self.output.push('\\');
        self.output.push(letter);
        if self.rest.starts_with('{') {
            let end = self.rest.find('}').map_or(self.rest.len(), |end| end + 1);
            let (name, rest) = self.rest.split_at(end);
            self.output.push_str(&name.replacen('^', "", 1));
            self.rest = rest;
        }
    }

    /// A number of up to three digits. A digit alone would refer to a group, which Go does not have.
    fn octal(&mut self, first: char) -> Result<(), String> {
        let is_octal = |character: char| ('0'..='7').contains(&character);
        if first != '0' && !self.rest.starts_with(is_octal) {
            return Err(format!(
                r"the pattern refers to a group by `\{first}`, which is not supported"
            ));
        }
        let mut number = first.to_digit(8).unwrap_or_default();
        for _ in 0..2 {
            let Some(digit) = self.rest.chars().next().filter(|digit| is_octal(*digit)) else {
                break;
            };
            number = number * 8 + digit.to_digit(8).unwrap_or_default();
            self.take();
        }
        let _ = write!(self.output, r"\x{{{number:X}}}");
        Ok(())
    }

    /// A class after its opening bracket.
    fn class(&mut self) -> Result<(), String> {
        self.output.push('[');
        if self.skip("^") {
            self.output.push('^');
        }
        let mut first = true;
        loop {
            let unclosed = "a class `[` in the pattern has no `]`";
            let character = self.take().ok_or(unclosed)?;
            match character {
                ']' if !first => break,
                '\\' => {
                    let is_set = self.rest.starts_with(|letter| "dwsDWSpP".contains(letter));
                    self.escape(true)?;
                    if !is_set {
                        self.range()?;
                    }
                }
                '[' if self.rest.starts_with(':') && self.rest.contains(":]") => {
                    let end = self.rest.find(":]").map_or(0, |end| end + 2);
                    let (name, rest) = self.rest.split_at(end);
                    self.output.push('[');
                    self.output.push_str(name);
                    self.rest = rest;
                }
                _ => {
                    self.literal(character);
                    self.range()?;
                }
            }
            first = false;
        }
        self.output.push(']');
        Ok(())
    }

    /// The sign of a range and its end, after its start. Everywhere else, the sign is a character.
    fn range(&mut self) -> Result<(), String> {
        let after = self.rest.strip_prefix('-').unwrap_or_default();
        if after.is_empty() || after.starts_with(']') {
            return Ok(());
        }
        self.rest = after;
        self.output.push('-');
        match self.take() {
            Some('\\') => self.escape(true),
            Some(character) => {
                self.literal(character);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The counts of a repetition such as `2}`, `2,}` or `2,3}` and what follows it.
    fn counts(&self) -> Option<(&'a str, &'a str)> {
        let (counts, rest) = self.rest.split_once('}')?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let (least, most) = counts.split_once(',').unwrap_or((counts, ""));
        (!least.is_empty() && is_number(least) && is_number(most)).then_some((counts, rest))
    }

    /// A repetition after its brace, or the brace as a character.
    fn repetition(&mut self) -> Result<(), String> {
        let Some((counts, rest)) = self.counts() else {
            self.literal('{');
            return Ok(());
        };
        for count in counts.split(',').filter(|count| !count.is_empty()) {
            let count: Option<u32> = count.parse().ok();
            if count.is_none_or(|count| count > MAX_REPETITIONS) {
                return Err(format!(
                    "the pattern repeats more than {MAX_REPETITIONS} times"
                ));
            }
        }
        self.rest = rest;
        let _ = write!(self.output, "{{{counts}}}");
        Ok(())
    }

    /// The name or the flags after `(`.
    fn group(&mut self) -> Result<(), String> {
        self.output.push('(');
        if !self.skip("?") {
            return Ok(());
        }
        self.output.push('?');
        if self.rest.starts_with(['P', '<']) {
            // The angle brackets of a name are not escapes; the name stays as it is.
            return Ok(());
        }
        let end = self.rest.find([':', ')']).unwrap_or(self.rest.len());
        let (flags, rest) = self.rest.split_at(end);
        if let Some(flag) = flags.chars().find(|flag| !"imsU-".contains(*flag)) {
            return Err(format!("the pattern has an unknown flag `{flag}`"));
        }
        self.output.push_str(flags);
        self.rest = rest;
        Ok(())
    }
}
