//! The bodies of responses, read within a limit.

use bytes::{Bytes, BytesMut};
use reqwest::Response;

/// Why a body was not read.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// It is longer than the limit.
    TooLarge,
    /// The connection failed.
    Broken(reqwest::Error),
}

/// Reads a body of at most `limit_bytes`.
///
/// # Errors
/// The body is longer, or the connection failed.
pub(crate) async fn read(response: &mut Response, limit_bytes: usize) -> Result<Bytes, BodyError> {
    let mut body = BytesMut::new();
    append(&mut body, response, limit_bytes).await?;
    Ok(body.freeze())
}

/// Reads the start of a body, in whole chunks of at most `limit_bytes` together. An error ends the body: the message in
/// an error response is optional.
pub(crate) async fn read_start(response: &mut Response, limit_bytes: usize) -> Bytes {
    let mut body = BytesMut::new();
    let _incomplete = append(&mut body, response, limit_bytes).await;
    body.freeze()
}

async fn append(
    body: &mut BytesMut,
    response: &mut Response,
    limit_bytes: usize,
) -> Result<(), BodyError> {
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > limit_bytes {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;

    use super::*;

    fn response(chunks: impl IntoIterator<Item = io::Result<&'static str>>) -> Response {
        let chunks: Vec<_> = chunks.into_iter().collect();
        let body = reqwest::Body::wrap_stream(stream::iter(chunks));
        http::Response::new(body).into()
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_no_further() {
        let chunks = || response([Ok("one"), Ok("two")]);
        assert_eq!(read(&mut chunks(), 6).await.unwrap(), "onetwo");
        let error = read(&mut chunks(), 5).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge), "{error:?}");
        assert_eq!(read_start(&mut chunks(), 6).await, "onetwo");
        assert_eq!(read_start(&mut chunks(), 5).await, "one");
    }

    #[tokio::test]
    async fn a_broken_body_is_an_error_unless_its_start_is_enough() {
        let broken = || response([Ok("one"), Err(io::Error::other("lost"))]);
        let error = read(&mut broken(), 9).await.unwrap_err();
        assert!(matches!(error, BodyError::Broken(_)), "{error:?}");
        assert_eq!(read_start(&mut broken(), 9).await, "one");
    }
}
