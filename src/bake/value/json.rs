//! JSON in and out, as `jsonencode` and `jsondecode` have it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Type, Value};
use crate::Error;
use crate::hcl::json::{Kind, Node};
use crate::ordered::IntoOrdered;

impl Value {
    /// The JSON text: attributes in the order of their names, `<`, `>` and `&` as escapes, as Go writes it.
    pub(crate) fn to_json(&self) -> Result<String, Error> {
        let mut text = String::new();
        self.write_json(&mut text)?;
        Ok(text)
    }

    fn write_json(&self, text: &mut String) -> Result<(), Error> {
        match self {
            Self::Null(_) => text.push_str("null"),
            Self::Bool(value) => {
                let _ = write!(text, "{value}");
            }
            Self::Number(number) if number.is_infinite() => {
                return Err(Error::new("JSON has no infinity"));
            }
            Self::Number(number) => {
                let _ = write!(text, "{number}");
            }
            Self::String(value) => write_string(value, text),
            Self::List(_, values) | Self::Set(_, values) | Self::Tuple(values) => {
                text.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    value.write_json(text)?;
                }
                text.push(']');
            }
            Self::Map(_, values) | Self::Object(values) => {
                text.push('{');
                for (index, (name, value)) in values.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    write_string(name, text);
                    text.push(':');
                    value.write_json(text)?;
                }
                text.push('}');
            }
        }
        Ok(())
    }

    /// The value of a JSON text: objects and tuples, numbers exact.
    pub(crate) fn from_json(text: &str) -> Result<Self, Error> {
        crate::hcl::json::parse(text)
            .map_err(|(_, message)| Error::new(message))
            .map(|node| Self::from_node(&node))
    }

    /// The value of a JSON text as one of a type. An absent attribute is null, an unknown one an error.
    pub(crate) fn from_json_as(text: &str, kind: &Type) -> Result<Self, Error> {
        let node = crate::hcl::json::parse(text).map_err(|(_, message)| Error::new(message))?;
        Self::from_node_as(&node, kind)
    }

    fn from_node_as(node: &Node, kind: &Type) -> Result<Self, Error> {
        match (&node.kind, kind) {
            (Kind::Null, _) => Ok(Self::Null(kind.complete())),
            (_, kind) if kind.has_dynamic() => Self::from_node(node).convert(kind),
            (Kind::Array(nodes), Type::Tuple(types)) => {
                if nodes.len() != types.len() {
                    return Err(Error::new(format!("{} elements are required", types.len())));
                }
                let values = nodes.iter().zip(types.iter());
                let values = values.map(|(node, kind)| Self::from_node_as(node, kind));
                Ok(Self::tuple(values.collect::<Result<_, _>>()?))
            }
            (Kind::Array(nodes), Type::List(element) | Type::Set(element)) => {
                let values = nodes.iter().map(|node| Self::from_node_as(node, element));
                Self::tuple(values.collect::<Result<_, _>>()?).convert(kind)
            }
            (Kind::Object(members), Type::Map(element)) => {
                let values = members.iter().map(|member| {
                    let value = Self::from_node_as(&member.value, element)?;
                    Ok((member.name.clone(), value))
                });
                let values = values.try_into_ordered::<_, _, Error>()?;
                Self::object(values).convert(kind)
            }
            (Kind::Object(members), Type::Object(types) | Type::Partial(types, _)) => {
                let mut values = BTreeMap::new();
                for member in members {
                    let Some(kind) = types.get(&member.name) else {
                        let message = format!("the attribute `{}` is unknown", member.name);
                        return Err(Error::new(message));
                    };
                    values.insert(
                        member.name.clone(),
                        Self::from_node_as(&member.value, kind)?,
                    );
                }
                for (name, kind) in types.iter() {
                    let absent = || Self::Null(kind.complete());
                    values.entry(name.clone()).or_insert_with(absent);
                }
                Ok(Self::object(values))
            }
            (Kind::Array(_), _) => Err(Error::new(format!("a {kind} is required, not an array"))),
            _ => Self::from_node(node).convert(kind),
        }
    }

    fn from_node(node: &Node) -> Self {
        match &node.kind {
            Kind::Null => Self::null(),
            Kind::Bool(value) => Self::Bool(*value),
            Kind::Number(number) => Self::Number(number.clone()),
            Kind::String(text) => Self::string(text.as_str()),
            Kind::Array(nodes) => Self::tuple(nodes.iter().map(Self::from_node).collect()),
            Kind::Object(members) => {
                let members = members
                    .iter()
                    .map(|member| (member.name.clone(), Self::from_node(&member.value)));
                Self::object(members.into_ordered())
            }
        }
    }
}

fn write_string(value: &str, text: &mut String) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Number;

    #[test]
    fn json_is_that_of_the_cli() {
        for (text, printed) in [
            (
                r#"{"b":[1,2.50,1e3],"a":null}"#,
                r#"{"a":null,"b":[1,2.5,1000]}"#,
            ),
            (r#""<é\u0001\u00e9\n""#, r#""\u003cé\u0001é\n""#),
            ("[]", "[]"),
            ("0.1", "0.1"),
        ] {
            assert_eq!(Value::from_json(text).unwrap().to_json().unwrap(), printed);
        }
        for text in ["", "{", "[1,]", "{\"a\":}", "01", "'a'", "1 2", "nul"] {
            assert!(Value::from_json(text).is_err(), "{text}");
        }
        let infinity = Value::Number(Number::parse("Inf").unwrap());
        assert!(infinity.to_json().is_err());
    }
}
