//! Expressions, templates and bodies of HCL and of its JSON form.
//!
//! The module `definition` resolves everything that an expression mentions before it evaluates it, as the CLI does: an undeclared
//! name or a cycle in a branch that is not taken has effects, too. So an expression also has
//!
//! - `references()`: each variable that occurs anywhere in it, with the constant attribute names that follow (`target.a.tags[0]` is
//!   `target` with `["a", "tags"]`), in order of occurrence; names bound by `for` are not references;
//! - `calls()`: the names of all functions that occur in it.
//!
//! In JSON, references are those of all templates in strings and keys, and calls those of strings that are expressions as a whole.
//!
//! | module | content |
//! |---|---|
//! | `tree` | the tree of an expression |
//! | `parser`, `expression`, `template`, `syntax` | HCL: expressions, templates, attributes and blocks |
//! | `json`, `json_body` | JSON, and the attributes and blocks in it |
//! | `scope` | the names that an expression can use |
//! | `evaluate` | the value of an expression |
//! | `constraint` | the type that an expression denotes |

mod constraint;
mod evaluate;
mod expression;
pub(crate) mod json;
mod json_body;
mod parser;
pub(crate) mod scope;
mod syntax;
mod template;
pub(crate) mod tree;

use std::ops::Range;
use std::rc::Rc;

use crate::value::{Type, Value};
use crate::{Error, Place, Source};

use scope::Scope;
use tree::{Kind, Mentions, Node, Reference};

pub(crate) use json_body::parse_json;

/// The content of a file or of a block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) blocks: Vec<Block>,
}

/// A name with an expression.
#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    /// The name.
    pub(crate) place: Place,
    pub(crate) expression: Expression,
}

/// A block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) kind: String,
    pub(crate) labels: Vec<String>,
    /// The kind and the labels.
    pub(crate) place: Place,
    pub(crate) body: Body,
}

/// An expression of HCL, or a JSON value whose strings are templates. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Expression(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Rc<Source>,
    span: Range<usize>,
    /// The tree, or the problem of a template in JSON, which matters only if the expression is evaluated.
    node: Result<Node, Error>,
    /// The JSON value.
    json: Option<json::Node>,
}

impl Expression {
    fn of_node(source: &Rc<Source>, node: Node) -> Self {
        Self(Rc::new(Inner {
            source: Rc::clone(source),
            span: node.span.clone(),
            node: Ok(node),
            json: None,
        }))
    }

    /// The place of the whole expression.
    pub(crate) fn place(&self) -> Place {
        self.place_of(&self.0.span)
    }

    /// The place of a part of the tree.
    pub(crate) fn place_of(&self, span: &Range<usize>) -> Place {
        Place::new(&self.0.source, span.clone())
    }

    /// The tree.
    pub(crate) fn node(&self) -> Result<&Node, Error> {
        self.0.node.as_ref().map_err(Clone::clone)
    }

    /// The value.
    pub(crate) fn evaluate(&self, scope: &dyn Scope) -> Result<Value, Error> {
        evaluate::evaluate(self.node()?, &self.0.source, scope)
    }

    /// The type that the expression denotes, such as `list(string)`.
    pub(crate) fn constraint(&self) -> Result<Type, Error> {
        constraint::constraint(&self.type_node()?, &self.0.source)
    }

    /// The tree of a type. In JSON, a type is a string with an expression in it.
    pub(crate) fn type_node(&self) -> Result<Node, Error> {
        match self.0.json.as_ref().map(|json| &json.kind) {
            Some(json::Kind::String(text)) => {
                syntax::parse_expression(&self.0.source, text, self.0.span.clone())
            }
            _ => self.node().cloned(),
        }
    }

    /// The name, if the expression is nothing else.
    pub(crate) fn keyword(&self) -> Option<String> {
        match self.type_node().ok()?.kind {
            Kind::Variable(name) => Some(name),
            _ => None,
        }
    }

    /// The elements of `[a, b]`.
    pub(crate) fn elements(&self) -> Option<Vec<Self>> {
        if let Some(json) = &self.0.json {
            let json::Kind::Array(elements) = &json.kind else {
                return None;
            };
            return Some(
                elements
                    .iter()
                    .map(|element| json_body::expression(&self.0.source, element))
                    .collect(),
            );
        }
        let Kind::Tuple(elements) = &self.0.node.as_ref().ok()?.kind else {
            return None;
        };
        Some(
            elements
                .iter()
                .map(|element| Self::of_node(&self.0.source, element.clone()))
                .collect(),
        )
    }

    /// The variables that occur in the expression.
    pub(crate) fn references(&self) -> Vec<Reference> {
        self.mentions().references
    }

    /// The names of the functions that occur in the expression.
    pub(crate) fn calls(&self) -> Vec<String> {
        let Some(json) = &self.0.json else {
            return self.mentions().calls;
        };
        let mut mentions = Mentions::default();
        json_body::add_calls(&self.0.source, json, &mut mentions);
        mentions.calls
    }

    /// Whether it is a JSON value.
    pub(crate) fn is_json(&self) -> bool {
        self.0.json.is_some()
    }

    fn mentions(&self) -> Mentions {
        let mut mentions = Mentions::default();
        if let Ok(node) = &self.0.node {
            mentions.add(node);
        }
        mentions
    }
}

/// Parses a file of HCL.
pub(crate) fn parse_hcl(source: &Rc<Source>) -> Result<Body, Error> {
    syntax::parse(source).map(|body| body_of(source, body))
}

/// The recursion is as deep as the blocks of the file are nested, which the parser limits.
fn body_of(source: &Rc<Source>, body: syntax::SyntaxBody) -> Body {
    let attributes = body.attributes.into_iter().map(|attribute| Attribute {
        name: attribute.name,
        place: Place::new(source, attribute.span),
        expression: Expression::of_node(source, attribute.value),
    });
    let blocks = body.blocks.into_iter().map(|block| Block {
        kind: block.kind,
        labels: block.labels,
        place: Place::new(source, block.span),
        body: body_of(source, block.body),
    });
    Body {
        attributes: attributes.collect(),
        blocks: blocks.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Rc<Source> {
        Rc::new(Source {
            name: "x".into(),
            text: text.into(),
        })
    }

    fn first(text: &str) -> Result<Expression, String> {
        let body =
            parse_hcl(&source(&format!("x = {text}\n"))).map_err(|error| error.to_string())?;
        Ok(body.attributes[0].expression.clone())
    }

    /// The text of a template without sequences.
    fn text(expression: &str) -> String {
        match first(expression).unwrap().node().unwrap().kind.clone() {
            Kind::Text(text) => text,
            kind => panic!("{kind:?}"),
        }
    }

    #[test]
    fn texts_have_escapes_and_heredocs_have_lines() {
        for (expression, expected) in [
            (r#""""#, ""),
            (r#""a\n\"\\\u00e9\U0001f600""#, "a\n\"\\é😀"),
            (r#""$${a} %%{b} $a %b $$""#, "${a} %{b} $a %b $$"),
            ("<<E\na\n  b\nE", "a\n  b\n"),
            ("<<E\r\na\r\nE", "a\r\n"),
            ("<<-E\n  a\n    b\n\n  c\n  E", "a\n  b\n\nc\n"),
            ("<<E\nE", ""),
            ("<<E\n$${a} \\n \"\n  E  ", "${a} \\n \"\n"),
        ] {
            assert_eq!(text(expression), expected, "{expression}");
        }
    }

    #[test]
    fn references_and_calls_are_found() {
        let all = r#"f(a.b.c[d], [for e in g : e + h if i(e)], "${j.k}%{ for l in m }${l}${n}%{ endfor }", { o = p, (q) = r }, s[*].t, -u)"#;
        let expression = first(all).unwrap();
        let references = expression.references().into_iter();
        let references: Vec<String> = references
            .map(|reference| [vec![reference.name], reference.path].concat().join("."))
            .collect();
        assert_eq!(references.join(" "), "a.b.c d g h j.k m n p q r s u");
        assert_eq!(expression.calls(), ["f", "i"]);
        assert_eq!(first("a").unwrap().keyword().as_deref(), Some("a"));
        assert_eq!(first("[a, b]").unwrap().elements().unwrap().len(), 2);
    }

    #[test]
    fn invalid_files_are_errors() {
        for text in [
            "a",
            "a =",
            "a = 1 b = 2",
            "a = [1",
            "a = \"x",
            "a = \"${x\"",
            "a = \"\\q\"",
            "a = \"x\ny\"",
            "a = <<E\nx\n",
            "a = 1\na = 2",
            "a {",
            "a { b = 1\n}",
            "a \"${b}\" {}",
            "a = 1 +",
            "a = 1\r",
            "a = \"%{ if x }\"",
            "a = \"%{ endif }\"",
            "a = 1x",
            "a = /* x",
            "}",
        ] {
            assert!(parse_hcl(&source(text)).is_err(), "{text}");
        }
        let deep = format!("a = {}1", "[".repeat(10_000));
        assert!(parse_hcl(&source(&deep)).is_err());
        assert!(parse_hcl(&source(&"a {\n".repeat(10_000))).is_err());
    }

    #[test]
    fn json_has_the_same_bodies() {
        let json = r#"{"//": "x", "a": 1, "target": [{"t": {"//": 1, "args": {"k": "${v}"}}}, {"u": [{}, {}]}], "variable": {"v": {"validation": [{}, {}]}}}"#;
        let body = parse_json(&source(json)).unwrap();
        let blocks: Vec<String> = body
            .blocks
            .iter()
            .map(|block| format!("{} {}", block.kind, block.labels[0]))
            .collect();
        assert_eq!(blocks, ["target t", "target u", "target u", "variable v"]);
        assert_eq!(body.attributes.len(), 1);
        assert_eq!(
            body.blocks[0].body.attributes[0].expression.references()[0].name,
            "v"
        );
        assert_eq!(body.blocks[3].body.blocks.len(), 2);
    }
}
