//! Numbers: binary floating point as `cty` has them, which are those of Go's `math/big`.
//!
//! A number has its own precision: 512 bits for what is written in a definition, 64 for an integer of a function, 53 for a `f64`. The
//! result of an operation has the larger precision of both operands. Rounding is to the nearest, ties to even.

mod arithmetic;
mod decimal;

use std::cmp::Ordering;

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

    /// The next integer, downwards or upwards, with the precision of the number. Zero has no sign.
    pub(crate) fn whole(&self, down: bool) -> Result<Self, Error> {
        let Some(size) = self.truncated() else {
            return Ok(self.clone());
        };
        let away = !self.is_integer() && self.negative == down;
        let size = if away { size + UBig::ONE } else { size };
        let negative = self.negative && !size.is_zero();
        Self::rounded(negative, size, 0, false, self.precision)
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
mod tests;
