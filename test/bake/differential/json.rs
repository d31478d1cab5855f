//! Definitions as JSON.

use serde_json::{Map, Value as Json, json};

use super::definition::{Block, Definition, Value};
use crate::numbers::Numbers;

/// The text of a definition.
pub fn write(definition: &Definition, numbers: &mut Numbers) -> String {
    let mut root = attributes(&definition.attributes, numbers);
    let mut kinds: Vec<&str> = definition.blocks.iter().map(|block| block.kind).collect();
    kinds.dedup();
    for kind in ["variable", "function", "target", "group"] {
        let blocks = definition.blocks.iter().filter(|block| block.kind == kind);
        let blocks: Vec<(String, Json)> = blocks
            .map(|block| {
                (
                    block.label.clone().unwrap_or_default(),
                    body(block, numbers),
                )
            })
            .collect();
        if blocks.is_empty() {
            continue;
        }
        let json = if numbers.percent(30) {
            // Blocks of one kind can be a list of objects.
            blocks
                .into_iter()
                .map(|(label, body)| json!({ label: body }))
                .collect()
        } else {
            Json::Object(blocks.into_iter().collect())
        };
        root.insert(kind.to_owned(), json);
    }
    if numbers.percent(50) {
        serde_json::to_string_pretty(&root).unwrap()
    } else {
        serde_json::to_string(&root).unwrap()
    }
}

fn body(block: &Block, numbers: &mut Numbers) -> Json {
    let mut body = attributes(&block.attributes, numbers);
    for inner in &block.blocks {
        body.insert(inner.kind.to_owned(), self::body(inner, numbers));
    }
    Json::Object(body)
}

fn attributes(attributes: &[(String, Value)], numbers: &mut Numbers) -> Map<String, Json> {
    let attributes = attributes
        .iter()
        .map(|(name, value)| (name.clone(), shown(value, numbers)));
    attributes.collect()
}

fn shown(value: &Value, numbers: &mut Numbers) -> Json {
    match value {
        Value::Word(text) => Json::String(text.clone()),
        Value::Expression(text) => match serde_json::from_str(text) {
            Ok(json) if numbers.percent(80) => json,
            _ => Json::String(format!("${{{text}}}")),
        },
        Value::List(values) => values.iter().map(|value| shown(value, numbers)).collect(),
        Value::Object(members) => Json::Object(attributes(members, numbers)),
    }
}
