//! The cache of the build.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[Variable::new(
    Topic::Cache,
    "NO_CACHE",
    Kind::Boolean,
    Fallback::Value("false"),
    "Run every step of the Dockerfile again.",
)];
