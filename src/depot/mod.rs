//! Depot's side of a build: its API, the life of a build, and its machines.
//!
//! The protocol is that of the released CLI: create a build, ask for a machine until there is one
//! while reporting that we are alive, solve on it, and finish the build whatever happened.

pub(crate) mod api;
pub(crate) mod build;
mod error;
pub(crate) mod machine;
pub mod messages;
mod redact;
mod retry;
mod steps;

pub use api::Api;
pub use build::{Build, Outcome, PullInfo, Saved};
pub use error::{ApiError, Code};
pub use machine::{Endpoint, Machine, MachineError, MachineTls};
pub use messages::BuilderPlatform;
pub use redact::{Redacted, Redactor};
pub use steps::{Step, StepReceivers, Steps};
