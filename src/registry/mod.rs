//! Image references, registry credentials, tokens, and a client for manifests.
//!
//! This module contains nothing about Bitbucket, Depot, or names of variables.

pub mod credentials;
pub mod reference;

mod address;
pub mod challenge;
mod guard;
pub mod token;
mod transient;

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
