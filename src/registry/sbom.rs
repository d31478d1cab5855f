//! SBOMs among the attestations of an image.
//!
//! An index lists a manifest with the attestations of each image; each of its layers is an in-toto statement, whose predicate is the
//! SBOM itself (BuildKit's `docs/attestations/attestation-storage.md`).

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::index::ATTESTATION;
use crate::platform::Platform;
use crate::text::shape;

/// The type of an SPDX document.
const SPDX: &str = "https://spdx.dev/Document";

/// The annotation with the type of a statement.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

/// The annotation with the image that an attestation belongs to.
const SUBJECT: &str = "vnd.docker.reference.digest";

/// The maximum number of images of an index, and of statements about an image.
const MAX_ENTRIES: usize = 64;

/// Why there is no SBOM in a document.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SbomFault {
    /// The document is not JSON, or has other fields.
    #[error("it is malformed")]
    Malformed,
    /// A digest is invalid.
    #[error("it refers to a digest that is invalid")]
    Digest,
    /// The statement is of another type.
    #[error("its type is not `{SPDX}`")]
    Type,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
    platform: Option<Platform>,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    digest: String,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Statement<'a> {
    #[serde(rename = "predicateType")]
    predicate_type: String,
    #[serde(borrow)]
    predicate: &'a RawValue,
}

/// The platform and the digest of the attestations of each image in an index. Empty for a single manifest.
pub(crate) fn attestations(index: &[u8]) -> Result<Vec<(Platform, String)>, SbomFault> {
    let index: Index = serde_json::from_slice(index).map_err(|_| SbomFault::Malformed)?;
    let mut found = Vec::new();
    for entry in index.manifests.iter().take(2 * MAX_ENTRIES) {
        if !entry.annotations.contains_key(ATTESTATION) {
            continue;
        }
        let subject = entry.annotations.get(SUBJECT);
        let mut images = index.manifests.iter();
        let image = images.find(|image| Some(&image.digest) == subject);
        if let Some(platform) = image.and_then(|image| image.platform.clone()) {
            found.push((platform, valid(&entry.digest)?));
        }
    }
    found.truncate(MAX_ENTRIES);
    Ok(found)
}

/// The digest of the statement with the SBOM in a manifest of attestations. A scanner can add SBOMs of build stages; BuildKit lists
/// the SBOM of the image before them (`exporter/attestation/unbundle.go`).
pub(crate) fn statement(manifest: &[u8]) -> Result<Option<String>, SbomFault> {
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(|_| SbomFault::Malformed)?;
    let is_sbom =
        |layer: &&Layer| layer.annotations.get(PREDICATE_TYPE).map(String::as_str) == Some(SPDX);
    let first = manifest.layers.iter().take(MAX_ENTRIES).find(is_sbom);
    first.map(|layer| valid(&layer.digest)).transpose()
}

/// The SPDX document in a statement, with its bytes unchanged.
pub(crate) fn document(statement: &Bytes) -> Result<Bytes, SbomFault> {
    let parsed: Statement<'_> =
        serde_json::from_slice(statement).map_err(|_| SbomFault::Malformed)?;
    if parsed.predicate_type != SPDX {
        return Err(SbomFault::Type);
    }
    let document = parsed.predicate.get();
    if !document.starts_with('{') {
        return Err(SbomFault::Malformed);
    }
    Ok(statement.slice_ref(document.as_bytes()))
}

fn valid(digest: &str) -> Result<String, SbomFault> {
    let is_valid = shape::is_digest(digest);
    is_valid.then(|| digest.to_owned()).ok_or(SbomFault::Digest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn digest(character: char) -> String {
        format!("sha256:{}", character.to_string().repeat(64))
    }

    #[test]
    fn each_image_of_an_index_has_its_attestations() {
        let image = |character, architecture: &str| {
            json!({
                "digest": digest(character),
                "platform": { "os": "linux", "architecture": architecture },
            })
        };
        let attestation = |character, subject| {
            json!({
                "digest": digest(character),
                "platform": { "os": "unknown", "architecture": "unknown" },
                "annotations": { ATTESTATION: "attestation-manifest", SUBJECT: digest(subject) },
            })
        };
        let entries = json!([
            image('a', "amd64"),
            image('b', "arm64"),
            attestation('d', 'b'),
            attestation('c', 'a'),
            attestation('e', 'f'),
        ]);
        let index = json!({ "manifests": entries }).to_string();
        let found = attestations(index.as_bytes()).unwrap();
        let expected = [("linux/arm64", 'd'), ("linux/amd64", 'c')];
        let expected =
            expected.map(|(platform, character)| (Platform::of(platform), digest(character)));
        assert_eq!(found, expected);
        assert_eq!(attestations(br#"{"config":{}}"#).unwrap(), []);
        let bad = index.replace(&digest('c'), "sha256:../x");
        assert_eq!(attestations(bad.as_bytes()), Err(SbomFault::Digest));
    }

    #[test]
    fn the_first_spdx_statement_is_that_of_the_image() {
        let layer = |character, kind: &str| json!({ "digest": digest(character), "annotations": { PREDICATE_TYPE: kind } });
        let layers = json!([
            layer('a', "https://slsa.dev/provenance/v0.2"),
            layer('b', SPDX),
            layer('c', SPDX),
            json!({ "digest": digest('d') }),
        ]);
        let manifest = json!({ "layers": layers }).to_string();
        assert_eq!(statement(manifest.as_bytes()).unwrap(), Some(digest('b')));
        assert_eq!(statement(b"{}").unwrap(), None);
        assert_eq!(statement(b"[]"), Ok(None));
        assert_eq!(statement(b"x"), Err(SbomFault::Malformed));
    }

    #[test]
    fn a_document_keeps_its_bytes() {
        let of = |text: &str| document(&Bytes::copy_from_slice(text.as_bytes()));
        // With white space that serialization would not reproduce.
        let text =
            format!(r#"{{"_type":"x","predicateType":"{SPDX}","predicate":{{ "a":  1.0 }}}}"#);
        assert_eq!(of(&text).unwrap(), r#"{ "a":  1.0 }"#);
        assert_eq!(of(&text.replace("spdx", "slsa")), Err(SbomFault::Type));
        for broken in [
            "",
            "[]",
            "{}",
            r#"{"predicateType":"https://spdx.dev/Document","predicate":"x"}"#,
        ] {
            assert_eq!(of(broken), Err(SbomFault::Malformed), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[{}\\[\\]\":,a0]{0,40}") {
            let _either = (attestations(text.as_bytes()), statement(text.as_bytes()), document(&Bytes::from(text)));
        }
    }
}
