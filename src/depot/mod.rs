//! Depot's side of a build: its API, the life of a build, its machines, and its fork of BuildKit.
//!
//! The protocol is that of the released CLI: create a build, request a machine until one is active
//! while sending health reports, solve on it, and finish the build in every case.

pub(crate) mod api;
pub(crate) mod build;
mod error;
pub(crate) mod fork;
pub(crate) mod machine;
pub(crate) mod messages;
pub(crate) mod own_step;
mod redact;
mod registry;
mod retry;
mod steps;

pub(crate) use api::Api;
pub(crate) use build::{Build, Outcome, PullInfo, Saved};
pub(crate) use error::{ApiError, Code};
pub(crate) use machine::{Machine, MachineError};
pub(crate) use redact::Redactor;
pub(crate) use registry::{RegistryLogins, is_registry};
pub(crate) use steps::{Step, Steps};
