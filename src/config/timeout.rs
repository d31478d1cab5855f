//! The limit for a run.

use std::time::Duration;

use super::fault::Fault;
use super::findings::Findings;
use super::warning::Warning;
use crate::bitbucket::STEP_LIMIT;

const VARIABLE: &str = "TIMEOUT";

/// The longest limit.
const LONGEST: Duration = Duration::from_hours(24);

/// Parses `90`, `90s`, `45m` or `1h30m`. A number without a unit is in seconds.
pub(super) fn read(value: Option<&str>, findings: &mut Findings) -> Option<Duration> {
    let text = value?.trim();
    let read = match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    let timeout = read.filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST);
    if timeout.is_none() {
        let problem = format!("{} is not a duration", findings.shown(text));
        let advice = "write a duration of at most one day, such as `90s`, `45m` or `1h30m`";
        findings.fault(Fault::new(VARIABLE, problem, advice));
    }
    if timeout.is_some_and(|timeout| timeout > STEP_LIMIT) {
        findings.warn(Warning::LongTimeout);
    }
    timeout
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(value: &str) -> (Option<u64>, String, Vec<Warning>) {
        let mut findings = Findings::default();
        let timeout = read(Some(value), &mut findings);
        let error = findings.into_error();
        let seconds = timeout.map(|timeout| timeout.as_secs());
        (seconds, error.to_string(), error.warnings().to_vec())
    }

    #[test]
    fn a_duration_is_read_in_each_common_form() {
        for (value, seconds) in [
            ("90", 90),
            (" 90s\n", 90),
            ("45m", 45 * 60),
            ("1h30m", 90 * 60),
            ("1h 30m", 90 * 60),
            ("1.5h", 90 * 60),
        ] {
            let (read, error, warnings) = read_from(value);
            assert_eq!((read, error.as_str()), (Some(seconds), ""), "{value}");
            assert_eq!(warnings, []);
        }
        assert_eq!(read_from("3h").2, [Warning::LongTimeout]);
        for value in [
            "0",
            "0s",
            "-1",
            "soon",
            "1x",
            "25h",
            "9".repeat(30).as_str(),
        ] {
            let (read, error, _) = read_from(value);
            assert_eq!(read, None, "{value}");
            assert!(error.starts_with("TIMEOUT: `"), "{error}");
        }
        let mut findings = Findings::default();
        assert_eq!(read(None, &mut findings), None);
    }
}
