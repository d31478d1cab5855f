//! Image references and registry credentials: what any program that talks to registries needs.
//!
//! Nothing in this room knows of Bitbucket, of Depot, or of the pipe's variables.

pub mod credentials;
pub mod reference;

mod address;
pub mod challenge;
mod guard;
mod retry;
pub mod token;

pub mod client;
pub mod copy;
pub mod ecr;
pub mod immutable;
pub mod index;
pub mod keyring;
pub mod publish;
pub mod quota;
pub mod reach;

#[cfg(test)]
mod fake;
