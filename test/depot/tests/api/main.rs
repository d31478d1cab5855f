//! The local Depot, tested by plain HTTP, Connect and TLS clients, without an engine.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod builds;
mod client;
mod faults;
mod machines;
mod pushes;
mod strictness;
