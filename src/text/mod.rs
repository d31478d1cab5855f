//! Text from outside and for people: checks, shortening, the forms of a secret, an error on one line.
//!
//! Nothing here depends on a protocol or on the rest of the program.

pub(crate) mod cause;
pub(crate) mod cut;
pub(crate) mod digest;
pub(crate) mod forms;
pub(crate) mod shape;
