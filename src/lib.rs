//! `depot-build`: container images built on Depot's machines, as a Bitbucket pipe.
//!
//! Data flows one way: the environment becomes a checked plan ([`config`]), the plan becomes a build
//! at Depot ([`depot`]) and a solve on its machine ([`buildkit`]), which reads the build context
//! ([`context`]) and asks for access to registries ([`registry`]); what people see of it goes through
//! [`report`]. `docs/architecture.md` draws the picture.

pub mod bitbucket;
pub mod buildkit;
pub mod cancel;
pub mod config;
pub mod context;
pub mod depot;
pub mod docker;
pub mod exit;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod io;
mod network;
pub mod pipe;
pub mod proxies;
pub mod registry;
pub mod report;
mod retry;
pub mod roots;
mod story;
mod text;
