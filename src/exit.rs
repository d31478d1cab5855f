//! The exit codes. A pipeline only checks whether the code is 0, but scripts may check more, so the
//! numbers are stable.

use std::process::ExitCode;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything succeeded.
    Success,
    /// The build failed: a step, the Dockerfile, or a file that the build needs.
    BuildFailed,
    /// A variable is missing or invalid; no build was started.
    BadVariables,
    /// Depot rejected the request: token, project or quota.
    Refused,
    /// Depot or its machine could not be reached, or the connection was lost.
    Infrastructure,
    /// A registry rejected the request or could not be reached.
    Registry,
    /// TIMEOUT was reached.
    TimedOut,
    /// An internal error, which is a bug in this program.
    Internal,
    /// The build was canceled at Depot.
    CanceledByDepot,
    /// The step's Docker daemon is not available, or did not accept the image.
    Docker,
    /// A signal with this number stopped the run.
    Signal(u8),
}

impl Exit {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::BuildFailed => 1,
            Self::BadVariables => 2,
            Self::Refused => 3,
            Self::Infrastructure => 4,
            Self::Registry => 5,
            Self::CanceledByDepot => 6,
            Self::Docker => 7,
            // Same as `timeout`.
            Self::TimedOut => 124,
            // `EX_SOFTWARE`.
            Self::Internal => 70,
            // Same as in shells.
            Self::Signal(number) => number.saturating_add(128),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
