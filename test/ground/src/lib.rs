//! Real programs for the tests and the local Depot, started on this machine and removed with the
//! process that started them.
//!
//! Nothing here depends on Depot's API. The local Depot (`test/depot`) depends on this crate, never the other way round.

pub mod aws;
pub mod daemon;
pub mod engine;
pub mod fixtures;
pub mod git;
pub mod internet;
mod packages;
mod process;
pub mod proxy;
mod python;
pub mod registry;
pub mod schema;
pub mod skopeo;
pub mod ssh;
pub mod tasks;
pub mod traffic;
pub mod wire;
