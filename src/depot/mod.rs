//! Depot's side of a build: its API, the life of a build, and its machines.
//!
//! The protocol is that of the released CLI: create a build, request a machine until one is active
//! while sending health reports, solve on it, and finish the build in every case.

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
