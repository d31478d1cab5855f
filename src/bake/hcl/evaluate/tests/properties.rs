//! Any text is a value or an error, never a panic.

use super::{names, source};
use crate::budget::Budget;
use crate::hcl::{parse_hcl, parse_json};

/// Pieces of definitions, so that a random text is often a valid one.
const PIECES: &[&str] = &[
    "x = ",
    "\n",
    "target \"t\" {",
    "}",
    "{",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "${",
    "%{ if ",
    "%{ for a in ",
    "%{ endif }",
    "%{ endfor }",
    "~",
    "NAMES",
    "O",
    ".a",
    "[*]",
    ".*",
    "[0]",
    "for v in ",
    "for k, v in ",
    " : ",
    " => ",
    "...",
    " if ",
    "v",
    "k",
    "1",
    "1e9999",
    "-",
    "!",
    " + ",
    " * ",
    " / ",
    " % ",
    " == ",
    " ? ",
    " && ",
    ",",
    "null",
    "true",
    "\\",
    "\\u00e9",
    "<<E\n",
    "<<-E\n",
    "\nE\n",
    "upper(",
    "try(",
    "set(",
    "é",
    "\r",
    "\0",
    " ",
    "#",
    "/*",
    "\u{feff}",
    "0x",
    ".5",
    "9999999999999999999999",
];

proptest::proptest! {
    #[test]
    fn any_text_is_a_value_or_an_error(pieces in proptest::collection::vec(0..PIECES.len(), 0..24)) {
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        for text in [text.clone(), format!("x = {text}\n"), format!("x = \"{text}\"\n")] {
            let json = format!("{{\"x\": {}}}", serde_json::Value::from(text.as_str()));
            let bodies = [parse_hcl(&source(text.clone())), parse_json(&source(json)), parse_json(&source(text))];
            for body in bodies.into_iter().flatten() {
                for attribute in body.attributes {
                    let mut names = names();
                    names.budget = Budget::of_steps(10_000);
                    let value = attribute.expression.evaluate(&names);
                    let _ = value.and_then(|value| value.to_json());
                    let _ = attribute.expression.constraint();
                    let _ = (attribute.expression.references(), attribute.expression.keyword());
                }
            }
        }
    }

    #[test]
    fn any_characters_are_a_value_or_an_error(text in "\\PC{0,60}") {
        for text in [text.clone(), format!("x = {text}"), format!("{{\"x\": \"{text}\"}}")] {
            for body in [parse_hcl(&source(text.clone())), parse_json(&source(text))] {
                for attribute in body.into_iter().flat_map(|body| body.attributes) {
                    let _ = attribute.expression.evaluate(&names());
                }
            }
        }
    }
}
