//! A local Depot for tests.

pub mod engine;
pub mod fixtures;
mod packages;
mod process;
pub mod registry;
