//! Small blobs, read and put: those of attestations, which are copied between registries.

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::{Method, StatusCode};
use url::Url;

use super::call::{Answer, CALL_LIMIT, Call, read};
use super::error::{ClientError, Trouble};
use super::{Client, header_value};
use crate::text::digest::sha256;

/// Begins an upload.
const UPLOADS: &str = "uploads/";

impl Client {
    /// Reads a blob that is no larger than a manifest may be.
    pub async fn blob(
        &self,
        host: &str,
        repository: &str,
        digest: &str,
    ) -> Result<Bytes, ClientError> {
        let call = Call {
            kind: "blobs",
            ..Call::new(Method::GET, host, repository, digest)
        };
        let answer = self.exchange(&call).await?;
        if answer.status != StatusCode::OK {
            return Err(call.error(Trouble::of_answer(&answer)));
        }
        let actual = sha256(&answer.body);
        if actual != digest {
            let what = format!("what came has the digest {actual}");
            return Err(call.error(Trouble::Malformed(what)));
        }
        Ok(answer.body)
    }

    /// Puts a blob, in one piece: `POST` begins an upload, and `PUT` to the address that it returns ends it.
    pub async fn put_blob(
        &self,
        host: &str,
        repository: &str,
        blob: Bytes,
    ) -> Result<(), ClientError> {
        let call = Call {
            kind: "blobs",
            ..Call::new(Method::POST, host, repository, UPLOADS)
        };
        let answer = self.exchange(&call).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(call.error(Trouble::of_answer(&answer)));
        }
        let place = upload_place(&answer, &sha256(&blob)).map_err(|trouble| call.error(trouble))?;
        let mut request = self
            .tokens
            .reach
            .own(host, &place)
            .put(place)
            .timeout(CALL_LIMIT)
            .body(blob);
        if let Some(value) = header_value("application/octet-stream") {
            request = request.header(CONTENT_TYPE, value);
        }
        if let Some(access) = self.known_access(&call) {
            request = request.header(AUTHORIZATION, access);
        }
        let sending = async {
            let response = crate::http::trace::send(request)
                .await
                .map_err(Trouble::transport)?;
            read(response, false).await
        };
        let answer = sending.await.map_err(|trouble| call.error(trouble))?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(call.error(Trouble::of_answer(&answer)))
        }
    }
}

/// Where an upload ends. Only the registry's own address gets it, since it comes with our authorization.
fn upload_place(answer: &Answer, digest: &str) -> Result<Url, Trouble> {
    let malformed =
        || Trouble::Malformed("its response to the upload has no usable Location".into());
    let begun_at = answer.url.as_ref().ok_or_else(malformed)?;
    let location = answer.header(LOCATION.as_str());
    if location.is_empty() {
        return Err(malformed());
    }
    let mut place = begun_at.join(location).map_err(|_| malformed())?;
    if place.origin() != begun_at.origin() {
        let to = place.host_str().unwrap_or_default().to_owned();
        return Err(Trouble::Redirected { to });
    }
    place.query_pairs_mut().append_pair("digest", digest);
    Ok(place)
}
