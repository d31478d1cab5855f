//! One image of a run, from its variables.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::bake::{self, Named};
use super::build::{self, Arguments, BuildPlan, BuildVariables, SourceAsWritten};
use super::caches::{self, CacheVariables, CachesPlan};
use super::compression::{self, Compression, CompressionVariables};
use super::contexts;
use super::environment::Environment;
use super::exports::{self, ExportVariables};
use super::findings::Findings;
use super::freshness::{self, FreshnessVariables};
use super::images::{self, DEFAULT_IMAGE, Destinations, ImagePlan, ImageVariables};
use super::logins::ProxyArgument;
use super::metadata::{self, MetadataPlan, MetadataVariables, SbomFolder};
use super::outputs::OutputsPlan;
use super::paths::Places;
use super::secrets::{SecretVariables, Secrets};
use super::ssh::{self, SshPlan, SshVariables};
use super::steps::{self, StepVariables};
use super::tags;
use crate::bitbucket::Pipeline;
use crate::registry::reference::Reference;
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
    project: ProjectVariables,
}

/// The project of a target.
#[derive(Default, Deserialize)]
struct ProjectVariables {
    depot_project_id: Option<String>,
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
            project: environment.variables(findings),
        }
    }
}

/// An image as variables.
pub(super) struct ImageInput {
    name: String,
    described: Described,
    arguments: Arguments,
    secrets: Secrets,
    /// The text of the Dockerfile, if it is in a definition.
    inline: Option<String>,
    /// The named contexts that are the results of other images: name and image.
    links: Vec<(String, String)>,
    /// Whether the image is only an input of others.
    is_linked: bool,
    /// Agents for the ids that the image has none for.
    ssh: SshPlan,
    /// Whether it is a target of a definition, whose name is in messages.
    is_target: bool,
}

impl ImageInput {
    /// The only image of a run.
    pub(super) fn only(described: Described, arguments: Arguments, secrets: Secrets) -> Self {
        Self {
            name: DEFAULT_IMAGE.to_owned(),
            described,
            arguments,
            secrets,
            inline: None,
            links: Vec::new(),
            is_linked: false,
            ssh: SshPlan::default(),
            is_target: false,
        }
    }

    /// A target of a definition. The secrets and agents of the run are added to its own.
    pub(super) fn of_target(
        target: Named,
        (secrets, ssh): (&Secrets, &SshPlan),
        findings: &mut Findings,
    ) -> Self {
        let Named {
            name,
            environment,
            inline,
            links,
            is_linked,
            faults,
        } = target;
        for fault in faults {
            findings.fault(fault);
        }
        let described = Described::read(&environment, findings);
        let place = place_of(&name);
        let (arguments, own) = findings.placed(place, |findings| {
            let build_args = described.build.build_args.as_deref();
            let arguments = Arguments::parse(build_args, &environment, findings);
            let variables: SecretVariables = environment.variables(findings);
            let mut own = Secrets::parse(&variables, &environment, findings);
            own.add_missing(secrets);
            caches::keep_secrets(&described.caches, findings);
            (arguments, own)
        });
        Self {
            name,
            described,
            arguments,
            secrets: own,
            inline,
            links,
            is_linked,
            ssh: SshPlan {
                agents: ssh.agents.clone(),
                files: ssh.files.clone(),
            },
            is_target: true,
        }
    }
}

/// The place of a variable in the messages about a target.
fn place_of(target: &str) -> impl Fn(&str) -> String {
    move |variable| match bake::attribute(variable) {
        Some(attribute) => bake::place(target, attribute),
        None if variable.is_empty() => format!("target `{target}`"),
        None => format!("target `{target}`: {variable}"),
    }
}

/// The inputs that the images of a run share.
pub(super) struct Shared<'a> {
    pub(super) places: &'a Places<'a>,
    pub(super) tags: &'a tags::Values,
    pub(super) pipeline: &'a Pipeline,
    /// The SSH key of the step.
    pub(super) key_file: Option<&'a str>,
}

/// An image whose parts are read one after another.
struct Draft {
    name: String,
    is_target: bool,
    is_linked: bool,
    links: Vec<(String, String)>,
    described: Described,
    source: SourceAsWritten,
    values: Option<(Arguments, Secrets, Agents)>,
    build: Option<BuildPlan>,
    destinations: Destinations,
    metadata: MetadataPlan,
    caches: CachesPlan,
    compression: Option<Compression>,
}

impl Draft {
    /// The project that a target names. An image of variables has that of the run.
    fn project(&self) -> Option<&str> {
        let project = self.described.project.depot_project_id.as_deref();
        project.filter(|_| self.is_target)
    }

    /// Runs `read`. The faults of a target have its name.
    fn placed<T>(
        &mut self,
        findings: &mut Findings,
        read: impl FnOnce(&mut Self, &mut Findings) -> T,
    ) -> T {
        if !self.is_target {
            return read(self, findings);
        }
        let name = self.name.clone();
        findings.placed(place_of(&name), |findings| read(self, findings))
    }

    /// Reads all parts but the exports.
    fn read(&mut self, shared: &Shared<'_>, findings: &mut Findings) {
        let described = &self.described;
        let destinations = images::read(&described.image, shared.tags, findings);
        self.compression = compression::read(&described.compression, &destinations, findings);
        let build = self.values.take().and_then(|values| {
            let (places, source) = (shared.places, &self.source);
            build::read(&described.build, places, source, values, findings)
        });
        self.caches = caches::read(&described.caches, build.as_ref(), &destinations, findings);
        let no_cache = described.build.no_cache.as_deref();
        let freshness = freshness::read(&described.freshness, no_cache, findings);
        let steps = steps::read(&described.steps, findings);
        let links = std::mem::take(&mut self.links).into_iter();
        let links: Vec<_> = links
            .filter_map(|(name, image)| contexts::linked(&name, image, findings))
            .collect();
        self.build = build.map(|build| {
            let mut build = build.with_options(freshness, steps);
            build.contexts.extend(links);
            build
        });
        let metadata = &described.metadata;
        self.metadata = metadata::read(metadata, self.build.as_ref(), shared.pipeline, findings);
        self.destinations = destinations;
    }
}

/// The images of a run.
pub(super) struct Drafts {
    all: Vec<Draft>,
    /// Files that no builder gets.
    pub(super) withheld: Vec<PathBuf>,
}

impl Drafts {
    /// Reads keys and sources, which other parts depend on: keys must be masked in every message.
    pub(super) fn begin(
        images: Vec<ImageInput>,
        shared: &Shared<'_>,
        findings: &mut Findings,
    ) -> Self {
        let mut withheld = Vec::new();
        let drafts = images.into_iter().map(|image| {
            let mut draft = Draft {
                name: image.name,
                is_target: image.is_target,
                is_linked: image.is_linked,
                links: image.links,
                described: image.described,
                source: SourceAsWritten::default(),
                values: None,
                build: None,
                destinations: Destinations::default(),
                metadata: MetadataPlan::default(),
                caches: CachesPlan::default(),
                compression: None,
            };
            draft.placed(findings, |draft, findings| {
                let (places, key_file) = (shared.places, shared.key_file);
                let own = ssh::read(&draft.described.ssh, key_file, places, findings);
                withheld.extend(own.files.into_iter().chain(image.ssh.files));
                let agents = own.agents.or(&image.ssh.agents);
                draft.values = Some((image.arguments, image.secrets, agents));
                let build = &draft.described.build;
                draft.source = SourceAsWritten::read(build, image.inline, places, findings);
            });
            draft
        });
        let all = drafts.collect();
        Self { all, withheld }
    }

    /// The paths next to which Depot's project files are searched.
    pub(super) fn project_paths<'a>(&'a self, working_directory: &'a Path) -> (&'a Path, &'a Path) {
        match &self.all[..] {
            [only] if !only.is_target => only.source.paths(working_directory),
            _ => (working_directory, working_directory),
        }
    }

    /// The project of the first target, if every target names one. Then the run needs no other.
    pub(super) fn project(&self) -> Option<String> {
        let mut targets = self.all.iter().filter(|draft| !draft.is_linked);
        let first = targets.next()?.project()?;
        let all_named = targets.all(|draft| draft.project().is_some());
        all_named.then(|| first.to_owned())
    }

    /// Reads all parts of all images but the exports.
    pub(super) fn read(&mut self, shared: &Shared<'_>, findings: &mut Findings) {
        for draft in &mut self.all {
            draft.placed(findings, |draft, findings| draft.read(shared, findings));
        }
    }

    /// Adds the build arguments of proxies.
    pub(super) fn add_proxies(&mut self, proxies: &[ProxyArgument]) {
        for build in self.all.iter_mut().filter_map(|draft| draft.build.as_mut()) {
            build.add_proxies(proxies);
        }
    }

    pub(super) fn destinations(&self) -> impl Iterator<Item = &Destinations> {
        self.all.iter().map(|draft| &draft.destinations)
    }

    /// The names that are pushed, and the caches of each image.
    pub(super) fn used(&self) -> (Vec<Reference>, Vec<CachesPlan>) {
        let pushed = self.destinations().flat_map(Destinations::pushed);
        let caches = self.all.iter().map(|draft| draft.caches.clone());
        (pushed.cloned().collect(), caches.collect())
    }

    /// The directory of `SBOM_DIR`.
    pub(super) fn sboms(
        &self,
        outputs: &OutputsPlan,
        places: &Places<'_>,
        findings: &mut Findings,
    ) -> Option<SbomFolder> {
        let first = self.all.first()?;
        let (sbom, build) = (first.metadata.sbom.as_ref(), first.build.as_ref());
        let variables = &first.described.metadata;
        metadata::folder(variables, sbom, build, outputs, places, findings)
    }

    /// Reads the exports. Returns the images, and those that are only inputs of others. `None` if a required part of an image is
    /// missing.
    pub(super) fn finish(
        self,
        (places, outputs): (&Places<'_>, &OutputsPlan),
        findings: &mut Findings,
    ) -> Option<(Vec<ImagePlan>, Vec<ImagePlan>)> {
        let mut plans: Vec<ImagePlan> = Vec::new();
        let mut inputs: Vec<ImagePlan> = Vec::new();
        let count = self.all.len();
        for mut draft in self.all {
            let exports = draft.placed(findings, |draft, findings| {
                let others = (&draft.destinations, outputs, &draft.metadata);
                let build = draft.build.as_ref();
                exports::of_image(&draft.described.exports, places, build, others, findings)
            });
            let project = draft.project().map(str::to_owned);
            let Some(build) = draft.build else {
                continue;
            };
            let list = if draft.is_linked {
                &mut inputs
            } else {
                &mut plans
            };
            list.push(ImagePlan {
                project,
                name: draft.name,
                build,
                metadata: draft.metadata,
                destinations: draft.destinations,
                compression: draft.compression,
                caches: draft.caches,
                exports,
            });
        }
        bake::add_privileges(&mut plans, &mut inputs);
        (plans.len() + inputs.len() == count).then_some((plans, inputs))
    }
}
