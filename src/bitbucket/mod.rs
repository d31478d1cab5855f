//! What a pipeline tells a pipe, and what a pipe can tell it.

mod pipeline;

pub use pipeline::Pipeline;
