//! Privileges of targets that are named contexts of others.

use std::collections::HashMap;

use crate::config::images::ImagePlan;
use crate::config::steps::Privilege;

/// The targets that a target uses, and its privileges.
type Own = (Vec<String>, Vec<Privilege>);

/// Adds the privileges of every target to those that use it: a builder checks the steps of a named context too, even if their results
/// are in its cache.
pub(in super::super) fn add(images: &mut [ImagePlan], inputs: &mut [ImagePlan]) {
    let all = images.iter().chain(inputs.iter());
    let own: HashMap<String, Own> = all
        .map(|image| {
            let names = image.build.contexts.iter();
            let names = names.filter_map(|context| context.image().map(str::to_owned));
            let privileges = image.build.steps.privileges.clone();
            (image.name.clone(), (names.collect(), privileges))
        })
        .collect();
    for image in images.iter_mut().chain(inputs) {
        let mut seen = vec![image.name.as_str()];
        let mut waiting = seen.clone();
        let privileges = &mut image.build.steps.privileges;
        while let Some((names, others)) = waiting.pop().and_then(|name| own.get(name)) {
            for privilege in others {
                if !privileges.contains(privilege) {
                    privileges.push(*privilege);
                }
            }
            for name in names {
                if !seen.contains(&name.as_str()) {
                    seen.push(name);
                    waiting.push(name);
                }
            }
        }
    }
}
