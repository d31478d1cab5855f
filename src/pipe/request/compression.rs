//! The exporter's attributes for the compression of layers.

use std::collections::HashMap;

use crate::config::plan::{Algorithm, Compression};

/// Adds the attributes for `compression`. All layers get it, including those of base images.
///
/// `docker_form`: the manifests are Docker's, which hold no layers in zstd or eStargz. `BuildKit` would export OCI manifests
/// nevertheless, so these layers are compressed with gzip.
pub(super) fn add(
    attributes: &mut HashMap<String, String>,
    compression: Option<Compression>,
    docker_form: bool,
) {
    let Some(compression) = compression else {
        return;
    };
    if docker_form && compression.algorithm.needs_oci() {
        add_gzip(attributes);
        return;
    }
    force(attributes, compression.algorithm);
    if let Some(level) = compression.level {
        attributes.insert("compression-level".into(), level.to_string());
    }
    if compression.algorithm.needs_oci() {
        attributes.insert("oci-mediatypes".into(), "true".into());
    }
}

/// Adds the attributes for layers that every registry and every daemon reads.
pub(super) fn add_gzip(attributes: &mut HashMap<String, String>) {
    force(attributes, Algorithm::Gzip);
}

fn force(attributes: &mut HashMap<String, String>, algorithm: Algorithm) {
    attributes.insert("compression".into(), algorithm.name().into());
    attributes.insert("force-compression".into(), "true".into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(algorithm: Algorithm, level: Option<u8>, docker_form: bool) -> String {
        let mut attributes = HashMap::new();
        let compression = Compression { algorithm, level };
        add(&mut attributes, Some(compression), docker_form);
        let mut shown: Vec<_> = attributes
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        shown.sort();
        shown.join(" ")
    }

    #[test]
    fn docker_manifests_get_layers_that_they_can_hold() {
        let gzip = "compression=gzip force-compression=true";
        assert_eq!(
            shown(Algorithm::Zstd, Some(3), false),
            "compression-level=3 compression=zstd force-compression=true oci-mediatypes=true"
        );
        assert_eq!(
            shown(Algorithm::Estargz, None, false),
            "compression=estargz force-compression=true oci-mediatypes=true"
        );
        assert_eq!(shown(Algorithm::Zstd, Some(19), true), gzip);
        assert_eq!(shown(Algorithm::Estargz, None, true), gzip);
        assert_eq!(
            shown(Algorithm::Gzip, Some(9), true),
            format!("compression-level=9 {gzip}")
        );
        assert_eq!(
            shown(Algorithm::Uncompressed, None, true),
            "compression=uncompressed force-compression=true"
        );
        let mut attributes = HashMap::new();
        add(&mut attributes, None, true);
        assert!(attributes.is_empty());
    }
}
