//! Image references, registry credentials, tokens, and a client for manifests.
//!
//! This module contains nothing about Bitbucket, Depot, or names of variables.

pub(crate) mod credentials;
pub(crate) mod reference;

mod address;
pub(crate) mod annotations;
pub(crate) mod challenge;
mod guard;
pub(crate) mod token;
mod transient;

pub(crate) mod client;
pub(crate) mod copy;
pub(crate) mod ecr;
pub(crate) mod immutable;
pub(crate) mod index;
pub(crate) mod keyring;
pub(crate) mod manifest;
pub(crate) mod publish;
pub(crate) mod quota;
pub(crate) mod reach;
pub(crate) mod sbom;

#[cfg(test)]
mod fake;
