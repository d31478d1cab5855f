//! Merges the images of several machines into one index.
//!
//! Each machine pushes its own index or manifest. Their entries are copied unchanged into a new index: sizes, digests,
//! platforms and annotations are those of the builders. Attestations stay next to their image. Manifests that a registry
//! has by digest are not pushed again, so only the index is new.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::annotations::{Annotations, Level};
use super::manifest::{DOCKER_LIST, DOCKER_MANIFEST, Manifest, OCI_INDEX, OCI_MANIFEST};
use crate::platform::Platform;
use crate::text::cut::printable;

/// The annotation with which BuildKit marks the manifest of an attestation.
pub(crate) const ATTESTATION: &str = "vnd.docker.reference.type";

/// The maximum number of entries. No real image has as many.
const MAX_ENTRIES: usize = 1000;

/// One machine's part of an image.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    manifest: Manifest,
    /// The platform of a single manifest.
    platform: Option<Platform>,
}

impl Part {
    /// `platform` is used only if `manifest` is a single manifest; an index lists its own platforms.
    #[must_use]
    pub(crate) fn new(manifest: Manifest, platform: Option<Platform>) -> Self {
        Self { manifest, platform }
    }
}

/// Why parts cannot be merged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    /// A part is neither an index nor a manifest.
    #[error("{digest} is neither an index nor a manifest: {problem}")]
    Unknown {
        /// The part.
        digest: String,
        /// The problem.
        problem: String,
    },
    /// Two parts have the same platform, so a pull could get either.
    #[error("two images have the platform `{platform}`")]
    PlatformTwice {
        /// The platform, such as `linux/amd64`.
        platform: String,
    },
    /// A single manifest without a platform.
    #[error("the platform of {digest} is unknown")]
    NoPlatform {
        /// The part.
        digest: String,
    },
    /// There are too many entries.
    #[error("the index would have more than {MAX_ENTRIES} entries")]
    TooMany,
}

/// Merges the parts into one index, in their order. The same parts result in the same bytes.
///
/// The index is a Docker manifest list if all parts are Docker's, and an OCI index otherwise.
///
/// `added` are the annotations of the index and of its entries. A Docker manifest list cannot hold them.
pub(crate) fn merge(parts: &[Part], added: &Annotations) -> Result<Manifest, MergeError> {
    let mut entries: Vec<Value> = Vec::new();
    let mut annotations = Map::new();
    for part in parts {
        let json: Value = serde_json::from_slice(&part.manifest.bytes)
            .map_err(|_| unknown(&part.manifest, "it is not JSON"))?;
        match part.manifest.media_type.as_str() {
            OCI_INDEX | DOCKER_LIST => {
                let listed = json.get("manifests").and_then(Value::as_array);
                let listed =
                    listed.ok_or_else(|| unknown(&part.manifest, "it has no list of manifests"))?;
                for entry in listed {
                    check(&part.manifest, entry)?;
                    entries.push(entry.clone());
                }
                let annotated = json.get("annotations").and_then(Value::as_object);
                for (name, value) in annotated.into_iter().flatten() {
                    annotations
                        .entry(name.clone())
                        .or_insert_with(|| value.clone());
                }
            }
            OCI_MANIFEST | DOCKER_MANIFEST => entries.push(entry(part)?),
            other => return Err(unknown(&part.manifest, other)),
        }
        if entries.len() > MAX_ENTRIES {
            return Err(MergeError::TooMany);
        }
    }
    check_platforms(&entries)?;
    let is_docker = parts.iter().all(|part| {
        matches!(
            part.manifest.media_type.as_str(),
            DOCKER_LIST | DOCKER_MANIFEST
        )
    });
    let media_type = if is_docker { DOCKER_LIST } else { OCI_INDEX };
    if !is_docker {
        for entry in &mut entries {
            annotate(entry, added);
        }
        let index = added.of(Level::Index, None);
        annotations.extend(index.map(|(name, value)| (name.to_owned(), value.into())));
    }
    let mut index = json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": entries,
    });
    if let (false, false, Some(index)) = (is_docker, annotations.is_empty(), index.as_object_mut())
    {
        index.insert("annotations".into(), annotations.into());
    }
    Ok(Manifest::new(media_type, Bytes::from(format!("{index:#}"))))
}

/// Adds the annotations to the entry of an image.
fn annotate(entry: &mut Value, added: &Annotations) {
    if platform(entry).is_none() {
        return;
    }
    let platform = entry.get("platform").and_then(normalised);
    let mut added = added
        .of(Level::ManifestDescriptor, platform.as_ref())
        .peekable();
    if added.peek().is_none() {
        return;
    }
    let Some(entry) = entry.as_object_mut() else {
        return;
    };
    let annotations = entry.entry("annotations").or_insert_with(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.extend(added.map(|(name, value)| (name.to_owned(), value.into())));
    }
}

/// The platform of an entry in the form of [`Platform::parse`]; `None` if Depot does not build for it.
fn normalised(platform: &Value) -> Option<Platform> {
    let text = |name: &str| platform.get(name).and_then(Value::as_str);
    let variant = text("variant").filter(|variant| !variant.is_empty());
    let variant = variant.map(|variant| format!("/{variant}"));
    let (os, architecture) = (text("os")?, text("architecture")?);
    Platform::parse(&format!(
        "{os}/{architecture}{}",
        variant.unwrap_or_default()
    ))
    .ok()
}

/// The index entry of a single manifest.
fn entry(part: &Part) -> Result<Value, MergeError> {
    let manifest = &part.manifest;
    let platform = part.platform.as_ref();
    let platform = platform.ok_or_else(|| MergeError::NoPlatform {
        digest: manifest.digest.clone(),
    })?;
    Ok(json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": manifest.bytes.len(),
        "platform": platform.oci(),
    }))
}

/// Checks the fields without which a registry rejects an entry.
fn check(of: &Manifest, entry: &Value) -> Result<(), MergeError> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("mediaType").is_empty() || !text("digest").contains(':') {
        return Err(unknown(of, "an entry has no media type or no digest"));
    }
    if entry.get("size").and_then(Value::as_u64).is_none() {
        return Err(unknown(of, "an entry has no size"));
    }
    Ok(())
}

/// Checks that each platform has one image. Attestations have no platform.
fn check_platforms(entries: &[Value]) -> Result<(), MergeError> {
    let mut seen = BTreeSet::new();
    for entry in entries {
        let Some(platform) = platform(entry) else {
            continue;
        };
        if !seen.insert(platform.clone()) {
            let platform = printable(&platform, 200);
            return Err(MergeError::PlatformTwice { platform });
        }
    }
    Ok(())
}

/// Such as `linux/arm/v7`, followed by the version and features of the system if present; `None` for an attestation.
fn platform(entry: &Value) -> Option<String> {
    let platform = entry.get("platform")?;
    let text = |name: &str| {
        platform
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (os, architecture) = (text("os"), text("architecture"));
    if os.is_empty() || os == "unknown" || architecture == "unknown" {
        return None;
    }
    let parts = [os, architecture, text("variant"), text("os.version")];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let features = platform
        .get("os.features")
        .map(|features| format!(" {features}"));
    Some(parts.join("/") + &features.unwrap_or_default())
}

fn unknown(manifest: &Manifest, problem: impl Into<String>) -> MergeError {
    MergeError::Unknown {
        digest: manifest.digest.clone(),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::registry::annotations::Annotation;

    fn index(media_type: &str, entries: &Value, annotations: &Value) -> Part {
        let json = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": entries,
            "annotations": annotations,
        });
        Part::new(Manifest::new(media_type, json.to_string().into()), None)
    }

    fn image(architecture: &str) -> Value {
        json!({
            "mediaType": OCI_MANIFEST,
            "digest": format!("sha256:{architecture}"),
            "size": 7,
            "platform": { "os": "linux", "architecture": architecture },
            "annotations": { "of": architecture },
        })
    }

    fn attestation(architecture: &str) -> Value {
        json!({
            "mediaType": OCI_MANIFEST,
            "digest": format!("sha256:about-{architecture}"),
            "size": 8,
            "platform": { "os": "unknown", "architecture": "unknown" },
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": format!("sha256:{architecture}"),
            },
        })
    }

    fn json_of(manifest: &Manifest) -> Value {
        serde_json::from_slice(&manifest.bytes).unwrap()
    }

    #[test]
    fn entries_and_annotations_are_copied_unchanged() {
        let parts = [
            index(
                OCI_INDEX,
                &json!([image("amd64"), attestation("amd64")]),
                &json!({ "both": "first", "one": "1" }),
            ),
            index(
                OCI_INDEX,
                &json!([image("arm64"), attestation("arm64")]),
                &json!({ "both": "second" }),
            ),
        ];
        let merged = merge(&parts, &Annotations::default()).unwrap();
        assert_eq!(
            json_of(&merged),
            json!({
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [image("amd64"), attestation("amd64"), image("arm64"), attestation("arm64")],
                "annotations": { "both": "first", "one": "1" },
            })
        );
        assert_eq!(
            merged.digest,
            merge(&parts, &Annotations::default()).unwrap().digest
        );
    }

    #[test]
    fn annotations_of_the_index_and_its_entries_are_added() {
        let mut added = Annotations::default();
        for (level, platform, name, value) in [
            (Level::Index, None, "both", "mine"),
            (Level::Manifest, None, "of manifest", "not here"),
            (
                Level::ManifestDescriptor,
                Some("linux/arm64"),
                "of",
                "the ARM",
            ),
            (Level::ManifestDescriptor, None, "all", "x"),
        ] {
            added.set(Annotation {
                level,
                platform: platform.map(Platform::of),
                name: name.into(),
                value: value.into(),
            });
        }
        let mut arm64 = image("arm64");
        arm64["platform"]["variant"] = "v8".into();
        let entries = json!([image("amd64"), attestation("amd64"), arm64]);
        let parts = [index(
            OCI_INDEX,
            &entries,
            &json!({ "both": "builder", "one": "1" }),
        )];
        let merged = json_of(&merge(&parts, &added).unwrap());
        assert_eq!(merged["annotations"], json!({ "both": "mine", "one": "1" }));
        let annotations = |entry: usize| merged["manifests"][entry]["annotations"].clone();
        assert_eq!(annotations(0), json!({ "of": "amd64", "all": "x" }));
        assert_eq!(annotations(1), attestation("amd64")["annotations"]);
        assert_eq!(annotations(2), json!({ "of": "the ARM", "all": "x" }));

        let list = [index(DOCKER_LIST, &entries, &json!({}))];
        let list = merge(&list, &added).unwrap();
        assert_eq!(list.media_type, DOCKER_LIST);
        assert!(!String::from_utf8_lossy(&list.bytes).contains("mine"));
    }

    #[test]
    fn two_images_of_one_platform_are_an_error() {
        let part = index(OCI_INDEX, &json!([image("amd64")]), &json!({}));
        let error = merge(&[part.clone(), part], &Annotations::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "two images have the platform `linux/amd64`"
        );
    }

    #[test]
    fn docker_images_become_a_docker_list_and_single_manifests_get_their_platform() {
        let manifest = |media_type| Manifest::new(media_type, Bytes::from_static(b"{}"));
        let platform = Platform::parse("linux/amd64").unwrap();
        let bare = Part::new(manifest(DOCKER_MANIFEST), Some(platform.clone()));
        let merged = merge(std::slice::from_ref(&bare), &Annotations::default()).unwrap();
        assert_eq!(merged.media_type, DOCKER_LIST);
        let entry = &json_of(&merged)["manifests"][0];
        assert_eq!(entry["platform"], Value::from(platform.oci()));
        assert_eq!(entry["size"], 2);

        let oci = index(OCI_INDEX, &json!([image("arm64")]), &json!({}));
        assert_eq!(
            merge(&[bare, oci], &Annotations::default())
                .unwrap()
                .media_type,
            OCI_INDEX
        );
        let unknown = Part::new(manifest(OCI_MANIFEST), None);
        assert!(matches!(
            merge(&[unknown], &Annotations::default()),
            Err(MergeError::NoPlatform { .. })
        ));
        let foreign = Part::new(manifest("text/html"), Some(platform));
        assert!(matches!(
            merge(&[foreign], &Annotations::default()),
            Err(MergeError::Unknown { .. })
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), entry in ".{0,40}") {
            for media_type in [OCI_INDEX, DOCKER_MANIFEST] {
                let part = Part::new(Manifest::new(media_type, bytes.clone().into()), None);
                let _either = merge(&[part], &Annotations::default());
            }
            let part = index(OCI_INDEX, &json!([entry, { "digest": entry }, null]), &json!(entry));
            prop_assert!(merge(&[part], &Annotations::default()).is_err());
        }
    }
}
