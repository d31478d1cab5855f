//! Uploads of blobs in one piece: `POST` begins an upload, and `PUT` to the returned address completes it.

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Body, Method, StatusCode};
use url::Url;

use super::call::read;
use super::error::{Cause, ClientError};
use super::request::{Call, Reply};
use super::{Client, header_value};

/// The path at which an upload begins.
const UPLOADS: &str = "uploads/";

/// The response to the beginning of an upload.
#[derive(Debug)]
pub(crate) enum Begun {
    /// The registry mounted the blob, so there is nothing to upload.
    Mounted,
    /// The registry expects the blob.
    Upload(Upload),
}

/// An upload that has begun.
#[derive(Debug)]
pub(crate) struct Upload {
    host: String,
    repository: String,
    url: Url,
    authorization: Option<HeaderValue>,
}

impl Upload {
    /// The error of an upload without progress.
    pub(crate) fn stalled(&self) -> ClientError {
        ClientError::new(&self.call(), Cause::Stalled)
    }

    fn call(&self) -> Call<'_> {
        Call {
            kind: "blobs",
            ..Call::new(Method::POST, &self.host, &self.repository, UPLOADS)
        }
    }
}

impl Client {
    /// Begins an upload. `mount`: the digest of the blob, and another repository of the same registry that probably has it.
    pub(crate) async fn begin_upload(
        &self,
        host: &str,
        repository: &str,
        mount: Option<(&str, &str)>,
    ) -> Result<Begun, ClientError> {
        let call = Call {
            kind: "blobs",
            mount,
            ..Call::new(Method::POST, host, repository, UPLOADS)
        };
        let reply = self.exchange(&call).await?;
        match reply.status {
            StatusCode::CREATED if mount.is_some() => return Ok(Begun::Mounted),
            StatusCode::ACCEPTED => {}
            _ => return Err(ClientError::new(&call, Cause::of_reply(&reply))),
        }
        let url = upload_url(&reply).map_err(|cause| ClientError::new(&call, cause))?;
        Ok(Begun::Upload(Upload {
            host: host.to_owned(),
            repository: repository.to_owned(),
            url,
            authorization: reply.authorization,
        }))
    }

    /// Uploads `body`, which has `length` bytes and this digest, in one attempt without a limit of time.
    pub(crate) async fn complete_upload(
        &self,
        upload: &Upload,
        digest: &str,
        length: u64,
        body: impl Into<Body>,
    ) -> Result<(), ClientError> {
        let call = upload.call();
        let mut url = upload.url.clone();
        url.query_pairs_mut().append_pair("digest", digest);
        let client = self.tokens.reach.client_for_registry(&upload.host, &url);
        let mut request = client
            .put(url)
            .header(CONTENT_LENGTH, length)
            .body(body.into());
        if let Some(value) = header_value("application/octet-stream") {
            request = request.header(CONTENT_TYPE, value);
        }
        if let Some(value) = &upload.authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let sending = async {
            let response = crate::http::trace::send(request)
                .await
                .map_err(Cause::transport)?;
            read(response, false).await
        };
        let mut reply = sending
            .await
            .map_err(|cause| ClientError::new(&call, cause))?;
        if reply.status.is_success() {
            return Ok(());
        }
        reply.authorization.clone_from(&upload.authorization);
        Err(ClientError::new(&call, Cause::of_reply(&reply)))
    }
}

/// The address at which an upload is completed. It must be the registry's own: the request contains our authorization.
fn upload_url(reply: &Reply) -> Result<Url, Cause> {
    let malformed = || Cause::Malformed("its response to the upload has no usable Location".into());
    let begun_at = reply.url.as_ref().ok_or_else(malformed)?;
    let location = reply.header(LOCATION.as_str());
    if location.is_empty() {
        return Err(malformed());
    }
    let url = begun_at.join(location).map_err(|_| malformed())?;
    if url.origin() != begun_at.origin() {
        let to = url.host_str().unwrap_or_default().to_owned();
        return Err(Cause::Redirected { to });
    }
    Ok(url)
}
