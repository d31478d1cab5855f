//! Refused privileges of steps. BuildKit calls them entitlements (`util/entitlements/entitlements.go` and
//! `solver/llbsolver/vertex.go`).

/// A privilege that a solve cannot use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request contains the privilege, and the configuration of the builder forbids it.
    ByBuilder,
    /// A step requires the privilege, and the request does not contain it.
    NotRequested,
}

/// The names of the privileges.
const NAMES: [&str; 2] = ["network.host", "security.insecure"];

/// Who refused which privilege.
pub(super) fn refused(message: &str) -> Option<(Refusal, &'static str)> {
    let head = message.strip_suffix(" by build daemon configuration");
    let (head, refusal) = match head {
        Some(head) => (head, Refusal::ByBuilder),
        None => (message, Refusal::NotRequested),
    };
    let head = head.strip_suffix(" is not allowed")?;
    let name = NAMES.into_iter().find(|name| head.ends_with(name))?;
    let before = head.strip_suffix(name)?;
    let is_whole = match refusal {
        Refusal::ByBuilder => before.ends_with("granting entitlement "),
        Refusal::NotRequested => before.is_empty() || before.ends_with(": "),
    };
    is_whole.then_some((refusal, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_privilege_is_recognised() {
        for name in NAMES {
            for (message, refusal) in [
                (format!("{name} is not allowed"), Refusal::NotRequested),
                (
                    format!("failed to solve: failed to load LLB: {name} is not allowed"),
                    Refusal::NotRequested,
                ),
                (
                    format!(
                        "granting entitlement {name} is not allowed by build daemon configuration"
                    ),
                    Refusal::ByBuilder,
                ),
                (
                    format!(
                        "failed to solve: granting entitlement {name} is not allowed by build daemon configuration"
                    ),
                    Refusal::ByBuilder,
                ),
            ] {
                assert_eq!(refused(&message), Some((refusal, name)), "{message}");
            }
        }
        for message in [
            "is not allowed",
            "device x is not allowed",
            "failed to compute cache key: my-network.host is not allowed",
            "network.host is not allowed: not found",
            "network.host is not allowed by build daemon configuration",
            "granting entitlement device is not allowed by build daemon configuration",
            "returning multiple target platforms is not allowed",
        ] {
            assert_eq!(refused(message), None, "{message}");
        }
    }
}
