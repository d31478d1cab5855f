//! `ULIMITS`: limits of the processes of a step, as `docker run --ulimit` takes them (`ParseUlimit` of docker/go-units).

use std::fmt;

use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::near_miss::nearest;
use crate::config::values::words;

const VARIABLE: &str = "ULIMITS";

const FORM: &str =
    "write `NAME=SOFT:HARD`, or `NAME=BOTH`, such as `nofile=1024:2048`; `-1` is unlimited";

/// The limits of Linux that BuildKit can set.
const NAMES: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// A limit of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ulimit {
    name: &'static str,
    soft: Limit,
    /// At least `soft`.
    hard: Limit,
}

/// The order is that of the numbers; the last one is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    /// In the unit of the limit. BuildKit represents it as a signed number.
    Number(u64),
    Unlimited,
}

impl Limit {
    fn parse(text: &str) -> Option<Self> {
        if matches!(text, "-1" | "infinity") {
            return Some(Self::Unlimited);
        }
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let limit = text.parse::<i64>().ok().filter(|_| is_number)?;
        limit.try_into().ok().map(Self::Number)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(limit) => write!(formatter, "{limit}"),
            Self::Unlimited => formatter.write_str("-1"),
        }
    }
}

/// As in the frontend's attribute `ulimit`.
impl fmt::Display for Ulimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}:{}", self.name, self.soft, self.hard)
    }
}

/// Reads all entries, and reports all faults.
pub(super) fn read(value: &str, findings: &mut Findings) -> Vec<Ulimit> {
    let mut ulimits: Vec<Ulimit> = Vec::new();
    for word in words(value) {
        let parsed = parse(word).and_then(|ulimit| {
            let mut others = ulimits.iter().filter(|other| other.name == ulimit.name);
            if others.any(|other| *other != ulimit) {
                let problem = format!("sets `{}` a second time", ulimit.name);
                return Err((problem, "write each limit once".into()));
            }
            Ok(ulimit)
        });
        match parsed {
            Ok(ulimit) if ulimits.contains(&ulimit) => {}
            Ok(ulimit) => ulimits.push(ulimit),
            Err((problem, advice)) => {
                let problem = format!("{} {problem}", findings.shown(word));
                findings.fault(Fault::new(VARIABLE, problem, advice));
            }
        }
    }
    ulimits
}

/// Reads an entry. An error has the problem and the advice.
fn parse(word: &str) -> Result<Ulimit, (String, String)> {
    let invalid = |problem: &str| (problem.to_owned(), FORM.to_owned());
    let (name, limits) = word
        .split_once('=')
        .ok_or_else(|| invalid("has no limit"))?;
    let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
        let advice = match nearest(name, NAMES) {
            Some(near) => format!("write `{near}`"),
            None => format!("write one of {}", NAMES.join(", ")),
        };
        return Err(("does not begin with the name of a limit".into(), advice));
    };
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let limit =
        |text: &str| Limit::parse(text).ok_or_else(|| invalid("has a limit that is not a number"));
    let (soft, hard) = (limit(soft)?, limit(hard)?);
    if soft > hard {
        let problem = "has a soft limit above its hard limit".to_owned();
        return Err((problem, "write the lower one first".into()));
    }
    Ok(Ulimit { name, soft, hard })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(value: &str) -> Vec<String> {
        let mut findings = Findings::default();
        let ulimits = read(value, &mut findings);
        assert!(findings.is_faultless(), "{value}");
        ulimits.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_limit_is_read_in_each_form() {
        for (value, expected) in [
            ("nofile=1024", &["nofile=1024:1024"][..]),
            ("nofile=1024:2048", &["nofile=1024:2048"]),
            ("core=0", &["core=0:0"]),
            ("memlock=-1", &["memlock=-1:-1"]),
            ("memlock=65536:-1", &["memlock=65536:-1"]),
            ("memlock=infinity", &["memlock=-1:-1"]),
            (
                "stack=0:9223372036854775807",
                &["stack=0:9223372036854775807"],
            ),
            (
                "nproc=3, nofile=1:2\ncpu=7",
                &["nproc=3:3", "nofile=1:2", "cpu=7:7"],
            ),
            ("\0nproc=3\0cpu=7", &["nproc=3:3", "cpu=7:7"]),
            ("nproc=3 nproc=3:3", &["nproc=3:3"]),
        ] {
            assert_eq!(attribute(value), expected, "{value}");
        }
        for name in NAMES {
            assert_eq!(attribute(&format!("{name}=1")), [format!("{name}=1:1")]);
        }
    }

    proptest! {
        #[test]
        fn the_soft_limit_is_at_most_the_hard_one(name in 0..NAMES.len(), soft in any::<i64>(), hard in any::<i64>()) {
            let value = format!("{}={soft}:{hard}", NAMES[name]);
            let mut findings = Findings::default();
            let is_valid = soft >= 0 && hard >= soft;
            prop_assert_eq!(read(&value, &mut findings).len(), usize::from(is_valid), "{}", value);
            prop_assert_eq!(findings.is_faultless(), is_valid);
        }

        #[test]
        fn any_text_gives_limits_that_are_read_again(text in "([a-z]{3,8}|nofile|cpu)(=|:|)(-?[0-9]{0,20}|infinity)(:-?[0-9]{0,4})?|\\PC{0,30}") {
            let mut findings = Findings::default();
            for ulimit in read(&text, &mut findings) {
                let written = ulimit.to_string();
                prop_assert_eq!(attribute(&written), vec![written.clone()]);
            }
        }
    }
}
