//! Arithmetic: the result has the larger precision of both operands.

use std::cmp::Ordering;

use dashu_int::UBig;
use dashu_int::ops::BitTest;

use super::{Number, PRECISION, unsigned_of};
use crate::Error;

impl Number {
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
                return Err(Error::new("infinity minus infinity is not a number"));
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

    /// The product. It is exact up to 512 bits.
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
                return Err(Error::new("zero times infinity is not a number"));
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
            return Err(Error::new("the quotient is not a number"));
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
    ///
    /// All steps have the precision of the dividend, as in the CLI: `pow(3, 60) % 10` is 0, because `pow` returns an `f64`.
    pub(crate) fn modulo(&self, other: &Self) -> Result<Self, Error> {
        if self.infinite || other.infinite {
            return Err(Error::new("`%` does not work with infinity"));
        }
        if other.is_zero() {
            return Ok(self.clone());
        }
        let quotient = self.over(other)?;
        let whole = quotient.truncated().unwrap_or_default();
        let negative = quotient.negative && !whole.is_zero();
        let precision = self.precision;
        let whole = Self::rounded(negative, whole, 0, false, precision)?;
        let multiple = other.product(&whole, precision)?;
        self.sum(&multiple.negated(), precision)
    }
}
