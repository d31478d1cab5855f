//! Logarithm and power of `f64` with the last digits of Go's `math`, which differ from those of the C library.

/// The coefficients of the series of `ln((1 + s) / (1 - s))`, from that of `s^3` on (FreeBSD's `e_log.c`).
const COEFFICIENTS: [f64; 7] = [
    6.666_666_666_666_735e-1,
    3.999_999_999_940_942e-1,
    2.857_142_874_366_239e-1,
    2.222_219_843_214_978_4e-1,
    1.818_357_216_161_805e-1,
    1.531_383_769_920_937_3e-1,
    1.479_819_860_511_658_6e-1,
];

/// The first bits of `ln(2)`: a product with an exponent is exact.
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;

/// The rest of `ln(2)`.
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// `2^52`.
const TWO_52: f64 = 4_503_599_627_370_496.0;

/// Exponents beyond this bound are infinite or zero in any case.
const MAX_EXPONENT: i64 = 1 << 12;

/// The logarithm to a base.
pub(super) fn log(number: f64, base: f64) -> f64 {
    ln(number) / ln(base)
}

fn ln(number: f64) -> f64 {
    if !(number.is_finite() && number > 0.0) {
        return number.ln();
    }
    let (mut fraction, mut exponent) = split(number);
    if fraction < std::f64::consts::FRAC_1_SQRT_2 {
        fraction *= 2.0;
        exponent -= 1;
    }
    let excess = fraction - 1.0;
    let ratio = excess / (2.0 + excess);
    let square = ratio * ratio;
    let fourth = square * square;
    // Two sums, of every other coefficient.
    let [c1, c2, c3, c4, c5, c6, c7] = COEFFICIENTS;
    let odd = square * (c1 + fourth * (c3 + fourth * (c5 + fourth * c7)));
    let even = fourth * (c2 + fourth * (c4 + fourth * c6));
    let half = 0.5 * excess * excess;
    let exponent = i32::try_from(exponent).map_or(0.0, f64::from);
    let small = ratio * (half + (odd + even)) + exponent * LN_2_LOW;
    exponent * LN_2_HIGH - ((half - small) - excess)
}

/// The power, by squares of the base.
pub(super) fn power(base: f64, exponent: f64) -> f64 {
    let size = exponent.abs();
    let has_root = size.fract() != 0.0;
    if !base.is_finite() || base == 0.0 || size >= 9.0e18 || !exponent.is_finite() {
        return base.powf(exponent);
    }
    if base < 0.0 && has_root {
        return f64::NAN;
    }
    if size.total_cmp(&0.5).is_eq() {
        let root = base.sqrt();
        return if exponent > 0.0 { root } else { 1.0 / root };
    }
    let (mut whole, mut rest) = (size.trunc(), size.fract());
    let mut result = 1.0;
    if has_root {
        if rest > 0.5 {
            rest -= 1.0;
            whole += 1.0;
        }
        result = (rest * ln(base)).exp();
    }
    // The fraction stays between 0.5 and 1, so that nothing overflows.
    let mut result_exponent = 0;
    let (mut fraction, mut fraction_exponent) = split(base);
    while whole > 0.0 {
        if fraction_exponent.abs() > MAX_EXPONENT {
            result_exponent += fraction_exponent;
            break;
        }
        if whole % 2.0 != 0.0 {
            result *= fraction;
            result_exponent += fraction_exponent;
        }
        fraction *= fraction;
        fraction_exponent *= 2;
        if fraction < 0.5 {
            fraction *= 2.0;
            fraction_exponent -= 1;
        }
        whole = (whole / 2.0).trunc();
    }
    if exponent < 0.0 {
        scaled(1.0 / result, -result_exponent)
    } else {
        scaled(result, result_exponent)
    }
}

/// The fraction, from 0.5 to 1, and the exponent of a number that is finite and not zero.
fn split(number: f64) -> (f64, i64) {
    // A number without the implicit bit becomes one that has it.
    let (number, shift) = if number.abs() < f64::MIN_POSITIVE {
        (number * TWO_52, -52)
    } else {
        (number, 0)
    };
    let bits = number.to_bits();
    let biased = i64::try_from((bits >> 52) & 0x7ff).unwrap_or_default();
    let fraction = f64::from_bits(bits & !(0x7ff << 52) | (1022 << 52));
    (fraction, biased - 1022 + shift)
}

/// `number · 2^exponent`.
fn scaled(mut number: f64, exponent: i64) -> f64 {
    let step = if exponent < 0 { 0.5 } else { 2.0 };
    for _ in 0..exponent.unsigned_abs().min(1 << 14) {
        number *= step;
    }
    number
}
