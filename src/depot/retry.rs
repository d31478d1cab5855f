//! Retries of calls to Depot's API: which calls, how often, within which time, and after which failures.
//!
//! | call | attempts | limit for all | limit for one |
//! |---|---|---|---|
//! | `CreateBuild` | 7 | 90 s | 30 s |
//! | `GetBuildKitConnection`, each request | 7 | 90 s | 30 s |
//! | `ReportBuildHealth` | 1, repeated every 5 s | | 10 s |
//! | `GetPullInfo` | 3 | 20 s | 10 s |
//! | `FinishBuild` | 9 | 60 s | 15 s |
//! | `ReportStatusStream` | 1, since no result depends on it | | |
//!
//! Only transient failures are retried ([`ApiError::is_transient`]). The pauses grow from 0.5 to 15 seconds, with jitter, so that not
//! all pipelines retry at the same moment, and follow `Retry-After`. A refusal is final.

use std::time::Duration;

use super::error::{ApiError, Code};
use crate::http::retry::{self, Policy};

/// The first pause, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// A unary call: its name, its time limits and its number of attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// The method, as in the call's path.
    pub(super) method: &'static str,
    /// The limit for one exchange, response included.
    pub(super) once: Duration,
    /// The limits for all attempts.
    pub(super) policy: Policy,
}

impl Call {
    const fn new(method: &'static str, retries: usize, total: u64, once: u64) -> Self {
        Self {
            method,
            once: Duration::from_secs(once),
            policy: Policy {
                retries,
                total: Duration::from_secs(total),
                pauses: PAUSES,
            },
        }
    }

    /// If only the response was lost, a retry leaves an unused build behind.
    pub(super) const CREATE_BUILD: Self = Self::new("CreateBuild", 6, 90, 30);

    /// Nothing can be built without a machine.
    pub(super) const GET_MACHINE: Self = Self::new("GetBuildKitConnection", 6, 90, 30);

    /// Not retried: the next report follows within seconds.
    pub(super) const REPORT_HEALTH: Self = Self::new("ReportBuildHealth", 0, 10, 10);

    /// Optional: without it the layers are read from the builder.
    pub(super) const GET_PULL_INFO: Self = Self::new("GetPullInfo", 2, 20, 10);

    /// The same for an image that is copied: without it there is nothing to copy.
    pub(super) const GET_SAVED_IMAGE: Self = Self::new("GetPullInfo", 6, 90, 30);

    /// An unfinished build costs its owner money, but the step waits for this call.
    pub(super) const FINISH_BUILD: Self = Self::new("FinishBuild", 8, 60, 15);
}

impl ApiError {
    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Transport { source, .. } => retry::is_transient(source),
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
