//! The log: messages, the progress of a build, and its summary.
//!
//! Only this module prints, and only to standard error, so that lines keep their order. [`output`] owns that stream; the
//! other modules create text for it. A definition that a user requested is the only text on the standard output.
//!
//! Most of that text comes from outside: build steps, servers, Dockerfiles. Before it is printed, control characters are
//! removed ([`escape`]), hidden characters are replaced by their numbers ([`hidden`]), each text is cut at a documented
//! length, and known secrets are masked ([`mask`]).

pub mod chain;
pub mod escape;
pub mod excerpt;
pub mod failure;
pub(crate) mod hidden;
pub mod log;
pub mod mask;
pub mod message;
pub mod output;
pub mod progress;
pub(crate) mod stdout;
pub mod summary;
pub mod targets;
pub(crate) mod text;
pub mod totals;
mod writer;
