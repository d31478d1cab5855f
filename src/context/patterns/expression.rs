//! From a glob to something that can be run.
//!
//! Builders rewrite each pattern, character by character, into the text of a regular expression and
//! leave the rest to their expression library. Where the rewriting is careless the outcome is
//! visible: `[a*]` ends up as the class `[a[^/]` repeated and a `]`, `\d` is a digit, a `^` inside never
//! matches. A context must hold the same files whoever sends it, so we do the same: write
//! that text ([`Compiled::new`]), then read back the few constructs that can occur in it.
//! Not understood are only Unicode groups (`\p{Greek}`), which say so.

use super::classes::{self, Characters};
use super::machine::{Machine, Place, Step};

/// How a pattern is compared with a path.
#[derive(Debug)]
pub(super) enum Compiled {
    /// The path is the pattern.
    Exact,
    /// The path starts with this: `foo/**`.
    Prefix(Vec<u8>),
    /// The path ends with this, or is this without its leading slash: `**/foo`.
    Suffix(Vec<u8>),
    /// Anything else.
    Machine(Machine),
}

/// What [`Compiled::new`] knows so far of the kind of the pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Machine,
}

/// `.*/` as a whole that may be absent: what `**` in front of something becomes.
const ANY_DIRECTORIES: &str = "(.*/)?";

impl Compiled {
    /// Compiles a cleaned, well-formed pattern; the error tells what is wrong with it.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let (kind, expression) = rewrite(pattern);
        Ok(match kind {
            Kind::Exact => Self::Exact,
            Kind::Prefix => Self::Prefix(pattern.strip_suffix("**").unwrap_or(pattern).into()),
            // Two bytes, whatever they are: behind a byte order mark they are not the stars.
            Kind::Suffix => Self::Suffix(pattern.bytes().skip(2).collect()),
            Kind::Machine => Self::Machine(Machine::new(read(&expression)?)),
        })
    }
}

/// Turns the glob into an expression and finds out whether one is needed at all.
fn rewrite(pattern: &str) -> (Kind, String) {
    let mut kind = Kind::Exact;
    let mut expression = String::from("^");
    // A leading byte order mark is lost on the way; only an exact comparison still has it.
    let mut rest = pattern
        .strip_prefix('\u{feff}')
        .unwrap_or(pattern)
        .chars()
        .peekable();
    let mut is_first = true;
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.next_if_eq(&'*').is_some() => {
                let _with_its_slash = rest.next_if_eq(&'/');
                if rest.peek().is_some() {
                    expression.push_str(ANY_DIRECTORIES);
                    kind = Kind::Machine;
                } else if kind == Kind::Exact {
                    kind = Kind::Prefix;
                } else {
                    expression.push_str(".*");
                    kind = Kind::Machine;
                }
                if is_first {
                    kind = Kind::Suffix;
                }
            }
            '*' => {
                expression.push_str("[^/]*");
                kind = Kind::Machine;
            }
            '?' => {
                expression.push_str("[^/]");
                kind = Kind::Machine;
            }
            '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => expression.extend(['\\', character]),
            '\\' => {
                expression.push('\\');
                if let Some(escaped) = rest.next() {
                    expression.push(escaped);
                    kind = Kind::Machine;
                }
            }
            '[' | ']' => {
                expression.push(character);
                kind = Kind::Machine;
            }
            _ => expression.push(character),
        }
        is_first = false;
    }
    expression.push('$');
    (kind, expression)
}

/// Reads the expression's text into steps.
fn read(expression: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut reader = Reader { rest: expression };
    while let Some(character) = reader.next() {
        match character {
            '^' => steps.push(Step::At(Place::Start)),
            '$' => steps.push(Step::At(Place::End)),
            '.' => steps.push(Step::One(Characters::AnyInLine)),
            '[' => steps.push(Step::One(reader.class()?)),
            '*' => match steps.pop() {
                Some(Step::One(characters)) => steps.push(Step::Many(characters)),
                _ => return Err(String::from("a `*` has nothing to repeat")),
            },
            '(' if reader.skip(ANY_DIRECTORIES.trim_start_matches('(')) => steps.extend([
                Step::MaybeOver,
                Step::Many(Characters::AnyInLine),
                Step::One(Characters::One('/'.into())),
            ]),
            '\\' => reader.escape(&mut steps)?,
            literal => steps.push(Step::One(Characters::One(literal.into()))),
        }
    }
    Ok(steps)
}

struct Reader<'text> {
    rest: &'text str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let character = characters.next();
        self.rest = characters.as_str();
        character
    }

    fn skip(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Reads what follows a backslash outside of a class.
    fn escape(&mut self, steps: &mut Vec<Step>) -> Result<(), String> {
        let place = match self.rest.chars().next() {
            Some('A') => Some(Place::Start),
            Some('z') => Some(Place::End),
            Some('b') => Some(Place::WordEdge),
            Some('B') => Some(Place::NotWordEdge),
            _ => None,
        };
        if let Some(place) = place {
            self.next();
            steps.push(Step::At(place));
        } else if self.skip("Q") {
            let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
            self.rest = rest;
            steps.extend(
                quoted
                    .chars()
                    .map(|quoted| Step::One(Characters::One(quoted.into()))),
            );
        } else if let Some((set, opposite)) = self.shorthand() {
            let mut ranges = Vec::new();
            classes::add(&mut ranges, set, opposite);
            steps.push(Step::One(Characters::Class {
                negated: false,
                ranges,
            }));
        } else {
            steps.push(Step::One(Characters::One(self.escaped_character()?)));
        }
        Ok(())
    }

    fn shorthand(&mut self) -> Option<(&'static [(u32, u32)], bool)> {
        let found = self.rest.chars().next().and_then(classes::shorthand)?;
        self.next();
        Some(found)
    }

    /// Reads a class up to its `]`; the `[` has been read.
    fn class(&mut self) -> Result<Characters, String> {
        let negated = self.skip("^");
        let mut ranges = Vec::new();
        let mut empty = true;
        while empty || !self.skip("]") {
            empty = false;
            if let Some(rest) = self.rest.strip_prefix("[:")
                && let Some((name, rest)) = rest.split_once(":]")
            {
                let (name, opposite) = name
                    .strip_prefix('^')
                    .map_or((name, false), |name| (name, true));
                let set = classes::named(name)
                    .ok_or_else(|| format!("`[:{name}:]` is no known class"))?;
                classes::add(&mut ranges, set, opposite);
                self.rest = rest;
                continue;
            }
            if let Some(rest) = self.rest.strip_prefix('\\')
                && let Some((set, opposite)) = rest.chars().next().and_then(classes::shorthand)
            {
                classes::add(&mut ranges, set, opposite);
                self.rest = rest.split_at(1).1;
                continue;
            }
            let low = self.class_character()?;
            let mut high = low;
            // A `-` right before the `]` is itself.
            if self.rest.starts_with('-') && self.rest.len() > 1 && !self.rest.starts_with("-]") {
                self.next();
                high = self.class_character()?;
            }
            if high < low {
                return Err(String::from("a range in `[...]` runs backwards"));
            }
            ranges.push((low, high));
        }
        Ok(Characters::Class { negated, ranges })
    }

    fn class_character(&mut self) -> Result<u32, String> {
        match self.next() {
            None => Err(String::from("a `[` is never closed")),
            Some('\\') => self.escaped_character(),
            Some(character) => Ok(character.into()),
        }
    }

    /// Reads one character behind a backslash: itself if it is ASCII punctuation, else a C-like escape.
    fn escaped_character(&mut self) -> Result<u32, String> {
        let Some(character) = self.next() else {
            return Err(String::from("nothing follows the `\\`"));
        };
        let unknown = || Err(format!("`\\{character}` stands for nothing"));
        let control = match character {
            'a' => 0x07,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            'x' => return self.hexadecimal().map_or_else(unknown, Ok),
            'p' | 'P' => {
                return Err(format!(
                    "`\\{character}`, a Unicode group, is not supported"
                ));
            }
            '0'..='7' => return self.octal(character).map_or_else(unknown, Ok),
            _ if character.is_ascii() && !character.is_ascii_alphanumeric() => character.into(),
            _ => return unknown(),
        };
        Ok(control)
    }

    /// Up to three octal digits; a single one other than 0 would refer back, which does not exist here.
    fn octal(&mut self, first: char) -> Option<u32> {
        let mut value = first.to_digit(8)?;
        let mut digits = 1;
        while digits < 3
            && let Some(digit) = self.rest.chars().next().and_then(|digit| digit.to_digit(8))
        {
            self.next();
            value = value * 8 + digit;
            digits += 1;
        }
        (digits > 1 || first == '0').then_some(value)
    }

    /// Two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        if !self.skip("{") {
            return Some(self.next()?.to_digit(16)? * 16 + self.next()?.to_digit(16)?);
        }
        let (digits, rest) = self.rest.split_once('}')?;
        self.rest = rest;
        let value = digits.chars().try_fold(0_u32, |value, digit| {
            let value = value.checked_mul(16)?.checked_add(digit.to_digit(16)?)?;
            (value <= char::MAX.into()).then_some(value)
        });
        value.filter(|_| !digits.is_empty())
    }
}
