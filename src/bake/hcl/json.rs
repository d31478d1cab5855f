//! The syntax of JSON, with the place of every part and with exact numbers.

use std::ops::Range;

use crate::value::Number;

/// The depth of nested arrays and objects.
const MAX_DEPTH: usize = 100;

/// A part of a JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) span: Range<usize>,
}

/// The kinds of parts.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Node>),
    /// In the order of the text; a name can occur twice.
    Object(Vec<Member>),
}

/// A name and its value.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) name_span: Range<usize>,
    pub(crate) value: Node,
}

/// Parses a text that is one value. An error has the index of the byte.
pub(crate) fn parse(text: &str) -> Result<Node, (usize, String)> {
    let mut parser = Parser {
        text,
        index: 0,
        depth: 0,
    };
    let node = parser.value()?;
    parser.space();
    if parser.index < text.len() {
        return Err(parser.error("the text continues after the end of the JSON value"));
    }
    Ok(node)
}

struct Parser<'a> {
    text: &'a str,
    index: usize,
    depth: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.index..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.index += character.len_utf8();
        Some(character)
    }

    fn space(&mut self) {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.index += rest.len() - trimmed.len();
    }

    fn error(&self, message: &str) -> (usize, String) {
        (self.index, message.to_owned())
    }

    fn value(&mut self) -> Result<Node, (usize, String)> {
        self.space();
        let start = self.index;
        let kind = match self.peek() {
            Some('{') => self.deeper(Self::object)?,
            Some('[') => self.deeper(Self::array)?,
            Some('"') => Kind::String(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            Some('a'..='z' | 'A'..='Z') => self.word()?,
            Some(_) => return Err(self.error("a JSON value is required here")),
            None => return Err(self.error("the JSON text ends too early")),
        };
        Ok(Node {
            kind,
            span: start..self.index,
        })
    }

    fn deeper(
        &mut self,
        parse: fn(&mut Self) -> Result<Kind, (usize, String)>,
    ) -> Result<Kind, (usize, String)> {
        if self.depth == MAX_DEPTH {
            return Err(self.error("the JSON text is nested too deeply"));
        }
        self.depth += 1;
        let kind = parse(self);
        self.depth -= 1;
        kind
    }

    fn object(&mut self) -> Result<Kind, (usize, String)> {
        self.next();
        let mut members = Vec::new();
        self.space();
        if self.peek() == Some('}') {
            self.next();
            return Ok(Kind::Object(members));
        }
        loop {
            self.space();
            let start = self.index;
            if self.peek() != Some('"') {
                return Err(self.error("a name in double quotes is required here"));
            }
            let name = self.string()?;
            let name_span = start..self.index;
            self.space();
            if self.peek() != Some(':') {
                return Err(self.error("a colon is required after a name"));
            }
            self.next();
            let value = self.value()?;
            members.push(Member {
                name,
                name_span,
                value,
            });
            if !self.comma('}')? {
                return Ok(Kind::Object(members));
            }
        }
    }

    fn array(&mut self) -> Result<Kind, (usize, String)> {
        self.next();
        let mut nodes = Vec::new();
        self.space();
        if self.peek() == Some(']') {
            self.next();
            return Ok(Kind::Array(nodes));
        }
        loop {
            nodes.push(self.value()?);
            if !self.comma(']')? {
                return Ok(Kind::Array(nodes));
            }
        }
    }

    /// Whether another element follows.
    fn comma(&mut self, close: char) -> Result<bool, (usize, String)> {
        self.space();
        match self.peek() {
            Some(',') => {
                self.next();
                Ok(true)
            }
            Some(character) if character == close => {
                self.next();
                Ok(false)
            }
            _ => Err(self.error(&format!("a comma or `{close}` is required here"))),
        }
    }

    fn word(&mut self) -> Result<Kind, (usize, String)> {
        for (word, kind) in [
            ("null", Kind::Null),
            ("true", Kind::Bool(true)),
            ("false", Kind::Bool(false)),
        ] {
            let after = self.rest().strip_prefix(word);
            if after.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric())) {
                self.index += word.len();
                return Ok(kind);
            }
        }
        Err(self.error("JSON has no such word; a string needs double quotes"))
    }

    fn number(&mut self) -> Result<Kind, (usize, String)> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        let text = rest.get(..length).unwrap_or_default();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let whole = digits
            .find(['.', 'e', 'E'])
            .map_or(digits, |end| digits.get(..end).unwrap_or_default());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        let fraction = digits.split_once('.').map(|(_, fraction)| fraction);
        let no_fraction =
            fraction.is_some_and(|text| !text.starts_with(|c: char| c.is_ascii_digit()));
        if leading_zero || no_fraction || whole.is_empty() {
            return Err(self.error("the number is not one of JSON"));
        }
        let number = Number::parse(text).map_err(|error| self.error(error.message()))?;
        self.index += length;
        Ok(Kind::Number(number))
    }

    fn string(&mut self) -> Result<String, (usize, String)> {
        let start = self.index;
        self.next();
        let mut value = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(value),
                Some('\\') => {
                    let character = self.escape()?;
                    value.push(character);
                }
                Some(character) if character < ' ' => {
                    self.index -= 1;
                    return Err(self.error("a JSON string needs an escape for this character"));
                }
                Some(character) => value.push(character),
                None => return Err((start, "the string has no end".to_owned())),
            }
        }
    }

    fn escape(&mut self) -> Result<char, (usize, String)> {
        let start = self.index - 1;
        let wrong = || (start, "the escape is not one of JSON".to_owned());
        Ok(match self.next().ok_or_else(wrong)? {
            '"' => '"',
            '\\' => '\\',
            '/' => '/',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = self.hexadecimal().ok_or_else(wrong)?;
                match high {
                    0xd800..0xdc00 => {
                        let before = self.index;
                        let low = self.rest().starts_with("\\u").then(|| {
                            self.index += 2;
                            self.hexadecimal()
                        });
                        if let Some(Some(low @ 0xdc00..0xe000)) = low {
                            let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                        } else {
                            self.index = before;
                            char::REPLACEMENT_CHARACTER
                        }
                    }
                    _ => char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER),
                }
            }
            _ => return Err(wrong()),
        })
    }

    fn hexadecimal(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let code = u32::from_str_radix(digits, 16).ok()?;
        self.index += 4;
        Some(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_have_escapes() {
        for (text, value) in [
            (r#""a\"\\\/\n""#, "a\"\\/\n"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud83dx""#, "\u{fffd}x"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
        ] {
            let Kind::String(parsed) = parse(text).unwrap().kind else {
                panic!("no string: {text}");
            };
            assert_eq!(parsed, value);
        }
    }

    #[test]
    fn errors_have_a_place() {
        for (text, index) in [
            ("", 0),
            ("{\"a\" 1}", 5),
            ("[1 2]", 3),
            ("{} x", 3),
            ("\"a", 0),
            ("[01]", 1),
            ("[1.]", 1),
            ("nulls", 0),
            ("\"\\x\"", 1),
        ] {
            assert_eq!(parse(text).unwrap_err().0, index, "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
