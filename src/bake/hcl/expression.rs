//! Parses expressions.

use crate::Error;
use crate::value::Number;

use super::parser::{Parser, newline};
use super::tree::{Call, For, Key, Kind, Node, Operator, Step, StepKind};

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

    /// A number with all points and exponents that follow its digits, as the CLI's scanner reads it: `1.2.3` is one number, and wrong.
    fn number(&mut self) -> Result<Kind, Error> {
        let start = self.at;
        let text = self.number_text();
        if self
            .rest()
            .starts_with(|character: char| character.is_alphanumeric() || character == '_')
        {
            return Err(self.unexpected("the end of the number"));
        }
        let number = Number::parse(text).map_err(|error| self.error_at(start, error.message()))?;
        Ok(Kind::Number(number))
    }

    /// The text of a number; empty if there are no digits.
    fn number_text(&mut self) -> &'a str {
        let start = self.at;
        // The end of the last part that is not a point.
        let mut end = start;
        while self
            .rest()
            .starts_with(|first: char| first.is_ascii_digit())
            || (end > start && self.rest().starts_with(['.', 'e', 'E']))
        {
            if self.digits() > 0 || self.exponent() {
                end = self.at;
            } else if !self.take(".") {
                break;
            }
        }
        self.at = end;
        self.text.get(start..end).unwrap_or_default()
    }

    /// Reads `e`, a sign and digits; reads nothing without digits.
    fn exponent(&mut self) -> bool {
        let start = self.at;
        if self.take("e") || self.take("E") {
            let _ = self.take("+") || self.take("-");
            if self.digits() > 0 {
                return true;
            }
        }
        self.at = start;
        false
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
                } else if self
                    .rest()
                    .starts_with(|first: char| first.is_ascii_digit())
                {
                    let digits = self.number_text();
                    if digits.contains('.') {
                        let problem =
                            "two indexes cannot follow each other like this; write `[0][1]`";
                        return Err(self.error_at(start, problem));
                    }
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
                Kind::Access(ref base, ref steps)
                    if matches!(base.kind, Kind::Variable(_))
                        && steps.iter().all(Step::is_constant) =>
                {
                    Key::Ambiguous(key)
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
