//! Platforms: how they are written, and which builder machine builds for one.
//!
//! Names are brought into one form as containerd does it (`x86_64` is `amd64`, `arm64/v8` is `arm64`, a bare `arm` is
//! `arm/v7`). Where only an architecture is written the system is Linux, the only one that Depot builds for.

use std::fmt;

/// What an image can be built for, such as `linux/arm64`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    architecture: &'static str,
    variant: Option<String>,
    machine: Machine,
}

/// The two kinds of machines that Depot builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Machine {
    /// Intel and AMD, 32-bit programs included.
    Amd64,
    /// ARM, 32-bit programs included.
    Arm64,
}

impl Machine {
    /// The kind that this program runs on; `None` on any other.
    #[must_use]
    pub fn of_this_program() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" | "x86" => Some(Self::Amd64),
            "aarch64" | "arm" => Some(Self::Arm64),
            _ => None,
        }
    }
}

/// The name that Depot and containerd use: `amd64`, `arm64`.
impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

/// No Depot machine builds for what was written, or it is no platform at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a platform that Depot builds for")]
pub struct PlatformError;

impl Platform {
    /// Reads `architecture`, `linux/architecture` or `linux/architecture/variant`, in any case.
    ///
    /// `architecture/variant` is read too, though containerd would take the first part for a system.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
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
        let (architecture, variant, machine) = match architecture {
            "amd64" | "x86_64" | "x86-64" => ("amd64", amd64_variant(variant)?, Machine::Amd64),
            "386" | "i386" if variant.is_empty() => ("386", "", Machine::Amd64),
            "arm64" | "aarch64" => ("arm64", arm64_variant(variant)?, Machine::Arm64),
            "arm" => ("arm", arm_variant(variant)?, Machine::Arm64),
            "armhf" if variant.is_empty() => ("arm", "v7", Machine::Arm64),
            "armel" if variant.is_empty() => ("arm", "v6", Machine::Arm64),
            _ => return None,
        };
        let variant = Some(variant)
            .filter(|variant| !variant.is_empty())
            .map(str::to_owned);
        Some(Self {
            architecture,
            variant,
            machine,
        })
    }

    /// The architecture as containerd names it.
    #[must_use]
    pub fn architecture(&self) -> &str {
        self.architecture
    }

    /// The variant, where it is not the architecture's plain one.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// As the entries of an index have it.
    #[must_use]
    pub fn oci(&self) -> serde_json::Value {
        let mut platform = serde_json::json!({ "os": "linux", "architecture": self.architecture });
        if let (Some(variant), Some(platform)) = (&self.variant, platform.as_object_mut()) {
            platform.insert("variant".into(), variant.clone().into());
        }
        platform
    }

    /// The machine that builds for it.
    #[must_use]
    pub fn machine(&self) -> Machine {
        self.machine
    }
}

/// Empty for the plain variant, as in the two functions that follow; `None` for what is none.
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

/// The form that a Dockerfile's `TARGETPLATFORM` has: `linux/arm/v7`.
impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "linux/{}", self.architecture)?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_has_one_form_and_one_machine() {
        for (text, form, machine) in [
            ("linux/amd64", "linux/amd64", Machine::Amd64),
            ("amd64", "linux/amd64", Machine::Amd64),
            ("x86_64", "linux/amd64", Machine::Amd64),
            ("linux/x86-64", "linux/amd64", Machine::Amd64),
            ("Linux/AMD64", "linux/amd64", Machine::Amd64),
            ("linux/amd64/v1", "linux/amd64", Machine::Amd64),
            ("linux/amd64/v3", "linux/amd64/v3", Machine::Amd64),
            ("386", "linux/386", Machine::Amd64),
            ("i386", "linux/386", Machine::Amd64),
            ("arm64", "linux/arm64", Machine::Arm64),
            ("aarch64", "linux/arm64", Machine::Arm64),
            ("arm64/v8", "linux/arm64", Machine::Arm64),
            ("linux/arm64/v8", "linux/arm64", Machine::Arm64),
            ("linux/arm64/v8.2", "linux/arm64/v8.2", Machine::Arm64),
            ("linux/arm64/9", "linux/arm64/v9", Machine::Arm64),
            ("arm", "linux/arm/v7", Machine::Arm64),
            ("linux/arm/6", "linux/arm/v6", Machine::Arm64),
            ("linux/arm/v8", "linux/arm/v8", Machine::Arm64),
            ("armhf", "linux/arm/v7", Machine::Arm64),
            ("armel", "linux/arm/v6", Machine::Arm64),
        ] {
            let platform = Platform::parse(text).unwrap_or_else(|error| panic!("{text} {error}"));
            assert_eq!(
                (platform.to_string().as_str(), platform.machine()),
                (form, machine),
                "{text}"
            );
        }
    }

    #[test]
    fn what_no_machine_builds_for_is_refused() {
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
    fn this_program_runs_on_a_known_machine() {
        assert!(Machine::of_this_program().is_some());
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
