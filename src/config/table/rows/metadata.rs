//! Labels, annotations and attestations.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[
    Variable::new(
        Topic::Metadata,
        "LABELS",
        Kind::Pairs,
        Fallback::None,
        "Labels of the image: a list of `NAME=VALUE`, a text with one on each line, or a YAML \
         mapping. `NAME` without a value is an empty label.",
    ),
    Variable::new(
        Topic::Metadata,
        "ANNOTATIONS",
        Kind::Pairs,
        Fallback::None,
        "OCI annotations, in the same forms as `LABELS`: `NAME=VALUE` for the manifest of each \
         platform, or `TYPE:NAME=VALUE` with the types `manifest`, `manifest[PLATFORM]`, \
         `manifest-descriptor`, `manifest-descriptor[PLATFORM]` and `index`, separated by commas.",
    ),
    Variable::new(
        Topic::Metadata,
        "OCI_LABELS",
        Kind::Boolean,
        Fallback::Value("false"),
        "Add the repository, the commit and the tag or branch of the pipeline, as labels and \
         annotations with the names of the OCI (`org.opencontainers.image.…`). The image then \
         has another digest for each commit.",
    ),
    Variable::new(
        Topic::Metadata,
        "PROVENANCE",
        Kind::Text,
        Fallback::Described("`min` for images in registries"),
        "Record of the build that is attached to the image: `min`, `max` (with build arguments \
         and build steps), `false`, or parameters as in `--provenance` (`mode=max,builder-id=URL`).",
    ),
    Variable::new(
        Topic::Metadata,
        "SBOM",
        Kind::Text,
        Fallback::Described("`false`, or `true` if `SBOM_DIR` is set"),
        "Attach a list of the software in the image (SPDX): `true`, `false`, or \
         `generator=IMAGE` for another scanner than Docker's.",
    ),
    Variable::new(
        Topic::Metadata,
        "SBOM_DIR",
        Kind::Text,
        Fallback::None,
        "Directory in the clone, relative to the working directory, for the SBOM as files: \
         `sbom.spdx.json`, or one `OS_ARCHITECTURE.spdx.json` for each of several platforms.",
    ),
];
