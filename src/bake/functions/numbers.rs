//! Arithmetic, comparison and rounding.

mod float;

use std::cmp::Ordering;

use dashu_int::UBig;

use super::call::{Call, Outcome, Parameter, Standard, failure, quote, wrong};
use crate::Error;
use crate::hcl::scope::CallError;
use crate::value::{Number, Value};

const ONE: &[Parameter] = &[Parameter::NUMBER];
const TWO: &[Parameter] = &[Parameter::NUMBER, Parameter::NUMBER];

/// The most digits that `parseint` reads.
const MAX_DIGITS: usize = 20_000;

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new("absolute", ONE, absolute),
    Standard::new("add", TWO, |call| binary(call, Number::plus)),
    Standard::new("ceil", ONE, |call| whole(call, false)),
    Standard::new("divide", TWO, |call| binary(call, Number::over)),
    Standard::new("floor", ONE, |call| whole(call, true)),
    Standard::new("greaterthan", TWO, |call| compare(call, Ordering::is_gt)),
    Standard::new("greaterthanorequalto", TWO, |call| {
        compare(call, Ordering::is_ge)
    }),
    Standard::new("int", ONE, int),
    Standard::new("lessthan", TWO, |call| compare(call, Ordering::is_lt)),
    Standard::new("lessthanorequalto", TWO, |call| {
        compare(call, Ordering::is_le)
    }),
    Standard::new("log", TWO, |call| with_floats(call, float::log)),
    Standard::new("max", &[], |call| extreme(call, Ordering::Greater)).rest(Parameter::NUMBER),
    Standard::new("min", &[], |call| extreme(call, Ordering::Less)).rest(Parameter::NUMBER),
    Standard::new("modulo", TWO, |call| binary(call, Number::modulo)),
    Standard::new("multiply", TWO, |call| binary(call, Number::times)),
    Standard::new("negate", ONE, |call| {
        Ok(Value::Number(call.number(0)?.negated()))
    }),
    Standard::new("parseint", &[Parameter::ANY, Parameter::NUMBER], parse_int),
    Standard::new("pow", TWO, |call| with_floats(call, float::power)),
    Standard::new("signum", ONE, |call| {
        Ok(Value::integer(call.integer(0)?.signum()))
    }),
    Standard::new("subtract", TWO, |call| binary(call, Number::minus)),
];

fn absolute(call: &Call<'_>) -> Outcome {
    let number = call.number(0)?;
    Ok(Value::Number(if number.is_negative() {
        number.negated()
    } else {
        number.clone()
    }))
}

fn binary(call: &Call<'_>, operation: fn(&Number, &Number) -> Result<Number, Error>) -> Outcome {
    let result = operation(call.number(0)?, call.number(1)?);
    result.map(Value::Number).map_err(CallError::whole)
}

fn compare(call: &Call<'_>, test: fn(Ordering) -> bool) -> Outcome {
    let order = call.number(0)?.cmp(call.number(1)?);
    Ok(Value::Bool(test(order)))
}

/// The first of the numbers that are the least or the greatest.
fn extreme(call: &Call<'_>, wanted: Ordering) -> Outcome {
    let mut result = call
        .number(0)
        .map_err(|_| failure("at least one number is required"))?;
    for index in 1..call.arguments.len() {
        let number = call.number(index)?;
        if number.cmp(result) == wanted {
            result = number;
        }
    }
    Ok(Value::Number(result.clone()))
}

fn int(call: &Call<'_>) -> Outcome {
    let number = call.number(0)?;
    if number.is_integer() {
        return Ok(Value::Number(number.clone()));
    }
    let size = number.truncated();
    let size = size.ok_or_else(|| wrong(0, "infinity has no integer part"))?;
    integer(number.is_negative() && !size.is_zero(), size)
}

/// Rounds down or up.
fn whole(call: &Call<'_>, down: bool) -> Outcome {
    let number = call.number(0)?.whole(down);
    number.map(Value::Number).map_err(CallError::whole)
}

fn integer(negative: bool, size: UBig) -> Outcome {
    let number = Number::from_integer(negative, size);
    number.map(Value::Number).map_err(CallError::whole)
}

fn with_floats(call: &Call<'_>, operation: fn(f64, f64) -> f64) -> Outcome {
    let argument = |index: usize| {
        let number = call.number(index)?;
        let value = number.to_f64();
        if value.is_infinite() && !number.is_infinite() {
            return Err(wrong(index, "the number is too large"));
        }
        Ok(value)
    };
    let result = operation(argument(0)?, argument(1)?);
    let number = Number::from_f64(result).ok_or_else(|| failure("the result is not a number"))?;
    Ok(Value::Number(number))
}

fn parse_int(call: &Call<'_>) -> Outcome {
    let text = call.text(0)?;
    let base = call.integer(1)?;
    let base = u32::try_from(base)
        .ok()
        .filter(|base| (2..=62).contains(base));
    let base = base.ok_or_else(|| wrong(1, "the base must be between 2 and 62"))?;
    let invalid = || {
        wrong(
            0,
            format!("{} is not an integer of base {base}", quote(text)),
        )
    };
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() {
        return Err(invalid());
    }
    if digits.len() > MAX_DIGITS {
        return Err(wrong(0, "the number has too many digits"));
    }
    call.spend([digits.len(), digits.len() / 64])?;
    let mut size = UBig::ZERO;
    for digit in digits.chars() {
        let digit = digit_value(digit, base).ok_or_else(invalid)?;
        size = size * base + digit;
    }
    integer(text.starts_with('-') && !size.is_zero(), size)
}

/// The value of a digit. Up to base 36, upper and lower case are the same; above, upper case follows lower case.
fn digit_value(digit: char, base: u32) -> Option<u32> {
    let value = match digit {
        'A'..='Z' if base > 36 => u32::from(digit) - u32::from('A') + 36,
        _ => digit.to_digit(36)?,
    };
    (value < base).then_some(value)
}
