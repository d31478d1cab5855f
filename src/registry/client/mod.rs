//! A client for the small part of the distribution API that is left to us: manifests, read and put.
//!
//! Blobs are pushed by builders, except small ones that are copied between registries. What a registry sends is bounded and checked against its digest; where it sends us is
//! followed without our authorization; what it refuses is not asked for again. The protocol is the distribution
//! specification of OCI, 1.1.

mod access;
mod blobs;
mod call;
pub(crate) mod error;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};

use super::index::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use super::token::{Tokens, printable};
use crate::text::digest::sha256;
use access::Access;
use call::{Answer, Call};
pub use error::ClientError;
use error::Trouble;

/// Registries refuse manifests beyond this size.
const MANIFEST_LIMIT_BYTES: usize = 4 << 20;

/// A manifest or an index, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What it is.
    pub media_type: String,
    /// `sha256:…` of `bytes`, computed here.
    pub digest: String,
    /// JSON.
    pub bytes: Bytes,
}

impl Manifest {
    /// Computes the digest.
    #[must_use]
    pub fn new(media_type: impl Into<String>, bytes: Bytes) -> Self {
        Self {
            media_type: media_type.into(),
            digest: sha256(&bytes),
            bytes,
        }
    }
}

/// Talks to registries, with the logins and tokens that it is given.
#[derive(Debug)]
pub struct Client {
    tokens: Arc<Tokens>,
    /// What let us in, by host, repository and whether it was to push.
    access: Mutex<HashMap<(String, String, bool), Access>>,
}

impl Client {
    /// Reaches registries as `tokens` does.
    #[must_use]
    pub fn new(tokens: Arc<Tokens>) -> Self {
        Self {
            tokens,
            access: Mutex::default(),
        }
    }

    /// Reads the manifest or index that `reference`, a tag or a digest, stands for.
    pub async fn manifest(
        &self,
        host: &str,
        repository: &str,
        reference: &str,
    ) -> Result<Manifest, ClientError> {
        let call = manifest_call(host, repository, reference);
        let answer = self.exchange(&call).await?;
        manifest_of(&call, &answer)
    }

    /// The digest of the manifest at a tag; `None` if there is none, or if it cannot be read, also not with the repeats of any
    /// other call.
    pub async fn digest_at(&self, host: &str, repository: &str, tag: &str) -> Option<String> {
        let call = manifest_call(host, repository, tag);
        digest_of(&call, self.exchange(&call).await)
    }

    /// Puts a manifest or index where `reference`, a tag or its digest, stands for it from then on.
    ///
    /// All that it names must be there already. May be repeated: the same bytes make the same manifest. If the answer to
    /// an attempt was lost, a registry with immutable tags refuses the next one; so after a refusal of that kind the tag is
    /// read, and the same digest there is a success.
    pub async fn put_manifest(
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
        let (answer, is_repeated) = self.attempts(&call).await;
        let error = match answer {
            Ok(answer) if answer.status.is_success() => {
                let digest = answer.header("docker-content-digest");
                if digest.starts_with("sha256:") && digest != manifest.digest {
                    let what =
                        format!("it keeps another digest, {digest}, for {}", manifest.digest);
                    return Err(call.error(Trouble::Malformed(what)));
                }
                return Ok(());
            }
            Ok(answer) => call.error(Trouble::of_answer(&answer)),
            Err(error) => error,
        };
        if is_repeated || error.is_immutable_tag() {
            let digest = if error.is_transient() {
                // The registry has been out of order through all repeats.
                let call = manifest_call(host, repository, reference);
                digest_of(&call, self.let_in(&call).await)
            } else {
                self.digest_at(host, repository, reference).await
            };
            if digest.as_ref() == Some(&manifest.digest) {
                tracing::debug!("`{host}` has {digest:?} at `{reference}` already");
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

fn digest_of(call: &Call<'_>, answer: Result<Answer, ClientError>) -> Option<String> {
    Some(manifest_of(call, &answer.ok()?).ok()?.digest)
}

/// Reads the manifest in an answer, and checks its digest.
fn manifest_of(call: &Call<'_>, answer: &Answer) -> Result<Manifest, ClientError> {
    if answer.status != StatusCode::OK {
        return Err(call.error(Trouble::of_answer(answer)));
    }
    let content_type = answer.header("content-type");
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    // A storage that the registry has sent us on to knows nothing of manifests.
    let media_type = match media_type {
        OCI_INDEX | DOCKER_LIST | OCI_MANIFEST | DOCKER_MANIFEST => media_type.to_owned(),
        other => told_inside(&answer.body).unwrap_or_else(|| printable(other, 100)),
    };
    let manifest = Manifest::new(media_type, answer.body.clone());
    let digests = [answer.header("docker-content-digest"), call.reference];
    for digest in digests
        .into_iter()
        .filter(|text| text.starts_with("sha256:"))
    {
        if digest != manifest.digest {
            let what = format!("what came has the digest {}", manifest.digest);
            return Err(call.error(Trouble::Malformed(what)));
        }
    }
    Ok(manifest)
}

/// What a manifest says itself that it is.
fn told_inside(body: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(printable(json.get("mediaType")?.as_str()?, 100))
}

fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}
