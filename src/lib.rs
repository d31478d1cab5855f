//! The pipe.

pub mod report;
