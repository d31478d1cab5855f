//! What a pipeline tells a pipe, and what a pipe can tell it.

pub mod outputs;
mod pipeline;

pub use outputs::Outputs;
pub use pipeline::Pipeline;
