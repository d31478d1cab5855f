//! Numbers: binary floating point as `cty` has them, which are those of Go's `math/big`.
//!
//! A number has its own precision: 512 bits for what is written in a definition, 64 for an integer of a function, 53 for a `f64`. The
//! result of an operation has the larger precision of both operands. Rounding is to the nearest, ties to even.

use std::cmp::Ordering;
use std::fmt::{self, Display, Formatter};

use dashu_int::UBig;
use dashu_int::ops::BitTest;

use crate::Error;

/// The precision of numbers in a definition.
pub(crate) const PRECISION: usize = 512;

/// The precision of integers that a function returns.
const INTEGER_PRECISION: usize = 64;

/// The precision of `f64`.
const FLOAT_PRECISION: usize = 53;

/// The bounds of the exponent. Larger numbers have tens of thousands of digits.
const MAX_EXPONENT: i64 = 100_000;

/// The most characters of a number in a definition.
const MAX_CHARACTERS: usize = 20_000;

/// A number, `±magnitude · 2^exponent` or an infinity.
#[derive(Clone, Debug)]
pub(crate) struct Number {
    negative: bool,
    infinite: bool,
    /// Odd, or zero.
    magnitude: UBig,
    exponent: i64,
    precision: usize,
}

impl Number {
    fn infinity(negative: bool, precision: usize) -> Self {
        Self {
            negative,
            infinite: true,
            magnitude: UBig::ZERO,
            exponent: 0,
            precision,
        }
    }

    /// Rounds `±magnitude · 2^exponent`; `sticky` says that bits below the magnitude were cut off.
    fn rounded(
        negative: bool,
        mut magnitude: UBig,
        mut exponent: i64,
        sticky: bool,
        precision: usize,
    ) -> Result<Self, Error> {
        let excess = magnitude.bit_len().saturating_sub(precision);
        if excess > 0 {
            let (low, high) = magnitude.split_bits(excess);
            let half = UBig::ONE << (excess - 1);
            let up = match low.cmp(&half) {
                Ordering::Greater => true,
                Ordering::Equal => sticky || is_odd(&high),
                Ordering::Less => false,
            };
            magnitude = if up { high + UBig::ONE } else { high };
            exponent = exponent.saturating_add(signed(excess));
        }
        match magnitude.trailing_zeros() {
            Some(zeros) if zeros > 0 => {
                magnitude >>= zeros;
                exponent = exponent.saturating_add(signed(zeros));
            }
            Some(_) => {}
            None => exponent = 0,
        }
        if exponent.abs() > MAX_EXPONENT {
            return Err(Error::new("the number is too large or too small"));
        }
        Ok(Self {
            negative,
            infinite: false,
            magnitude,
            exponent,
            precision,
        })
    }

    /// Reads a decimal number: digits, a point, an exponent; a sign and `Inf` as strings can have them.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::new("a number is required");
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, text.get(1..).unwrap_or_default()),
            Some(b'+') => (false, text.get(1..).unwrap_or_default()),
            _ => (false, text),
        };
        if matches!(unsigned, "Inf" | "inf") {
            return Ok(Self::infinity(negative, PRECISION));
        }
        if unsigned.len() > MAX_CHARACTERS {
            return Err(Error::new("the number has too many digits"));
        }
        let (digits, decimal, binary) = match unsigned.find(['e', 'E', 'p', 'P']) {
            Some(index) => {
                let (digits, rest) = unsigned.split_at(index);
                let power = exponent(rest.get(1..).unwrap_or_default()).ok_or_else(wrong)?;
                if rest.starts_with(['p', 'P']) {
                    (digits, 0, power)
                } else {
                    (digits, power, 0)
                }
            }
            None => (unsigned, 0, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let magnitude = UBig::from_str_radix(&digits, 10).map_err(|_| wrong())?;
        if magnitude.is_zero() {
            return Self::rounded(negative, magnitude, 0, false, PRECISION);
        }
        let decimal = decimal - signed(fraction.len());
        if decimal.abs() > MAX_EXPONENT || binary.abs() > MAX_EXPONENT {
            return Err(Error::new("the number is too large or too small"));
        }
        let power = UBig::from(10_u8).pow(unsigned_of(decimal));
        if decimal >= 0 {
            Self::rounded(negative, magnitude * power, binary, false, PRECISION)
        } else {
            Self::quotient(negative, magnitude, &power, binary, PRECISION)
        }
    }

    /// `±dividend / divisor · 2^exponent`, rounded; the divisor is not zero.
    fn quotient(
        negative: bool,
        dividend: UBig,
        divisor: &UBig,
        exponent: i64,
        precision: usize,
    ) -> Result<Self, Error> {
        let shift = (precision + 2 + divisor.bit_len()).saturating_sub(dividend.bit_len());
        let dividend = dividend << shift;
        let quotient = &dividend / divisor;
        let sticky = &quotient * divisor != dividend;
        let exponent = exponent.saturating_sub(signed(shift));
        Self::rounded(negative, quotient, exponent, sticky, precision)
    }

    /// The number that a `f64` is; `None` if it is none.
    pub(crate) fn from_f64(value: f64) -> Option<Self> {
        if value.is_nan() {
            return None;
        }
        let negative = value.is_sign_negative();
        if value.is_infinite() {
            return Some(Self::infinity(negative, FLOAT_PRECISION));
        }
        let bits = value.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let biased = i64::try_from((bits >> 52) & 0x7ff).unwrap_or_default();
        let (magnitude, exponent) = match biased {
            0 => (fraction, -1074),
            _ => (fraction | (1 << 52), biased - 1075),
        };
        Self::rounded(
            negative,
            UBig::from(magnitude),
            exponent,
            false,
            FLOAT_PRECISION,
        )
        .ok()
    }

    /// An integer of any size, with the precision that it needs.
    pub(crate) fn from_integer(negative: bool, magnitude: UBig) -> Result<Self, Error> {
        let precision = magnitude.bit_len().max(INTEGER_PRECISION);
        Self::rounded(negative, magnitude, 0, false, precision)
    }

    /// The nearest `f64`.
    pub(crate) fn to_f64(&self) -> f64 {
        let size = if self.infinite {
            f64::INFINITY
        } else {
            // The digits are exact, so the standard library rounds once.
            self.magnitude_text().parse().unwrap_or(f64::INFINITY)
        };
        if self.negative { -size } else { size }
    }

    /// The integer, if it is one that fits.
    pub(crate) fn to_i64(&self) -> Option<i64> {
        let magnitude = self.to_integer()?;
        let value = i128::try_from(&magnitude).ok()?;
        i64::try_from(if self.negative { -value } else { value }).ok()
    }

    /// The magnitude of an integer; `None` for a fraction or an infinity.
    pub(crate) fn to_integer(&self) -> Option<UBig> {
        self.is_integer()
            .then(|| &self.magnitude << unsigned_of(self.exponent))
    }

    /// The integer part of the magnitude; `None` for an infinity.
    pub(crate) fn truncated(&self) -> Option<UBig> {
        if self.infinite {
            None
        } else if self.exponent >= 0 {
            Some(&self.magnitude << unsigned_of(self.exponent))
        } else {
            Some(&self.magnitude >> unsigned_of(self.exponent))
        }
    }

    /// Whether it is a whole number.
    pub(crate) fn is_integer(&self) -> bool {
        !self.infinite && self.exponent >= 0
    }

    /// Whether it is an infinity.
    pub(crate) fn is_infinite(&self) -> bool {
        self.infinite
    }

    /// Whether it is below zero, or the negative zero.
    pub(crate) fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether it is zero.
    pub(crate) fn is_zero(&self) -> bool {
        !self.infinite && self.magnitude.is_zero()
    }

    /// The number with the other sign.
    pub(crate) fn negated(&self) -> Self {
        let mut number = self.clone();
        number.negative = !number.negative;
        number
    }

    /// The sum.
    pub(crate) fn plus(&self, other: &Self) -> Result<Self, Error> {
        let precision = self.precision.max(other.precision);
        self.sum(other, precision)
    }

    fn sum(&self, other: &Self, precision: usize) -> Result<Self, Error> {
        match (self.infinite, other.infinite) {
            (true, true) if self.negative != other.negative => {
                return Err(Error::new("infinity minus infinity is no number"));
            }
            (true, _) => return Ok(Self::infinity(self.negative, precision)),
            (_, true) => return Ok(Self::infinity(other.negative, precision)),
            _ => {}
        }
        if self.is_zero() || other.is_zero() {
            let number = if self.is_zero() { other } else { self };
            let negative = if number.is_zero() {
                self.negative && other.negative
            } else {
                number.negative
            };
            return Self::rounded(
                negative,
                number.magnitude.clone(),
                number.exponent,
                false,
                precision,
            );
        }
        let exponent = self.exponent.min(other.exponent);
        let align = |number: &Self| &number.magnitude << unsigned_of(number.exponent - exponent);
        let (left, right) = (align(self), align(other));
        let (negative, magnitude) = if self.negative == other.negative {
            (self.negative, left + right)
        } else {
            match left.cmp(&right) {
                Ordering::Equal => (false, UBig::ZERO),
                Ordering::Greater => (self.negative, left - right),
                Ordering::Less => (other.negative, right - left),
            }
        };
        Self::rounded(negative, magnitude, exponent, false, precision)
    }

    /// The difference.
    pub(crate) fn minus(&self, other: &Self) -> Result<Self, Error> {
        self.plus(&other.negated())
    }

    /// The product. It is exact as far as 512 bits allow.
    pub(crate) fn times(&self, other: &Self) -> Result<Self, Error> {
        let precision = self.precision.max(other.precision);
        let mut product = self.product(other, PRECISION)?;
        let needed = product.magnitude.bit_len();
        let precision = precision.max(needed);
        product = Self::rounded(
            product.negative,
            product.magnitude,
            product.exponent,
            false,
            precision,
        )
        .map(|number| Self {
            infinite: product.infinite,
            ..number
        })?;
        Ok(product)
    }

    fn product(&self, other: &Self, precision: usize) -> Result<Self, Error> {
        let negative = self.negative != other.negative;
        if self.infinite || other.infinite {
            if self.is_zero() || other.is_zero() {
                return Err(Error::new("zero times infinity is no number"));
            }
            return Ok(Self::infinity(negative, precision));
        }
        let magnitude = &self.magnitude * &other.magnitude;
        let exponent = self.exponent + other.exponent;
        Self::rounded(negative, magnitude, exponent, false, precision)
    }

    /// The quotient; an infinity for a division by zero.
    pub(crate) fn over(&self, other: &Self) -> Result<Self, Error> {
        let precision = self.precision.max(other.precision);
        let negative = self.negative != other.negative;
        if (self.is_zero() && other.is_zero()) || (self.infinite && other.infinite) {
            return Err(Error::new("the quotient is no number"));
        }
        if self.infinite || other.is_zero() {
            return Ok(Self::infinity(negative, precision));
        }
        if other.infinite || self.is_zero() {
            return Self::rounded(negative, UBig::ZERO, 0, false, precision);
        }
        let exponent = self.exponent - other.exponent;
        Self::quotient(
            negative,
            self.magnitude.clone(),
            &other.magnitude,
            exponent,
            precision,
        )
    }

    /// The rest of the division that rounds to zero; the number itself for a division by zero.
    pub(crate) fn modulo(&self, other: &Self) -> Result<Self, Error> {
        if self.infinite || other.infinite {
            return Err(Error::new("`%` does not work with infinity"));
        }
        if other.is_zero() {
            return Ok(self.clone());
        }
        let quotient = self.over(other)?;
        let whole = quotient.truncated().unwrap_or_default();
        let whole = Self::from_integer(quotient.negative, whole)?;
        let precision = self.precision.max(other.precision).max(whole.precision);
        let multiple = other.product(&whole, precision)?;
        self.sum(&multiple.negated(), precision)
    }

    fn magnitude_text(&self) -> String {
        let mantissa = &self.magnitude;
        if self.exponent >= 0 {
            (mantissa << unsigned_of(self.exponent)).to_string()
        } else {
            let places = unsigned_of(self.exponent);
            let digits = mantissa * UBig::from(5_u8).pow(places);
            with_point(&digits.to_string(), places)
        }
    }

    /// All digits, without zeros at the end, with the count of digits before the point.
    pub(crate) fn exact(&self) -> (String, i64) {
        if self.magnitude.is_zero() {
            return (String::new(), 0);
        }
        let exact = Decimal::new(&self.magnitude, self.exponent);
        let digits = String::from_utf8(exact.digits).unwrap_or_default();
        (digits, exact.point)
    }

    /// The shortest digits that are this number at its precision, with the count of digits before the point.
    pub(crate) fn shortest(&self) -> (String, i64) {
        if self.magnitude.is_zero() {
            return (String::new(), 0);
        }
        // Bits below the magnitude, so that one more bit than the precision is there: the lowest is half a unit.
        let shift = (self.precision + 1).saturating_sub(self.magnitude.bit_len());
        let middle = &self.magnitude << shift;
        let exponent = self.exponent - signed(shift);
        let inclusive = !is_odd(&(&middle >> 1));
        let exact = Decimal::new(&middle, exponent);
        let lower = Decimal::new(&(&middle - UBig::ONE), exponent);
        let upper = Decimal::new(&(&middle + UBig::ONE), exponent);
        exact.shortest(&lower, &upper, inclusive)
    }
}

/// The digits of an exact decimal number, without zeros at the end.
struct Decimal {
    digits: Vec<u8>,
    /// The count of digits before the point.
    point: i64,
}

impl Decimal {
    fn new(magnitude: &UBig, exponent: i64) -> Self {
        let (digits, places) = if exponent >= 0 {
            (magnitude << unsigned_of(exponent), 0)
        } else {
            let places = unsigned_of(exponent);
            (magnitude * UBig::from(5_u8).pow(places), places)
        };
        let mut digits = digits.to_string().into_bytes();
        let point = signed(digits.len()) - signed(places);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        Self { digits, point }
    }

    /// The digit at a place that is counted from the first digit of a number with `point`.
    fn digit(&self, index: usize, point: i64) -> u8 {
        let index = signed(index) - (point - self.point);
        usize::try_from(index)
            .ok()
            .and_then(|index| self.digits.get(index).copied())
            .unwrap_or(b'0')
    }

    fn shortest(mut self, lower: &Self, upper: &Self, inclusive: bool) -> (String, i64) {
        for index in 0..self.digits.len() {
            let middle = self.digit(index, self.point);
            // As Go's algorithm, which compares digits at the same index of the three.
            let low = lower.digit(index, lower.point);
            let high = upper.digit(index, upper.point);
            let down = low != middle || (inclusive && index + 1 == lower.digits.len());
            let up = middle != high
                && (inclusive || middle + 1 < high || index + 1 < upper.digits.len());
            if !down && !up {
                continue;
            }
            let next = self.digit(index + 1, self.point);
            let round_up = match (down, up) {
                (true, true) => {
                    let tie = next == b'5' && index + 2 == self.digits.len();
                    if tie {
                        (middle - b'0') % 2 == 1
                    } else {
                        next >= b'5'
                    }
                }
                (_, up) => up,
            };
            self.digits.truncate(index + 1);
            if round_up {
                self.increment();
            }
            break;
        }
        while self.digits.last() == Some(&b'0') {
            self.digits.pop();
        }
        let digits = String::from_utf8(self.digits).unwrap_or_default();
        (digits, self.point)
    }

    fn increment(&mut self) {
        while let Some(digit) = self.digits.pop() {
            if digit < b'9' {
                self.digits.push(digit + 1);
                return;
            }
        }
        self.digits.push(b'1');
        self.point += 1;
    }
}

/// The shortest decimal form without an exponent.
impl Display for Number {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        if self.infinite {
            let sign = if self.negative { "-" } else { "+" };
            return write!(formatter, "{sign}Inf");
        }
        if self.magnitude.is_zero() {
            return write!(formatter, "{sign}0");
        }
        let (digits, point) = self.shortest();
        let length = signed(digits.len());
        if point >= length {
            let zeros = "0".repeat(unsigned_of(point - length));
            write!(formatter, "{sign}{digits}{zeros}")
        } else if point > 0 {
            let (whole, fraction) = digits.split_at(unsigned_of(point));
            write!(formatter, "{sign}{whole}.{fraction}")
        } else {
            let zeros = "0".repeat(unsigned_of(point));
            write!(formatter, "{sign}0.{zeros}{digits}")
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.is_zero(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let by_sign = sign(self).cmp(&sign(other));
        if by_sign.is_ne() || self.is_zero() {
            return by_sign;
        }
        let by_size = match (self.infinite, other.infinite) {
            (false, false) => {
                let exponent = self.exponent.min(other.exponent);
                let align =
                    |number: &Self| &number.magnitude << unsigned_of(number.exponent - exponent);
                align(self).cmp(&align(other))
            }
            (left, right) => left.cmp(&right),
        };
        if self.negative {
            by_size.reverse()
        } else {
            by_size
        }
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        let magnitude = UBig::from(value.unsigned_abs());
        let zeros = magnitude.trailing_zeros().unwrap_or(0);
        Self {
            negative: value < 0,
            infinite: false,
            magnitude: magnitude >> zeros,
            exponent: signed(zeros),
            precision: INTEGER_PRECISION,
        }
    }
}

/// An exponent in a number: a sign and digits.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More digits than fit are as wrong as a very large exponent.
    let size = digits.parse().unwrap_or(i64::from(i32::MAX));
    Some(if text.starts_with('-') { -size } else { size })
}

fn with_point(digits: &str, places: usize) -> String {
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    format!("{whole}.{fraction}")
}

fn is_odd(number: &UBig) -> bool {
    number.trailing_zeros() == Some(0)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned_of(count: i64) -> usize {
    usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
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
}
