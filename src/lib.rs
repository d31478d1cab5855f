//! The pipe.

pub mod bitbucket;
pub mod config;
pub mod registry;
