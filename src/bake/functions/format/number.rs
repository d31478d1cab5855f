//! Numbers as `printf` of Go's `math/big` shows them.

use super::verb::Verb;
use crate::value::Number;

/// Without a precision, exponents from this one on need the form with an exponent.
const SHORTEST_EXPONENT: i64 = 6;

/// The shortest form that is this number: `%v`.
pub(super) fn shortest(number: &Number) -> String {
    let sign = match (number.is_negative(), number.is_infinite()) {
        (true, _) => "-",
        (false, true) => "+",
        (false, false) => "",
    };
    format!("{sign}{}", magnitude(number, 'g', None))
}

/// The form of a verb for numbers.
pub(super) fn formatted(verb: &Verb<'_>, number: &Number) -> Result<String, String> {
    match verb.letter {
        'b' | 'd' | 'o' | 'x' | 'X' => integer(verb, number),
        letter => Ok(float(verb, letter, number)),
    }
}

fn sign(verb: &Verb<'_>, number: &Number) -> &'static str {
    if number.is_negative() {
        "-"
    } else if verb.has('+') {
        "+"
    } else if verb.has(' ') {
        " "
    } else {
        ""
    }
}

fn integer(verb: &Verb<'_>, number: &Number) -> Result<String, String> {
    let size = number.to_integer().ok_or("an integer is required")?;
    let (base, prefix) = match verb.letter {
        'b' => (2, "0b"),
        'o' => (8, "0"),
        'x' => (16, "0x"),
        'X' => (16, "0X"),
        _ => (10, ""),
    };
    let mut digits = size.in_radix(base).to_string();
    if verb.letter == 'X' {
        digits = digits.to_uppercase();
    }
    let sign = if size.is_zero() && number.is_negative() {
        // The integer zero has no sign.
        sign(verb, &Number::from(0))
    } else {
        sign(verb, number)
    };
    let prefix = if verb.has('#') { prefix } else { "" };
    if verb.precision == Some(0) && size.is_zero() {
        return Ok(String::new());
    }
    let mut zeros = verb.precision.unwrap_or(0).saturating_sub(digits.len());
    let length = sign.len() + prefix.len() + zeros + digits.len();
    let missing = verb.width.unwrap_or(0).saturating_sub(length);
    let (mut left, mut right) = (0, 0);
    if verb.has('-') {
        right = missing;
    } else if verb.has('0') && verb.precision.is_none() {
        zeros = missing;
    } else {
        left = missing;
    }
    let (left, zeros, right) = (" ".repeat(left), "0".repeat(zeros), " ".repeat(right));
    Ok(format!("{left}{sign}{prefix}{zeros}{digits}{right}"))
}

fn float(verb: &Verb<'_>, letter: char, number: &Number) -> String {
    let precision = match letter.to_ascii_lowercase() {
        'g' => verb.precision,
        _ => Some(verb.precision.unwrap_or(6)),
    };
    let text = magnitude(number, letter, precision);
    let mut sign = sign(verb, number);
    if number.is_infinite() && sign.is_empty() {
        sign = "+";
    }
    let missing = verb
        .width
        .unwrap_or(0)
        .saturating_sub(sign.len() + text.len());
    if verb.has('0') && !number.is_infinite() {
        format!("{sign}{}{text}", "0".repeat(missing))
    } else if verb.has('-') {
        format!("{sign}{text}{}", " ".repeat(missing))
    } else {
        format!("{}{sign}{text}", " ".repeat(missing))
    }
}

/// The form `e`, `f` or `g` without a sign. Without a precision, it has the digits that identify the number.
fn magnitude(number: &Number, letter: char, precision: Option<usize>) -> String {
    if number.is_infinite() {
        return "Inf".into();
    }
    let (digits, point) = match precision {
        None => number.shortest(),
        Some(_) => number.exact(),
    };
    let mut decimal = Decimal { digits, point };
    match (letter.to_ascii_lowercase(), precision) {
        ('e', precision) => {
            let places = precision.unwrap_or(6);
            decimal.round(Some(places + 1));
            decimal.with_exponent(letter, places)
        }
        ('f', precision) => {
            let places = precision.unwrap_or(6);
            let kept = decimal.point.saturating_add(signed(places));
            decimal.round(usize::try_from(kept).ok());
            decimal.with_point(places)
        }
        (_, precision) => {
            let precision = precision.map(|precision| precision.max(1));
            if precision.is_some() {
                decimal.round(precision);
            }
            let count = decimal.digits.len();
            let limit = match precision {
                None => SHORTEST_EXPONENT,
                // All digits before the point are shown if the number is whole.
                Some(precision) if precision > count && signed(count) >= decimal.point => {
                    signed(count)
                }
                Some(precision) => signed(precision),
            };
            let exponent = decimal.point - 1;
            if exponent < -4 || exponent >= limit {
                let letter = if letter == 'G' { 'E' } else { 'e' };
                let places = precision.unwrap_or(count).min(count).saturating_sub(1);
                decimal.with_exponent(letter, places)
            } else {
                let places = signed(count) - decimal.point;
                decimal.with_point(usize::try_from(places).unwrap_or(0))
            }
        }
    }
}

/// Digits without zeros at the end, and how many of them are before the point. Zero has no digits.
struct Decimal {
    digits: String,
    point: i64,
}

impl Decimal {
    /// Rounds to a count of digits, to the nearest, ties to even. `None` is less than no digits, so nothing stays.
    fn round(&mut self, count: Option<usize>) {
        let Some(count) = count else {
            self.digits.clear();
            self.point = 0;
            return;
        };
        if count >= self.digits.len() {
            return;
        }
        let removed = self.digits.split_off(count);
        let odd = self
            .digits
            .bytes()
            .last()
            .is_some_and(|digit| digit % 2 == 1);
        let up = match removed.as_str() {
            "5" => odd,
            removed => removed
                .as_bytes()
                .first()
                .is_some_and(|digit| *digit >= b'5'),
        };
        if up {
            self.increment();
        }
        while self.digits.ends_with('0') {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.point = 0;
        }
    }

    fn increment(&mut self) {
        while let Some(digit) = self.digits.pop() {
            if let Some(next) = ('1'..='9').find(|next| u32::from(*next) == u32::from(digit) + 1) {
                self.digits.push(next);
                return;
            }
        }
        self.digits.push('1');
        self.point += 1;
    }

    fn with_point(&self, places: usize) -> String {
        let zeros = usize::try_from(-self.point).unwrap_or(0);
        let mut digits = "0".repeat(zeros) + &self.digits;
        let whole = usize::try_from(self.point).unwrap_or(0);
        let missing = (whole + places).saturating_sub(digits.len());
        digits.push_str(&"0".repeat(missing));
        let (whole, fraction) = digits.split_at_checked(whole).unwrap_or_default();
        let whole = if whole.is_empty() { "0" } else { whole };
        match fraction.get(..places) {
            Some(fraction) if places > 0 => format!("{whole}.{fraction}"),
            _ => whole.to_owned(),
        }
    }

    fn with_exponent(&self, letter: char, places: usize) -> String {
        let first = self.digits.get(..1).unwrap_or("0");
        let rest = self.digits.get(1..).unwrap_or_default();
        let zeros = "0".repeat(places.saturating_sub(rest.len()));
        let point = if places > 0 { "." } else { "" };
        let exponent = if self.digits.is_empty() {
            0
        } else {
            self.point - 1
        };
        let sign = if exponent < 0 { '-' } else { '+' };
        let exponent = exponent.abs();
        format!("{first}{point}{rest}{zeros}{letter}{sign}{exponent:02}")
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
