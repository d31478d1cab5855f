//! The export of a solve, and the part of it that the builder keeps.

use super::round::Round;
use crate::config::plan::ExportPlan;
use crate::registry::reference::Reference;

/// The destination of a solve's result.
#[derive(Clone, Copy, Debug)]
pub(super) enum Export<'a> {
    /// Nothing is exported. The result stays in the builder's cache.
    Cache,
    /// The builder stores the complete image under these names, so that it can be read.
    Store(&'a [Reference]),
    /// The builder sends files of the result, or the image as an archive, to this program.
    Files(&'a ExportPlan),
    /// The builder pushes the image under the names of the round.
    Push(&'a Round),
}

/// The content that must be readable from the builder after the solve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retention {
    /// Nothing.
    Nothing,
    /// The manifests. A builder keeps those of builds in its history.
    Manifests,
    /// The whole content, for a load or for the SBOMs: Depot's builders keep it with a lease.
    Content,
}
