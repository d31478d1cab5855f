//! The exporter's attributes for annotations.

use std::collections::HashMap;

use crate::pipe::round::Form;
use crate::pipe::target::Target;
use crate::registry::annotations::{Annotation, Annotations, Level};

/// The attributes for the share of `target` in the image.
///
/// In a part of an image, only the manifests are annotated: the index and its entries are annotated when the parts are merged.
/// Source: `exporter/containerimage/exptypes/annotations.go` in BuildKit.
pub(super) fn attributes(
    annotations: &Annotations,
    target: &Target,
    form: Form,
) -> HashMap<String, String> {
    let mut attributes = HashMap::new();
    if form == Form::Part && annotations.first_of_index().is_some() {
        // Docker's list cannot hold them, and the merged index has the format of its parts.
        attributes.insert("oci-mediatypes".into(), "true".into());
    }
    for annotation in annotations.iter() {
        if form == Form::Part && annotation.level != Level::Manifest {
            continue;
        }
        if let Some(scope) = scope(annotation, target) {
            let (level, name) = (annotation.level, &annotation.name);
            // Those for one platform come last and take precedence.
            attributes.insert(
                format!("annotation-{level}{scope}.{name}"),
                annotation.value.clone(),
            );
        }
    }
    attributes
}

/// The platform in the attribute's name; `None` if the target does not build it.
///
/// A builder ignores annotations with a platform if it exports a single manifest, so a target with one platform gets none.
fn scope(annotation: &Annotation, target: &Target) -> Option<String> {
    let Some(platform) = &annotation.platform else {
        return Some(String::new());
    };
    match &target.platforms[..] {
        [] | [_] => (target.platform().as_ref() == Some(platform)).then(String::new),
        several => several.contains(platform).then(|| format!("[{platform}]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Architecture, Platform};

    fn annotated() -> Annotations {
        let mut annotations = Annotations::default();
        for (level, platform, name, value) in [
            (Level::Manifest, Some("linux/arm64"), "a", "of arm"),
            (Level::Manifest, None, "a", "of all"),
            (Level::ManifestDescriptor, None, "b", "entry"),
            (Level::Index, None, "c", "index"),
        ] {
            annotations.set(Annotation {
                level,
                platform: platform.map(Platform::of),
                name: name.into(),
                value: value.into(),
            });
        }
        annotations
    }

    fn attributes_of(platforms: &[&str], form: Form) -> Vec<String> {
        let target = Target {
            machine: Architecture::Arm64,
            platforms: platforms.iter().map(|text| Platform::of(text)).collect(),
        };
        let attributes = attributes(&annotated(), &target, form).into_iter();
        let mut shown: Vec<_> = attributes
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        shown.sort();
        shown
    }

    #[test]
    fn a_whole_image_gets_all_annotations() {
        assert_eq!(
            attributes_of(&["linux/arm64", "linux/arm/v7"], Form::Whole),
            [
                "annotation-index.c=index",
                "annotation-manifest-descriptor.b=entry",
                "annotation-manifest.a=of all",
                "annotation-manifest[linux/arm64].a=of arm",
            ]
        );
        // Also without a platform in the plan.
        for platforms in [&[][..], &["linux/arm64"]] {
            let attributes = attributes_of(platforms, Form::Whole);
            assert!(
                attributes.contains(&"annotation-manifest.a=of arm".to_owned()),
                "{attributes:?}"
            );
            assert_eq!(attributes.len(), 3);
        }
    }

    #[test]
    fn a_part_gets_those_of_its_own_manifests() {
        assert_eq!(
            attributes_of(&["linux/arm64"], Form::Part),
            ["annotation-manifest.a=of arm", "oci-mediatypes=true"]
        );
        assert_eq!(
            attributes_of(&["linux/arm/v7"], Form::Part),
            ["annotation-manifest.a=of all", "oci-mediatypes=true"]
        );
    }
}
