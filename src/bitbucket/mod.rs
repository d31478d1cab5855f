//! What a pipeline tells a pipe, and what a pipe can tell it.

pub mod outputs;
mod pipeline;
pub mod whole_file;

pub use outputs::Outputs;
pub use pipeline::Pipeline;
