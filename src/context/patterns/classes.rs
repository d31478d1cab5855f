//! Sets of characters: `[a-z]`, `[[:alpha:]]`, `\d`.
//!
//! Characters are code points in a `u32`, because a pattern may contain one that is not valid in text.

use std::sync::Arc;

/// The condition for one character of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Characters {
    /// Exactly this character.
    One(u32),
    /// Any character except a line break: matched by `**`.
    AnyInLine,
    /// Inside (or, when negated, outside) one of the inclusive ranges.
    Class {
        negated: bool,
        /// Shared, because a repeat copies its class.
        ranges: Arc<[(u32, u32)]>,
    },
}

impl Characters {
    pub(super) fn contain(&self, character: u32) -> bool {
        match self {
            Self::One(expected) => *expected == character,
            Self::AnyInLine => character != u32::from('\n'),
            Self::Class { negated, ranges } => {
                ranges
                    .iter()
                    .any(|&(low, high)| low <= character && character <= high)
                    != *negated
            }
        }
    }
}

/// Whether the character is part of a word for `\b`.
pub(super) fn is_word(character: u32) -> bool {
    named("word").is_some_and(|ranges| {
        ranges
            .iter()
            .any(|&(low, high)| low <= character && character <= high)
    })
}

/// The ASCII set with a name such as `alpha`.
pub(super) fn named(name: &str) -> Option<&'static [(u32, u32)]> {
    Some(match name {
        "alnum" => &[(0x30, 0x39), (0x41, 0x5a), (0x61, 0x7a)],
        "alpha" => &[(0x41, 0x5a), (0x61, 0x7a)],
        "ascii" => &[(0x00, 0x7f)],
        "blank" => &[(0x09, 0x09), (0x20, 0x20)],
        "cntrl" => &[(0x00, 0x1f), (0x7f, 0x7f)],
        "digit" => &[(0x30, 0x39)],
        "graph" => &[(0x21, 0x7e)],
        "lower" => &[(0x61, 0x7a)],
        "print" => &[(0x20, 0x7e)],
        "punct" => &[(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e)],
        "space" => &[(0x09, 0x0d), (0x20, 0x20)],
        "upper" => &[(0x41, 0x5a)],
        "word" => &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)],
        "xdigit" => &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
        _ => return None,
    })
}

/// The set of a letter after a backslash, and whether it is negated.
///
/// Unlike `[:space:]`, `\s` does not include the vertical tab.
pub(super) fn shorthand(letter: char) -> Option<(&'static [(u32, u32)], bool)> {
    let ranges = match letter.to_ascii_lowercase() {
        'd' => named("digit")?,
        'w' => named("word")?,
        's' => &[(0x09, 0x0a), (0x0c, 0x0d), (0x20, 0x20)],
        _ => return None,
    };
    Some((ranges, letter.is_ascii_uppercase()))
}

/// Adds the set or its complement to the ranges. The set must be sorted.
pub(super) fn add(ranges: &mut Vec<(u32, u32)>, set: &[(u32, u32)], opposite: bool) {
    if !opposite {
        ranges.extend_from_slice(set);
        return;
    }
    let mut free = 0;
    for &(low, high) in set {
        if free < low {
            ranges.push((free, low - 1));
        }
        free = high + 1;
    }
    ranges.push((free, char::MAX.into()));
}

#[cfg(test)]
mod tests {
    use super::{Characters, add, shorthand};

    #[test]
    fn the_opposite_of_a_set_is_all_the_rest() {
        let (set, opposite) = shorthand('W').unwrap();
        let mut ranges = Vec::new();
        add(&mut ranges, set, opposite);
        let class = Characters::Class {
            negated: false,
            ranges: ranges.into(),
        };
        for character in ['\0', ' ', '-', '@', '[', '^', '`', '{', 'é', '\u{10ffff}'] {
            assert!(class.contain(character.into()), "{character:?}");
        }
        for character in ['0', '9', 'A', 'Z', '_', 'a', 'z'] {
            assert!(!class.contain(character.into()), "{character:?}");
        }
    }
}
