//! `depot-build`: container images built on Depot's machines, as a Bitbucket pipe.
//!
//! Data flows in one direction. The environment becomes a checked plan ([`config`]). The plan becomes a build at Depot
//! ([`depot`]) and a solve on its machine ([`buildkit`]), which reads the build context ([`context`]) and requests
//! access to registries ([`registry`]). [`report`] prints the progress and the result. `docs/architecture.md` has the
//! details.

#![warn(unreachable_pub)]

mod bitbucket;
mod buildkit;
pub mod cancel;
pub mod config;
mod context;
mod depot;
mod destination;
mod docker;
pub mod exit;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod io;
mod ordered;
pub mod pipe;
mod platform;
mod registry;
pub mod report;
mod ssh;
mod text;
