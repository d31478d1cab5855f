//! A Docker daemon, and loading an image into it: only the missing layers are sent.
//!
//! Requests go through `bollard`, over a transport of this crate ([`Endpoint`]). An [`Image`] is a manifest and a
//! config; its layers are read from where it was built ([`Blobs`]). The archive for the daemon contains only the
//! layers that it lacks ([`Present`]). After a load, every name is verified to refer to the expected image.
//!
//! This module does not depend on Depot, BuildKit or Bitbucket.

mod archive;
mod blobs;
mod content;
mod daemon;
mod endpoint;
mod error;
mod image;
pub(crate) mod load;
mod platform;
mod present;
mod pull;
mod read_ahead;
mod send_stages;
mod stages;
mod transport;

pub use blobs::{BlobError, Blobs, Chunks};
pub use daemon::{About, Daemon, Store};
pub use endpoint::{Endpoint, EndpointTls};
pub use error::{DaemonError, LoadError};
pub use image::{Descriptor, Image, ImageError, Layer};
pub use load::{Load, Loaded, Sent};
pub use platform::{Platform, best_for};
pub use present::Present;
pub use pull::PullLogin;
pub use stages::Passing;
