//! Patterns for names of targets, as Go's `path.Match` has them.

/// A part of a pattern.
enum Part {
    Character(char),
    /// `?`
    Any,
    /// `*`
    Star,
    /// `[a-z]`, `[^a-z]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A pattern: `*` and `?` match anything except `/`, `[a-z]` one of these characters, `\` makes the next one plain.
pub(crate) struct Pattern(Vec<Part>);

impl Pattern {
    /// Parses a pattern; `None` if it is malformed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            parts.push(match character {
                '*' => Part::Star,
                '?' => Part::Any,
                '\\' => Part::Character(characters.next()?),
                '[' => {
                    let negated = characters.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || characters.next_if_eq(&']').is_none() {
                        let low = class_character(&mut characters)?;
                        let high = match characters.next_if_eq(&'-') {
                            Some(_) => class_character(&mut characters)?,
                            None => low,
                        };
                        ranges.push((low, high));
                    }
                    Part::Class { negated, ranges }
                }
                character => Part::Character(character),
            });
        }
        Some(Self(parts))
    }

    /// Whether the pattern matches the whole name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        // The positions in the name that the parts so far can end at.
        let name: Vec<char> = name.chars().collect();
        let mut ends = vec![false; name.len() + 1];
        if let Some(first) = ends.first_mut() {
            *first = true;
        }
        for part in &self.0 {
            let mut next = vec![false; ends.len()];
            let mut carried = false;
            for (index, place) in next.iter_mut().enumerate() {
                let before = index.checked_sub(1);
                let character = before.and_then(|before| name.get(before)).copied();
                let reached = before
                    .and_then(|before| ends.get(before))
                    .copied()
                    .unwrap_or(false);
                *place = match part {
                    Part::Star => {
                        carried = ends.get(index).copied().unwrap_or(false)
                            || (carried && character.is_some_and(|character| character != '/'));
                        carried
                    }
                    Part::Any => reached && character.is_some_and(|character| character != '/'),
                    Part::Character(wanted) => reached && character == Some(*wanted),
                    Part::Class { negated, ranges } => {
                        reached
                            && character.is_some_and(|character| {
                                ranges
                                    .iter()
                                    .any(|(low, high)| (*low..=*high).contains(&character))
                                    != *negated
                            })
                    }
                };
            }
            ends = next;
        }
        ends.last().copied().unwrap_or(false)
    }
}

fn class_character(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match characters.next()? {
        '-' | ']' => None,
        '\\' => characters.next(),
        character => Some(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("*", "app", Some(true)),
            ("app-*", "app-one", Some(true)),
            ("app-*", "app", Some(false)),
            ("*-*-e", "mtx-a-c-e", Some(true)),
            ("a?c", "abc", Some(true)),
            ("a?c", "ac", Some(false)),
            ("[a-c]x", "bx", Some(true)),
            ("[^a-c]x", "bx", Some(false)),
            ("\\*", "*", Some(true)),
            ("*", "a/b", Some(false)),
            ("", "", Some(true)),
            ("[]a]", "]", None),
            ("[a", "a", None),
            ("a\\", "a", None),
            ("[-]", "-", None),
        ] {
            let matches = Pattern::parse(pattern).map(|pattern| pattern.matches(name));
            assert_eq!(matches, expected, "{pattern} {name}");
        }
    }
}
