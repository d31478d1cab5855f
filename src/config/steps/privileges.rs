//! `ALLOW`: privileges that steps of the Dockerfile may request. BuildKit calls them entitlements.

use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::near_miss::nearest;
use crate::config::values::words;

const VARIABLE: &str = "ALLOW";

/// A privilege of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// The network of the builder.
    NetworkHost,
    /// All capabilities, and no sandbox.
    SecurityInsecure,
}

impl Privilege {
    const ALL: [Self; 2] = [Self::NetworkHost, Self::SecurityInsecure];

    /// Its name in BuildKit.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NetworkHost => "network.host",
            Self::SecurityInsecure => "security.insecure",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|privilege| privilege.name() == text)
    }
}

/// Reads all privileges, each once, and reports all faults.
pub(super) fn read(value: &str, findings: &mut Findings) -> Vec<Privilege> {
    let mut privileges = Vec::new();
    for word in words(value) {
        match Privilege::parse(word) {
            Some(privilege) if privileges.contains(&privilege) => {}
            Some(privilege) => privileges.push(privilege),
            None => {
                let (problem, advice) = fault(word);
                let problem = format!("{} {problem}", findings.shown(word));
                findings.fault(Fault::new(VARIABLE, problem, advice));
            }
        }
    }
    privileges
}

/// Problem and advice of an unknown privilege.
fn fault(word: &str) -> (&'static str, String) {
    let kind = word.split_once('=').map_or(word, |(kind, _)| kind);
    let both = Privilege::ALL.map(Privilege::name);
    if kind.eq_ignore_ascii_case("device") {
        let problem =
            "is for devices of the builder's machine, which Depot's builders do not offer";
        return (problem, "remove it".into());
    }
    let lower = kind.to_ascii_lowercase();
    // One of the two words, such as `insecure`, or a misspelling of both.
    let of_word = both
        .into_iter()
        .find(|name| name.split('.').any(|part| part == lower));
    let advice = match of_word.or_else(|| nearest(&lower, both)) {
        Some(near) => format!("write `{near}`"),
        None => format!("write `{}` or `{}`", both[0], both[1]),
    };
    ("is not a privilege of steps", advice)
}
