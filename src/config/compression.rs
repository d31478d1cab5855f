//! The compression of the image's layers: `COMPRESSION` and `COMPRESSION_LEVEL`.

use std::fmt;
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::fault::Fault;
use super::findings::Findings;
use super::images::Destinations;
use super::warning::Warning;

/// The variables of the compression.
#[derive(Default, Deserialize)]
pub(super) struct CompressionVariables {
    pub(super) compression: Option<String>,
    pub(super) compression_level: Option<String>,
}

/// The compression of all layers of an image, including those of its base image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compression {
    /// The format of the layers.
    pub(crate) algorithm: Algorithm,
    /// Its level; `None` for the builder's default.
    pub(crate) level: Option<u8>,
}

/// The format of a compressed layer, named as in `BuildKit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Every registry and every daemon reads it.
    Gzip,
    /// Requires OCI manifests, and Docker 23 or containerd to read it.
    Zstd,
    /// gzip with a table of contents, for snapshotters that start a container before it is downloaded. Requires OCI
    /// manifests.
    Estargz,
    /// A plain tar archive.
    Uncompressed,
}

const VARIABLE: &str = "COMPRESSION";
const LEVEL: &str = "COMPRESSION_LEVEL";

/// Withdrawn for an image that is written into the clone.
pub(super) const NO_EFFECT: Warning = Warning::NoEffect {
    setting: VARIABLE,
    reason: "the image is neither pushed, loaded nor saved",
};

/// In its place if every archive of `OUTPUTS` has a compression of its own.
pub(super) const NO_EFFECT_ON_ARCHIVES: Warning = Warning::NoEffect {
    setting: VARIABLE,
    reason: "each archive in OUTPUTS sets `compression`",
};

impl Algorithm {
    const ALL: [Self; 4] = [Self::Gzip, Self::Zstd, Self::Estargz, Self::Uncompressed];

    /// The name in `BuildKit`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Estargz => "estargz",
            Self::Uncompressed => "uncompressed",
        }
    }

    /// The algorithm of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let mut known = Self::ALL.into_iter();
        known.find(|known| known.name() == name)
    }

    /// Whether its layers can only be in OCI manifests (`OnlySupportOCITypes` of `BuildKit`'s `util/compression`).
    pub(crate) const fn needs_oci(self) -> bool {
        matches!(self, Self::Zstd | Self::Estargz)
    }

    /// The levels that `BuildKit` passes on to the compressor; `None` if it has no levels.
    pub(super) const fn levels(self) -> Option<RangeInclusive<u8>> {
        match self {
            Self::Gzip | Self::Estargz => Some(0..=9),
            Self::Zstd => Some(0..=22),
            Self::Uncompressed => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The problem of a level in an entry with attributes, and the correction; `None` if it is valid. `algorithm`: the builder's
/// default is gzip.
pub(super) fn wrong_level(algorithm: Option<&str>, level: &str) -> Option<(String, String)> {
    let algorithm = algorithm.map_or(Some(Algorithm::Gzip), Algorithm::named)?;
    let Some(levels) = algorithm.levels() else {
        let problem = format!("has a `compression-level`, but `{algorithm}` has no levels");
        return Some((problem, "remove it".to_owned()));
    };
    let level: u8 = level.parse().ok()?;
    (!levels.contains(&level)).then(|| {
        let problem =
            format!("has the `compression-level` {level}, which `{algorithm}` does not have");
        let advice = format!("write a number from {} to {}", levels.start(), levels.end());
        (problem, advice)
    })
}

/// Reads the compression, and reports each fault.
pub(super) fn read(
    variables: &CompressionVariables,
    destinations: &Destinations,
    findings: &mut Findings,
) -> Option<Compression> {
    let level = variables.compression_level.as_deref();
    let Some(value) = variables.compression.as_deref() else {
        if level.is_some() {
            let problem = "set, but COMPRESSION is not set";
            let advice =
                "set `COMPRESSION: zstd` or another compression, or remove COMPRESSION_LEVEL";
            findings.fault(Fault::new(LEVEL, problem, advice));
        }
        return None;
    };
    let algorithm = algorithm(value, findings);
    let level = level.and_then(|text| level_of(text, algorithm, findings));
    let algorithm = algorithm?;
    if !destinations.push && !destinations.load && destinations.save.is_none() {
        findings.warn(NO_EFFECT);
    }
    Some(Compression { algorithm, level })
}

fn algorithm(value: &str, findings: &mut Findings) -> Option<Algorithm> {
    let name = value.trim();
    let known = Algorithm::named(&name.to_ascii_lowercase());
    if known.is_none() {
        let problem = format!("{} is not a compression of layers", findings.shown(name));
        let advice = "write `gzip`, `zstd`, `estargz` or `uncompressed`";
        findings.fault(Fault::new(VARIABLE, problem, advice));
    }
    known
}

/// `algorithm` is `None` if it is invalid. Then only the form of the level is checked.
fn level_of(text: &str, algorithm: Option<Algorithm>, findings: &mut Findings) -> Option<u8> {
    let text = text.trim();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(algorithm) = algorithm else {
        if !is_number {
            let problem = format!("{} is not a number", findings.shown(text));
            let advice = "write a level from 0 to 9, or for `zstd` to 22";
            findings.fault(Fault::new(LEVEL, problem, advice));
        }
        return None;
    };
    let Some(levels) = algorithm.levels() else {
        let problem = format!("set, but the compression `{algorithm}` has no levels");
        findings.fault(Fault::new(LEVEL, problem, "remove COMPRESSION_LEVEL"));
        return None;
    };
    let level = text
        .parse()
        .ok()
        .filter(|level| is_number && levels.contains(level));
    if level.is_none() {
        let problem = format!("{} is not a level of `{algorithm}`", findings.shown(text));
        let (first, last) = (levels.start(), levels.end());
        let advice = format!("write a number from {first} to {last}, or remove COMPRESSION_LEVEL");
        findings.fault(Fault::new(LEVEL, problem, advice));
    }
    level
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(compression: Option<&str>, level: Option<&str>) -> (Option<Compression>, String) {
        let mut findings = Findings::default();
        let variables = CompressionVariables {
            compression: compression.map(Into::into),
            compression_level: level.map(Into::into),
        };
        let pushed = Destinations {
            push: true,
            ..Destinations::default()
        };
        let plan = read(&variables, &pushed, &mut findings);
        (plan, findings.into_error().to_string())
    }

    #[test]
    fn a_compression_has_a_level_or_the_builders_default() {
        for (value, level, algorithm, expected) in [
            ("gzip", None, Algorithm::Gzip, None),
            (" ZSTD\n", Some("22"), Algorithm::Zstd, Some(22)),
            ("estargz", Some(" 9 "), Algorithm::Estargz, Some(9)),
            ("uncompressed", None, Algorithm::Uncompressed, None),
            ("gzip", Some("0"), Algorithm::Gzip, Some(0)),
        ] {
            let (plan, error) = outcome(Some(value), level);
            assert_eq!(error, "", "{value}");
            let level = expected;
            assert_eq!(plan, Some(Compression { algorithm, level }), "{value}");
        }
        assert_eq!(outcome(None, None), (None, String::new()));
    }

    #[test]
    fn each_invalid_value_is_reported_with_the_correction() {
        for (compression, level, expected) in [
            (
                Some("zst"),
                None,
                "COMPRESSION: `zst` is not a compression of layers; write `gzip`, `zstd`, `estargz`",
            ),
            (Some("none"), None, "or `uncompressed`"),
            (Some("gzip,zstd"), None, "COMPRESSION: `gzip,zstd` is not"),
            (
                Some("compression=zstd"),
                None,
                "COMPRESSION: `compression=zstd` is not",
            ),
            (Some("true"), None, "COMPRESSION: `true` is not"),
            (
                None,
                Some("3"),
                "COMPRESSION_LEVEL: set, but COMPRESSION is not set",
            ),
            (
                Some("gzip"),
                Some("10"),
                "COMPRESSION_LEVEL: `10` is not a level of `gzip`; write a number from 0 to 9",
            ),
            (
                Some("gzip"),
                Some("-1"),
                "COMPRESSION_LEVEL: `-1` is not a level of `gzip`",
            ),
            (
                Some("gzip"),
                Some("+1"),
                "COMPRESSION_LEVEL: `+1` is not a level of `gzip`",
            ),
            (
                Some("zstd"),
                Some("23"),
                "COMPRESSION_LEVEL: `23` is not a level of `zstd`; write a number from 0 to 22",
            ),
            (
                Some("zstd"),
                Some("best"),
                "COMPRESSION_LEVEL: `best` is not a level of `zstd`",
            ),
            (
                Some("zstd"),
                Some("999999999999999999999"),
                "is not a level of `zstd`",
            ),
            (
                Some("estargz"),
                Some("10"),
                "COMPRESSION_LEVEL: `10` is not a level of `estargz`",
            ),
            (
                Some("uncompressed"),
                Some("1"),
                "COMPRESSION_LEVEL: set, but the compression `uncompressed` has no levels",
            ),
            (
                Some("x"),
                Some("y"),
                "COMPRESSION_LEVEL: `y` is not a number",
            ),
        ] {
            let (plan, error) = outcome(compression, level);
            assert!(error.contains(expected), "{error}");
            assert!(plan.is_none_or(|plan| plan.level.is_none()));
        }
    }

    #[test]
    fn a_compression_of_an_image_that_stays_in_the_builder_causes_a_warning() {
        let mut findings = Findings::default();
        let variables = CompressionVariables {
            compression: Some("zstd".into()),
            compression_level: None,
        };
        read(&variables, &Destinations::default(), &mut findings);
        assert_eq!(findings.into_warnings(), [NO_EFFECT]);
    }

    proptest! {
        #[test]
        fn a_level_is_within_its_range(algorithm in "gzip|zstd|estargz|uncompressed|none", level in "\\PC{0,4}|[0-9]{1,4}") {
            let (plan, error) = outcome(Some(&algorithm), Some(&level));
            match plan {
                Some(Compression { algorithm, level: Some(level) }) => {
                    prop_assert!(algorithm.levels().is_some_and(|levels| levels.contains(&level)));
                }
                _ => prop_assert!(!error.is_empty()),
            }
        }
    }
}
