//! Labels, annotations and attestations of the image.

mod annotations;
mod attestations;
mod parameters;
mod sboms;

use serde::Deserialize;

use super::build::{BuildPlan, ContextPlan};
use super::fault::Fault;
use super::findings::Findings;
use super::warning::Warning;
use super::{pairs, read_boolean};
use crate::bitbucket::Pipeline;
use crate::registry::annotations::{Annotation, Annotations, Level};

pub(crate) use self::attestations::{ProvenancePlan, SbomPlan};
pub(crate) use self::sboms::SbomFolder;
pub(super) use self::sboms::folder;

/// The variables of the metadata.
#[derive(Default, Deserialize)]
pub(super) struct MetadataVariables {
    pub(super) labels: Option<String>,
    pub(super) annotations: Option<String>,
    pub(super) oci_labels: Option<String>,
    pub(super) provenance: Option<String>,
    pub(super) sbom: Option<String>,
    pub(super) sbom_dir: Option<String>,
}

/// Labels, annotations and attestations of an image.
#[derive(Debug, Clone, Default)]
pub(crate) struct MetadataPlan {
    /// Names and values, each name once.
    pub(crate) labels: Vec<(String, String)>,
    /// The annotations. Those of an index exist only if the image is one.
    pub(crate) annotations: Annotations,
    /// The record of the build; `None` for none.
    pub(crate) provenance: Option<ProvenancePlan>,
    /// The list of software; `None` for none.
    pub(crate) sbom: Option<SbomPlan>,
    /// The variables of annotations and attestations that the user set.
    pub(crate) requested: Vec<&'static str>,
    /// The level of the first annotation in `ANNOTATIONS` that only an index can hold.
    pub(crate) index_annotation: Option<Level>,
}

impl MetadataPlan {
    /// Whether an archive of the image holds an index. Attestations that are `inline-only` are only in registries.
    pub(crate) fn is_index_in_archive(&self, build: &BuildPlan) -> bool {
        let provenance = self.provenance.as_ref();
        provenance.is_some_and(|provenance| !provenance.is_inline_only())
            || self.sbom.is_some()
            || build.platforms.len() > 1
            || build.is_always_index()
    }
}

const NO_LABELS_OF_REPOSITORY: Warning = Warning::NoEffect {
    setting: "OCI_LABELS",
    reason: "CONTEXT is another repository, and its commit is not known",
};

const LABELS_ADVICE: &str =
    "write `NAME=VALUE` lines without quotes or dashes, a list, or a YAML mapping";

/// Reads everything, and reports each fault. `build` is `None` if its variables are wrong; then the annotations are not compared
/// with it.
pub(super) fn read(
    variables: &MetadataVariables,
    build: Option<&BuildPlan>,
    pipeline: &Pipeline,
    findings: &mut Findings,
) -> MetadataPlan {
    let mut labels = variables
        .labels
        .as_deref()
        .map(|value| labels(value, findings))
        .unwrap_or_default();
    let mut annotations = match variables.annotations.as_deref() {
        Some(value) => annotations::read(value, build, findings),
        None => Annotations::default(),
    };
    let mut provenance = attestations::provenance(variables.provenance.as_deref(), findings);
    // The image of another repository is not built from the commit of the pipeline. BuildKit records that repository itself.
    let is_of_pipeline = build.is_none_or(|build| !matches!(build.context, ContextPlan::Git(_)));
    if let (Some(provenance), true) = (&mut provenance, is_of_pipeline) {
        provenance.source = pipeline.source();
        provenance.revision.clone_from(&pipeline.commit);
    }
    let sbom = match (&variables.sbom, &variables.sbom_dir) {
        (None, Some(_)) => Some(SbomPlan::of_default_generator()),
        (value, _) => attestations::sbom(value.as_deref(), findings),
    };
    let is_index = provenance.is_some()
        || sbom.is_some()
        || build.is_none_or(|build| build.platforms.len() > 1 || build.is_always_index());
    let is_known = findings.has_no_fault_of("PROVENANCE") && findings.has_no_fault_of("SBOM");
    if is_known && let (false, Some(annotation)) = (is_index, annotations.first_of_index()) {
        let problem = format!(
            "`{}` requires an image index, but without provenance and SBOM an image for one platform is a single manifest",
            annotation.level
        );
        let advice = "write `manifest`, or remove `PROVENANCE: 'false'`";
        findings.fault(Fault::new("ANNOTATIONS", problem, advice));
    }
    let requested = [
        ("ANNOTATIONS", annotations.iter().next().is_some()),
        (
            "PROVENANCE",
            variables.provenance.is_some() && provenance.is_some(),
        ),
        // Files in `SBOM_DIR` do not depend on the form of the image.
        ("SBOM", variables.sbom_dir.is_none() && sbom.is_some()),
    ];
    let requested = requested.into_iter();
    let requested = requested.filter_map(|(name, is_requested)| is_requested.then_some(name));
    let index_annotation = annotations.first_of_index().map(|first| first.level);
    if read_boolean("OCI_LABELS", variables.oci_labels.as_deref(), findings) {
        let derived = if is_of_pipeline {
            derived(pipeline)
        } else {
            Vec::new()
        };
        if !is_of_pipeline {
            findings.warn(NO_LABELS_OF_REPOSITORY);
        } else if derived.is_empty() {
            findings.warn(Warning::NoPipelineLabels);
        }
        for (name, value) in derived {
            add_derived(name, value, &mut labels, &mut annotations, is_index);
        }
    }
    MetadataPlan {
        labels,
        annotations,
        provenance,
        sbom,
        requested: requested.collect(),
        index_annotation,
    }
}

/// Reads the values of the variables for an image of any build. Returns the plan, the faults and the warnings.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_values(
    labels: &str,
    annotations: &str,
    provenance: &str,
    sbom: &str,
) -> (MetadataPlan, super::ConfigError) {
    let set = |value: &str| (!value.is_empty()).then(|| value.to_owned());
    let variables = MetadataVariables {
        labels: set(labels),
        annotations: set(annotations),
        provenance: set(provenance),
        sbom: set(sbom),
        ..MetadataVariables::default()
    };
    let mut findings = Findings::default();
    let plan = read(&variables, None, &Pipeline::default(), &mut findings);
    (plan, findings.into_error())
}

/// Reads `LABELS`. Only names are shown in messages.
fn labels(value: &str, findings: &mut Findings) -> Vec<(String, String)> {
    const VARIABLE: &str = "LABELS";
    let mut labels: Vec<(String, String)> = Vec::new();
    let entries = pairs::freely_named(value).unwrap_or_else(|_| {
        let problem = "not a YAML mapping of names to plain values";
        findings.fault(Fault::new(VARIABLE, problem, LABELS_ADVICE));
        Vec::new()
    });
    for (index, (name, value)) in entries.into_iter().enumerate() {
        if !annotations::is_name(&name) {
            let problem = format!(
                "entry {} has no name, or white space or quotes in its name",
                index + 1
            );
            findings.fault(Fault::new(VARIABLE, problem, LABELS_ADVICE));
            continue;
        }
        let value = value.unwrap_or_default();
        match labels.iter_mut().find(|(known, _)| *known == name) {
            Some((_, earlier)) => {
                *earlier = value;
                findings.warn(Warning::RepeatedName {
                    variable: VARIABLE,
                    name: findings.shown(&name),
                });
            }
            None => labels.push((name, value)),
        }
    }
    labels
}

/// The labels that follow from the pipeline, with the names of the OCI's image specification.
fn derived(pipeline: &Pipeline) -> Vec<(&'static str, String)> {
    let source = pipeline.source();
    let reference = pipeline.tag.as_ref().or(pipeline.branch.as_ref());
    let all = [
        ("org.opencontainers.image.source", source.as_ref()),
        ("org.opencontainers.image.url", source.as_ref()),
        (
            "org.opencontainers.image.revision",
            pipeline.commit.as_ref(),
        ),
        ("org.opencontainers.image.version", pipeline.tag.as_ref()),
        ("org.opencontainers.image.ref.name", reference),
    ];
    let known = all.into_iter();
    known
        .filter_map(|(name, value)| Some((name, value?.clone())))
        .collect()
}

/// Adds a label and its annotations. A label that exists keeps its value, which the annotations get too; an annotation that exists
/// keeps its value.
fn add_derived(
    name: &str,
    value: String,
    labels: &mut Vec<(String, String)>,
    annotations: &mut Annotations,
    is_index: bool,
) {
    let value = match labels.iter().find(|(known, _)| known == name) {
        Some((_, explicit)) => explicit.clone(),
        None => {
            labels.push((name.to_owned(), value.clone()));
            value
        }
    };
    // Viewers of an index read its own annotations; others read those of a manifest.
    let levels: &[Level] = if is_index {
        &[Level::Manifest, Level::Index]
    } else {
        &[Level::Manifest]
    };
    for &level in levels {
        annotations.set_default(Annotation {
            level,
            platform: None,
            name: name.to_owned(),
            value: value.clone(),
        });
    }
}

#[cfg(test)]
mod tests;
