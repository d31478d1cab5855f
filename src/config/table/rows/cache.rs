//! The cache of the build.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[
    Variable::new(
        Topic::Cache,
        "NO_CACHE",
        Kind::Boolean,
        Fallback::Value("false"),
        "Run every step of the Dockerfile again.",
    ),
    Variable::new(
        Topic::Cache,
        "NO_CACHE_FILTER",
        Kind::Words,
        Fallback::None,
        "Stages of the Dockerfile whose steps run again, in the same forms as `IMAGE`. Not together \
         with `NO_CACHE`.",
    ),
    Variable::new(
        Topic::Cache,
        "PULL",
        Kind::Boolean,
        Fallback::Value("false"),
        "Read base images from their registries even if the builder has an image of that name. \
         Builders check for newer base images without it, too.",
    ),
    Variable::new(
        Topic::Cache,
        "CACHE_FROM",
        Kind::Lines,
        Fallback::None,
        "Caches outside of Depot to read (`--cache-from`), such as \
         `type=registry,ref=acme/app:buildcache`, or references alone: a list, or a text with one \
         on each line. See [External caches](#markdown-header-external-caches).",
    ),
    Variable::new(
        Topic::Cache,
        "CACHE_TO",
        Kind::Lines,
        Fallback::None,
        "Caches outside of Depot to write (`--cache-to`), such as \
         `type=registry,ref=acme/app:buildcache,mode=max`, `type=inline`, `type=s3,…` or \
         `type=azblob,…`, in the same forms as `CACHE_FROM`.",
    ),
];
