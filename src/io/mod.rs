//! Files and streams within limits.
//!
//! Nothing here depends on a protocol or on the rest of the program.

pub(crate) mod beneath;
pub(crate) mod bounded_file;
pub(crate) mod idle;
pub(crate) mod one_stream;
