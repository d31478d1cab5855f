//! Dates: `timestamp`, `timeadd` and `formatdate`.

mod date;

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use super::call::{Call, Parameter, Standard, quote, wrong};
use crate::hcl::scope::CallError;
use date::{Date, parse_duration};

const TEXT: Parameter = Parameter::STRING;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The days of a week that begins with 1970-01-01.
const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new("formatdate", &[TEXT, TEXT], |call| {
        let date = date(call, 1)?;
        let text = format(call.text(0)?, &date);
        call.string(text.map_err(|problem| wrong(0, problem))?)
    }),
    Standard::new("timeadd", &[TEXT, TEXT], |call| {
        let date = date(call, 0)?;
        let duration = parse_duration(call.text(1)?);
        let duration = duration.ok_or_else(|| wrong(1, "a duration such as 1h30m is required"))?;
        call.string(date.plus(duration).to_string())
    }),
    Standard::new("timestamp", &[], |call| call.string(now().to_string())),
];

/// The time of the first call.
fn now() -> Date {
    static SECONDS: OnceLock<i64> = OnceLock::new();
    let seconds = SECONDS.get_or_init(|| {
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        time.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(0))
    });
    Date::new(*seconds)
}

fn date(call: &Call<'_>, index: usize) -> Result<Date, CallError> {
    let text = call.text(index)?;
    Date::parse(text).ok_or_else(|| {
        wrong(
            index,
            format!(
                "{} is not a time of RFC 3339 such as 2006-01-02T15:04:05Z",
                quote(text)
            ),
        )
    })
}

/// Replaces each run of a letter by a part of the date. Text in quotes and other characters stay.
fn format(format: &str, date: &Date) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            rest = literal(rest, &mut text)?;
        } else if first.is_ascii_alphabetic() {
            let after = rest.trim_start_matches(first);
            let length = rest.len() - after.len();
            text.push_str(&part(first, length, date)?);
            rest = after;
        } else {
            text.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    Ok(text)
}

/// Appends a text in quotes, in which two quotes are one. Two quotes alone are one, too.
fn literal<'a>(quoted: &'a str, text: &mut String) -> Result<&'a str, String> {
    let mut rest = quoted.strip_prefix('\'').unwrap_or_default();
    if let Some(after) = rest.strip_prefix('\'') {
        text.push('\'');
        return Ok(after);
    }
    loop {
        let (part, after) = rest
            .split_once('\'')
            .ok_or("a quote in the format is not closed")?;
        text.push_str(part);
        match after.strip_prefix('\'') {
            Some(after) => {
                text.push('\'');
                rest = after;
                // At the end of the format, the second quote closes the literal as well.
                if rest.is_empty() {
                    return Ok(rest);
                }
            }
            None => return Ok(after),
        }
    }
}

fn part(letter: char, length: usize, date: &Date) -> Result<String, String> {
    let number = |value: i64| match length {
        1 => Some(value.to_string()),
        2 => Some(format!("{value:02}")),
        _ => None,
    };
    let name = |name: &str| match length {
        3 => name.get(..3).map(str::to_owned),
        4 => Some(name.to_owned()),
        _ => None,
    };
    let (text, forms) = match letter {
        'Y' => (
            match length {
                2 => Some(format!("{:02}", date.year % 100)),
                4 => Some(format!("{:04}", date.year)),
                _ => None,
            },
            "YY or YYYY",
        ),
        'M' => {
            let index = usize::try_from(date.month - 1).unwrap_or_default();
            let month = MONTHS.get(index).copied().unwrap_or_default();
            (
                number(date.month).or_else(|| name(month)),
                "M, MM, MMM or MMMM",
            )
        }
        'D' => (number(date.day), "D or DD"),
        'E' => (
            name(DAYS.get(date.weekday()).copied().unwrap_or_default()),
            "EEE or EEEE",
        ),
        'h' => (number(date.hour), "h or hh"),
        'H' => (number((date.hour + 11) % 12 + 1), "H or HH"),
        'm' => (number(date.minute), "m or mm"),
        's' => (number(date.second), "s or ss"),
        'A' | 'a' => {
            let half = if date.hour < 12 { "am" } else { "pm" };
            let half = if letter == 'A' {
                half.to_uppercase()
            } else {
                half.to_owned()
            };
            (Some(half).filter(|_| length == 2), "AA or aa")
        }
        'Z' => (
            match length {
                1 => Some(date.zone()),
                3 if date.offset == 0 => Some("UTC".into()),
                3 | 4 => Some(date.offset_text("")),
                5 => Some(date.offset_text(":")),
                _ => None,
            },
            "Z, ZZZ, ZZZZ or ZZZZZ",
        ),
        _ => (None, "in quotes, as it has no meaning"),
    };
    text.ok_or_else(|| {
        let run: String = std::iter::repeat_n(letter, length.min(10)).collect();
        format!("`{run}` in the format must be {forms}")
    })
}
