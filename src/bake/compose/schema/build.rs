//! `build` of a service.

use super::{FLAG, HOSTS, MOUNTS, PAIRS, TEXT_OR_SET, TEXTS, ULIMITS, WHOLE, object};
use crate::compose::shape::Shape;
use Shape::{Either, Text};

/// `build`.
pub(super) const BUILD: Shape = Either(&[
    Text,
    Shape::Object(&object(&[
        ("context", Text),
        ("dockerfile", Text),
        ("dockerfile_inline", Text),
        ("entitlements", TEXTS),
        ("args", PAIRS),
        ("ssh", PAIRS),
        ("labels", PAIRS),
        ("cache_from", TEXTS),
        ("cache_to", TEXTS),
        ("no_cache", FLAG),
        ("no_cache_filter", TEXT_OR_SET),
        ("additional_contexts", PAIRS),
        ("network", Text),
        ("provenance", FLAG),
        ("sbom", FLAG),
        ("pull", FLAG),
        ("target", Text),
        ("shm_size", WHOLE),
        ("extra_hosts", HOSTS),
        ("isolation", Text),
        ("privileged", FLAG),
        ("secrets", MOUNTS),
        ("tags", TEXTS),
        ("ulimits", ULIMITS),
        ("platforms", TEXTS),
    ])),
]);
