//! Several images from a bake definition: `BAKE_FILES`, `TARGETS`, `BAKE_SET`, `BAKE_VARS` and `BAKE_PRINT`.
//!
//! Each target of the definition becomes a set of variables, as if it were the only image of a run. So the values in a definition are
//! checked by the same rules as variables, and have the same effects.

mod conflicts;
mod definition;
mod privileges;
mod projects;
mod refused;
mod target;
#[cfg(test)]
mod tests;
mod values;

use serde::Deserialize;

pub(super) use self::conflicts::report as report_conflicts;
pub(super) use self::definition::read;
pub(super) use self::privileges::add as add_privileges;
pub(super) use self::projects::report as report_projects;
pub(super) use self::target::{Named, attribute, described, place};

/// The variables of definitions.
#[derive(Default, Deserialize)]
pub(super) struct BakeVariables {
    pub(super) bake_files: Option<String>,
    pub(super) targets: Option<String>,
    pub(super) bake_set: Option<String>,
    pub(super) bake_vars: Option<String>,
    pub(super) bake_print: Option<String>,
}

impl BakeVariables {
    /// Whether images are built from a definition.
    pub(super) fn is_set(&self) -> bool {
        let texts = [
            &self.bake_files,
            &self.targets,
            &self.bake_set,
            &self.bake_vars,
        ];
        texts.into_iter().any(Option::is_some) || self.is_print()
    }

    /// Whether `BAKE_PRINT` is true. An invalid value is reported later.
    fn is_print(&self) -> bool {
        let value = self.bake_print.as_deref();
        value.is_some_and(|value| super::values::boolean(value) != Some(false))
    }
}
