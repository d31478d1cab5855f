//! Platforms of images, builders and daemons, such as `linux/arm/v7`.
//!
//! [`Platform::parse`] normalises as containerd does: `x86_64` is `amd64`, `arm64/v8` is `arm64`, and `arm` is `arm/v7`.
//! Without an operating system, it is Linux, the only one that Depot builds for. Platforms that come from an image, an
//! index or a daemon keep their spelling, because they are compared with and returned to the system they come from.
use crate::ordered::IntoOrdered;

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The platform of an image or of a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Platform {
    /// The operating system in Go's naming, such as `linux`.
    pub os: String,
    /// The architecture in Go's naming, such as `amd64`.
    pub architecture: String,
    /// The variant of the architecture, such as `v7`; in a parsed platform `None` for the default one.
    pub variant: Option<String>,
}

/// The architecture of a builder machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Architecture {
    /// x86-64 processors. They also run 32-bit x86 programs.
    Amd64,
    /// 64-bit Arm processors. They also run 32-bit Arm programs.
    Arm64,
}

impl Architecture {
    /// The architecture that this program was built for; `None` if Depot has no such machines.
    #[must_use]
    pub(crate) fn of_this_program() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" | "x86" => Some(Self::Amd64),
            "aarch64" | "arm" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// The name that Depot and containerd use: `amd64` or `arm64`.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// [`Architecture::name`].
impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The text is not a platform, or Depot does not build for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a platform that Depot builds for")]
pub(crate) struct PlatformError;

impl Platform {
    /// Parses `architecture`, `linux/architecture` or `linux/architecture/variant`, in upper or lower case.
    ///
    /// `architecture/variant` is also valid, although containerd would read its first part as an operating system.
    pub(crate) fn parse(text: &str) -> Result<Self, PlatformError> {
        let text = text.to_ascii_lowercase();
        let specifier = text.strip_prefix("linux/").unwrap_or(&text);
        let (architecture, variant) = match specifier.split_once('/') {
            Some((_, "")) => return Err(PlatformError),
            Some((architecture, variant)) => (architecture, variant),
            None => (specifier, ""),
        };
        Self::normalised(architecture, variant).ok_or(PlatformError)
    }

    fn normalised(architecture: &str, variant: &str) -> Option<Self> {
        let (architecture, variant) = match architecture {
            "amd64" | "x86_64" | "x86-64" => ("amd64", amd64_variant(variant)?),
            "386" | "i386" if variant.is_empty() => ("386", ""),
            "arm64" | "aarch64" => ("arm64", arm64_variant(variant)?),
            "arm" => ("arm", arm_variant(variant)?),
            "armhf" if variant.is_empty() => ("arm", "v7"),
            "armel" if variant.is_empty() => ("arm", "v6"),
            _ => return None,
        };
        Some(Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: (!variant.is_empty()).then(|| variant.to_owned()),
        })
    }

    /// The machine that builds for this platform. It runs the programs of a parsed platform without emulation.
    #[must_use]
    pub(crate) fn builder(&self) -> Architecture {
        match &*self.architecture {
            "arm64" | "arm" => Architecture::Arm64,
            _ => Architecture::Amd64,
        }
    }

    /// The `platform` object of an entry in an OCI index.
    #[must_use]
    pub(crate) fn oci(&self) -> Map<String, Value> {
        let variant = self.variant.as_deref();
        let members = [
            Some(("os", &*self.os)),
            Some(("architecture", &*self.architecture)),
            variant.map(|variant| ("variant", variant)),
        ];
        let members = members.into_iter().flatten();
        members
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into_ordered()
    }
}

/// The normalised variant: empty for the default one; `None` if it is not a variant of this architecture.
fn amd64_variant(variant: &str) -> Option<&str> {
    match variant {
        "" | "v1" => Some(""),
        "v2" | "v3" | "v4" => Some(variant),
        _ => None,
    }
}

fn arm64_variant(variant: &str) -> Option<&str> {
    match variant {
        "" | "8" | "v8" | "v8.0" => Some(""),
        "9" | "9.0" | "v9" | "v9.0" => Some("v9"),
        minor => {
            let number = minor
                .strip_prefix("v8.")
                .or_else(|| minor.strip_prefix("v9."))?;
            let is_digit = number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit());
            is_digit.then_some(minor)
        }
    }
}

fn arm_variant(variant: &str) -> Option<&'static str> {
    match variant {
        "" | "7" | "v7" => Some("v7"),
        "6" | "v6" => Some("v6"),
        "8" | "v8" => Some("v8"),
        _ => None,
    }
}

/// The form of a Dockerfile's `TARGETPLATFORM`, such as `linux/arm/v7`.
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

/// The platforms of an image that is used for `wanted`: those of its own that fit, or all of its own if none does. An image without
/// platforms fits all.
pub(crate) fn fitting(own: &[Platform], wanted: &[Platform]) -> Vec<Platform> {
    if own.is_empty() {
        return wanted.to_vec();
    }
    let fitting = own.iter().filter(|platform| wanted.contains(platform));
    let fitting: Vec<Platform> = fitting.cloned().collect();
    if fitting.is_empty() {
        own.to_vec()
    } else {
        fitting
    }
}

#[cfg(test)]
impl Platform {
    /// Splits `linux/arm/v7` without normalising it.
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_image_has_the_platforms_of_its_user_or_its_own() {
        let parse = |list: &[&str]| -> Vec<Platform> {
            let list = list.iter();
            list.map(|text| Platform::parse(text).unwrap()).collect()
        };
        for (own, wanted, expected) in [
            (&[][..], &["arm64"][..], &["arm64"][..]),
            (&["amd64", "arm64"], &["arm64"], &["arm64"]),
            (&["amd64"], &["arm64"], &["amd64"]),
            (&["amd64"], &[], &["amd64"]),
        ] {
            assert_eq!(fitting(&parse(own), &parse(wanted)), parse(expected));
        }
    }

    #[test]
    fn every_spelling_has_one_form_and_one_builder() {
        for (text, form, builder) in [
            ("linux/amd64", "linux/amd64", Architecture::Amd64),
            ("amd64", "linux/amd64", Architecture::Amd64),
            ("x86_64", "linux/amd64", Architecture::Amd64),
            ("linux/x86-64", "linux/amd64", Architecture::Amd64),
            ("Linux/AMD64", "linux/amd64", Architecture::Amd64),
            ("linux/amd64/v1", "linux/amd64", Architecture::Amd64),
            ("linux/amd64/v3", "linux/amd64/v3", Architecture::Amd64),
            ("386", "linux/386", Architecture::Amd64),
            ("i386", "linux/386", Architecture::Amd64),
            ("arm64", "linux/arm64", Architecture::Arm64),
            ("aarch64", "linux/arm64", Architecture::Arm64),
            ("arm64/v8", "linux/arm64", Architecture::Arm64),
            ("linux/arm64/v8", "linux/arm64", Architecture::Arm64),
            ("linux/arm64/v8.2", "linux/arm64/v8.2", Architecture::Arm64),
            ("linux/arm64/9", "linux/arm64/v9", Architecture::Arm64),
            ("arm", "linux/arm/v7", Architecture::Arm64),
            ("linux/arm/6", "linux/arm/v6", Architecture::Arm64),
            ("linux/arm/v8", "linux/arm/v8", Architecture::Arm64),
            ("armhf", "linux/arm/v7", Architecture::Arm64),
            ("armel", "linux/arm/v6", Architecture::Arm64),
        ] {
            let platform = Platform::parse(text).unwrap_or_else(|error| panic!("{text} {error}"));
            assert_eq!(
                (platform.to_string().as_str(), platform.builder()),
                (form, builder),
                "{text}"
            );
        }
    }

    #[test]
    fn unsupported_platforms_are_rejected() {
        for text in [
            "",
            "linux",
            "linux/",
            "/amd64",
            "windows/amd64",
            "darwin/arm64",
            "linux/s390x",
            "riscv64",
            "linux/arm/v5",
            "linux/amd64/",
            "linux/amd64/v5",
            "linux/amd64/v3/x",
            "linux/arm64/v8.",
            "linux/arm64/v8.12",
            "linux/386/v1",
            "linux/linux/amd64",
            "amd 64",
            "linux/ärm64",
        ] {
            assert_eq!(Platform::parse(text), Err(PlatformError), "{text:?}");
        }
    }

    #[test]
    fn this_program_runs_on_a_known_architecture() {
        assert!(Architecture::of_this_program().is_some());
    }

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

    #[test]
    fn an_entry_of_an_index_omits_a_missing_variant() {
        let json = |text| Value::from(Platform::of(text).oci());
        assert_eq!(
            json("linux/amd64"),
            serde_json::json!({ "os": "linux", "architecture": "amd64" })
        );
        assert_eq!(
            json("linux/arm/v7"),
            serde_json::json!({ "os": "linux", "architecture": "arm", "variant": "v7" })
        );
    }

    proptest! {
        #[test]
        fn no_text_panics_and_the_form_is_stable(text in "(linux/)?(amd64|arm64|arm|386|[a-z0-9_/.-]{0,8})(/v?[0-9.]{0,4})?") {
            if let Ok(platform) = Platform::parse(&text) {
                prop_assert_eq!(Platform::parse(&platform.to_string()), Ok(platform));
            }
        }
    }
}
