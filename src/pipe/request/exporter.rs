//! The exporter of a solve and its attributes.

use std::collections::HashMap;

use super::annotations;
use super::compression;
use crate::buildkit;
use crate::config::plan::ExportKind;
use crate::depot::fork;
use crate::pipe::export::{Export, Retention};
use crate::pipe::job::Job;
use crate::pipe::round::Form;
use crate::pipe::target::Target;
use crate::registry::reference::Reference;

/// The exporter for `export`; `None` leaves the result in the builder's cache.
pub(super) fn of(
    job: &Job<'_>,
    target: &Target,
    export: Export<'_>,
    retention: Retention,
) -> Option<buildkit::Export> {
    let form = job.form;
    let mut attributes = HashMap::new();
    let docker_form = match export {
        Export::Push(round) => round.docker_form,
        Export::Files(plan) => plan.kind == ExportKind::Docker,
        Export::Cache | Export::Store(_) => false,
    };
    if !docker_form {
        let annotations = &job.plan.metadata.annotations;
        attributes = annotations::attributes(annotations, target, form);
    }
    if !matches!(export, Export::Files(plan) if plan.has_compression()) {
        compression::add(&mut attributes, job.plan.compression, docker_form);
    }
    match export {
        Export::Cache => return None,
        Export::Files(plan) => {
            if !plan.kind.is_image() {
                // Files have neither layers nor annotations.
                attributes.clear();
            } else if !job.plan.metadata.is_index_in_archive(&job.plan.build) {
                // A builder rejects index annotations of a single manifest. These are derived ones.
                attributes.retain(|name, _| !name.starts_with("annotation-index."));
            }
            attributes.extend(plan.attributes.iter().cloned());
            return Some(buildkit::Export {
                kind: plan.kind.name().into(),
                attributes,
            });
        }
        // With a name, the builder keeps all layers, including those of base images.
        Export::Store(names) => {
            attributes.insert("name".into(), joined(names));
        }
        Export::Push(round) => {
            attributes.insert("name".into(), round.exported(form).join(","));
            attributes.insert("push".into(), "true".into());
            if form == Form::Part {
                attributes.insert("push-by-digest".into(), "true".into());
            }
            if round.insecure {
                attributes.insert("registry.insecure".into(), "true".into());
            }
            if round.docker_form {
                attributes.insert("oci-mediatypes".into(), "false".into());
            }
        }
    }
    attributes.extend([attribute(fork::EXPORT_IMAGES)]);
    if retention == Retention::Content {
        attributes.extend([attribute(fork::EXPORT_LEASE)]);
    }
    Some(buildkit::Export {
        kind: "image".into(),
        attributes,
    })
}

fn attribute((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The names as the exporter takes them.
pub(super) fn joined(names: &[Reference]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(",")
}
