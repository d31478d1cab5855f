//! Parts of the image that the requested files cannot hold.

use super::{ExportKind, ExportPlan};
use crate::config::build::BuildPlan;
use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::images::Destinations;
use crate::config::metadata::MetadataPlan;

/// Reports annotations and attestations that are lost, because no form of the result can hold them, and index annotations of a
/// single manifest, which a builder would reject at the end of the build.
pub(in crate::config) fn check(
    exports: &[ExportPlan],
    image: &Destinations,
    build: &BuildPlan,
    metadata: &MetadataPlan,
    findings: &mut Findings,
) {
    let is_stored = image.push || image.save.is_some();
    let has_kind = |kind| exports.iter().any(|plan| plan.kind == kind);
    let is_archive = |plan: &ExportPlan| plan.kind == ExportKind::Docker;
    if !is_stored && !exports.is_empty() && exports.iter().all(is_archive) {
        for variable in &metadata.requested {
            let problem =
                "set, but `type=docker` in OUTPUTS holds neither annotations nor attestations";
            let advice = "write `type=oci` in OUTPUTS, or remove it";
            findings.fault(Fault::new(*variable, problem, advice));
        }
    }
    if let Some(level) = metadata.index_annotation
        && has_kind(ExportKind::Oci)
        && !metadata.is_index_in_archive(build)
    {
        let problem = format!(
            "`{level}` requires an image index, but `type=oci` in OUTPUTS gets a single manifest for one platform without attestations"
        );
        let advice = "set `PROVENANCE: min`, or write `manifest`";
        findings.fault(Fault::new("ANNOTATIONS", problem, advice));
    }
    if build.is_always_index() && has_kind(ExportKind::Docker) {
        let problem = "`type=docker` holds a single image, but BUILDKIT_MULTI_PLATFORM in BUILD_ARGS requires an image index";
        let advice = "write `type=oci`, or remove the build argument";
        findings.fault(Fault::new("OUTPUTS", problem, advice));
    }
}
