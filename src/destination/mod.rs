//! Directories and files of this machine that receive the result of a build.
//!
//! A result is received into a [`Staging`] directory, which nothing else uses, and moved to its place when it is complete. So
//! after a failure the place is as before, and a builder never writes into a directory that has other files.
//!
//! Nothing outside of the place is written: every lookup starts at an open directory and follows no link, neither one of the
//! builder nor one that was there before. An existing directory is merged, as by BuildKit's own client: other files remain, files of
//! the same name are replaced, and a directory and a file replace each other. Files belong to the user of this program; permissions and times
//! are those of the builder, without the bits that run a file as its owner or group. Extended attributes are ignored, and devices,
//! fifos and sockets are skipped.
//!
//! All functions block, except those that are `async`.

mod archive;
mod entry;
mod error;
mod order;
mod place;
mod staging;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use archive::{ArchiveError, write_pieces};
pub(crate) use entry::{Entry, Kind};
pub(crate) use error::WriteError;
pub(crate) use place::Place;
pub(crate) use staging::{Received, Staging, Totals};
pub(crate) use tree::{Listing, OpenFile, Tree, Waiting};
