//! Parses templates: quoted texts, heredocs and the strings of JSON.

use crate::Error;

use super::parser::{Parser, newline};
use super::tree::{Kind, Node, Part};

/// A piece of a template before directives are nested.
enum Piece {
    Text(String),
    Interpolation(Node),
    /// `%{ if … }`, `%{ for … in … }` and so on, with the byte of its start.
    Directive(usize, Directive),
}

enum Directive {
    If(Node),
    Else,
    EndIf,
    For(Option<String>, String, Node),
    EndFor,
}

/// The end of a template.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// A closing quote.
    Quote,
    /// The end of the text.
    Text,
}

impl Parser<'_> {
    /// `"…"`
    pub(super) fn quoted_template(&mut self) -> Result<Kind, Error> {
        self.at += 1;
        let pieces = self.deeper(|parser| parser.pieces(End::Quote))?;
        self.at += 1;
        self.template_of(pieces)
    }

    /// The whole text as a template.
    pub(super) fn whole_template(&mut self) -> Result<Kind, Error> {
        let pieces = self.pieces(End::Text)?;
        self.template_of(pieces)
    }

    fn pieces(&mut self, end: End) -> Result<Vec<Piece>, Error> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        // Whether spaces at the start of the next text are removed.
        let mut trims = false;
        loop {
            let rest = self.rest();
            let Some(character) = self.peek() else {
                if end == End::Quote {
                    return Err(self.error("the text is not closed: `\"` is missing"));
                }
                break;
            };
            if end == End::Quote {
                match character {
                    '"' => break,
                    '\\' => {
                        text.push(self.escape()?);
                        continue;
                    }
                    '\n' | '\r' => {
                        return Err(self.error(
                            "a quoted text cannot have several lines; use `\\n` or a heredoc",
                        ));
                    }
                    _ => {}
                }
            }
            if rest.starts_with("$${") || rest.starts_with("%%{") {
                text.push(character);
                text.push('{');
                self.at += 3;
            } else if rest.starts_with("${") || rest.starts_with("%{") {
                push_text(&mut pieces, &mut text, trims);
                trims = self.sequence(&mut pieces)?;
            } else {
                text.push(character);
                self.at += character.len_utf8();
                if character == '\n' {
                    // Each line is a text of its own: `~` reaches only to its end.
                    push_text(&mut pieces, &mut text, trims);
                    trims = false;
                }
            }
        }
        push_text(&mut pieces, &mut text, trims);
        Ok(pieces)
    }

    /// `${…}` or `%{…}`. Returns whether it ends with `~}`.
    fn sequence(&mut self, pieces: &mut Vec<Piece>) -> Result<bool, Error> {
        let start = self.at;
        let is_directive = self.starts_with("%");
        self.at += 2;
        if self.take("~")
            && let Some(Piece::Text(before)) = pieces.last_mut()
        {
            before.truncate(before.trim_end().len());
        }
        let piece = self.with_newlines(false, |parser| {
            if is_directive {
                Ok(Piece::Directive(start, parser.directive()?))
            } else {
                Ok(Piece::Interpolation(parser.expression()?))
            }
        })?;
        pieces.push(piece);
        self.with_newlines(false, Self::skip)?;
        let trims = self.take("~");
        self.expect("}", "at the end of the template sequence")?;
        Ok(trims)
    }

    fn directive(&mut self) -> Result<Directive, Error> {
        if self.spaced_word("if")? {
            Ok(Directive::If(self.expression()?))
        } else if self.spaced_word("else")? {
            Ok(Directive::Else)
        } else if self.spaced_word("endif")? {
            Ok(Directive::EndIf)
        } else if self.spaced_word("for")? {
            let (key, value) = self.for_names()?;
            Ok(Directive::For(key, value, self.expression()?))
        } else if self.spaced_word("endfor")? {
            Ok(Directive::EndFor)
        } else {
            Err(self.unexpected("`if`, `else`, `endif`, `for` or `endfor`"))
        }
    }

    /// The character of an escape, such as `\n`.
    fn escape(&mut self) -> Result<char, Error> {
        let start = self.at;
        self.at += 1;
        let kind = self.peek();
        self.at += kind.map_or(0, char::len_utf8);
        let digits = match kind {
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some(plain @ ('"' | '\\')) => return Ok(plain),
            Some('u') => 4,
            Some('U') => 8,
            _ => {
                return Err(self.error_at(start, "unknown escape; the escapes are \\n, \\r, \\t, \\\", \\\\, \\uXXXX and \\UXXXXXXXX"));
            }
        };
        let code = self
            .rest()
            .get(..digits)
            .filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let character = code
            .and_then(|code| u32::from_str_radix(code, 16).ok())
            .map(char::from_u32);
        let Some(character) = character else {
            return Err(self.error_at(
                start,
                format!("the escape needs {digits} hexadecimal digits"),
            ));
        };
        self.at += digits;
        Ok(character.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// `<<NAME` or `<<-NAME`, lines, and the name on a line of its own.
    pub(super) fn heredoc(&mut self) -> Result<Kind, Error> {
        let start = self.at;
        self.at += 2;
        let dedents = self.take("-");
        let Some(marker) = self.identifier() else {
            return Err(self.unexpected("a name behind `<<`"));
        };
        let length = newline(self.rest());
        if length == 0 {
            return Err(self.unexpected("a new line behind the name of the heredoc"));
        }
        self.at += length;
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut trims = false;
        let mut at_line_start = true;
        loop {
            if at_line_start && self.ends_heredoc(&marker) {
                break;
            }
            at_line_start = false;
            let rest = self.rest();
            let Some(character) = self.peek() else {
                return Err(self.error_at(
                    start,
                    format!("the heredoc is not closed: a line `{marker}` is missing"),
                ));
            };
            if rest.starts_with("$${") || rest.starts_with("%%{") {
                text.push(character);
                text.push('{');
                self.at += 3;
            } else if rest.starts_with("${") || rest.starts_with("%{") {
                push_text(&mut pieces, &mut text, trims);
                trims = self.deeper(|parser| parser.sequence(&mut pieces))?;
            } else {
                text.push(character);
                self.at += character.len_utf8();
                if character == '\n' {
                    // Each line is a text of its own: `~` reaches only to its end.
                    push_text(&mut pieces, &mut text, trims);
                    trims = false;
                    at_line_start = true;
                }
            }
        }
        push_text(&mut pieces, &mut text, trims);
        if dedents {
            dedent(&mut pieces);
        }
        self.template_of(pieces)
    }

    /// Takes the last line of a heredoc, up to its newline.
    fn ends_heredoc(&mut self, marker: &str) -> bool {
        let rest = self.rest();
        let Some(end) = rest.find('\n') else {
            return false;
        };
        let line = rest.get(..end).unwrap_or_default();
        let found = line.trim() == marker;
        if found {
            self.at += line.strip_suffix('\r').unwrap_or(line).len();
        }
        found
    }

    /// Nests directives. A template of one interpolation has its value, of any type.
    fn template_of(&self, pieces: Vec<Piece>) -> Result<Kind, Error> {
        let mut pieces = pieces.into_iter().peekable();
        let mut parts = self.nest(&mut pieces, None)?;
        Ok(match parts.as_slice() {
            [] => Kind::Text(String::new()),
            [Part::Text(_)] => match parts.pop() {
                Some(Part::Text(text)) => Kind::Text(text),
                _ => Kind::Text(String::new()),
            },
            _ => Kind::Template(parts),
        })
    }

    /// The parts up to the end of the directive that starts at `start`; without one, all.
    fn nest(
        &self,
        pieces: &mut std::iter::Peekable<std::vec::IntoIter<Piece>>,
        start: Option<(usize, usize)>,
    ) -> Result<Vec<Part>, Error> {
        let (start, depth) = start.map_or((None, 0), |(start, depth)| (Some(start), depth));
        if depth > MAX_DIRECTIVES {
            return Err(self.error(format!("more than {MAX_DIRECTIVES} nested directives")));
        }
        let mut parts = Vec::new();
        loop {
            match pieces.peek() {
                None => match start {
                    None => return Ok(parts),
                    Some(start) => {
                        return Err(self.error_at(
                            start,
                            "the directive has no end, `%{ endif }` or `%{ endfor }`",
                        ));
                    }
                },
                Some(Piece::Directive(
                    at,
                    Directive::Else | Directive::EndIf | Directive::EndFor,
                )) => {
                    if start.is_none() {
                        return Err(self.error_at(
                            *at,
                            "the directive has no start, `%{ if … }` or `%{ for … }`",
                        ));
                    }
                    return Ok(parts);
                }
                Some(_) => {}
            }
            match pieces.next() {
                None => return Ok(parts),
                Some(Piece::Text(text)) => match parts.last_mut() {
                    Some(Part::Text(before)) => before.push_str(&text),
                    _ => parts.push(Part::Text(text)),
                },
                Some(Piece::Interpolation(node)) => parts.push(Part::Interpolation(node)),
                Some(Piece::Directive(at, Directive::If(condition))) => {
                    let then = self.nest(pieces, Some((at, depth + 1)))?;
                    let mut otherwise = Vec::new();
                    let mut end = pieces.next();
                    if let Some(Piece::Directive(_, Directive::Else)) = end {
                        otherwise = self.nest(pieces, Some((at, depth + 1)))?;
                        end = pieces.next();
                    }
                    if !matches!(end, Some(Piece::Directive(_, Directive::EndIf))) {
                        return Err(self.error_at(at, "`%{ if … }` ends with `%{ endif }`"));
                    }
                    parts.push(Part::If {
                        condition,
                        then,
                        otherwise,
                    });
                }
                Some(Piece::Directive(at, Directive::For(key_name, value_name, collection))) => {
                    let body = self.nest(pieces, Some((at, depth + 1)))?;
                    if !matches!(pieces.next(), Some(Piece::Directive(_, Directive::EndFor))) {
                        return Err(self.error_at(at, "`%{ for … }` ends with `%{ endfor }`"));
                    }
                    parts.push(Part::For {
                        key_name,
                        value_name,
                        collection,
                        body,
                    });
                }
                Some(Piece::Directive(at, _)) => {
                    return Err(self.error_at(at, "the directive has no start"));
                }
            }
        }
    }
}

/// Adds the text since the last sequence.
fn push_text(pieces: &mut Vec<Piece>, text: &mut String, trims: bool) {
    let text = std::mem::take(text);
    let text = if trims {
        text.trim_start().to_owned()
    } else {
        text
    };
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// The most nested directives of a template.
const MAX_DIRECTIVES: usize = 50;

/// Removes the indentation that all lines have. Blank lines are ignored, and keep their spaces.
fn dedent(pieces: &mut [Piece]) {
    let mut least = usize::MAX;
    let mut starts = Vec::new();
    let mut at_line_start = true;
    for (index, piece) in pieces.iter().enumerate() {
        let text = match piece {
            Piece::Text(text) => Some(text),
            _ => None,
        };
        if at_line_start {
            at_line_start = false;
            match text {
                Some(text) => {
                    let trimmed = text.trim_start();
                    if !(trimmed.is_empty() && text.ends_with('\n')) {
                        let indent = text.get(..text.len() - trimmed.len()).unwrap_or_default();
                        least = least.min(indent.chars().count());
                        starts.push(index);
                    }
                }
                None => least = 0,
            }
        }
        if text.is_some_and(|text| text.ends_with('\n')) {
            at_line_start = true;
        }
    }
    for index in starts {
        if let Some(Piece::Text(text)) = pieces.get_mut(index) {
            *text = text.chars().skip(least).collect();
        }
    }
}
