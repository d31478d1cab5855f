//! Expressions and what the CLI makes of them, as `jsonencode` shows it.

mod properties;

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::budget::Budget;
use crate::hcl::scope::{Argument, CallError, Function, Scope};
use crate::hcl::{Expression, parse_hcl, parse_json};
use crate::value::{Type, Value};
use crate::{Error, Source};

#[derive(Default)]
struct Names {
    variables: BTreeMap<&'static str, Value>,
    budget: Budget,
}

impl Scope for Names {
    fn variable(&self, name: &str, _: &[&str]) -> Result<Option<Value>, Error> {
        Ok(self.variables.get(name).cloned())
    }

    fn function(&self, name: &str) -> Result<Option<Rc<dyn Function>>, Error> {
        Ok(match name {
            "upper" => Some(Rc::new(Upper)),
            "try" => Some(Rc::new(Try)),
            "set" => Some(Rc::new(Set)),
            _ => None,
        })
    }

    fn budget(&self) -> &Budget {
        &self.budget
    }
}

struct Upper;
struct Try;
struct Set;

fn failed(argument: Option<usize>, message: &str) -> CallError {
    CallError {
        argument,
        error: Error::new(message),
    }
}

impl Function for Upper {
    fn call(&self, arguments: &[Value], _: &Budget) -> Result<Value, CallError> {
        let [Value::String(text)] = arguments else {
            return Err(failed(Some(0), "a string is required"));
        };
        Ok(Value::string(text.to_uppercase()))
    }
}

impl Function for Try {
    fn call(&self, _: &[Value], _: &Budget) -> Result<Value, CallError> {
        Err(failed(None, "`try` has no expanded arguments"))
    }

    fn call_lazy(
        &self,
        arguments: &[Argument<'_>],
        _: &Budget,
    ) -> Option<Result<Value, CallError>> {
        let value = arguments.iter().find_map(|argument| argument().ok());
        Some(value.ok_or_else(|| failed(None, "all arguments fail")))
    }
}

impl Function for Set {
    fn call(&self, arguments: &[Value], _: &Budget) -> Result<Value, CallError> {
        Ok(Value::set(Type::Number, arguments.to_vec()))
    }
}

fn names() -> Names {
    let list = Value::tuple(["a", "b", "c"].map(Value::string).to_vec());
    let object = Value::object([("b".to_owned(), Value::string("deep"))].into());
    let mut names = Names::default();
    names.variables.insert("NAMES", list);
    names
        .variables
        .insert("O", Value::object([("a".to_owned(), object)].into()));
    names
}

fn source(text: String) -> Rc<Source> {
    Rc::new(Source {
        name: "docker-bake.hcl".into(),
        text,
    })
}

fn parse(text: &str) -> Result<Expression, Error> {
    let body = parse_hcl(&source(format!("x = {text}\n")))?;
    Ok(body.attributes[0].expression.clone())
}

fn evaluate(text: &str) -> Result<String, String> {
    let value = parse(text).and_then(|expression| expression.evaluate(&names()));
    value
        .and_then(|value| value.to_json())
        .map_err(|error| error.to_string())
}

fn check(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(evaluate(text).as_deref(), Ok(*expected), "{text}");
    }
}

fn check_errors(table: &[&str]) {
    for text in table {
        let error = evaluate(text).expect_err(text);
        assert!(error.starts_with("docker-bake.hcl:"), "{text}: {error}");
    }
}

#[test]
fn operators() {
    check(&[
        ("1 + 2 * 3 - 4 / 2 % 3", "5"),
        ("2 + 3 * 4 - 6 / 2", "11"),
        ("(2 + 3) * 4", "20"),
        ("5 - -2", "7"),
        ("- -5", "5"),
        ("-0", "-0"),
        ("0 * -1", "-0"),
        ("-\"5\"", "-5"),
        ("\"1\" + 2", "3"),
        ("\"3\" * \"4\"", "12"),
        ("\"2\" < \"10\"", "true"),
        ("1 == 1.0", "true"),
        ("1 == \"1\"", "false"),
        ("null == null", "true"),
        ("null != 1", "true"),
        ("[1, 2] == [1, 2]", "true"),
        ("{ a = 1 } == { a = 1 }", "true"),
        ("1 + 2 * 3 == 7 && !false", "true"),
        ("1 < 2 == true", "true"),
        ("!\"true\"", "false"),
        ("false && 1 / 0 == 1", "false"),
        ("1 / 0 == 1 / 0", "true"),
        ("(1\n+ 2)", "3"),
        ("5 % 0", "5"),
        ("012", "12"),
    ]);
    check_errors(&[
        "\"a\" + 1",
        "null + 1",
        "1 && true",
        "true < false",
        "false && null",
        "true || \"abc\"",
        "!1",
        "-null",
        "0 / 0",
        "3 % (1 / 0)",
        "[1] + 1",
        "1 +\n2",
    ]);
    let chain = format!("1{}", " + 1".repeat(5000));
    assert_eq!(evaluate(&chain).as_deref(), Ok("5001"));
}

#[test]
fn numbers_have_the_points_and_exponents_that_follow() {
    check(&[
        ("1.5", "1.5"),
        ("1.e2", "100"),
        ("1.5e-1", "0.15"),
        ("12E+1", "120"),
        ("[1, 2].1", "2"),
        ("[{ a = [3] }].0.a.0", "3"),
    ]);
    check_errors(&[
        "1.2.3",
        "1..2",
        "1e5e5",
        "1e5.5",
        "1.a",
        "1e",
        "1e+",
        "1_0",
        "0x10",
        "1.",
        "[[1, 2]].0.1",
        "[[1, 2]].*.0.1",
    ]);
}

#[test]
fn comments() {
    check(&[
        ("1 /* one */ + /*/ two */ 2", "3"),
        ("[1, // one\n2 # two\n]", "[1,2]"),
        ("1 /**/", "1"),
    ]);
    check_errors(&["1 /*/", "1 /* *"]);
}

#[test]
fn keys_of_objects() {
    check(&[
        ("{ upper(\"a\") = 1 }", "{\"A\":1}"),
        (
            "{ 1 + 1 = 2, null = 3, true : 4 }",
            "{\"2\":2,\"null\":3,\"true\":4}",
        ),
        ("{ { a = \"b\" }.a = 1 }", "{\"b\":1}"),
        // Wrong only where it is evaluated.
        ("try({ x.y = 1 }, 2)", "2"),
        ("try({ x[0].y = 1 }, 2)", "2"),
        ("try({ x[*] = 1 }, 2)", "2"),
        ("true ? 1 : { x.0 = 1 }.a", "1"),
    ]);
    check_errors(&[
        "{ x.y = 1 }",
        "{ x[0] = 1 }",
        "{ x[*] = 1 }",
        "{ [1] = 1 }",
        "{ for = 1 }",
    ]);
}

#[test]
fn conditionals() {
    check(&[
        ("true ? 1 : 1 + null", "1"),
        ("true ? 1 : O.x", "1"),
        ("true ? 1 : \"a${null}\"", "\"1\""),
        ("true ? 1 : null", "1"),
        ("true ? null : null", "null"),
        ("true ? 5 : \"a\"", "\"5\""),
        ("false ? \"a\" : 5", "\"5\""),
        ("true ? [1] : [\"a\"]", "[\"1\"]"),
        ("true ? [1, \"a\"] : [2]", "[\"1\",\"a\"]"),
        ("true ? [1, null] : [2, \"x\"]", "[1,null]"),
        ("true ? { a = 1 } : { b = \"x\" }", "{\"a\":\"1\"}"),
        ("true ? { a = 1 } : { a = \"x\" }", "{\"a\":\"1\"}"),
        ("true ? {} : { a = 1 }", "{}"),
        ("\"1\" ? 1 : 2", "1"),
        ("1 == 1 ? \"a\" : \"b\" == \"b\" ? 1 : 2", "\"a\""),
        ("(true ? 1\n: 2)", "1"),
    ]);
    check_errors(&[
        "true ? \"a\" : [1]",
        "true ? true : 1",
        "true ? true : 1 + null",
        "true ? [\"x\"] : { a = 1 }",
        "null ? 1 : 2",
        "1 ? 2 : 3",
        "\"yes\" ? 1 : 2",
    ]);
}

#[test]
fn templates() {
    check(&[
        (r#""%{ for n in NAMES }${n},%{ endfor }""#, r#""a,b,c,""#),
        (
            r#""%{ for i, n in NAMES }${i}=${n};%{ endfor }""#,
            r#""0=a;1=b;2=c;""#,
        ),
        (
            r#""%{ for k, v in { x = 1, y = 2 } }${k}${v} %{ endfor }""#,
            r#""x1 y2 ""#,
        ),
        (r#""<%{ if false }yes%{ endif }>""#, r#""\u003c\u003e""#),
        (r#""%{ if false }${null}%{ else }no%{ endif }""#, r#""no""#),
        (r#""a   ${~ "b" ~}   c""#, r#""abc""#),
        (r#""x  %{~ if true ~}  y  %{~ endif ~}  z""#, r#""xyz""#),
        (r#""${"${"${upper("deep")}"}"}""#, r#""DEEP""#),
        (r#""${true}/${1 + 1}""#, r#""true/2""#),
        (r#""${[1]}""#, "[1]"),
        (r#""${true}""#, "true"),
        (r#""${null}""#, "null"),
        (r#""%{if true}1%{endif}""#, r#""1""#),
        (r#""$${x} %%{ if }""#, r#""${x} %{ if }""#),
        (r#""$${a}$$${1}$""#, r#""${a}$${1}$""#),
        (
            r#""${1}-${1.0}-${1.50}-${1e21}""#,
            r#""1-1-1.5-1000000000000000000000""#,
        ),
        (
            "<<EOT\na $${x} %%{y}\n  ${~ \"b\" ~}   \n  c\nEOT",
            r#""a ${x} %{y}\nb  c\n""#,
        ),
        (
            "<<-EOT\n    a\n      ${1}\n\n    b\nEOT",
            r#""a\n  1\n\nb\n""#,
        ),
        ("<<-EOT\n\t  ${1} x\n\t   y\n    EOT", r#""1 x\n y\n""#),
        (
            "<<EOT\n%{ for x in [1,2] ~}\n  x=${x}\n%{ endfor ~}\n  end\nEOT",
            r#""  x=1\n  x=2\n  end\n""#,
        ),
        ("<<EOT\nline1\r\nline2\r\nEOT", r#""line1\r\nline2\r\n""#),
    ]);
    check_errors(&[
        r#""a${null}b""#,
        r#""a${[1, 2]}b""#,
        r#""%{ for a in [1] }x""#,
        r#""%{ for x in [null] }${x}%{ endfor }""#,
        r#""%{ if null }x%{ endif }""#,
        r#""%{ for a in 5 }x%{ endfor }""#,
    ]);
}

#[test]
fn repetition() {
    check(&[
        ("[for v in NAMES : upper(v)]", r#"["A","B","C"]"#),
        ("[for i, v in NAMES : \"${i}${v}\"]", r#"["0a","1b","2c"]"#),
        (
            "[for k, v in { z = 1, a = 2 } : \"${k}=${v}\"]",
            r#"["a=2","z=1"]"#,
        ),
        ("[for v in NAMES : v if v != \"a\"]", r#"["b","c"]"#),
        ("[for x in [1] : x if \"true\"]", "[1]"),
        ("[for NAMES in NAMES : NAMES]", r#"["a","b","c"]"#),
        ("[for v in set(2, 1) : v]", "[1,2]"),
        (
            "{ for v in [\"a\", \"b\", \"a\"] : v => 1... }",
            r#"{"a":[1,1],"b":[1]}"#,
        ),
        ("{ for v in [true] : v => 1 }", r#"{"true":1}"#),
        ("{ for x in [] : x => x }", "{}"),
        ("[for a in [1, 2] : [for b in [3] : a * b]]", "[[3],[6]]"),
    ]);
    check_errors(&[
        "{ for v in [\"a\", \"a\"] : v => v }",
        "{ for v in [1] : null => v }",
        "{ for v in [[1]] : v => 1 }",
        "[for x in null : x]",
        "[for x in \"a\" : x]",
        "[for x in [1] : x if null]",
        "[for x in [1] : x if 1]",
        "[for i in [1, 2] : i...]",
    ]);
}

#[test]
fn attributes_indexes_and_splats() {
    check(&[
        ("O.a.b", r#""deep""#),
        ("O[\"a\"].b", r#""deep""#),
        ("NAMES[1]", r#""b""#),
        ("NAMES.1", r#""b""#),
        ("[1, 2][\"1\"]", "2"),
        ("{ \"1\" = 5 }[1]", "5"),
        ("{ true = 1 }[true]", "1"),
        ("{ \"0\" = \"z\" }.0", r#""z""#),
        ("[{ a = 1 }, { a = 2 }].*.a", "[1,2]"),
        ("[{ a = [1] }, { a = [2] }][*].a[0]", "[1,2]"),
        ("[{ a = [1] }, { a = [2] }].*.a[0]", "[1]"),
        ("[{ a = [{ b = 1 }] }][*].a[*].b", "[[1]]"),
        ("[[1, 2], [3]].*.0", "[1,3]"),
        ("\"x\"[*]", r#"["x"]"#),
        ("null[*]", "[]"),
        ("[null][*]", "[null]"),
        ("{ a = 1 }[*].a", "[1]"),
        ("set(3, 1).*", "[1,3]"),
        ("{ a = 1, a = 2 }", r#"{"a":2}"#),
        (
            "{ a : 1, \"b\" = 2, (upper(\"c\")) = 3\n d = 4 }",
            r#"{"C":3,"a":1,"b":2,"d":4}"#,
        ),
        (
            "{ true = 1, null = 2, for = 3 }",
            r#"{"for":3,"null":2,"true":1}"#,
        ),
        ("{ 1 = 2, \"a${1}\" = 3 }", r#"{"1":2,"a1":3}"#),
        ("[1,\n2,\n]", "[1,2]"),
    ]);
    check_errors(&[
        "O.x",
        "O.x.y",
        "UNKNOWN",
        "null.a",
        "1.a",
        "[].a",
        "[1][5]",
        "[1, 2][1.5]",
        "{ a = 1 }[\"b\"]",
        "{ a = 1 }[null]",
        "\"abc\"[0]",
        "{ a = 1 }.*.b",
        "null.0",
        "set(1)[0]",
        "{ (null) = 1 }",
        "{ [1] = 2 }",
        "{ a.b = 1 }",
    ]);
}

#[test]
fn calls() {
    check(&[
        ("upper(\"a\")", r#""A""#),
        ("upper([\"a\"]...)", r#""A""#),
        ("set(3, [2, 1]...)", "[1,2,3]"),
        ("try(O.a.b, 1)", r#""deep""#),
        ("try(O.x.y, nosuch(1), \"z\")", r#""z""#),
    ]);
    check_errors(&[
        "nosuch(1)",
        "upper(1)",
        "upper(null...)",
        "upper(\"a\"...)",
        "upper({ a = 1 }...)",
        "try(O.x)",
    ]);
    let error = evaluate("upper(\"a\", 1 + 1) + 1").unwrap_err();
    assert!(
        error.starts_with("docker-bake.hcl:1:11: upper: "),
        "{error}"
    );
}

#[test]
fn json_strings_are_templates() {
    let json = r#"{"x": {"${upper("k")}": ["${O.a.b}!", 1.50, null, "${NAMES}"]}}"#;
    let json = json.replace("upper(\"k\")", "upper(\\\"k\\\")");
    let body = parse_json(&source(json)).unwrap();
    let value = body.attributes[0].expression.evaluate(&names()).unwrap();
    assert_eq!(
        value.to_json().unwrap(),
        r#"{"K":["deep!",1.5,null,["a","b","c"]]}"#
    );
}

#[test]
fn types() {
    let kind = |text: &str| parse(text).unwrap().constraint();
    assert_eq!(kind("string").unwrap(), Type::String);
    assert_eq!(kind("any").unwrap(), Type::Dynamic);
    assert_eq!(
        kind("list(set(number))").unwrap(),
        Type::list(Type::set(Type::Number))
    );
    assert_eq!(
        kind("tuple([string, bool])").unwrap(),
        Type::Tuple(Rc::new(vec![Type::String, Type::Bool]))
    );
    let object = kind("object({ a = string, b = optional(number) })").unwrap();
    let value = parse("{ a = 1, c = 2 }").unwrap().evaluate(&names());
    let value = value.unwrap().convert(&object).unwrap();
    assert_eq!(value.to_json().unwrap(), r#"{"a":"1","b":null}"#);
    for text in [
        "list",
        "list()",
        "list(string, string)",
        "\"string\"",
        "optional(string)",
        "object({ a = optional(string, 1) })",
        "object({ \"a\" = string })",
        "object",
        "tuple(string)",
        "string(1)",
        "foo",
        "null",
    ] {
        assert!(kind(text).is_err(), "{text}");
    }
}

#[test]
fn deep_and_large_expressions_are_errors() {
    let nested = format!("{}1{}", "[".repeat(90), "]".repeat(90));
    assert!(evaluate(&nested).is_ok());
    for text in [
        format!("{}1", "!".repeat(10_000)),
        format!("{}1", "(".repeat(10_000)),
        format!("\"{}\"", "${\"".repeat(10_000)),
        format!("1{}", " ? 1 : 1".repeat(10_000)),
        format!("O{}", "[*]".repeat(10_000)),
        "1e999999999".to_owned(),
        "1e90000 * 1e90000 * 1e90000".to_owned(),
    ] {
        assert!(evaluate(&text).is_err());
    }
    let many = (0..12).fold("1".to_owned(), |body, level| {
        format!("[for v{level} in [1,2,3,4,5,6,7,8,9,10] : {body}]")
    });
    let shared = (0..40).fold("1".to_owned(), |body, level| {
        format!("[for v{level} in [{body}] : [v{level}, v{level}]]")
    });
    let mut names = names();
    names.budget = Budget::of_steps(10_000);
    assert!(parse(&shared).unwrap().evaluate(&names).is_err());
    names.budget = Budget::of_steps(10_000);
    assert!(parse(&many).unwrap().evaluate(&names).is_err());
}
