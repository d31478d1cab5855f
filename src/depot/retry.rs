//! What of Depot's API is tried again: which calls, how often and within what time, and which failures.
//!
//! | call | tries | all of them within | one of them within |
//! |---|---|---|---|
//! | `CreateBuild` | 7 | 90 s | 30 s |
//! | `GetBuildKitConnection`, each question | 7 | 90 s | 30 s |
//! | `ReportBuildHealth` | 1, repeated every 5 s | | 10 s |
//! | `GetPullInfo` | 3 | 20 s | 10 s |
//! | `FinishBuild` | 9 | 60 s | 15 s |
//! | `ReportStatusStream` | 1, since nobody waits for it | | |
//!
//! Tried again is what may be over in a moment ([`ApiError::is_transient`]), with pauses that grow from half a second to 15, are
//! shaken so that not all pipelines come back at once, and are as long as `Retry-After` wants. A refusal of the user is final at once.

use std::time::Duration;

use super::error::{ApiError, Code};
use crate::retry::Patience;

/// The first pause, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// A unary call: its name, and how much time and how many tries it gets.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The method, as in the call's path.
    pub(super) method: &'static str,
    /// One exchange, answer included.
    pub(super) once: Duration,
    /// All of them.
    pub(super) patience: Patience,
}

impl Call {
    const fn new(method: &'static str, times: usize, within: u64, once: u64) -> Self {
        Self {
            method,
            once: Duration::from_secs(once),
            patience: Patience {
                times,
                limit: Duration::from_secs(within),
                pauses: PAUSES,
            },
        }
    }

    /// Without it there is nothing. Where only the answer got lost, another try leaves a build behind.
    pub(super) const CREATE_BUILD: Self = Self::new("CreateBuild", 6, 90, 30);

    /// Without a machine there is no image.
    pub(super) const GET_MACHINE: Self = Self::new("GetBuildKitConnection", 6, 90, 30);

    /// The next one comes soon.
    pub(super) const REPORT_HEALTH: Self = Self::new("ReportBuildHealth", 0, 10, 10);

    /// Without it the layers come from the builder.
    pub(super) const GET_PULL_INFO: Self = Self::new("GetPullInfo", 2, 20, 10);

    /// A build that is not finished costs its owner money. Its step's user waits, so not for ever.
    pub(super) const FINISH_BUILD: Self = Self::new("FinishBuild", 8, 60, 15);
}

impl ApiError {
    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // Who does not prove to be Depot now will not do so in a minute.
            Self::Transport { source, .. } => {
                !source.is_builder() && !crate::cause::is_untrusted_server(source)
            }
            Self::TooSlow { .. } => true,
            Self::Refused { code, .. } => matches!(
                code,
                Code::Unavailable
                    | Code::DeadlineExceeded
                    | Code::ResourceExhausted
                    | Code::Aborted
            ),
            Self::Foreign { status, .. } => matches!(status, 408 | 429 | 502 | 503 | 504),
            Self::TooLarge { .. } | Self::Unusable { .. } | Self::Malformed { .. } => false,
        }
    }
}
