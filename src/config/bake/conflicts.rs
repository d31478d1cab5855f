//! Results of targets that replace each other.

use std::collections::BTreeMap;

use crate::config::Warning;
use crate::config::exports::ExportKind;
use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::images::ImagePlan;

/// Reports names and files that two targets write, and warns of caches that two targets write: the last one would remain.
pub(in super::super) fn report(images: &[ImagePlan], findings: &mut Findings) {
    let mut names = BTreeMap::new();
    let mut files = BTreeMap::new();
    let mut caches = BTreeMap::new();
    for image in images {
        for name in image.destinations.pushed() {
            if let Some(other) = names.insert(name.to_string(), &image.name) {
                let problem = format!("the target `{other}` is pushed as `{name}`, too");
                let advice = "write another name in one of them";
                findings.fault(Fault::new(
                    super::place(&image.name, "tags"),
                    problem,
                    advice,
                ));
            }
        }
        let exports = image.exports.iter();
        // The files of a directory are added to it.
        for export in exports.filter(|export| export.kind != ExportKind::Local) {
            if let Some(other) = files.insert(&export.place.path, &image.name) {
                let problem = format!("the target `{other}` writes `{}`, too", export.label);
                let advice = "write another `dest` in one of them";
                let place = super::place(&image.name, "output");
                findings.fault(Fault::new(place, problem, advice));
            }
        }
        for cache in image.caches.exported_references() {
            if let Some(other) = caches.insert(cache.to_string(), &image.name) {
                let place = super::place(&image.name, "cache-to");
                let text = format!(
                    "{place}: the target `{other}` writes the cache `{cache}`, too: only one of them remains"
                );
                findings.warn(Warning::Definition { text });
            }
        }
    }
}
