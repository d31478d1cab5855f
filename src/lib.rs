//! The pipe.

pub mod context;
