//! Types as definitions write them, such as `list(string)`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::tree::{Call, Key, Kind, Node};
use crate::value::Type;
use crate::{Error, Place, Source};

/// The type that an expression denotes.
pub(crate) fn constraint(node: &Node, source: &Rc<Source>) -> Result<Type, Error> {
    let error = |message: String| Error::at(Place::new(source, node.span.clone()), message);
    match &node.kind {
        Kind::Variable(name) => match name.as_str() {
            "bool" => Ok(Type::Bool),
            "string" => Ok(Type::String),
            "number" => Ok(Type::Number),
            "any" => Ok(Type::Dynamic),
            "list" | "set" | "map" => Err(error(format!(
                "the type of the elements is missing, such as `{name}(string)`"
            ))),
            "object" => Err(error(
                "the attributes are missing, such as `object({ name = string })`".to_owned(),
            )),
            "tuple" => Err(error(
                "the types of the elements are missing, such as `tuple([string, number])`"
                    .to_owned(),
            )),
            "optional" => Err(misplaced_optional(node, source)),
            _ => Err(error(format!("no type `{name}`"))),
        },
        Kind::Call(call) => call_type(node, call, source),
        Kind::Text(text) => Err(error(format!(
            "a type has no quotes; write `{text}` without them"
        ))),
        _ => Err(error(
            "a type is `string`, `number`, `bool`, `any` or one such as `list(string)`".to_owned(),
        )),
    }
}

fn misplaced_optional(node: &Node, source: &Rc<Source>) -> Error {
    Error::at(
        Place::new(source, node.span.clone()),
        "`optional` is for attributes of an object only",
    )
}

fn call_type(node: &Node, call: &Call, source: &Rc<Source>) -> Result<Type, Error> {
    let error = |message: String| Error::at(Place::new(source, node.span.clone()), message);
    match call.name.as_str() {
        "bool" | "string" | "number" | "any" => {
            return Err(error(format!("the type `{}` has no arguments", call.name)));
        }
        "optional" => return Err(misplaced_optional(node, source)),
        "list" | "set" | "map" | "object" | "tuple" => {}
        _ => return Err(error(format!("no type `{}`", call.name))),
    }
    let [argument] = call.arguments.as_slice() else {
        return Err(error(format!("the type `{}` has one argument", call.name)));
    };
    match (call.name.as_str(), &argument.kind) {
        ("list", _) => constraint(argument, source).map(Type::list),
        ("set", _) => constraint(argument, source).map(Type::set),
        ("map", _) => constraint(argument, source).map(Type::map),
        ("object", Kind::Object(members)) => object(members, source),
        ("tuple", Kind::Tuple(elements)) => {
            let types = elements.iter().map(|element| constraint(element, source));
            Ok(Type::Tuple(Rc::new(types.collect::<Result<_, _>>()?)))
        }
        ("object", _) => Err(error(
            "the argument of `object` is a map of types, such as `{ name = string }`".to_owned(),
        )),
        _ => Err(error(
            "the argument of `tuple` is a list of types, such as `[string, number]`".to_owned(),
        )),
    }
}

fn object(members: &[(Key, Node)], source: &Rc<Source>) -> Result<Type, Error> {
    let mut types = BTreeMap::new();
    let mut optional = BTreeSet::new();
    for (key, value) in members {
        let name = match key {
            Key::Name(name) => name,
            Key::Expression(key) | Key::Ambiguous(key) => {
                return Err(Error::at(
                    Place::new(source, key.span.clone()),
                    "the name of an attribute has no quotes here",
                ));
            }
        };
        let kind = match &value.kind {
            Kind::Call(call) if call.name == "optional" => {
                let [inner] = call.arguments.as_slice() else {
                    return Err(Error::at(
                        Place::new(source, value.span.clone()),
                        "`optional` has one argument, the type",
                    ));
                };
                optional.insert(name.clone());
                constraint(inner, source)?
            }
            _ => constraint(value, source)?,
        };
        types.insert(name.clone(), kind);
    }
    Ok(if optional.is_empty() {
        Type::Object(Rc::new(types))
    } else {
        Type::Partial(Rc::new(types), Rc::new(optional))
    })
}
