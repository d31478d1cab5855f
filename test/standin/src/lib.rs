//! A local Depot for tests.

pub mod engine;
mod packages;
mod process;
