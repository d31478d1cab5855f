//! A client for the part of the distribution API that the program itself needs: reading and pushing manifests.
//!
//! Builders push blobs, except those that are copied between registries. Responses are limited in size and verified
//! against their digest, except streams, which the caller verifies. Redirects are followed without our authorization. Rejected requests are not repeated. The protocol
//! is OCI's distribution specification 1.1.

mod authorization;
mod blobs;
mod call;
pub(crate) mod error;
mod request;
mod stream;
#[cfg(test)]
pub(in crate::registry) mod tests;
mod upload;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};

use super::manifest::{DOCKER_LIST, DOCKER_MANIFEST, Manifest, OCI_INDEX, OCI_MANIFEST};
use super::token::Tokens;
use crate::text::cut::printable;
use authorization::{Authorization, Purpose};
use error::Cause;
pub(crate) use error::ClientError;
use request::{Call, Reply};
pub(crate) use stream::BlobRange;
pub(crate) use upload::{Begun, Upload};

/// Registries reject larger manifests.
const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// A client for all registries.
#[derive(Debug)]
pub(crate) struct Client {
    tokens: Arc<Tokens>,
    /// Accepted values.
    authorizations: Mutex<HashMap<Purpose, Authorization>>,
}

impl Client {
    /// Reaches and authenticates to registries through `tokens`.
    #[must_use]
    pub(crate) fn new(tokens: Arc<Tokens>) -> Self {
        Self {
            tokens,
            authorizations: Mutex::default(),
        }
    }

    /// Reads the manifest or index with the tag or digest `reference`.
    pub(crate) async fn manifest(
        &self,
        host: &str,
        repository: &str,
        reference: &str,
    ) -> Result<Manifest, ClientError> {
        let call = manifest_call(host, repository, reference);
        let reply = self.exchange(&call).await?;
        manifest_of(&call, &reply)
    }

    /// Whether a repository that is pushed to has the manifest with this digest. False if that is not known.
    pub(crate) async fn has_manifest(
        &self,
        host: &str,
        repository: &str,
        digest: &str,
    ) -> Result<bool, ClientError> {
        let call = Call {
            method: Method::HEAD,
            is_push: true,
            ..manifest_call(host, repository, digest)
        };
        Ok(self.exchange(&call).await?.status == StatusCode::OK)
    }

    /// The digest of the manifest at a tag. `None` if it does not exist or cannot be read, after the usual retries.
    pub(crate) async fn digest_at(
        &self,
        host: &str,
        repository: &str,
        tag: &str,
    ) -> Option<String> {
        let call = manifest_call(host, repository, tag);
        digest_of(&call, self.exchange(&call).await)
    }

    /// The digest of the manifest at a tag; `None` if the tag or the repository does not exist.
    pub(crate) async fn digest_of_tag(
        &self,
        host: &str,
        repository: &str,
        tag: &str,
    ) -> Result<Option<String>, ClientError> {
        let call = Call {
            method: Method::HEAD,
            ..manifest_call(host, repository, tag)
        };
        let reply = self.exchange(&call).await?;
        let digest = reply.header("docker-content-digest");
        match reply.status {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK if crate::text::shape::is_digest(digest) => Ok(Some(digest.to_owned())),
            // Some registries do not support HEAD, or return no digest.
            _ => match self.manifest(host, repository, tag).await {
                Ok(manifest) => Ok(Some(manifest.digest)),
                Err(error) if error.status() == Some(404) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// Pushes a manifest or index under `reference`, a tag or its digest.
    ///
    /// Everything that it refers to must exist in the repository. Retries are safe: the same bytes are the same manifest. If
    /// the response to an attempt was lost, a registry with immutable tags rejects the next one. So after such a rejection the
    /// tag is read, and if it has the same digest, the push has succeeded.
    pub(crate) async fn put_manifest(
        &self,
        host: &str,
        repository: &str,
        reference: &str,
        manifest: &Manifest,
    ) -> Result<(), ClientError> {
        let mut call = Call::new(Method::PUT, host, repository, reference);
        let media_type = header_value(&manifest.media_type);
        call.headers
            .extend(media_type.map(|value| (CONTENT_TYPE, value)));
        call.body = manifest.bytes.clone();
        let (outcome, is_repeated) = self.attempts(&call).await;
        let error = match outcome {
            Ok(reply) if reply.status.is_success() => {
                let digest = reply.header("docker-content-digest");
                if digest.starts_with("sha256:") && digest != manifest.digest {
                    let problem = format!(
                        "it stored the digest {digest} instead of {}",
                        manifest.digest
                    );
                    return Err(ClientError::new(&call, Cause::Malformed(problem)));
                }
                return Ok(());
            }
            Ok(reply) => ClientError::new(&call, Cause::of_reply(&reply)),
            Err(error) => error,
        };
        if is_repeated || error.is_immutable_tag() {
            let digest = if error.is_transient() {
                // The registry was unavailable for all attempts, so it gets only one more.
                let call = manifest_call(host, repository, reference);
                digest_of(&call, self.authenticated(&call).await)
            } else {
                self.digest_at(host, repository, reference).await
            };
            if digest.as_ref() == Some(&manifest.digest) {
                tracing::debug!("`{host}` already has {digest:?} at `{reference}`");
                return Ok(());
            }
        }
        Err(error)
    }
}

fn manifest_call<'a>(host: &'a str, repository: &'a str, reference: &'a str) -> Call<'a> {
    let mut call = Call::new(Method::GET, host, repository, reference);
    let accept = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST].join(", ");
    call.headers
        .extend(header_value(&accept).map(|value| (ACCEPT, value)));
    call
}

fn digest_of(call: &Call<'_>, outcome: Result<Reply, ClientError>) -> Option<String> {
    Some(manifest_of(call, &outcome.ok()?).ok()?.digest)
}

/// The manifest in a reply, with a verified digest.
fn manifest_of(call: &Call<'_>, reply: &Reply) -> Result<Manifest, ClientError> {
    if reply.status != StatusCode::OK {
        return Err(ClientError::new(call, Cause::of_reply(reply)));
    }
    let content_type = reply.header("content-type");
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    // A storage to which the registry redirects does not know media types of manifests.
    let media_type = match media_type {
        OCI_INDEX | DOCKER_LIST | OCI_MANIFEST | DOCKER_MANIFEST => media_type.to_owned(),
        other => declared_media_type(&reply.body).unwrap_or_else(|| printable(other, 100)),
    };
    let manifest = Manifest::new(media_type, reply.body.clone());
    let digests = [reply.header("docker-content-digest"), call.reference];
    for digest in digests
        .into_iter()
        .filter(|text| text.starts_with("sha256:"))
    {
        if digest != manifest.digest {
            let problem = format!("the content has the digest {}", manifest.digest);
            return Err(ClientError::new(call, Cause::Malformed(problem)));
        }
    }
    Ok(manifest)
}

/// The media type that a manifest declares itself.
fn declared_media_type(body: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(printable(json.get("mediaType")?.as_str()?, 100))
}

fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}
