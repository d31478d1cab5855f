//! Reading and pushing small blobs: those of attestations, which are copied between registries.

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::{Method, StatusCode};
use url::Url;

use super::call::{CALL_LIMIT, read};
use super::error::{Cause, ClientError};
use super::request::{Call, Reply};
use super::{Client, header_value};
use crate::text::digest::sha256;

/// The path at which an upload begins.
const UPLOADS: &str = "uploads/";

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

    /// Pushes a blob in one piece: `POST` begins an upload, and `PUT` to the returned address completes it.
    pub(crate) async fn put_blob(
        &self,
        host: &str,
        repository: &str,
        blob: Bytes,
    ) -> Result<(), ClientError> {
        let call = Call {
            kind: "blobs",
            ..Call::new(Method::POST, host, repository, UPLOADS)
        };
        let reply = self.exchange(&call).await?;
        if reply.status != StatusCode::ACCEPTED {
            return Err(ClientError::new(&call, Cause::of_reply(&reply)));
        }
        let url =
            upload_url(&reply, &sha256(&blob)).map_err(|cause| ClientError::new(&call, cause))?;
        let mut request = self
            .tokens
            .reach
            .client_for_registry(host, &url)
            .put(url)
            .timeout(CALL_LIMIT)
            .body(blob);
        if let Some(value) = header_value("application/octet-stream") {
            request = request.header(CONTENT_TYPE, value);
        }
        if let Some(value) = self.cached_authorization(&call) {
            request = request.header(AUTHORIZATION, value);
        }
        let sending = async {
            let response = crate::http::trace::send(request)
                .await
                .map_err(Cause::transport)?;
            read(response, false).await
        };
        let reply = sending
            .await
            .map_err(|cause| ClientError::new(&call, cause))?;
        if reply.status.is_success() {
            Ok(())
        } else {
            Err(ClientError::new(&call, Cause::of_reply(&reply)))
        }
    }
}

/// The address at which an upload is completed. It must be the registry's own: the request contains our authorization.
fn upload_url(reply: &Reply, digest: &str) -> Result<Url, Cause> {
    let malformed = || Cause::Malformed("its response to the upload has no usable Location".into());
    let begun_at = reply.url.as_ref().ok_or_else(malformed)?;
    let location = reply.header(LOCATION.as_str());
    if location.is_empty() {
        return Err(malformed());
    }
    let mut url = begun_at.join(location).map_err(|_| malformed())?;
    if url.origin() != begun_at.origin() {
        let to = url.host_str().unwrap_or_default().to_owned();
        return Err(Cause::Redirected { to });
    }
    url.query_pairs_mut().append_pair("digest", digest);
    Ok(url)
}
