//! How the program ends, as a number. Pipelines only ask whether it is 0; people and scripts may ask
//! more, so the numbers stay as they are.

use std::process::ExitCode;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was asked for was done.
    Success,
    /// The build failed: a step, the Dockerfile, a file that it needs.
    BuildFailed,
    /// A variable is missing or wrong; nothing was started.
    BadVariables,
    /// Depot said no: token, project, quota.
    Refused,
    /// Depot or its machine could not be reached, or went away.
    Infrastructure,
    /// A registry said no or could not be reached.
    Registry,
    /// The time was over that the user gave.
    TimedOut,
    /// A fault of this program, which is a bug.
    Internal,
    /// Depot stopped the build, because somebody stopped it there.
    CanceledByDepot,
    /// The step's Docker daemon is not there, or did not take the image.
    Docker,
    /// A signal with this number stopped the run.
    Signal(u8),
}

impl Exit {
    /// The number.
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
            // As `timeout` has it.
            Self::TimedOut => 124,
            // `EX_SOFTWARE`, far from those that people may meet.
            Self::Internal => 70,
            // As shells have it.
            Self::Signal(number) => number.saturating_add(128),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
