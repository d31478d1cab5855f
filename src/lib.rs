//! The pipe.
