//! Platforms, and the choice of the best one for a daemon.

use std::fmt;

/// The platform of an image or of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    /// Such as `linux`.
    pub(crate) os: String,
    /// In Go's naming, such as `amd64`.
    pub(crate) architecture: String,
    /// Such as `v7`.
    pub(crate) variant: Option<String>,
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// The index of the platform in `offered` that runs best on the daemon; `None` if none runs.
#[must_use]
pub(crate) fn best_for(daemon: &Platform, offered: &[Platform]) -> Option<usize> {
    offered
        .iter()
        .enumerate()
        .filter_map(|(index, platform)| Some((rank(daemon, platform)?, index)))
        .min()
        .map(|(_, index)| index)
}

/// The rank of `platform` on `daemon`, 0 is best; `None` if it does not run.
fn rank(daemon: &Platform, platform: &Platform) -> Option<u8> {
    if daemon.os != platform.os {
        return None;
    }
    let variant = platform.variant.as_deref();
    match (&*daemon.architecture, &*platform.architecture) {
        ("amd64", "amd64") => Some(match variant {
            None | Some("v1") => 0,
            // Higher levels require features that not every machine has.
            Some("v2") => 1,
            Some("v3") => 2,
            Some(_) => 3,
        }),
        ("arm64", "arm64") => Some(u8::from(!matches!(variant, None | Some("v8")))),
        // 64-bit machines also run the 32-bit architecture.
        ("amd64", "386") => Some(8),
        ("arm64" | "arm", "arm") => Some(match variant {
            Some("v8") => 8,
            None | Some("v7") => 9,
            Some("v6") => 10,
            Some(_) => 11,
        }),
        (one, other) => (one == other).then_some(0),
    }
}

#[cfg(test)]
impl Platform {
    /// Parses `linux/arm/v7`.
    pub(crate) fn of(text: &str) -> Self {
        let mut parts = text.split('/').map(str::to_owned);
        Self {
            os: parts.next().unwrap(),
            architecture: parts.next().unwrap(),
            variant: parts.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemons_own_architecture_is_preferred_and_others_are_skipped() {
        for (daemon, offered, best) in [
            (
                "linux/amd64",
                "linux/arm64 linux/amd64",
                Some("linux/amd64"),
            ),
            (
                "linux/arm64",
                "linux/amd64 linux/arm/v7 linux/arm64",
                Some("linux/arm64"),
            ),
            (
                "linux/amd64",
                "linux/amd64/v3 linux/amd64/v2",
                Some("linux/amd64/v2"),
            ),
            ("linux/amd64", "linux/arm64 linux/386", Some("linux/386")),
            (
                "linux/arm64",
                "linux/amd64 linux/arm/v6 linux/arm/v7",
                Some("linux/arm/v7"),
            ),
            (
                "linux/riscv64",
                "linux/amd64 linux/riscv64",
                Some("linux/riscv64"),
            ),
            ("linux/amd64", "linux/arm64 linux/arm/v7", None),
            ("linux/arm64", "linux/amd64", None),
            ("windows/amd64", "linux/amd64", None),
        ] {
            let offered: Vec<_> = offered.split(' ').map(Platform::of).collect();
            let found = best_for(&Platform::of(daemon), &offered);
            let found = found.map(|index| offered[index].to_string());
            assert_eq!(found.as_deref(), best, "{daemon}");
        }
    }
}
