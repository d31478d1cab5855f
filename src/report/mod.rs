//! What people read: the log, the progress of a build, its end.
//!
//! This is the only part of the program that prints, and it prints to one stream only (standard error), so that lines come
//! out in the order in which they were handed over. [`output`] owns that stream; everything else here is text made for it.
//!
//! Most of that text was written by others: build steps, servers, Dockerfiles. Whatever is passed on has lost its control
//! characters ([`escape`]), shows hidden ones by their numbers ([`hidden`]), and is cut at a stated length, and known secrets are masked ([`mask`]) on the way out.

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
pub mod summary;
pub(crate) mod text;
mod writer;
