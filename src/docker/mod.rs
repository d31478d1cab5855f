//! A Docker daemon, and loading an image into it: only the missing layers are sent.
//!
//! Requests go through `bollard`, and queries are in `query`, both over a transport of this crate ([`Endpoint`]). An [`Image`] is a manifest and a
//! config; its layers are read from where it was built ([`Blobs`]). The archive for the daemon contains only the
//! layers that it lacks ([`Present`]). After a load, every name is verified to refer to the expected image.
//!
//! This module does not depend on Depot, BuildKit or Bitbucket.

mod archive;
mod blobs;
mod content;
pub(crate) mod daemon;
mod endpoint;
mod error;
mod image;
pub(crate) mod load;
mod present;
mod pull;
pub(crate) mod query;
mod read_ahead;
mod send_stages;
mod stages;
mod transport;

pub(crate) use blobs::{BlobError, Blobs, Chunks};
pub(crate) use daemon::{Daemon, Store};
pub(crate) use endpoint::{Endpoint, EndpointTls};
pub(crate) use error::{DaemonError, LoadError};
pub(crate) use image::{Descriptor, Image, ImageError};
pub(crate) use load::{Load, Loaded, Sent, Transfer};
pub(crate) use present::Present;
pub(crate) use pull::PullLogin;
pub(crate) use stages::Passing;
