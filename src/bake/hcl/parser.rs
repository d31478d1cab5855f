//! Parses expressions of HCL.
//!
//! A parser of our own, because `hcl-edit` rejects what the CLI accepts, such as a key that occurs twice in an object. It works on
//! characters, without a separate scanner.

use std::ops::Range;
use std::rc::Rc;

use crate::value::Number;
use crate::{Error, Place, Source};

use super::tree::{Call, For, Key, Kind, Node, Operator, Step, StepKind};

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

/// The operators by precedence, the weakest first. Longer ones come before their beginnings.
const OPERATORS: [&[(&str, Operator)]; 6] = [
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[("==", Operator::Equal), ("!=", Operator::NotEqual)],
    &[
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Plus), ("-", Operator::Minus)],
    &[
        ("*", Operator::Times),
        ("/", Operator::Over),
        ("%", Operator::Modulo),
    ],
];

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
            } else if rest.starts_with("/*") {
                let end = rest
                    .find("*/")
                    .ok_or_else(|| self.error("the comment is not closed"))?;
                self.at += end + 2;
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
    fn word(&mut self, word: &str) -> bool {
        let start = self.at;
        let found = self.identifier().is_some_and(|name| name == word);
        if !found {
            self.at = start;
        }
        found
    }

    /// An expression. The parser is behind it afterwards, without the spaces that follow.
    pub(super) fn expression(&mut self) -> Result<Node, Error> {
        self.deeper(|parser| {
            parser.skip()?;
            let start = parser.at;
            let condition = parser.operation()?;
            let end = parser.at;
            parser.skip()?;
            if !parser.take("?") {
                parser.at = end;
                return Ok(condition);
            }
            let then = parser.expression()?;
            parser.skip()?;
            parser.expect(":", "between the results of the conditional")?;
            let otherwise = parser.expression()?;
            Ok(Node {
                kind: Kind::Conditional(Box::new([condition, then, otherwise])),
                span: parser.span(start),
            })
        })
    }

    /// Operands and operators.
    fn operation(&mut self) -> Result<Node, Error> {
        let mut operands = vec![self.term()?];
        let mut operators = Vec::new();
        loop {
            let end = self.at;
            self.skip()?;
            let all = OPERATORS.iter().flat_map(|operators| operators.iter());
            let operator = all
                .filter(|(text, _)| self.starts_with(text))
                .max_by_key(|(text, _)| text.len());
            let Some((text, operator)) = operator else {
                self.at = end;
                return Ok(chain(operands, &operators, 0));
            };
            self.at += text.len();
            operators.push(*operator);
            operands.push(self.term()?);
        }
    }

    /// A value, and the attributes and indexes that follow it.
    fn term(&mut self) -> Result<Node, Error> {
        self.skip()?;
        let start = self.at;
        let sign: Option<fn(Box<Node>) -> Kind> = match self.peek() {
            Some('-') => Some(Kind::Negate),
            Some('!') => Some(Kind::Not),
            _ => None,
        };
        if let Some(sign) = sign {
            self.at += 1;
            let operand = self.deeper(Self::term)?;
            return Ok(Node {
                kind: sign(Box::new(operand)),
                span: self.span(start),
            });
        }
        let base = self.primary()?;
        let steps = self.steps(false)?;
        if steps.is_empty() {
            return Ok(base);
        }
        Ok(Node {
            kind: Kind::Access(Box::new(base), steps),
            span: self.span(start),
        })
    }

    fn primary(&mut self) -> Result<Node, Error> {
        let start = self.at;
        let kind = match self.peek() {
            Some('0'..='9') => self.number()?,
            Some('"') => self.quoted_template()?,
            Some('<') if self.starts_with("<<") => self.heredoc()?,
            Some('(') => {
                self.at += 1;
                let inner = self.with_newlines(false, |parser| {
                    let inner = parser.expression()?;
                    parser.skip()?;
                    parser.expect(")", "behind the expression")?;
                    Ok(inner)
                })?;
                Kind::Parentheses(Box::new(inner))
            }
            Some('[') => {
                self.at += 1;
                self.with_newlines(false, Self::tuple)?
            }
            Some('{') => {
                self.at += 1;
                self.with_newlines(true, Self::object)?
            }
            _ => match self.identifier() {
                Some(name) => self.named(name)?,
                None => return Err(self.unexpected("an expression")),
            },
        };
        Ok(Node {
            kind,
            span: self.span(start),
        })
    }

    /// A keyword, a call or a variable.
    fn named(&mut self, mut name: String) -> Result<Kind, Error> {
        while self.take("::") {
            let part = self
                .identifier()
                .ok_or_else(|| self.unexpected("a name of a function"))?;
            name = format!("{name}::{part}");
        }
        let end = self.at;
        self.skip()?;
        if !self.take("(") {
            self.at = end;
            return Ok(match name.as_str() {
                "null" => Kind::Null,
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                _ => Kind::Variable(name),
            });
        }
        self.with_newlines(false, |parser| {
            let mut call = Call {
                name,
                arguments: Vec::new(),
                expands: false,
            };
            loop {
                parser.skip()?;
                if parser.take(")") {
                    break;
                }
                call.arguments.push(parser.expression()?);
                parser.skip()?;
                if parser.take("...") {
                    call.expands = true;
                    parser.skip()?;
                    parser.take(",");
                    parser.skip()?;
                    parser.expect(")", "behind the expanded argument")?;
                    break;
                }
                if !parser.take(",") {
                    parser.expect(")", "or `,` behind the argument")?;
                    break;
                }
            }
            Ok(Kind::Call(call))
        })
    }

    fn number(&mut self) -> Result<Kind, Error> {
        let start = self.at;
        self.digits();
        let point = self.at;
        if self.take(".") && self.digits() == 0 {
            self.at = point;
        }
        let exponent = self.at;
        if self.rest().starts_with(['e', 'E']) {
            self.at += 1;
            if self.rest().starts_with(['+', '-']) {
                self.at += 1;
            }
            if self.digits() == 0 {
                self.at = exponent;
            }
        }
        if self
            .rest()
            .starts_with(|character: char| character.is_alphanumeric() || character == '_')
        {
            return Err(self.unexpected("the end of the number"));
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        let number = Number::parse(text).map_err(|error| self.error_at(start, error.message()))?;
        Ok(Kind::Number(number))
    }

    fn digits(&mut self) -> usize {
        let rest = self.rest();
        let count = rest
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(rest.len());
        self.at += count;
        count
    }

    /// The attributes and indexes behind a value. Behind `.*`, only attributes apply to each element.
    fn steps(&mut self, only_attributes: bool) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        loop {
            let end = self.at;
            self.skip()?;
            let start = self.at;
            let kind = if self.starts_with(".") && !self.starts_with("...") {
                self.at += 1;
                self.skip()?;
                if let Some(name) = self.identifier() {
                    StepKind::Attribute(name)
                } else if self.digits() > 0 {
                    let digits = self.text.get(start + 1..self.at).unwrap_or_default().trim();
                    StepKind::Number(
                        Number::parse(digits)
                            .map_err(|error| self.error_at(start, error.message()))?,
                    )
                } else if !only_attributes && self.take("*") {
                    StepKind::Splat(self.deeper(|parser| parser.steps(true))?)
                } else {
                    return Err(self.unexpected("the name of an attribute"));
                }
            } else if !only_attributes && self.take("[") {
                self.with_newlines(false, |parser| {
                    parser.skip()?;
                    if parser.take("*") {
                        parser.skip()?;
                        parser.expect("]", "behind `[*`")?;
                        return Ok(StepKind::Splat(Vec::new()));
                    }
                    let index = parser.expression()?;
                    parser.skip()?;
                    parser.expect("]", "behind the index")?;
                    Ok(StepKind::Index(Box::new(index)))
                })?
            } else {
                self.at = end;
                return Ok(steps);
            };
            let each = if self
                .text
                .get(start..self.at)
                .is_some_and(|text| text.ends_with(']'))
                && matches!(kind, StepKind::Splat(_))
            {
                Some(self.deeper(|parser| parser.steps(false))?)
            } else {
                None
            };
            let kind = each.map_or(kind, StepKind::Splat);
            steps.push(Step {
                kind,
                span: self.span(start),
            });
        }
    }

    fn tuple(&mut self) -> Result<Kind, Error> {
        self.skip()?;
        if self.word("for") {
            return self.for_expression("]");
        }
        let mut elements = Vec::new();
        loop {
            self.skip()?;
            if self.take("]") {
                return Ok(Kind::Tuple(elements));
            }
            elements.push(self.expression()?);
            self.skip()?;
            if !self.take(",") {
                self.expect("]", "or `,` behind the element of the list")?;
                return Ok(Kind::Tuple(elements));
            }
        }
    }

    /// Newlines separate the members of an object, as commas do.
    fn object(&mut self) -> Result<Kind, Error> {
        self.skip_lines()?;
        if self.word("for") {
            return self.with_newlines(false, |parser| parser.for_expression("}"));
        }
        let mut members = Vec::new();
        loop {
            self.skip_lines()?;
            if self.take("}") {
                return Ok(Kind::Object(members));
            }
            let key = self.expression()?;
            let key = match key.kind {
                Kind::Variable(name) => Key::Name(name),
                Kind::Null => Key::Name("null".into()),
                Kind::Bool(value) => Key::Name(value.to_string()),
                Kind::Access(ref base, _) if matches!(base.kind, Kind::Variable(_)) => {
                    return Err(self.error_at(
                        self.at,
                        "put the key in quotes if it is a text, or in parentheses if it is an expression",
                    ));
                }
                _ => Key::Expression(key),
            };
            self.skip()?;
            if !self.take("=") && !self.take(":") {
                return Err(self.unexpected("`=` or `:` behind the key"));
            }
            members.push((key, self.expression()?));
            self.skip()?;
            if self.take("}") {
                return Ok(Kind::Object(members));
            }
            if !self.take(",") && newline(self.rest()) == 0 {
                return Err(
                    self.unexpected("`,`, `}` or a new line behind the member of the object")
                );
            }
        }
    }

    /// Skips spaces, comments and newlines.
    pub(super) fn skip_lines(&mut self) -> Result<(), Error> {
        self.with_newlines(false, Self::skip)
    }

    /// The rest of a `for` up to its closing bracket.
    fn for_expression(&mut self, close: &str) -> Result<Kind, Error> {
        let (key_name, value_name) = self.for_names()?;
        let collection = self.expression()?;
        self.skip()?;
        self.expect(":", "behind the collection of `for`")?;
        let first = self.expression()?;
        self.skip()?;
        let (key, value) = if close == "}" {
            self.expect("=>", "behind the key")?;
            (Some(first), self.expression()?)
        } else {
            (None, first)
        };
        self.skip()?;
        let groups = close == "}" && self.take("...");
        self.skip()?;
        let condition = if self.word("if") {
            Some(self.expression()?)
        } else {
            None
        };
        self.skip()?;
        self.expect(close, "at the end of `for`")?;
        Ok(Kind::For(Box::new(For {
            key_name,
            value_name,
            collection,
            key,
            value,
            groups,
            condition,
        })))
    }

    /// `key, value in` or `value in`
    pub(super) fn for_names(&mut self) -> Result<(Option<String>, String), Error> {
        let name = |parser: &mut Self| {
            parser.skip()?;
            let name = parser.identifier();
            let name = name.ok_or_else(|| parser.unexpected("a name behind `for`"))?;
            parser.skip()?;
            Ok::<_, Error>(name)
        };
        let first = name(self)?;
        let names = if self.take(",") {
            (Some(first), name(self)?)
        } else {
            (None, first)
        };
        if !self.word("in") {
            return Err(self.unexpected("`in`"));
        }
        Ok(names)
    }

    /// Takes a word behind spaces.
    pub(super) fn spaced_word(&mut self, word: &str) -> Result<bool, Error> {
        self.skip()?;
        Ok(self.word(word))
    }
}

/// Groups operands by the precedence of the operators between them.
fn chain(mut operands: Vec<Node>, operators: &[Operator], precedence: usize) -> Node {
    let Some(level) = OPERATORS.get(precedence).filter(|_| operands.len() > 1) else {
        return operands.swap_remove(0);
    };
    let mut groups: Vec<Node> = Vec::new();
    let mut separators = Vec::new();
    let mut group = Vec::new();
    let mut inner = Vec::new();
    let mut operators = operators.iter();
    for operand in operands {
        group.push(operand);
        match operators.next() {
            Some(operator) if !level.iter().any(|(_, other)| other == operator) => {
                inner.push(*operator);
            }
            separator => {
                groups.push(chain(
                    std::mem::take(&mut group),
                    &std::mem::take(&mut inner),
                    precedence + 1,
                ));
                separators.extend(separator.copied());
            }
        }
    }
    let mut groups = groups.into_iter();
    let Some(first) = groups.next() else {
        return Node {
            kind: Kind::Null,
            span: 0..0,
        };
    };
    let rest: Vec<(Operator, Node)> = separators.into_iter().zip(groups).collect();
    let Some((_, last)) = rest.last() else {
        return first;
    };
    Node {
        span: first.span.start..last.span.end,
        kind: Kind::Chain(Box::new(first), rest),
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
