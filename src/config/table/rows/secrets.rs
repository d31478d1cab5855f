//! Secrets and keys for the build.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[Variable::new(
    Topic::Secrets,
    "SECRETS",
    Kind::Pairs,
    Fallback::SameName,
    "Secrets for `RUN --mount=type=secret,id=ID`: a list of `ID=VALUE`, or a text with one \
         `ID=VALUE` or `ID: VALUE` on each line. `ID` without a value takes the value of that \
         variable of the pipe. Store the values as secured variables.",
)
.secret()];
