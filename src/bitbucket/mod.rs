//! Bitbucket's side: the facts of the pipeline that a pipe reads, and the files that it writes for later steps.

pub mod outputs;
mod pipeline;
pub mod whole_file;

pub use outputs::Outputs;
pub use pipeline::Pipeline;
