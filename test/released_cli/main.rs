//! Tests of the local Depot with the released depot CLI: Depot's own client must pass each scenario that tests the pipe.
//!
//! Each test starts its own API and machines, on the shared engine and registry, and runs the CLI as a pipeline step does. It
//! checks the exit code, the output, and the record of the local Depot.
//!
//! The CLI is installed with npm, at a pinned version. Without npm, these tests are skipped with a message; in CI they fail.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod bakes;
mod builds;
mod caches;
mod cli;
mod contexts;
mod exports;
mod flags;
mod ground;
mod loads;
mod machines;
mod metadata;
mod promotes;
mod refusals;
mod saves;
mod secrets;
mod ssh;
mod steps;
mod two_engines;
