//! The files of a definition, places in them, and errors that show the source line.

use std::fmt::{self, Display, Formatter, Write as _};
use std::ops::Range;
use std::rc::Rc;

/// The longest part of a source line that an error shows, in characters.
const MAX_SHOWN_CHARACTERS: usize = 200;

/// A file of a definition.
#[derive(Debug)]
pub struct Source {
    /// The name as the user wrote it; `-` is standard input.
    pub name: String,
    /// The content.
    pub text: String,
}

/// A range of bytes in a file.
#[derive(Clone, Debug)]
pub struct Place {
    source: Rc<Source>,
    span: Range<usize>,
}

impl Place {
    /// The bytes `span` of a file.
    #[must_use]
    pub fn new(source: &Rc<Source>, span: Range<usize>) -> Self {
        Self {
            source: Rc::clone(source),
            span,
        }
    }

    /// The name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// The line and the column of the first character, from 1; a column is a character.
    #[must_use]
    pub fn line_and_column(&self) -> (usize, usize) {
        let before = self.before();
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |index| index + 1);
        let column = before
            .get(start..)
            .map_or(0, |text| text.chars().count())
            .saturating_add(1);
        (line, column)
    }

    fn before(&self) -> &str {
        let text = &self.source.text;
        let end = (0..=self.span.start.min(text.len()))
            .rev()
            .find(|index| text.is_char_boundary(*index))
            .unwrap_or(0);
        text.get(..end).unwrap_or_default()
    }

    /// The source line of the first character.
    fn line(&self) -> &str {
        let before = self.before();
        let start = before.rfind('\n').map_or(0, |index| index + 1);
        let rest = self.source.text.get(start..).unwrap_or_default();
        rest.lines().next().unwrap_or_default()
    }
}

/// A part of a request that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The names of the files.
    Files,
    /// The names of the targets.
    Targets,
    /// The overrides.
    Overrides,
}

/// A problem in a definition, or in a request.
#[derive(Clone, Debug)]
pub struct Error {
    message: String,
    place: Option<Place>,
    part: Option<Part>,
}

impl Error {
    /// A problem without a place, such as a target that does not exist.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: None,
            part: None,
        }
    }

    /// A problem in a part of the request.
    #[must_use]
    pub fn of(part: Part, message: impl Into<String>) -> Self {
        Self {
            part: Some(part),
            ..Self::new(message)
        }
    }

    /// A problem at a place.
    #[must_use]
    pub fn at(place: Place, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: Some(place),
            part: None,
        }
    }

    /// Adds the place, unless the error has a nearer one.
    #[must_use]
    pub fn or_at(mut self, place: impl FnOnce() -> Place) -> Self {
        self.place.get_or_insert_with(place);
        self
    }

    /// The message without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The part of the request that has the problem; `None` for a problem in the definition.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        self.part
    }

    /// The place, if the problem has one.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

/// `file:line:column: message`, then the source line with a mark below the place.
impl Display for Error {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Some(place) = &self.place else {
            return formatter.write_str(&self.message);
        };
        let (line, column) = place.line_and_column();
        write!(
            formatter,
            "{}:{line}:{column}: {}",
            place.file(),
            self.message
        )?;
        let text: String = place.line().chars().take(MAX_SHOWN_CHARACTERS).collect();
        if column <= MAX_SHOWN_CHARACTERS && !text.trim().is_empty() {
            let shown = text.replace('\t', " ");
            let indent = " ".repeat(column.saturating_sub(1));
            formatter.write_char('\n')?;
            write!(formatter, "  {shown}\n  {indent}^")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Rc<Source> {
        Rc::new(Source {
            name: "docker-bake.hcl".into(),
            text: text.into(),
        })
    }

    #[test]
    fn an_error_shows_the_line_and_the_place() {
        let source = source("a = 1\n\tä = nope()\n");
        let start = source.text.find("nope").unwrap();
        let error = Error::at(
            Place::new(&source, start..start + 4),
            "unknown function `nope`",
        );
        assert_eq!(
            error.to_string(),
            "docker-bake.hcl:2:6: unknown function `nope`\n   ä = nope()\n       ^"
        );
        assert_eq!(Error::new("no target").to_string(), "no target");
    }

    #[test]
    fn places_outside_of_the_text_are_harmless() {
        for span in [0..0, 2..9, 100..200] {
            let place = Place::new(&source("ä"), span);
            assert!(!Error::at(place, "x").to_string().is_empty());
        }
    }
}
