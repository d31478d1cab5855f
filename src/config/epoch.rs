//! `SOURCE_DATE_EPOCH`: the time in the image, for reproducible builds.

use super::fault::Fault;
use super::findings::Findings;

/// The build argument of the same name, which BuildKit reads.
pub(super) const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// The last second of the year 9999. The config of an image has no later time (RFC 3339).
const LATEST: u64 = 253_402_300_799;

/// Reads the number of seconds since 1970.
pub(super) fn read(value: &str, findings: &mut Findings) -> Option<u64> {
    let value = value.trim();
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = value.parse::<u64>().ok().filter(|_| is_number);
    let problem = match seconds {
        Some(seconds) if seconds <= LATEST => return Some(seconds),
        _ if is_number => "is later than the year 9999",
        _ => "is not a time in seconds",
    };
    let problem = format!("{} {problem}", findings.shown(value));
    let advice =
        "write the whole seconds since 1970, such as the output of `git log -1 --format=%ct`";
    findings.fault(Fault::new(VARIABLE, problem, advice));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_until_the_year_9999_are_read() {
        for (value, seconds) in [
            ("0", 0),
            (" 1700000000\n", 1_700_000_000),
            ("253402300799", LATEST),
        ] {
            let mut findings = Findings::default();
            assert_eq!(read(value, &mut findings), Some(seconds));
            assert!(findings.is_faultless());
        }
        for (value, problem) in [
            ("-1", "is not a time in seconds"),
            ("+1", "is not a time in seconds"),
            ("1.5", "is not a time in seconds"),
            ("2024-01-01", "is not a time in seconds"),
            ("1700000000000", "is later than the year 9999"),
            ("99999999999999999999", "is later than the year 9999"),
            ("0x10", "is not a time in seconds"),
            ("now", "is not a time in seconds"),
        ] {
            let mut findings = Findings::default();
            assert_eq!(read(value, &mut findings), None, "{value}");
            let faults = findings.into_error().to_string();
            let expected =
                format!("SOURCE_DATE_EPOCH: `{value}` {problem}; write the whole seconds");
            assert!(faults.starts_with(&expected), "{faults}");
        }
    }
}
