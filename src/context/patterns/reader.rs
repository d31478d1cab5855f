//! Parses the regular expression that a glob was rewritten into.
//!
//! Supports only what the rewriting can produce: no groups except `(.*/)?`, no lazy repeats, `*` only
//! after a single character or class. The rest is as in Go's `regexp`. Unicode groups (`\p{Greek}`) and
//! repeated repeats through `\Q\E` are not supported, and are reported as errors.

use super::classes::{self, Characters};
use super::machine::{Place, Step};

/// An optional `.*/`: the translation of a `**` before other text.
pub(super) const ANY_DIRECTORIES: &str = "(.*/)?";

/// The limit for a repeat count.
const MAX_REPEAT: usize = 1000;

/// The alternatives as rows of steps, with at most `limit` steps in total plus those of one repeat.
pub(super) fn read(expression: &str, limit: usize) -> Result<Vec<Vec<Step>>, String> {
    let mut reader = Reader {
        rest: expression,
        limit,
        finished: 0,
        rows: Vec::new(),
        row: Vec::new(),
        last: None,
        is_repeated: false,
    };
    reader.read()?;
    reader.rows.push(reader.row);
    Ok(reader.rows)
}

struct Reader<'text> {
    rest: &'text str,
    limit: usize,
    /// The steps of the finished alternatives.
    finished: usize,
    /// Finished alternatives.
    rows: Vec<Vec<Step>>,
    row: Vec<Step>,
    /// The start of the item in the row that a repeat would apply to.
    last: Option<Last>,
    /// Whether the last item was a repeat.
    is_repeated: bool,
}

#[derive(Clone, Copy)]
struct Last {
    start: usize,
    /// The result of a `{...}`, not written out in the pattern.
    is_compound: bool,
}

fn literal(character: u32) -> Step {
    Step::One(Characters::One(character))
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), String> {
        while let Some(character) = self.next() {
            let was_repeated = std::mem::take(&mut self.is_repeated);
            match character {
                '^' => self.push([Step::At(Place::Start)]),
                '$' => self.push([Step::At(Place::End)]),
                '.' => self.push([Step::One(Characters::AnyInLine)]),
                '[' => {
                    let class = self.class()?;
                    self.push([Step::One(class)]);
                }
                '|' => {
                    self.finished += self.row.len();
                    self.rows.push(std::mem::take(&mut self.row));
                    self.last = None;
                }
                '*' => {
                    let Some(Step::One(characters)) = self.row.pop() else {
                        return Err(String::from("a `*` has nothing to repeat"));
                    };
                    self.push([Step::Many(characters)]);
                    self.is_repeated = true;
                }
                '(' if self.skip(ANY_DIRECTORIES.trim_start_matches('(')) => {
                    let slash = literal('/'.into());
                    self.push([Step::MaybeOver(2), Step::Many(Characters::AnyInLine), slash]);
                    self.is_repeated = true;
                }
                '{' => match self.counts() {
                    Some(_) if was_repeated => {
                        return Err(String::from("two repetitions follow each other"));
                    }
                    Some((least, most)) => self.repeat(least, most)?,
                    None => self.push([literal('{'.into())]),
                },
                '\\' => self.escape()?,
                other => self.push([literal(other.into())]),
            }
            if self.finished + self.row.len() > self.limit {
                return Err(String::from("it has too many steps"));
            }
        }
        Ok(())
    }

    fn push<const COUNT: usize>(&mut self, steps: [Step; COUNT]) {
        self.last = Some(Last {
            start: self.row.len(),
            is_compound: false,
        });
        self.row.extend(steps);
    }

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

    /// Reads the rest of a `{2}`, `{2,}` or `{2,5}`; if it is none of these, reads nothing and returns `None`.
    fn counts(&mut self) -> Option<(usize, Option<usize>)> {
        let (counts, rest) = self.rest.split_once('}')?;
        let (least, most) = counts.split_once(',').unwrap_or((counts, counts));
        let counts = (
            count(least)?,
            if most.is_empty() {
                None
            } else {
                Some(count(most)?)
            },
        );
        self.rest = rest;
        Some(counts)
    }

    /// Repeats the last item by copying it.
    fn repeat(&mut self, least: usize, most: Option<usize>) -> Result<(), String> {
        if least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT || most < least) {
            return Err(String::from(
                "the numbers in its `{...}` are too large, or in the wrong order",
            ));
        }
        let Some(thing) = self.last else {
            return Err(String::from("a `{...}` has nothing to repeat"));
        };
        if thing.is_compound {
            return Err(String::from("nested repetition is not supported"));
        }
        let steps = self.row.split_off(thing.start);
        for _ in 0..least {
            self.row.extend_from_slice(&steps);
        }
        match (most, steps.as_slice()) {
            // An optional or repeated place is the same as the place itself.
            (_, [Step::At(_)]) => {}
            (Some(most), _) => {
                for _ in least..most {
                    self.row.push(Step::MaybeOver(steps.len()));
                    self.row.extend_from_slice(&steps);
                }
            }
            (None, [Step::One(characters)]) => self.row.push(Step::Many(characters.clone())),
            // A repeated `.*` or `(.*/)?` is the same as a single one.
            (None, _) => self.row.extend_from_slice(&steps),
        }
        self.last = Some(Last {
            is_compound: true,
            ..thing
        });
        self.is_repeated = true;
        Ok(())
    }

    /// Reads the character after a backslash outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        let place = match self.rest.chars().next() {
            Some('A') => Some(Place::Start),
            Some('z') => Some(Place::End),
            Some('b') => Some(Place::WordEdge),
            Some('B') => Some(Place::NotWordEdge),
            _ => None,
        };
        if let Some(place) = place {
            self.next();
            self.push([Step::At(place)]);
        } else if self.skip("Q") {
            let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
            self.rest = rest;
            for quoted in quoted.chars() {
                self.push([literal(quoted.into())]);
            }
        } else if let Some((set, opposite)) = self.shorthand() {
            let mut ranges = Vec::new();
            classes::add(&mut ranges, set, opposite);
            self.push([Step::One(Characters::Class {
                negated: false,
                ranges: ranges.into(),
            })]);
        } else {
            let character = self.escaped_character()?;
            self.push([literal(character)]);
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
                    .ok_or_else(|| format!("`[:{name}:]` is not a known class"))?;
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
            // A `-` right before the `]` is a literal.
            if self.rest.starts_with('-') && self.rest.len() > 1 && !self.rest.starts_with("-]") {
                self.next();
                high = self.class_character()?;
            }
            if high < low {
                return Err(String::from("a range in `[...]` is in the wrong order"));
            }
            ranges.push((low, high));
        }
        Ok(Characters::Class {
            negated,
            ranges: ranges.into(),
        })
    }

    fn class_character(&mut self) -> Result<u32, String> {
        match self.next() {
            None => Err(String::from("a `[` is not closed")),
            Some('\\') => self.escaped_character(),
            Some(character) => Ok(character.into()),
        }
    }

    /// Reads one character after a backslash: a literal if it is ASCII punctuation, otherwise a C-like escape.
    fn escaped_character(&mut self) -> Result<u32, String> {
        let Some(character) = self.next() else {
            return Err(String::from("nothing follows the `\\`"));
        };
        let unknown = || Err(format!("`\\{character}` is not a known escape sequence"));
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

    /// Up to three octal digits. A single digit other than 0 would be a backreference, which is not supported.
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

/// A number without leading zeros. A number that is too large saturates.
fn count(digits: &str) -> Option<usize> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let is_padded = digits.len() > 1 && digits.starts_with('0');
    (is_number && !is_padded).then(|| digits.parse().unwrap_or(usize::MAX))
}
