//! Reading blobs of any size, as streams.
//!
//! An interrupted stream continues where it ended, with a range request. A registry that ignores the range sends the blob from
//! its start, and the bytes that are known are skipped.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, stream};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::error::{Cause, ClientError};
use super::request::Call;
use super::{Client, header_value};
use crate::http::header;

/// The time without any data after which a stream is interrupted.
const QUIET_LIMIT: Duration = Duration::from_mins(1);

/// The number of interruptions without [`PROGRESS_BYTES`] in between.
const MAX_INTERRUPTIONS: u32 = 5;

/// The pause after the first interruption; doubled after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// After this many bytes, the earlier interruptions are forgotten.
const PROGRESS_BYTES: u64 = 1 << 20;

/// A part of a blob. Owned, because a stream outlives its creation.
#[derive(Clone, Debug)]
pub(crate) struct BlobRange {
    /// The registry.
    pub(crate) host: String,
    /// The repository.
    pub(crate) repository: String,
    /// The digest of the whole blob.
    pub(crate) digest: String,
    /// The first byte.
    pub(crate) offset: u64,
    /// The number of bytes, within the blob.
    pub(crate) length: u64,
}

/// The state of a stream.
struct Reading {
    client: Arc<Client>,
    range: BlobRange,
    /// The open response, and how many of its next bytes are skipped.
    open: Option<(Response, u64)>,
    interruptions: u32,
    /// The bytes since the last interruption.
    progress: u64,
}

impl Client {
    /// Reads a part of a blob, unverified. Ends after an error. Dropping the stream ends the read.
    pub(crate) fn read_blob(
        self: &Arc<Self>,
        range: BlobRange,
    ) -> impl Stream<Item = Result<Bytes, ClientError>> + Send + use<> {
        let reading = Reading {
            client: Arc::clone(self),
            range,
            open: None,
            interruptions: 0,
            progress: 0,
        };
        stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

impl Reading {
    /// The next chunk; `None` at the end of the range.
    async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if self.range.length == 0 {
                return Ok(None);
            }
            let (response, skipped) = match &mut self.open {
                Some(open) => open,
                None => {
                    let open = self.request().await?;
                    self.open.insert(open)
                }
            };
            let cause = match tokio::time::timeout(QUIET_LIMIT, response.chunk()).await {
                Ok(Ok(Some(mut chunk))) => {
                    let skip =
                        usize::try_from(*skipped).map_or(chunk.len(), |skip| skip.min(chunk.len()));
                    chunk.advance(skip);
                    *skipped -= skip as u64;
                    let left = usize::try_from(self.range.length).unwrap_or(usize::MAX);
                    chunk.truncate(left);
                    if chunk.is_empty() {
                        continue;
                    }
                    self.count(chunk.len() as u64);
                    return Ok(Some(chunk));
                }
                Ok(Ok(None)) => Cause::Malformed("it sent an incomplete blob".into()),
                Ok(Err(error)) => Cause::transport(error),
                Err(_) => Cause::Stalled,
            };
            self.interrupt(cause).await?;
        }
    }

    fn count(&mut self, bytes: u64) {
        self.range.offset += bytes;
        self.range.length -= bytes;
        self.progress += bytes;
        if self.progress >= PROGRESS_BYTES {
            self.interruptions = 0;
        }
    }

    /// Closes the response, and pauses before the next one.
    async fn interrupt(&mut self, cause: Cause) -> Result<(), ClientError> {
        self.open = None;
        self.progress = 0;
        self.interruptions += 1;
        let error = ClientError::new(&self.call(), cause);
        if self.interruptions > MAX_INTERRUPTIONS {
            return Err(error);
        }
        let pause = FIRST_PAUSE * (1 << (self.interruptions - 1));
        tracing::warn!(
            "the transfer of {} from `{}` was interrupted ({}); continuing at byte {}",
            self.range.digest,
            self.range.host,
            error.cause_line(),
            self.range.offset
        );
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Requests the rest of the range. Returns the response, and how many of its bytes come before the range.
    async fn request(&self) -> Result<(Response, u64), ClientError> {
        let call = self.call();
        let mut reply = self.client.exchange(&call).await?;
        let Some(response) = reply.stream.take() else {
            return Err(ClientError::new(&call, Cause::of_reply(&reply)));
        };
        let offset = self.range.offset;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = header(response.headers(), CONTENT_RANGE);
                if range.starts_with(&format!("bytes {offset}-")) {
                    return Ok((response, 0));
                }
                let problem = "it sent another part of the blob than requested".into();
                Err(ClientError::new(&call, Cause::Malformed(problem)))
            }
            _ => Ok((response, offset)),
        }
    }

    fn call(&self) -> Call<'_> {
        let BlobRange {
            host,
            repository,
            digest,
            offset,
            length,
        } = &self.range;
        let mut call = Call {
            kind: "blobs",
            is_stream: true,
            ..Call::new(Method::GET, host, repository, digest)
        };
        let range = format!("bytes={offset}-{}", (offset + length).saturating_sub(1));
        call.headers
            .extend(header_value(&range).map(|value| (RANGE, value)));
        call
    }
}
