//! Parses files of HCL: attributes and blocks.

use std::ops::Range;
use std::rc::Rc;

use crate::{Error, Source};

use super::parser::{Parser, newline};
use super::tree::{Kind, Node};

/// The content of a file or of a block.
#[derive(Debug, Default)]
pub(super) struct SyntaxBody {
    pub(super) attributes: Vec<SyntaxAttribute>,
    pub(super) blocks: Vec<SyntaxBlock>,
}

/// `name = expression`
#[derive(Debug)]
pub(super) struct SyntaxAttribute {
    pub(super) name: String,
    pub(super) span: Range<usize>,
    pub(super) value: Node,
}

/// `kind "label" { … }`
#[derive(Debug)]
pub(super) struct SyntaxBlock {
    pub(super) kind: String,
    pub(super) labels: Vec<String>,
    /// The kind and the labels.
    pub(super) span: Range<usize>,
    pub(super) body: SyntaxBody,
}

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Parses a file.
pub(super) fn parse(source: &Rc<Source>) -> Result<SyntaxBody, Error> {
    let start = if source.text.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len()
    } else {
        0
    };
    let mut parser = Parser::of_file(source, start);
    let body = parser.body(false)?;
    match parser.peek() {
        None => Ok(body),
        Some(_) => Err(parser.unexpected("an attribute or a block")),
    }
}

/// Parses the text of a JSON string at `span` as a template.
pub(super) fn parse_template(
    source: &Rc<Source>,
    text: &str,
    span: Range<usize>,
) -> Result<Node, Error> {
    let mut parser = Parser::of_string(source, text, span.clone());
    let kind = parser.whole_template()?;
    Ok(Node { kind, span })
}

/// Parses the text of a JSON string at `span` as an expression, for types and names.
pub(super) fn parse_expression(
    source: &Rc<Source>,
    text: &str,
    span: Range<usize>,
) -> Result<Node, Error> {
    let mut parser = Parser::of_string(source, text, span);
    let node = parser.expression()?;
    parser.skip_lines()?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.unexpected("the end of the expression")),
    }
}

impl Parser<'_> {
    /// Attributes and blocks up to the end of the file or a closing brace.
    fn body(&mut self, in_block: bool) -> Result<SyntaxBody, Error> {
        let mut body = SyntaxBody::default();
        loop {
            self.skip_lines()?;
            if self.peek().is_none() || (in_block && self.starts_with("}")) {
                return Ok(body);
            }
            self.item(&mut body)?;
            self.skip()?;
            let length = newline(self.rest());
            if length == 0 && self.peek().is_some() {
                return Err(self.unexpected("a new line"));
            }
            self.at += length;
        }
    }

    /// One attribute or block.
    fn item(&mut self, body: &mut SyntaxBody) -> Result<(), Error> {
        let start = self.at;
        let Some(name) = self.identifier() else {
            return Err(self.unexpected("an attribute or a block"));
        };
        self.skip()?;
        if self.take("=") {
            let span = self.span(start);
            let span = span.start..span.start + name.len();
            if body.attributes.iter().any(|other| other.name == name) {
                return Err(self.error_at(start, format!("the attribute `{name}` is set twice")));
            }
            let value = self.expression()?;
            body.attributes.push(SyntaxAttribute { name, span, value });
            return Ok(());
        }
        let block = self.deeper(|parser| parser.block(name, start))?;
        body.blocks.push(block);
        Ok(())
    }

    fn block(&mut self, kind: String, start: usize) -> Result<SyntaxBlock, Error> {
        let mut labels = Vec::new();
        loop {
            self.skip()?;
            match self.peek() {
                Some('{') => break,
                Some('"') => {
                    let label = self.at;
                    match self.quoted_template()? {
                        Kind::Text(text) => labels.push(text),
                        _ => {
                            return Err(
                                self.error_at(label, "a label is a plain text, without `${…}`")
                            );
                        }
                    }
                }
                _ => match self.identifier() {
                    Some(label) => labels.push(label),
                    None => return Err(self.unexpected("`=`, a label or `{`")),
                },
            }
        }
        let span = self.span(start);
        self.at += 1;
        self.skip()?;
        let body = if newline(self.rest()) > 0 {
            let body = self.body(true)?;
            if !self.take("}") {
                return Err(self.error_at(
                    start,
                    format!("the block `{kind}` is not closed: `}}` is missing"),
                ));
            }
            body
        } else {
            let mut body = SyntaxBody::default();
            if !self.starts_with("}") {
                let count = body.blocks.len();
                self.item(&mut body)?;
                if body.blocks.len() > count {
                    return Err(self.error_at(
                        start,
                        "a block inside of another one needs lines of its own",
                    ));
                }
                self.skip()?;
            }
            self.expect("}", "at the end of a block of one line")?;
            body
        };
        Ok(SyntaxBlock {
            kind,
            labels,
            span,
            body,
        })
    }
}
