//! One image of a run, from its variables.

use super::build::{self, Arguments, BuildPlan, BuildVariables, SourceAsWritten};
use super::caches::{self, CacheVariables, CachesPlan};
use super::compression::{self, Compression, CompressionVariables};
use super::environment::Environment;
use super::exports::{self, ExportVariables};
use super::findings::Findings;
use super::freshness::{self, FreshnessVariables};
use super::images::{self, Destinations, ImagePlan, ImageVariables};
use super::metadata::{self, MetadataPlan, MetadataVariables};
use super::outputs::OutputsPlan;
use super::paths::Places;
use super::secrets::Secrets;
use super::ssh::SshVariables;
use super::steps::{self, StepVariables};
use super::tags;
use crate::bitbucket::Pipeline;
use crate::ssh::Agents;

/// The variables that describe one image.
pub(super) struct Described {
    pub(super) build: BuildVariables,
    pub(super) ssh: SshVariables,
    pub(super) freshness: FreshnessVariables,
    pub(super) steps: StepVariables,
    pub(super) image: ImageVariables,
    pub(super) compression: CompressionVariables,
    pub(super) caches: CacheVariables,
    pub(super) metadata: MetadataVariables,
    pub(super) exports: ExportVariables,
}

impl Described {
    pub(super) fn read(environment: &Environment, findings: &mut Findings) -> Self {
        Self {
            build: environment.variables(findings),
            ssh: environment.variables(findings),
            freshness: environment.variables(findings),
            steps: environment.variables(findings),
            image: environment.variables(findings),
            compression: environment.variables(findings),
            caches: environment.variables(findings),
            metadata: environment.variables(findings),
            exports: environment.variables(findings),
        }
    }
}

/// The inputs that the images of a run share.
pub(super) struct Shared<'a> {
    pub(super) places: &'a Places<'a>,
    pub(super) tags: &'a tags::Values,
    pub(super) pipeline: &'a Pipeline,
}

/// An image whose exports are not read yet: they depend on the files of the run.
pub(super) struct Draft {
    pub(super) build: Option<BuildPlan>,
    pub(super) destinations: Destinations,
    pub(super) metadata: MetadataPlan,
    pub(super) caches: CachesPlan,
    compression: Option<Compression>,
}

impl Draft {
    /// Reads all parts but the exports. Reports all faults.
    pub(super) fn read(
        described: &Described,
        source: &SourceAsWritten<'_>,
        values: (Arguments, Secrets, Agents),
        shared: &Shared<'_>,
        findings: &mut Findings,
    ) -> Self {
        let destinations = images::read(&described.image, shared.tags, findings);
        let compression = compression::read(&described.compression, &destinations, findings);
        let no_cache = described.build.no_cache.as_deref();
        let build = build::read(&described.build, shared.places, source, values, findings);
        let caches = caches::read(&described.caches, build.as_ref(), &destinations, findings);
        let freshness = freshness::read(&described.freshness, no_cache, findings);
        let steps = steps::read(&described.steps, findings);
        let build = build.map(|build| build.with_options(freshness, steps));
        let metadata = &described.metadata;
        let metadata = metadata::read(metadata, build.as_ref(), shared.pipeline, findings);
        Self {
            build,
            destinations,
            metadata,
            caches,
            compression,
        }
    }

    /// Reads the exports. `None` if a required part is missing.
    pub(super) fn finish(
        self,
        name: &str,
        described: &Described,
        (places, outputs): (&Places<'_>, &OutputsPlan),
        findings: &mut Findings,
    ) -> Option<ImagePlan> {
        let build = self.build.as_ref();
        let others = (&self.destinations, outputs, &self.metadata);
        let exports = exports::of_image(&described.exports, places, build, others, findings);
        Some(ImagePlan {
            name: name.to_owned(),
            build: self.build?,
            metadata: self.metadata,
            destinations: self.destinations,
            compression: self.compression,
            caches: self.caches,
            exports,
        })
    }
}
