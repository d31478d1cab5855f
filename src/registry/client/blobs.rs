//! Looking for blobs, and reading and pushing small ones, such as those of attestations.

use bytes::Bytes;
use reqwest::{Method, StatusCode};

use super::Client;
use super::call::CALL_LIMIT;
use super::error::{Cause, ClientError};
use super::request::Call;
use super::upload::Begun;
use crate::text::digest::sha256;

impl Client {
    /// Reads a blob. It must not be larger than the limit for manifests.
    pub(crate) async fn blob(
        &self,
        host: &str,
        repository: &str,
        digest: &str,
    ) -> Result<Bytes, ClientError> {
        let call = Call {
            kind: "blobs",
            ..Call::new(Method::GET, host, repository, digest)
        };
        let reply = self.exchange(&call).await?;
        if reply.status != StatusCode::OK {
            return Err(ClientError::new(&call, Cause::of_reply(&reply)));
        }
        let actual = sha256(&reply.body);
        if actual != digest {
            let problem = format!("the content has the digest {actual}");
            return Err(ClientError::new(&call, Cause::Malformed(problem)));
        }
        Ok(reply.body)
    }

    /// Whether a repository that is pushed to has a blob. False if that is not known.
    pub(crate) async fn has_blob(
        &self,
        host: &str,
        repository: &str,
        digest: &str,
    ) -> Result<bool, ClientError> {
        let call = Call {
            kind: "blobs",
            is_push: true,
            ..Call::new(Method::HEAD, host, repository, digest)
        };
        Ok(self.exchange(&call).await?.status == StatusCode::OK)
    }

    /// Pushes a small blob.
    pub(crate) async fn put_blob(
        &self,
        host: &str,
        repository: &str,
        blob: Bytes,
    ) -> Result<(), ClientError> {
        let digest = sha256(&blob);
        match self.begin_upload(host, repository, None).await? {
            Begun::Mounted => Ok(()),
            Begun::Upload(upload) => {
                let length = blob.len() as u64;
                let sending = self.complete_upload(&upload, &digest, length, blob);
                match tokio::time::timeout(CALL_LIMIT, sending).await {
                    Ok(sent) => sent,
                    Err(_) => Err(upload.stalled()),
                }
            }
        }
    }
}
