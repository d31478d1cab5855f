//! Plain scalars of YAML, with the types that the YAML library of compose finds, and numbers as compose prints them.

use super::node::Data;

/// The value of a plain scalar without a tag.
pub(crate) fn plain(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Data::Null,
        "true" | "True" | "TRUE" => return Data::Bool(true),
        "false" | "False" | "FALSE" => return Data::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Data::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Data::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Data::Float(f64::NEG_INFINITY),
        "-0" => return Data::Float(-0.0),
        _ => {}
    }
    let first = text.bytes().next().unwrap_or_default();
    if first == b'.' {
        return decimal(text).map_or_else(|| Data::Text(text.into()), Data::Float);
    }
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-')) {
        return Data::Text(text.into());
    }
    if let Some(time) = time(text) {
        return Data::Time(time);
    }
    let digits = text.replace('_', "");
    integer(&digits)
        .map(Data::Integer)
        .or_else(|| decimal(&digits).map(Data::Float))
        .unwrap_or_else(|| Data::Text(text.into()))
}

/// A whole number with a sign and the prefixes `0x`, `0b`, `0o` and `0`, of 64 bits.
pub(crate) fn integer(text: &str) -> Option<i128> {
    let (negative, rest) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let prefixed = |prefix: &str| {
        let head = rest.get(..2)?;
        head.eq_ignore_ascii_case(prefix).then(|| rest.get(2..))?
    };
    let (digits, radix) = if let Some(digits) = prefixed("0x") {
        (digits, 16)
    } else if let Some(digits) = prefixed("0b") {
        (digits, 2)
    } else if let Some(digits) = prefixed("0o") {
        (digits, 8)
    } else if let Some(digits) = rest.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        (digits, 8)
    } else {
        (rest, 10)
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -value } else { value };
    (i128::from(i64::MIN)..=i128::from(u64::MAX))
        .contains(&value)
        .then_some(value)
}

/// A decimal number: digits with at most one point, and an exponent.
pub(crate) fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    if !has_digits || !all_digits(whole) || !all_digits(fraction) || !exponent_fits {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// A number with the fewest digits; with an exponent below 1e-4 and from one million.
pub(crate) fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    format!("{value}")
}

/// A date, or a date with a time, as compose prints it.
fn time(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes
        .iter()
        .take(4)
        .filter(|byte| byte.is_ascii_digit())
        .count()
        != 4
        || bytes.get(4) != Some(&b'-')
    {
        return None;
    }
    let (date, clock) = match text.find(['T', 't', ' ']) {
        Some(index) => (text.get(..index)?, Some(text.get(index..)?)),
        None => (text, None),
    };
    let mut parts = date.splitn(3, '-');
    let year: u32 = parts.next()?.parse().ok()?;
    let month = number(parts.next()?, 2)?;
    let day = number(parts.next()?, 2)?;
    if !(1..=12).contains(&month) || !(1..=days(year, month)).contains(&day) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    let Some(clock) = clock else {
        return Some(format!("{date} 00:00:00 +0000 UTC"));
    };
    let has_zone = !clock.starts_with(' ');
    let clock = clock.get(1..)?;
    let (clock, zone) = if !has_zone {
        (clock, "+0000 UTC".to_owned())
    } else if let Some(clock) = clock.strip_suffix('Z') {
        (clock, "+0000 UTC".to_owned())
    } else {
        let index = clock.rfind(['+', '-'])?;
        let zone = clock.get(index..)?;
        let (hours, minutes) = zone.get(1..)?.split_once(':')?;
        if hours.len() != 2
            || minutes.len() != 2
            || number(hours, 2)? > 24
            || number(minutes, 2)? >= 60
        {
            return None;
        }
        let zone = zone.replace(':', "");
        let zone = if zone.ends_with("0000") {
            "+0000 UTC".into()
        } else {
            format!("{zone} {zone}")
        };
        (clock.get(..index)?, zone)
    };
    let (clock, fraction) = clock
        .split_once(['.', ','])
        .map_or((clock, ""), |(clock, fraction)| (clock, fraction));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || fraction.len() > 9 {
        return None;
    }
    let mut parts = clock.splitn(3, ':');
    let hour = number(parts.next()?, 2)?;
    let minute = number(parts.next()?, 2)?;
    let second = number(parts.next()?, 2)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!(
        "{date} {hour:02}:{minute:02}:{second:02}{point}{fraction} {zone}"
    ))
}

fn number(text: &str, most: usize) -> Option<u32> {
    let fits = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok())?
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::node::Node;
    use crate::{Place, Source};
    use std::rc::Rc;

    /// The text of a plain scalar as the value of a build argument.
    fn shown(text: &str) -> String {
        let source = Rc::new(Source {
            name: "compose.yaml".into(),
            text: String::new(),
        });
        Node::new(plain(text), &Place::new(&source, 0..0)).to_string()
    }

    #[test]
    fn scalars_are_printed_like_compose_does() {
        for (text, expected) in [
            ("1.10", "1.1"),
            ("010", "8"),
            ("0o10", "8"),
            ("0x1F", "31"),
            ("1_000", "1000"),
            ("2001-01-01", "2001-01-01 00:00:00 +0000 UTC"),
            ("2001-01-01 10:00:00", "2001-01-01 10:00:00 +0000 UTC"),
            ("yes", "yes"),
            ("on", "on"),
            ("1e3", "1000"),
            ("~", "<nil>"),
            ("0b11", "3"),
            ("12345678901234567890123", "1.2345678901234568e+22"),
            ("1e30", "1e+30"),
            ("100000000.0", "1e+08"),
            ("-0", "-0"),
            ("0.000001", "1e-06"),
            ("1.0", "1"),
            ("1:30", "1:30"),
            ("+12", "12"),
            ("18446744073709551615", "18446744073709551615"),
            ("0.00001", "1e-05"),
            ("True", "true"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e", "1e"),
            ("123456789012345678", "123456789012345678"),
            ("1234567.5", "1.2345675e+06"),
            ("12345678901.0", "1.2345678901e+10"),
            ("1e21", "1e+21"),
            ("1e20", "1e+20"),
            ("-0b11", "-3"),
            ("09", "9"),
            ("0_1", "1"),
            ("_1", "_1"),
            ("1__0", "10"),
            ("1.2.3", "1.2.3"),
            ("2001-02-30", "2001-02-30"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
