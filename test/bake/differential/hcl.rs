//! Definitions as HCL.

use std::fmt::Write as _;

use super::definition::{Block, Definition, Value};
use crate::numbers::Numbers;

/// The text of a definition, with comments, and sometimes with the line ends and the byte order mark of Windows.
pub fn write(definition: &Definition, numbers: &mut Numbers) -> String {
    let mut text = String::new();
    for (name, value) in &definition.attributes {
        let _ = writeln!(text, "{name} = {}", shown(value));
    }
    for item in &definition.blocks {
        text.push_str(numbers.pick(&[
            "",
            "",
            "# a comment\n",
            "// \"another\"\n",
            "/* two\nlines */\n",
            "\n",
        ]));
        block(&mut text, item, numbers, "");
    }
    if numbers.percent(4) {
        text = text.replace('\n', "\r\n");
    }
    if numbers.percent(3) {
        text.insert(0, '\u{feff}');
    }
    text
}

fn block(text: &mut String, block: &Block, numbers: &mut Numbers, indent: &str) {
    let _ = write!(text, "{indent}{}", block.kind);
    if let Some(label) = &block.label {
        // A label can be a name without quotes.
        let _ = if numbers.percent(10) && !label.contains(' ') {
            write!(text, " {label}")
        } else {
            write!(text, " \"{label}\"")
        };
    }
    match &block.attributes[..] {
        [(name, value)]
            if block.blocks.is_empty() && numbers.percent(20) && !shown(value).contains('\n') =>
        {
            let _ = writeln!(text, " {{ {name} = {} }}", shown(value));
            return;
        }
        _ => text.push_str(" {\n"),
    }
    for (name, value) in &block.attributes {
        let _ = write!(text, "{indent}  {name} = {}", shown(value));
        // The end of a heredoc is the end of its line.
        if !text.ends_with("E\n") {
            text.push_str(numbers.pick(&["\n", "\n", "\n", " # a comment\n"]));
        }
    }
    for inner in &block.blocks {
        self::block(text, inner, numbers, "  ");
    }
    let _ = writeln!(text, "{indent}}}");
}

fn shown(value: &Value) -> String {
    match value {
        Value::Expression(text) | Value::Word(text) => text.clone(),
        Value::List(values) => {
            let values: Vec<String> = values.iter().map(shown).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{name} = {}", shown(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
    }
}
