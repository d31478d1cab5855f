//! Secrets reach only the places that require them.
//!
//! Every run has a planted value for each secret of a pipe, and prints as much as possible (`DEBUG`). The traffic of every
//! place is recorded: Depot's API, the builder, registries, the proxy, Amazon, the daemon, the log, the files. The records
//! are searched for each secret in every form in which programs write it.

mod amazon;
mod builds;
mod forms;
mod loads;
mod plants;
mod refusals;
mod scene;
mod variables;
