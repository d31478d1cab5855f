//! A Docker daemon, and loading an image into it: only what it lacks.
//!
//! The daemon is spoken to through `bollard`, over a transport of our own ([`Endpoint`]). An [`Image`] is a manifest
//! and a config; its layers are read from wherever it was built ([`Blobs`]), and only those go into the archive
//! that the daemon is sent which it does not have ([`Present`]). Loaded means verified: every name leads to the expected image.
//!
//! It knows nothing of Depot, BuildKit or Bitbucket.

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
