//! The decimal form: what definitions write, and the shortest digits of a number.

use std::fmt::{self, Display, Formatter};

use dashu_int::UBig;
use dashu_int::ops::BitTest;

use super::{MAX_EXPONENT, Number, PRECISION, is_odd, signed, unsigned_of};
use crate::Error;

/// The most characters of a number in a definition.
const MAX_CHARACTERS: usize = 20_000;

impl Number {
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

    pub(super) fn magnitude_text(&self) -> String {
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
