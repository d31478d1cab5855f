//! The ground that the tests and the local Depot stand on: real programs, started on this machine and removed with the
//! process that started them.
//!
//! Nothing here knows Depot's API. The local Depot (`test/depot`) depends on this crate, never the other way round.

pub mod aws;
pub mod daemon;
pub mod engine;
pub mod fixtures;
pub mod internet;
mod packages;
mod process;
pub mod proxy;
mod python;
pub mod registry;
pub mod schema;
pub mod skopeo;
pub mod tasks;
pub mod traffic;
pub mod wire;
