//! The token, the project.

use super::super::{Fallback, Kind, Topic, Variable};

pub(super) const ROWS: &[Variable] = &[
    Variable::new(
        Topic::Depot,
        "DEPOT_TOKEN",
        Kind::Text,
        Fallback::SameName,
        "Depot token, preferably a project token. Store it as a secured variable and omit it in \
         the step.",
    )
    .required()
    .secret(),
    Variable::new(
        Topic::Depot,
        "DEPOT_PROJECT_ID",
        Kind::Text,
        Fallback::SameName,
        "Id of the Depot project. If it is not set, the `id` in `depot.json`, `depot.yml` or \
         `depot.yaml` is used: the nearest one in the directory of the Dockerfile or above, \
         else in the context or above.",
    ),
];
