//! The released depot CLI judges the stand-in: what the pipe is tested with, Depot's own client must be content with first.
//!
//! Each test starts an API and machines of its own, on one engine and one registry for the whole program, and runs the CLI as
//! a pipeline step would: exit code, what it prints and what the stand-in recorded are asserted.
//!
//! The CLI comes from npm, at a pinned version. Where there is no npm these tests say so and pass, except in CI.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod builds;
mod cli;
mod contexts;
mod ground;
mod loads;
mod machines;
mod refusals;
mod saves;
mod two_engines;
