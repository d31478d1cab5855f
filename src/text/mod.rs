//! Text: checks and shortening of text from outside, digests, the forms of a secret, and errors on one line.
//!
//! Nothing here depends on a protocol or on the rest of the program.

pub(crate) mod cause;
pub(crate) mod cut;
pub(crate) mod digest;
pub(crate) mod forms;
pub(crate) mod shape;
