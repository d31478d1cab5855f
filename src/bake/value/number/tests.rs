//! Numbers and their forms, as the CLI has them.

use super::*;

fn number(text: &str) -> Number {
    Number::parse(text).unwrap()
}

#[test]
fn numbers_print_as_the_cli_prints_them() {
    for (text, printed) in [
        ("42", "42"),
        ("012", "12"),
        ("1.50", "1.5"),
        ("1.5E-7", "0.00000015"),
        ("1e3", "1000"),
        ("0.1", "0.1"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("+5", "5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1p5", "32"),
        ("-0", "-0"),
        ("Inf", "+Inf"),
    ] {
        assert_eq!(number(text).to_string(), printed, "{text}");
    }
    assert_eq!(number("1e100").to_string(), format!("1{}", "0".repeat(100)));
    assert_eq!(
        number("1").over(&number("3")).unwrap().to_string(),
        format!("0.{}5", "3".repeat(154))
    );
    assert_eq!(
        number("2").over(&number("3")).unwrap().to_string(),
        format!("0.{}7", "6".repeat(153))
    );
    assert_eq!(Number::from_f64(0.1).unwrap().to_string(), "0.1");
}

#[test]
fn a_rest_has_the_precision_of_the_dividend() {
    let float = |value: f64| Number::from_f64(value).unwrap();
    for (dividend, divisor, rest) in [
        (float(3_f64.powi(60)), number("10"), "0"),
        (float(3_f64.powi(30)), number("10"), "9"),
        (float(2_f64.sqrt()), number("0.1"), "0.014213562373095234"),
        (
            Number::from_integer(false, 100_u32.into()).unwrap(),
            number("0.3"),
            "0.09999999999999999861",
        ),
        (number("-7.5"), number("2"), "-1.5"),
        (number("0"), number("-5"), "0"),
    ] {
        assert_eq!(dividend.modulo(&divisor).unwrap().to_string(), rest);
    }
}

#[test]
fn whole_numbers_keep_the_precision_and_zero_has_no_sign() {
    for (text, floor, ceil) in [
        ("2.5", "2", "3"),
        ("-2.5", "-3", "-2"),
        ("-0.5", "-1", "0"),
        ("-0", "0", "0"),
        ("7", "7", "7"),
        ("-Inf", "-Inf", "-Inf"),
    ] {
        assert_eq!(number(text).whole(true).unwrap().to_string(), floor);
        assert_eq!(number(text).whole(false).unwrap().to_string(), ceil);
    }
    let (ten, three) = (number("10.5").whole(true), number("3.5").whole(true));
    let quotient = ten.unwrap().over(&three.unwrap()).unwrap();
    assert_eq!(quotient.to_string(), format!("3.{}2", "3".repeat(153)));
}

#[test]
fn operations_round_as_those_of_the_cli() {
    let binary = |left: &str, operator: char, right: &str| {
        let (left, right) = (number(left), number(right));
        match operator {
            '+' => left.plus(&right),
            '-' => left.minus(&right),
            '*' => left.times(&right),
            '/' => left.over(&right),
            _ => left.modulo(&right),
        }
        .map(|number| number.to_string())
    };
    for (left, operator, right, result) in [
        ("0.1", '+', "0.2", "0.3"),
        ("1.5", '*', "1.5", "2.25"),
        ("10", '/', "4", "2.5"),
        ("10.5", '%', "3", "1.5"),
        ("-10", '%', "3", "-1"),
        ("-5", '%', "-3", "-2"),
        ("5", '%', "0", "5"),
        ("0.1", '%', "3", "0.1"),
        ("5", '-', "-2", "7"),
        ("1", '/', "0", "+Inf"),
    ] {
        assert_eq!(
            binary(left, operator, right).unwrap(),
            result,
            "{left} {operator} {right}"
        );
    }
    assert!(binary("0", '/', "0").is_err());
    assert!(binary("Inf", '-', "Inf").is_err());
}

#[test]
fn other_texts_are_no_numbers() {
    for text in [
        "", "-", "0x10", "1_000", "e5", "1e", "1e+", "a", " 1", "1 ", "1.2.3", ".",
    ] {
        assert!(Number::parse(text).is_err(), "{text}");
    }
    for text in ["1e999999999", "1e-999999999", "1e99999999999999999999"] {
        assert!(Number::parse(text).is_err(), "{text}");
    }
    assert!(number("0e999999999").is_zero());
}

#[test]
fn numbers_compare_by_value_and_convert() {
    assert_eq!(number("1.0"), Number::from(1));
    assert!(number("-2") < number("1") && number("Inf") > number("1e50"));
    assert!(number("-3") < number("-2"));
    assert_eq!(number("-7").to_i64(), Some(-7));
    assert_eq!(number("1.5").to_i64(), None);
    assert_eq!(number("9223372036854775808").to_i64(), None);
    assert!((number("0.1").to_f64() - 0.1).abs() < f64::EPSILON);
    assert_eq!(Number::from(i64::MIN).to_string(), "-9223372036854775808");
}
