//! Calls with the results of the released CLI, as JSON, one `CALL # RESULT` a line. JSON has no form for an infinity.

use std::rc::Rc;

use proptest::prelude::*;

use super::{names, standard, unknown};
use crate::budget::Budget;
use crate::hcl::parse_hcl;
use crate::hcl::scope::{Function, Scope};
use crate::value::{Number, Type, Value};
use crate::{Error, Source};

/// Only the standard functions.
#[derive(Default)]
struct Standard(Budget);

impl Scope for Standard {
    fn variable(&self, _: &str, _: &[&str]) -> Result<Option<Value>, Error> {
        Ok(None)
    }

    fn function(&self, name: &str) -> Result<Option<Rc<dyn Function>>, Error> {
        Ok(standard(name))
    }

    fn budget(&self) -> &Budget {
        &self.0
    }
}

fn evaluate(call: &str) -> Result<Value, Error> {
    let source = Source {
        name: "calls".into(),
        text: format!("x = {call}\n"),
    };
    let body = parse_hcl(&Rc::new(source))?;
    body.attributes[0].expression.evaluate(&Standard::default())
}

fn check(table: &str) {
    let mut failures = String::new();
    for line in table.lines() {
        let (call, expected) = line.rsplit_once(" # ").unwrap();
        let (result, message) = match evaluate(call).map(|value| value.to_json()) {
            Ok(Ok(json)) => (json, String::new()),
            Ok(Err(_)) => ("unprintable".to_owned(), String::new()),
            Err(error) => ("error".to_owned(), error.message().to_owned()),
        };
        if result != expected {
            failures.extend([
                call,
                "\n  expected ",
                expected,
                "\n  found    ",
                &result,
                " ",
                &message,
                "\n",
            ]);
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

macro_rules! tables {
    ($($topic:ident)*) => {$(
        #[test]
        fn $topic() {
            check(include_str!(concat!("tests/", stringify!($topic), ".txt")));
        }
    )*};
}

tables!(arguments collections encoding format general network numbers patterns samples strings time);

#[test]
fn names_are_unique_and_hints_are_near() {
    let mut all: Vec<_> = names().collect();
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!((all.len(), count), (102, 102));
    assert!(all.iter().all(|name| standard(name).is_some()));
    assert!(standard("nope").is_none());
    let message = unknown("regexreplace").message().to_owned();
    assert_eq!(
        message,
        "no function `regexreplace`; is `regex_replace` meant?"
    );
    assert_eq!(unknown("xyzzy").message(), "no function `xyzzy`");
}

/// Any value that is not nested deeper than a definition can have it.
fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<f64>().prop_filter_map("not a number", Number::from_f64),
        (-4_i64..20).prop_map(Number::from),
        Just(Number::parse("Inf").unwrap()),
    ];
    let text = prop_oneof![
        ".{0,8}",
        "[-0-9a-zé:.,/+*?{}()%\\\\\\[\\]$'\"\n]{0,12}",
        "%[-+# 0]{0,3}[0-9]{0,3}(\\.[0-9]{0,3})?[a-zA-Z]",
        "2[0-9]{3}-0[0-9]-[0-3][0-9]T[0-2][0-9]:00:00(Z|[+-]0[0-9]:00)",
        "[0-9a-f:.]{1,9}/[0-9]{1,3}",
        Just("10.1.2.0/24".to_owned()),
    ];
    let primitive = prop_oneof![
        Just(Value::null()),
        Just(Value::Null(Type::list(Type::String))),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(Value::Number),
        text.prop_map(Value::string),
    ];
    primitive.prop_recursive(3, 24, 4, |inner| {
        let texts = prop::collection::vec("[a-c]{0,2}", 0..4);
        let texts = texts.prop_map(|texts| texts.into_iter().map(Value::string).collect());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::tuple),
            prop::collection::btree_map("[a-c]{0,2}", inner, 0..4).prop_map(Value::object),
            texts
                .clone()
                .prop_map(|texts| Value::list(Type::String, texts)),
            texts.prop_map(|texts| Value::set(Type::String, texts)),
            prop::collection::btree_map("[a-c]", "[a-c]".prop_map(Value::string), 0..3)
                .prop_map(|texts| Value::map(Type::String, texts)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_function_panics(arguments in prop::collection::vec(value(), 0..4)) {
        // `bcrypt` takes long.
        for name in names().filter(|name| *name != "bcrypt") {
            let function = standard(name).unwrap();
            let budget = Budget::default();
            for count in 0..=arguments.len() {
                if let Ok(value) = function.call(&arguments[..count], &budget) {
                    let _ = value.to_json();
                }
            }
        }
    }
}

#[test]
fn large_arguments_end_with_an_error() {
    let text = Value::string("ab".repeat(1 << 17));
    let many = Value::list(Type::String, vec![text.clone(); 10_000]);
    let number = |value: i64| Value::integer(value);
    for (name, arguments) in [
        ("sort", vec![many.clone()]),
        ("join", vec![text.clone(), many.clone()]),
        ("distinct", vec![many.clone()]),
        ("regexall", vec![Value::string("(a.*c)?"), text.clone()]),
        (
            "regex",
            vec![Value::string("((a|b){1000}){20}x"), text.clone()],
        ),
        (
            "regex_replace",
            vec![text.clone(), Value::string(""), text.clone()],
        ),
        (
            "replace",
            vec![text.clone(), Value::string("a"), text.clone()],
        ),
        ("indent", vec![number(1 << 40), Value::string("a\nb")]),
        (
            "format",
            vec![Value::string("%999999[1]d".repeat(1000)), number(1)],
        ),
        ("setproduct", vec![many.clone(), many.clone(), many.clone()]),
        ("parseint", vec![text.clone(), number(10)]),
        ("bcrypt", vec![Value::string("x"), number(31)]),
    ] {
        let function = standard(name).unwrap();
        let result = function.call(&arguments, &Budget::of_steps(2_000_000));
        assert!(result.is_err(), "{name}");
    }
}
