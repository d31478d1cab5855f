//! The state of parsing HCL: the place in the text, spaces, names and errors.
//!
//! A parser of our own, because `hcl-edit` rejects what the CLI accepts, such as a key that occurs twice in an object. It works on
//! characters, without a separate scanner. `expression`, `template` and `syntax` have the grammar.

use std::ops::Range;
use std::rc::Rc;

use crate::{Error, Place, Source};

/// The most nested parts of a file.
const MAX_DEPTH: usize = 100;

/// Where the text comes from.
#[derive(Clone)]
enum Origin {
    /// The text starts at this byte of the file.
    Start(usize),
    /// The text is the content of a JSON string, which can have escapes.
    Whole(Range<usize>),
}

/// The state of parsing.
pub(super) struct Parser<'a> {
    source: Rc<Source>,
    pub(super) text: &'a str,
    origin: Origin,
    /// The next byte of the text.
    pub(super) at: usize,
    /// Whether a newline ends an expression.
    pub(super) newline_ends: bool,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// A parser of the text of a file from the byte `start`.
    pub(super) fn of_file(source: &'a Rc<Source>, start: usize) -> Self {
        Self {
            source: Rc::clone(source),
            text: source.text.get(start..).unwrap_or_default(),
            origin: Origin::Start(start),
            at: 0,
            newline_ends: true,
            depth: 0,
        }
    }

    /// A parser of the content of a JSON string at `span`.
    pub(super) fn of_string(source: &Rc<Source>, text: &'a str, span: Range<usize>) -> Self {
        Self {
            source: Rc::clone(source),
            text,
            origin: Origin::Whole(span),
            at: 0,
            newline_ends: false,
            depth: 0,
        }
    }

    /// The bytes of the file from `start` to the current place.
    pub(super) fn span(&self, start: usize) -> Range<usize> {
        match &self.origin {
            Origin::Start(offset) => offset + start..offset + self.at.max(start),
            Origin::Whole(span) => span.clone(),
        }
    }

    /// An error at the current place.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        self.error_at(self.at, message)
    }

    pub(super) fn error_at(&self, start: usize, message: impl Into<String>) -> Error {
        let span = match &self.origin {
            Origin::Start(offset) => offset + start..offset + start + 1,
            Origin::Whole(span) => span.clone(),
        };
        Error::at(Place::new(&self.source, span), message)
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn starts_with(&self, text: &str) -> bool {
        self.rest().starts_with(text)
    }

    /// Takes a text if it is next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    pub(super) fn expect(&mut self, text: &str, reason: &str) -> Result<(), Error> {
        if self.take(text) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{text}` {reason}")))
        }
    }

    /// An error that names the next character.
    pub(super) fn unexpected(&self, expected: &str) -> Error {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some('\n' | '\r') => "the end of the line".to_owned(),
            Some(character) => format!("`{character}`"),
        };
        self.error(format!("expected {expected}, found {found}"))
    }

    /// Runs `parse` one level deeper.
    pub(super) fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(format!("more than {MAX_DEPTH} nested parts")));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Runs `parse` with another meaning of newlines.
    pub(super) fn with_newlines<T>(
        &mut self,
        newline_ends: bool,
        parse: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let before = std::mem::replace(&mut self.newline_ends, newline_ends);
        let result = parse(self);
        self.newline_ends = before;
        result
    }

    /// Skips spaces and comments, and newlines where they have no meaning.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        loop {
            let rest = self.rest();
            if rest.starts_with([' ', '\t']) {
                self.at += 1;
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let end = comment
                    .find("*/")
                    .ok_or_else(|| self.error("the comment is not closed"))?;
                self.at += end + 4;
            } else if rest.starts_with('#') || rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if !self.newline_ends && newline(rest) > 0 {
                self.at += newline(rest);
            } else {
                return Ok(());
            }
        }
    }

    /// A name, if one is next.
    pub(super) fn identifier(&mut self) -> Option<String> {
        let rest = self.rest();
        let is_start = |character: char| character.is_alphabetic() || character == '_';
        if !rest.starts_with(is_start) {
            return None;
        }
        let is_part =
            |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
        let end = rest
            .find(|character| !is_part(character))
            .unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).map(str::to_owned)
    }

    /// Takes a word if it is next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let start = self.at;
        let found = self.identifier().is_some_and(|name| name == word);
        if !found {
            self.at = start;
        }
        found
    }

    /// Skips spaces, comments and newlines.
    pub(super) fn skip_lines(&mut self) -> Result<(), Error> {
        self.with_newlines(false, Self::skip)
    }

    /// Takes a word behind spaces.
    pub(super) fn spaced_word(&mut self, word: &str) -> Result<bool, Error> {
        self.skip()?;
        Ok(self.word(word))
    }
}

/// The length of the newline at the start of a text; 0 if there is none.
pub(super) fn newline(text: &str) -> usize {
    if text.starts_with('\n') {
        1
    } else if text.starts_with("\r\n") {
        2
    } else {
        0
    }
}
