//! One entry of `TAGS`: text with placeholders in braces.

use std::ops::Range;

use super::placeholder::Placeholder;

/// A parsed entry. Not empty, and its parts are in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template<'a> {
    parts: Vec<Part<'a>>,
}

/// A part of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Text of characters that a tag can hold.
    Text(&'a str),
    /// A placeholder.
    Placeholder(Placeholder),
}

/// Why an entry is not a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateError {
    /// The bytes of the entry that are wrong.
    pub(crate) span: Range<usize>,
    pub(crate) kind: ErrorKind,
}

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// A name in braces that is not the name of a placeholder, and the one that is probably meant.
    Unknown(Option<Placeholder>),
    /// `{{name}}`, as in other tools.
    Doubled(Option<Placeholder>),
    /// A `{` without `}`.
    Open,
    /// A `}` without `{`.
    Close,
    /// A character that a tag cannot hold, or not at its start.
    Text,
}

impl<'a> Template<'a> {
    /// Parses a whole entry.
    ///
    /// # Errors
    /// The first part that is wrong.
    pub(crate) fn parse(entry: &'a str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut start = 0;
        while let Some(rest) = entry.get(start..).filter(|rest| !rest.is_empty()) {
            let (part, length) = match rest.strip_prefix('{') {
                Some(inside) => placeholder(inside, start)?,
                None => text(rest, start)?,
            };
            parts.push(part);
            start += length;
        }
        if parts.is_empty() {
            return Err(error(0..0, ErrorKind::Text));
        }
        Ok(Self { parts })
    }

    /// The parts, of which two texts never follow each other.
    pub(crate) fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }

    /// The placeholders, which can repeat.
    pub(crate) fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(placeholder) => Some(*placeholder),
            Part::Text(_) => None,
        })
    }
}

/// A placeholder and its length with braces. `inside` follows the `{` at `start`.
fn placeholder(inside: &str, start: usize) -> Result<(Part<'_>, usize), TemplateError> {
    let doubled = inside.strip_prefix('{');
    let end = inside.find('}');
    if let Some((name, _)) = doubled.and_then(|rest| rest.split_once("}}")) {
        let span = start..start + name.len() + 4;
        return Err(error(span, ErrorKind::Doubled(meant(name))));
    }
    let Some(name) = end.and_then(|end| inside.get(..end)) else {
        return Err(error(start..start + 1 + inside.len(), ErrorKind::Open));
    };
    let length = name.len() + 2;
    match Placeholder::of_name(name) {
        Some(placeholder) => Ok((Part::Placeholder(placeholder), length)),
        None => Err(error(
            start..start + length,
            ErrorKind::Unknown(Placeholder::nearest(name)),
        )),
    }
}

fn meant(name: &str) -> Option<Placeholder> {
    Placeholder::of_name(name.trim()).or_else(|| Placeholder::nearest(name))
}

/// The text up to the next placeholder, and its length.
fn text(rest: &str, start: usize) -> Result<(Part<'_>, usize), TemplateError> {
    let end = rest.find('{').unwrap_or(rest.len());
    let text = rest.get(..end).unwrap_or(rest);
    let is_wrong = |(at, character): &(usize, char)| {
        !is_of_tag(*character) || (start + at == 0 && is_wrong_at_start(*character))
    };
    match text.char_indices().find(is_wrong) {
        None => Ok((Part::Text(text), text.len())),
        Some((at, character)) => {
            let kind = if character == '}' {
                ErrorKind::Close
            } else {
                ErrorKind::Text
            };
            let at = start + at;
            Err(error(at..at + character.len_utf8(), kind))
        }
    }
}

fn error(span: Range<usize>, kind: ErrorKind) -> TemplateError {
    TemplateError { span, kind }
}

/// Whether a tag can hold the character (the grammar of Docker's references).
pub(super) fn is_of_tag(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_.-".contains(character)
}

/// Whether a character of a tag cannot be its first.
pub(super) fn is_wrong_at_start(character: char) -> bool {
    matches!(character, '.' | '-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::placeholder::ALL;
    use super::*;

    #[test]
    fn an_entry_is_text_and_placeholders() {
        let parts = |entry| Template::parse(entry).unwrap().parts;
        assert_eq!(parts("latest"), [Part::Text("latest")]);
        assert_eq!(parts("{branch}"), [Part::Placeholder(Placeholder::Branch)]);
        assert_eq!(
            parts("v{major}-{sha}{date}.x"),
            [
                Part::Text("v"),
                Part::Placeholder(Placeholder::Major),
                Part::Text("-"),
                Part::Placeholder(Placeholder::Sha),
                Part::Placeholder(Placeholder::Date),
                Part::Text(".x"),
            ]
        );
        // Only the first character of a tag is restricted.
        assert_eq!(parts("{tag}-.x").len(), 2);
        for known in ALL {
            let entry = format!("{{{}}}", known.name());
            assert_eq!(
                Template::parse(&entry).unwrap().parts,
                [Part::Placeholder(known)]
            );
        }
    }

    #[test]
    fn an_error_has_the_place_and_the_meant_placeholder() {
        let branch = Some(Placeholder::Branch);
        for (entry, wrong, kind) in [
            ("{brnch}", "{brnch}", ErrorKind::Unknown(branch)),
            ("a-{Branch}-b", "{Branch}", ErrorKind::Unknown(branch)),
            ("{}", "{}", ErrorKind::Unknown(None)),
            ("{sha}{owner}", "{owner}", ErrorKind::Unknown(None)),
            ("{{branch}}", "{{branch}}", ErrorKind::Doubled(branch)),
            ("a{{branch}}b", "{{branch}}", ErrorKind::Doubled(branch)),
            ("{branch", "{branch", ErrorKind::Open),
            ("a{", "{", ErrorKind::Open),
            ("{branch}}", "}", ErrorKind::Close),
            ("a}", "}", ErrorKind::Close),
            ("v/{sha}", "/", ErrorKind::Text),
            ("{sha}ä", "ä", ErrorKind::Text),
            ("-{sha}", "-", ErrorKind::Text),
            (".x", ".", ErrorKind::Text),
            ("a:b", ":", ErrorKind::Text),
            ("$TAG", "$", ErrorKind::Text),
            ("", "", ErrorKind::Text),
        ] {
            let error = Template::parse(entry).unwrap_err();
            assert_eq!(
                (&entry[error.span.clone()], error.kind),
                (wrong, kind),
                "{entry}"
            );
        }
    }

    proptest! {
        #[test]
        fn parts_are_read_back(
            parts in prop::collection::vec((0..ALL.len(), "[a-z0-9_.-]{0,5}"), 1..8),
        ) {
            let written = parts.iter().map(|(known, text)| format!("{{{}}}{text}", ALL[*known].name()));
            let entry = written.collect::<Vec<_>>().concat();
            let template = Template::parse(&entry).unwrap();
            let written = template.parts.iter().map(|part| match part {
                Part::Text(text) => (*text).to_owned(),
                Part::Placeholder(known) => format!("{{{}}}", known.name()),
            });
            prop_assert_eq!(&written.collect::<Vec<_>>().concat(), &entry);
            prop_assert_eq!(template.placeholders().count(), parts.len());
        }

        #[test]
        fn the_place_of_an_error_is_inside_of_the_entry(entry in "\\PC{0,40}|[{}a-z/-]{0,20}") {
            if let Err(error) = Template::parse(&entry) {
                prop_assert!(entry.get(error.span).is_some());
            }
        }
    }
}
