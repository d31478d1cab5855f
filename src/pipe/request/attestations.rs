//! The attributes for the attestations of an image.

use crate::config::plan::MetadataPlan;

/// The attributes. Not for Docker manifests, which cannot hold attestations.
pub(super) fn attributes(metadata: &MetadataPlan) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    let mut add = |name: &str, value: &str| attributes.push((name.to_owned(), value.to_owned()));
    if let Some(provenance) = &metadata.provenance {
        add("attest:provenance", &provenance.parameters);
        // BuildKit copies `vcs:` attributes into the provenance. They are not part of a cache key.
        if let Some(source) = &provenance.source {
            add("vcs:source", source);
        }
        if let Some(revision) = &provenance.revision {
            add("vcs:revision", revision);
        }
    }
    if let Some(sbom) = &metadata.sbom {
        add("attest:sbom", &sbom.parameters);
    }
    attributes
}
