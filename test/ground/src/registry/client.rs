//! Reads back what was pushed, and believes no digest that it has not computed.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use ring::digest;
use serde::Deserialize;

use crate::engine::{Address, http::send};

/// Registries refuse manifests beyond this size.
const MANIFEST_LIMIT: usize = 4 << 20;
/// Tests' own images stay far below it.
const BLOB_LIMIT: usize = 512 << 20;
const TAGS_LIMIT: usize = 1 << 20;

const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or an index, byte for byte as it was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// `sha256:…` of `bytes`, computed here.
    pub digest: String,
    /// What the registry says that it is.
    pub media_type: String,
    /// JSON.
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

    /// Whether the registry answers, and lets our user in.
    pub(super) async fn is_ready(&self) -> bool {
        self.get("/v2/", "", TAGS_LIMIT)
            .await
            .is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    pub(super) async fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Manifest, ReadError> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let (headers, bytes) = self.found(&path, MANIFEST_TYPES, MANIFEST_LIMIT).await?;
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let digest = sha256(&bytes);
        let told = text("docker-content-digest");
        for expected in [told.as_str(), reference]
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
        let (_, bytes) = self.found(&path, "", BLOB_LIMIT).await?;
        expect(&path, digest, &sha256(&bytes))?;
        Ok(bytes)
    }

    pub(super) async fn tags(&self, repository: &str) -> Result<Vec<String>, ReadError> {
        #[derive(Deserialize)]
        struct List {
            tags: Option<Vec<String>>,
        }
        let path = format!("/v2/{repository}/tags/list");
        let bytes = match self.found(&path, "", TAGS_LIMIT).await {
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

    /// Reads what must be there.
    async fn found(
        &self,
        path: &str,
        accept: &str,
        limit: usize,
    ) -> Result<(HeaderMap, Bytes), ReadError> {
        let answer = self.get(path, accept, limit).await;
        let answer = answer.map_err(|source| ReadError::Connection {
            what: path.to_owned(),
            source,
        })?;
        let (head, bytes) = answer.into_parts();
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
    /// It is not there.
    #[error("the registry has no `{what}`")]
    Missing {
        /// Its path in the registry's API.
        what: String,
    },
    /// It has other bytes than its digest says.
    #[error("`{what}` should be {expected} and is {actual}")]
    Digest {
        /// Its path in the registry's API.
        what: String,
        /// The digest that was asked for or promised.
        expected: String,
        /// The digest of what came.
        actual: String,
    },
    /// The registry refused.
    #[error("the registry answered {status} for `{what}`")]
    Status {
        /// The path in the registry's API.
        what: String,
        /// What it answered.
        status: StatusCode,
    },
    /// No answer, or none that can be read.
    #[error("`{what}` could not be read")]
    Connection {
        /// What was read.
        what: String,
        /// What went wrong.
        source: io::Error,
    },
}
