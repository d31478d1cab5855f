//! What a run is to do: every value checked, every path resolved, nothing left of how it was typed.
//!
//! `Debug` on any of these shows no secret: the token, passwords and the values of build arguments are left out.

use std::{fmt, path::PathBuf};

use secrecy::SecretString;
use url::Url;

use super::platform::Platform;
use crate::{
    bitbucket::Pipeline,
    registry::{credentials::Credentials, reference::Reference},
};

/// One run of the pipe.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who asks Depot for which project's build.
    pub depot: DepotPlan,
    /// What to build.
    pub build: BuildPlan,
    /// What becomes of the image.
    pub image: ImagePlan,
    /// Who we are at registries.
    pub credentials: Credentials,
    /// Which pipeline this is, as far as Bitbucket told.
    pub pipeline: Pipeline,
    /// Whether to log what helps to find a fault of the pipe.
    pub debug: bool,
}

/// Who asks Depot for which project's build.
#[derive(Debug, Clone)]
pub struct DepotPlan {
    /// The token for the first call: visible ASCII, so that it can stand in a header.
    pub token: SecretString,
    /// The project's id, which only Depot can check.
    pub project_id: String,
    /// Where the id stands.
    pub project_source: ProjectSource,
    /// The API's address: http or https, without login, query and fragment, ending in `/`.
    pub api_url: Url,
}

/// Where the project's id stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectSource {
    /// In `DEPOT_PROJECT_ID`.
    Variable,
    /// In this `depot.json`, `depot.yml` or `depot.yaml`.
    File(PathBuf),
}

/// What to build.
#[derive(Debug, Clone)]
pub struct BuildPlan {
    /// The context: a directory, absolute and without links.
    pub context: PathBuf,
    /// The Dockerfile: a file that is not empty, absolute and without links. It may lie outside of the context.
    pub dockerfile: PathBuf,
    /// The stage to build; `None` for the last one.
    pub target: Option<String>,
    /// In the order given, each name once.
    pub build_args: BuildArguments,
    /// What to build for; `None` for the platform of the machine that builds.
    pub platform: Option<Platform>,
    /// Whether to run every step anew.
    pub no_cache: bool,
}

/// What becomes of the image.
#[derive(Debug, Clone)]
pub struct ImagePlan {
    /// The names of the image, each once. Not empty if it is to be pushed.
    pub references: Vec<Reference>,
    /// Whether to push it under all of them.
    pub push: bool,
}

/// Build arguments, whose values may be secrets though they should not be.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BuildArguments(Vec<(String, String)>);

impl BuildArguments {
    pub(super) fn new(arguments: Vec<(String, String)>) -> Self {
        Self(arguments)
    }

    /// Name and value of each, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for BuildArguments {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_map()
            .entries(self.0.iter().map(|(name, _)| (name, "***")))
            .finish()
    }
}
