//! The results of building, pushing and loading an image.

use std::collections::HashMap;

use super::exporting::Exported;
use super::machines::Link;
use super::sboms::Sbom;
use crate::buildkit::Solved;
use crate::docker::{Descriptor, Loaded};
use crate::platform::Platform;
use crate::registry::reference::Reference;

/// Names that refer to one image.
#[derive(Clone, Debug)]
pub(super) struct Delivered {
    /// The names. Before a merge, those that the image gets later.
    pub(super) names: Vec<Reference>,
    /// The digest of the index or manifest, if the builder returned it.
    pub(super) digest: Option<String>,
}

/// The image of one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlatformImage {
    pub(super) platform: Platform,
    /// The digest of its manifest.
    pub(super) digest: String,
    /// The size of its layers as stored in a registry, if the builder returned the manifest.
    pub(super) bytes: Option<u64>,
}

/// An entry of an index.
impl From<(Descriptor, Platform)> for PlatformImage {
    fn from((descriptor, platform): (Descriptor, Platform)) -> Self {
        Self {
            platform,
            digest: descriptor.digest,
            bytes: None,
        }
    }
}

/// An exported image that can be read from its builder.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) link: Link,
    pub(super) solved: Solved,
}

/// An image that reached all its destinations.
#[derive(Debug, Default)]
pub(super) struct Finished {
    pub(super) delivered: Vec<Delivered>,
    /// The manifest of each platform in the image, if the builders returned it.
    pub(super) platforms: Vec<PlatformImage>,
    /// The exporter's response.
    pub(super) response: HashMap<String, String>,
    /// The image in the daemon, if it was loaded.
    pub(super) loaded: Option<Loaded>,
    /// The bytes that were sent to the daemon; `None` if it pulled the image.
    pub(super) loaded_bytes: Option<u64>,
    /// The exports, in the order of the plan.
    pub(super) exported: Vec<Exported>,
    /// The names in Depot's registry, if Depot keeps the image.
    pub(super) saved: Vec<String>,
    /// The SBOM of each platform, if they are written to files.
    pub(super) sboms: Vec<Sbom>,
}

impl Finished {
    /// Every name of the image, as text.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let names = self.delivered.iter().flat_map(|image| &image.names);
        names.map(ToString::to_string)
    }
}
