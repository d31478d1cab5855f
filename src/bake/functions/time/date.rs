//! A date with a time and an offset, and durations.

use std::fmt::{self, Display, Formatter};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// A time of the calendar.
pub(super) struct Date {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    nanosecond: i64,
    /// East of UTC, in minutes.
    pub(super) offset: i64,
}

impl Date {
    /// The time so many seconds after 1970, in UTC.
    pub(super) fn new(seconds: i64) -> Self {
        Self::of(seconds, 0, 0)
    }

    fn of(seconds: i64, nanosecond: i64, offset: i64) -> Self {
        let local = seconds + offset * 60;
        let (days, rest) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        // Years that begin in March end with the leap day; 400 of them have 146,097 days.
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let year = year + era * 400 + i64::from(month >= 10);
        Self {
            year,
            month: (month + 2) % 12 + 1,
            day: day - (153 * month + 2) / 5 + 1,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            nanosecond,
            offset,
        }
    }

    fn days(&self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
        let day = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
    }

    /// The days since a Thursday.
    pub(super) fn weekday(&self) -> usize {
        usize::try_from(self.days().rem_euclid(7)).unwrap_or_default()
    }

    /// The time so many nanoseconds later.
    pub(super) fn plus(&self, duration: i64) -> Self {
        let seconds = self.days() * DAY + self.hour * 3600 + self.minute * 60 + self.second;
        let nanosecond = self.nanosecond + duration.rem_euclid(SECOND);
        let seconds = seconds - self.offset * 60 + duration.div_euclid(SECOND);
        Self::of(
            seconds + nanosecond / SECOND,
            nanosecond % SECOND,
            self.offset,
        )
    }

    /// Reads a time of RFC 3339.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let field = |start: usize, length: usize, least: i64, most: i64| {
            number(text.get(start..start + length)?).filter(|value| (least..=most).contains(value))
        };
        let sign = |index: usize, sign: u8| text.as_bytes().get(index) == Some(&sign);
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if !separators
            .into_iter()
            .all(|(index, byte)| sign(index, byte))
        {
            return None;
        }
        let (year, month) = (field(0, 4, 0, 9999)?, field(5, 2, 1, 12)?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let mut rest = text.get(19..)?;
        let mut nanosecond = 0;
        if let Some(fraction) = rest.strip_prefix('.') {
            let after = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            let digits = fraction.get(..fraction.len() - after.len())?;
            let digits: String = digits.chars().chain("000000000".chars()).take(9).collect();
            nanosecond = number(&digits)?;
            rest = Some(after).filter(|after| after.len() < fraction.len())?;
        }
        Some(Self {
            year,
            month,
            day: field(8, 2, 1, days)?,
            hour: field(11, 2, 0, 23)?,
            minute: field(14, 2, 0, 59)?,
            second: field(17, 2, 0, 59)?,
            nanosecond,
            offset: parse_offset(rest)?,
        })
    }

    /// `Z` for UTC, else the offset.
    pub(super) fn zone(&self) -> String {
        match self.offset {
            0 => "Z".into(),
            _ => self.offset_text(":"),
        }
    }

    /// The offset as hours and minutes.
    pub(super) fn offset_text(&self, separator: &str) -> String {
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.abs();
        format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
    }
}

/// The form of RFC 3339, without fractions of a second.
impl Display for Date {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let sign = if self.year < 0 { "-" } else { "" };
        write!(
            formatter,
            "{sign}{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}",
            self.year.abs(),
            self.month,
            self.day,
            self.hour,
            self.minute,
            self.second,
            self.zone()
        )
    }
}

fn number(digits: &str) -> Option<i64> {
    let valid = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| valid)
}

fn parse_offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let hours = number(hours).filter(|hours| *hours < 24)?;
    let minutes = number(minutes).filter(|minutes| *minutes < 60)?;
    match text.as_bytes().first()? {
        b'+' => Some(hours * 60 + minutes),
        b'-' => Some(-(hours * 60 + minutes)),
        _ => None,
    }
}

/// Reads a duration such as `-1h30m` or `1.5s`, in nanoseconds.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|byte: char| !byte.is_ascii_digit() && byte != '.')?;
        let (amount, after) = rest.split_at(end);
        let end = after.find(|byte: char| byte.is_ascii_digit() || byte == '.');
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let unit: i64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            _ => return None,
        };
        total = total.checked_add(scaled(amount, unit)?)?;
        rest = after;
    }
    Some(if text.starts_with('-') { -total } else { total })
}

/// A decimal number of units; digits that are too small have no effect.
fn scaled(amount: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { number(whole)? };
    let fraction: String = fraction.chars().take(18).collect();
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = if fraction.is_empty() {
        0
    } else {
        number(&fraction)?
    };
    let part = i128::from(part) * i128::from(unit) / scale;
    whole
        .checked_mul(unit)?
        .checked_add(i64::try_from(part).ok()?)
}
