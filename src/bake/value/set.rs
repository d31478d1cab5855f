//! The order of sets.

use std::cmp::Ordering;
use std::fmt::Write;

use super::{Type, Value};

/// Sorts values of one type as `cty` orders a set, and removes duplicates.
pub(super) fn normal(element: &Type, mut values: Vec<Value>) -> Vec<Value> {
    if element.is_primitive() {
        values.sort_by(compare);
    } else {
        values.sort_by_cached_key(|value| {
            let mut key = String::new();
            write_key(value, &mut key);
            (value.is_null(), key)
        });
    }
    values.dedup_by(|next, value| next.equals(value));
    values
}

/// Nulls are last.
fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        _ => left.is_null().cmp(&right.is_null()),
    }
}

/// The text that orders values that are not primitive.
fn write_key(value: &Value, key: &mut String) {
    let mut list = |open: char, close: char, values: &[Value]| {
        key.push(open);
        for value in values {
            write_key(value, key);
            key.push(';');
        }
        key.push(close);
    };
    match value {
        Value::Null(_) => key.push('~'),
        Value::Bool(true) => key.push('T'),
        Value::Bool(false) => key.push('F'),
        Value::Number(number) => {
            // Writing to a string does not fail.
            let _ = write!(key, "{number}");
        }
        Value::String(text) => {
            let _ = write!(key, "{text:?}");
        }
        Value::List(_, values) | Value::Set(_, values) => list('[', ']', values),
        Value::Tuple(values) => list('<', '>', values),
        Value::Map(_, values) => {
            key.push('{');
            for (name, value) in values.iter() {
                let _ = write!(key, "{name:?}:");
                write_key(value, key);
                key.push(';');
            }
            key.push('}');
        }
        Value::Object(values) => {
            key.push('<');
            for value in values.values() {
                write_key(value, key);
                key.push(';');
            }
            key.push('>');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_in_the_order_of_the_cli() {
        let integers = |values: &[i64]| values.iter().copied().map(Value::integer).collect();
        let numbers = Value::set(Type::Number, integers(&[10, 2, 1, 2]));
        assert_eq!(
            numbers,
            Value::Set(Type::Number, std::rc::Rc::new(integers(&[1, 2, 10])))
        );
        let lists = [2, 1, 10].map(|value| Value::list(Type::Number, integers(&[value])));
        let Value::Set(_, lists) = Value::set(Type::list(Type::Number), lists.to_vec()) else {
            panic!("no set");
        };
        let lists: Vec<String> = lists.iter().map(|list| list.to_json().unwrap()).collect();
        assert_eq!(lists, ["[10]", "[1]", "[2]"]);
        let nulls = normal(
            &Type::Bool,
            vec![
                Value::Null(Type::Bool),
                Value::Bool(true),
                Value::Bool(false),
            ],
        );
        assert!(nulls.last().unwrap().is_null());
    }
}
