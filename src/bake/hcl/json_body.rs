//! Attributes, blocks and expressions in JSON.

use std::ops::Range;
use std::rc::Rc;

use crate::{Error, Place, Source};

use super::json::{self, Member};
use super::syntax::{parse_expression, parse_template};
use super::tree::{Key, Kind, Mentions, Node};
use super::{Attribute, Block, Body, Expression, Inner};

/// The kinds of blocks of a file. Each has one label.
const BLOCKS: [&str; 4] = ["function", "group", "target", "variable"];

/// The kind of a block inside of a variable, which has no label.
const VALIDATION: &str = "validation";

/// Parses a file.
pub(crate) fn parse_json(source: &Rc<Source>) -> Result<Body, Error> {
    let root = json::parse(&source.text)
        .map_err(|(at, problem)| Error::at(Place::new(source, at..at + 1), problem))?;
    if !matches!(root.kind, json::Kind::Object(_)) {
        return Err(error(source, &root.span, "expected an object"));
    }
    let mut body = Body::default();
    for member in members(source, &root)? {
        if !BLOCKS.contains(&member.name.as_str()) {
            add_attribute(source, member, &mut body)?;
            continue;
        }
        let labels = members(source, &member.value)?;
        if labels.is_empty() {
            let kind = &member.name;
            let problem = format!(
                "expected an object with names, `{{ \"{kind}\": {{ \"NAME\": {{ … }} }} }}`"
            );
            return Err(error(source, &member.value.span, &problem));
        }
        for label in labels {
            blocks(
                source,
                &member.name,
                Some(label),
                &label.value,
                &mut body.blocks,
            )?;
        }
    }
    Ok(body)
}

/// The members of an object, or of all objects of an array. A key `//` is a comment.
fn members<'a>(source: &Rc<Source>, node: &'a json::Node) -> Result<Vec<&'a Member>, Error> {
    let objects: Vec<&json::Node> = match &node.kind {
        json::Kind::Array(elements) => elements.iter().collect(),
        _ => vec![node],
    };
    let mut all = Vec::new();
    for object in objects {
        match &object.kind {
            json::Kind::Null => {}
            json::Kind::Object(members) => {
                all.extend(members.iter().filter(|member| member.name != "//"));
            }
            _ => return Err(error(source, &object.span, "expected an object")),
        }
    }
    Ok(all)
}

/// Adds a block, or one for each object of an array. `null` is not a block.
fn blocks(
    source: &Rc<Source>,
    kind: &str,
    label: Option<&Member>,
    node: &json::Node,
    blocks: &mut Vec<Block>,
) -> Result<(), Error> {
    let bodies: Vec<&json::Node> = match &node.kind {
        json::Kind::Null => Vec::new(),
        json::Kind::Array(elements) => elements.iter().collect(),
        _ => vec![node],
    };
    for node in bodies {
        let mut body = Body::default();
        for member in members(source, node)? {
            if kind == "variable" && member.name == VALIDATION {
                self::blocks(source, VALIDATION, None, &member.value, &mut body.blocks)?;
                continue;
            }
            add_attribute(source, member, &mut body)?;
        }
        let span = label.map_or(&node.span, |label| &label.name_span);
        blocks.push(Block {
            kind: kind.to_owned(),
            labels: label.iter().map(|label| label.name.clone()).collect(),
            place: Place::new(source, span.clone()),
            body,
        });
    }
    Ok(())
}

fn add_attribute(source: &Rc<Source>, member: &Member, body: &mut Body) -> Result<(), Error> {
    if body
        .attributes
        .iter()
        .any(|other| other.name == member.name)
    {
        let problem = format!("the attribute `{}` is set twice", member.name);
        return Err(error(source, &member.name_span, &problem));
    }
    body.attributes.push(Attribute {
        name: member.name.clone(),
        place: Place::new(source, member.name_span.clone()),
        expression: expression(source, &member.value),
    });
    Ok(())
}

/// Adds the functions that occur in strings that are expressions as a whole. The CLI overlooks those in templates.
pub(super) fn add_calls(source: &Rc<Source>, json: &json::Node, mentions: &mut Mentions) {
    let mut add = |text: &str, span: &Range<usize>| {
        if let Ok(node) = parse_expression(source, text, span.clone()) {
            mentions.add(&node);
        }
    };
    match &json.kind {
        json::Kind::String(text) => add(text, &json.span),
        json::Kind::Array(elements) => elements
            .iter()
            .for_each(|element| add_calls(source, element, mentions)),
        json::Kind::Object(members) => {
            for member in members {
                add(&member.name, &member.name_span);
            }
            for member in members {
                add_calls(source, &member.value, mentions);
            }
        }
        json::Kind::Null | json::Kind::Bool(_) | json::Kind::Number(_) => {}
    }
}

/// A JSON value as an expression.
pub(super) fn expression(source: &Rc<Source>, json: &json::Node) -> Expression {
    Expression(Rc::new(Inner {
        source: Rc::clone(source),
        span: json.span.clone(),
        node: node(source, json),
        json: Some(json.clone()),
    }))
}

/// The tree of a JSON value. Strings and keys are templates. The depth is limited by the parser of JSON.
fn node(source: &Rc<Source>, json: &json::Node) -> Result<Node, Error> {
    let kind = match &json.kind {
        json::Kind::Null => Kind::Null,
        json::Kind::Bool(value) => Kind::Bool(*value),
        json::Kind::Number(number) => Kind::Number(number.clone()),
        json::Kind::String(text) => return parse_template(source, text, json.span.clone()),
        json::Kind::Array(elements) => {
            let elements = elements.iter().map(|element| node(source, element));
            Kind::Tuple(elements.collect::<Result<_, _>>()?)
        }
        json::Kind::Object(members) => {
            let mut pairs = Vec::with_capacity(members.len());
            let mut names = std::collections::BTreeSet::new();
            for member in members {
                if !names.insert(member.name.as_str()) {
                    return Err(error(
                        source,
                        &member.name_span,
                        &format!("the key `{}` occurs twice", member.name),
                    ));
                }
                let key = parse_template(source, &member.name, member.name_span.clone())?;
                pairs.push((Key::Expression(key), node(source, &member.value)?));
            }
            Kind::Object(pairs)
        }
    };
    Ok(Node {
        kind,
        span: json.span.clone(),
    })
}

fn error(source: &Rc<Source>, span: &Range<usize>, problem: &str) -> Error {
    Error::at(Place::new(source, span.clone()), problem)
}
