//! Reads pushed images back and verifies every digest.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use ring::digest;
use serde::Deserialize;

use crate::engine::Address;
use crate::engine::http::send;

/// Registries reject larger manifests.
const MANIFEST_LIMIT_BYTES: usize = 4 << 20;
/// Images of tests are far smaller.
const BLOB_LIMIT_BYTES: usize = 512 << 20;
const TAGS_LIMIT_BYTES: usize = 1 << 20;

const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or an index, byte for byte as it was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// `sha256:…` of `bytes`, computed here.
    pub digest: String,
    /// The media type, as the registry reports it.
    pub media_type: String,
    /// The JSON text.
    pub bytes: Bytes,
}

impl Manifest {
    /// The manifest as JSON.
    pub fn json(&self) -> Result<serde_json::Value, ReadError> {
        serde_json::from_slice(&self.bytes).map_err(|error| ReadError::Connection {
            what: self.digest.clone(),
            source: error.into(),
        })
    }
}

/// The reading half of a registry's API.
#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
    authorization: HeaderValue,
}

impl Client {
    pub(super) fn new(address: SocketAddr, authorization: &str) -> Option<Self> {
        let mut authorization = HeaderValue::try_from(authorization).ok()?;
        authorization.set_sensitive(true);
        Some(Self {
            address,
            authorization,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the registry responds and accepts the credentials.
    pub(super) async fn is_ready(&self) -> bool {
        self.get("/v2/", "", TAGS_LIMIT_BYTES)
            .await
            .is_ok_and(|response| response.status() == StatusCode::OK)
    }

    pub(super) async fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Manifest, ReadError> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let (headers, bytes) = self
            .read(&path, MANIFEST_TYPES, MANIFEST_LIMIT_BYTES)
            .await?;
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let digest = sha256(&bytes);
        let reported = text("docker-content-digest");
        for expected in [reported.as_str(), reference]
            .into_iter()
            .filter(|expected| expected.contains(':'))
        {
            expect(&path, expected, &digest)?;
        }
        Ok(Manifest {
            digest,
            media_type: text("content-type"),
            bytes,
        })
    }

    pub(super) async fn blob(&self, repository: &str, digest: &str) -> Result<Bytes, ReadError> {
        let path = format!("/v2/{repository}/blobs/{digest}");
        let (_, bytes) = self.read(&path, "", BLOB_LIMIT_BYTES).await?;
        expect(&path, digest, &sha256(&bytes))?;
        Ok(bytes)
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<Vec<String>, ReadError> {
        #[derive(Deserialize)]
        struct List {
            tags: Option<Vec<String>>,
        }
        let path = format!("/v2/{repository}/tags/list");
        let bytes = match self.read(&path, "", TAGS_LIMIT_BYTES).await {
            Ok((_, bytes)) => bytes,
            Err(ReadError::Missing { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let list: List = serde_json::from_slice(&bytes).map_err(|error| ReadError::Connection {
            what: path,
            source: error.into(),
        })?;
        let mut tags = list.tags.unwrap_or_default();
        tags.sort();
        Ok(tags)
    }

    /// Reads a path that must exist.
    async fn read(
        &self,
        path: &str,
        accept: &str,
        limit: usize,
    ) -> Result<(HeaderMap, Bytes), ReadError> {
        let response = self.get(path, accept, limit).await;
        let response = response.map_err(|source| ReadError::Connection {
            what: path.to_owned(),
            source,
        })?;
        let (head, bytes) = response.into_parts();
        match head.status {
            StatusCode::OK => Ok((head.headers, bytes)),
            StatusCode::NOT_FOUND => Err(ReadError::Missing {
                what: path.to_owned(),
            }),
            status => Err(ReadError::Status {
                what: path.to_owned(),
                status,
            }),
        }
    }

    async fn get(&self, path: &str, accept: &str, limit: usize) -> io::Result<Response<Bytes>> {
        let mut request = Request::get(path).header(header::AUTHORIZATION, &self.authorization);
        if !accept.is_empty() {
            request = request.header(header::ACCEPT, accept);
        }
        let request = request.body(Bytes::new()).map_err(io::Error::other)?;
        send(&Address::Tcp(self.address.to_string()), request, limit).await
    }
}

/// The digest of `bytes` in a registry's notation.
fn sha256(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .fold("sha256:".to_owned(), |text, byte| {
            format!("{text}{byte:02x}")
        })
}

fn expect(what: &str, expected: &str, actual: &str) -> Result<(), ReadError> {
    if expected == actual {
        Ok(())
    } else {
        Err(ReadError::Digest {
            what: what.to_owned(),
            expected: expected.to_owned(),
            actual: actual.to_owned(),
        })
    }
}

/// Why something could not be read from the registry.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It does not exist.
    #[error("the registry has no `{what}`")]
    Missing {
        /// Its path in the registry's API.
        what: String,
    },
    /// Its content does not match its digest.
    #[error("`{what}` has the digest {actual} instead of {expected}")]
    Digest {
        /// Its path in the registry's API.
        what: String,
        /// The digest that was requested or reported.
        expected: String,
        /// The digest of the content.
        actual: String,
    },
    /// The registry returned an error.
    #[error("the registry returned {status} for `{what}`")]
    Status {
        /// The path in the registry's API.
        what: String,
        /// The status.
        status: StatusCode,
    },
    /// No response, or an invalid one.
    #[error("`{what}` could not be read")]
    Connection {
        /// Its path or digest.
        what: String,
        /// The cause.
        source: io::Error,
    },
}
