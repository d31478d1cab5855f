//! Depot's fork of BuildKit: attributes of a solve, keys of its response, and leases.
//!
//! Another BuildKit ignores the attributes and returns none of the keys. Source: the released CLI and Depot's public fork.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::uri::PathAndQuery;
use serde::Deserialize;
use tonic::Status;

use crate::buildkit::Connection;
use crate::text::shape;

/// The prefix of the keys that the fork adds to the response of a solve. Their values are large and useful only for a load.
pub(crate) const RESPONSE_PREFIX: &str = "depot/";

/// The response key of the exported images: JSON in base64, see [`parse_images`].
pub(crate) const EXPORTED_IMAGES: &str = "depot/images.exported";

/// The response key of the SBOMs: JSON in base64, see [`parse_sboms`]. It needs [`EXPORT_IMAGES`].
pub(crate) const SBOMS: &str = "depot/sboms";

/// The maximum number of SBOMs in a response.
const MAX_SBOMS: usize = 256;

/// The response key of the lease that keeps the exported content.
const LEASE: &str = "depot/session.id";

/// The frontend's attribute for the name of the image: that of a bake target, or `default`, as in the released CLI.
pub(crate) const TARGET_ATTRIBUTE: &str = "build-arg:DEPOT_TARGET";

/// The exporter's attribute that adds [`EXPORTED_IMAGES`] to the response.
pub(crate) const EXPORT_IMAGES: (&str, &str) = ("depot.export.image.version", "2");

/// The exporter's attribute that keeps the exported content with a lease. Without [`delete_lease`], it expires after an hour.
pub(crate) const EXPORT_LEASE: (&str, &str) = ("depot.export.lease", "true");

/// The lease in the response of a solve, if it is valid.
pub(crate) fn lease(response: &HashMap<String, String>) -> Option<&str> {
    let lease = response.get(LEASE)?;
    shape::is_id(lease).then_some(lease)
}

/// An exported image. Both are the original bytes, because their digests matter.
pub(crate) struct ExportedImage {
    /// The manifest.
    pub(crate) manifest: Bytes,
    /// The config.
    pub(crate) config: Bytes,
}

/// Parses the value of [`EXPORTED_IMAGES`]: a list of manifests and configs, each in base64.
///
/// # Errors
/// The problem, as a text for the log.
pub(crate) fn parse_images(encoded: &str) -> Result<Vec<ExportedImage>, String> {
    #[derive(Deserialize)]
    struct Encoded {
        manifest: String,
        config: String,
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|error| error.to_string());
    let images: Vec<Encoded> =
        serde_json::from_slice(&decode(encoded)?).map_err(|error| error.to_string())?;
    let images = images.iter().map(|image| {
        Ok(ExportedImage {
            manifest: decode(&image.manifest)?.into(),
            config: decode(&image.config)?.into(),
        })
    });
    images.collect()
}

/// Parses the value of [`SBOMS`]: the platform and the digest of each statement, in the builder's order.
///
/// # Errors
/// The problem, as a text for the log.
pub(crate) fn parse_sboms(encoded: &str) -> Result<Vec<(String, String)>, String> {
    #[derive(Deserialize)]
    struct Encoded {
        platform: String,
        digest: String,
    }
    let json = STANDARD
        .decode(encoded)
        .map_err(|error| error.to_string())?;
    let sboms: Vec<Encoded> = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    if sboms.len() > MAX_SBOMS {
        return Err(format!("it has more than {MAX_SBOMS} entries"));
    }
    let sboms = sboms.into_iter().map(|sbom| {
        // The platform becomes the name of a file.
        let mut parts = sbom.platform.split('/');
        if !parts.all(shape::is_platform_part) || !shape::is_digest(&sbom.digest) {
            return Err("an entry has an invalid platform or digest".to_owned());
        }
        Ok((sbom.platform, sbom.digest))
    });
    sboms.collect()
}

/// `DeleteRequest` of containerd's leases.
#[derive(Clone, PartialEq, prost::Message)]
struct DeleteRequest {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Empty {}

/// Deletes a lease, so that the builder may remove the content that it kept.
///
/// The fork serves containerd's leases on the builder's connection (`containerd/api/services/leases/v1`).
pub(crate) async fn delete_lease(connection: &Connection, id: &str) -> Result<(), Status> {
    let path = PathAndQuery::from_static("/containerd.services.leases.v1.Leases/Delete");
    let request = DeleteRequest { id: id.to_owned() };
    let Empty {} = connection.call(path, request).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_with_an_invalid_id_is_ignored() {
        let lease_of = |id: &str| {
            let response = HashMap::from([("depot/session.id".to_owned(), id.to_owned())]);
            lease(&response).map(str::to_owned)
        };
        assert_eq!(lease_of("abc123").as_deref(), Some("abc123"));
        assert_eq!(lease_of("../x"), None);
        assert_eq!(lease_of(""), None);
        assert_eq!(lease(&HashMap::new()), None);
    }

    #[test]
    fn sboms_have_a_platform_and_a_digest_that_are_safe() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let parse = |platform: &str, digest: &str| {
            let json =
                serde_json::json!([{ "platform": platform, "digest": digest, "image": null }]);
            parse_sboms(&STANDARD.encode(json.to_string()))
        };
        let expected = vec![("linux/arm/v7".to_owned(), digest.clone())];
        assert_eq!(parse("linux/arm/v7", &digest), Ok(expected));
        for platform in ["", "linux//arm", "../x", "linux/a b", "linux/\n"] {
            assert!(parse(platform, &digest).is_err(), "{platform}");
        }
        assert!(parse("linux/amd64", "sha256:x").is_err());
        for broken in ["!", "", "e30=", "W3t9XQ=="] {
            assert!(parse_sboms(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn exported_images_keep_their_bytes_and_invalid_ones_are_errors() {
        // With white space that serialization would not reproduce.
        let json = format!(
            r#"[{{"manifest":"{}","config":"{}"}}]"#,
            STANDARD.encode("{ \"a\":  1 }"),
            STANDARD.encode("{}\n")
        );
        let images = parse_images(&STANDARD.encode(json)).unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!(&*images[0].manifest, b"{ \"a\":  1 }");
        assert_eq!(&*images[0].config, b"{}\n");
        let not_base64 = STANDARD.encode(r#"[{"manifest":"!","config":""}]"#);
        for broken in ["!", "", "e30=", &not_base64] {
            assert!(parse_images(broken).is_err(), "{broken}");
        }
    }
}
