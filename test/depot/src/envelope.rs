//! The envelopes of a Connect stream: a byte of flags, four bytes of length, the message.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;

use crate::connect::{Code, ConnectError, MESSAGE_LIMIT_BYTES};

const COMPRESSED: u8 = 0b01;
const END_OF_STREAM: u8 = 0b10;
const HEADER_BYTES: usize = 5;

/// Reads the messages of a client's stream, one at a time. Holds at most one message and one chunk of the body.
#[derive(Debug)]
pub(crate) struct Envelopes<B> {
    body: B,
    buffer: BytesMut,
}

impl<B> Envelopes<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    pub(crate) fn new(body: B) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
        }
    }

    /// The next message; `None` at the orderly end of the client's stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ConnectError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    return Err(ConnectError::new(Code::Canceled, error.to_string()));
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    return Err(ConnectError::new(
                        Code::InvalidArgument,
                        "the stream ended within an envelope",
                    ));
                }
            }
        }
    }

    fn take(&mut self) -> Result<Option<Bytes>, ConnectError> {
        let Some((mut header, rest)) = self.buffer.split_at_checked(HEADER_BYTES) else {
            return Ok(None);
        };
        let (flags, length) = (header.get_u8(), header.get_u32() as usize);
        if flags & COMPRESSED != 0 {
            return Err(ConnectError::new(
                Code::Internal,
                "a compressed message without an agreed compression",
            ));
        }
        if flags != 0 {
            return Err(ConnectError::new(
                Code::InvalidArgument,
                format!("unknown envelope flags {flags:#04x}"),
            ));
        }
        if length > MESSAGE_LIMIT_BYTES {
            let message =
                format!("a message of {length} bytes is longer than {MESSAGE_LIMIT_BYTES}");
            return Err(ConnectError::new(Code::ResourceExhausted, message));
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

/// The body of a stream's response: its one message, unless it failed, and its end.
pub(crate) fn response_body(outcome: Result<Bytes, ConnectError>) -> Bytes {
    let mut body = BytesMut::new();
    let mut put = |flags: u8, content: &Bytes| {
        body.put_u8(flags);
        // Both are a few hundred bytes long.
        body.put_u32(u32::try_from(content.len()).unwrap_or(u32::MAX));
        body.put_slice(content);
    };
    match outcome {
        Ok(message) => {
            put(0, &message);
            put(END_OF_STREAM, &Bytes::from_static(b"{}"));
        }
        Err(error) => put(END_OF_STREAM, &error.end_of_stream()),
    }
    body.freeze()
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    fn in_chunks(
        chunks: Vec<&'static [u8]>,
    ) -> Envelopes<impl Body<Data = Bytes, Error = std::io::Error> + Unpin> {
        let frames = chunks
            .into_iter()
            .map(|chunk| Ok(Frame::data(Bytes::from_static(chunk))));
        Envelopes::new(StreamBody::new(stream::iter(frames)))
    }

    #[tokio::test]
    async fn messages_are_whole_for_every_split_into_chunks() {
        let mut envelopes = in_chunks(vec![
            &[0, 0, 0],
            &[0, 2, b'a'],
            &[b'b', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'c'],
        ]);
        assert_eq!(envelopes.next().await.unwrap().unwrap(), "ab");
        assert_eq!(envelopes.next().await.unwrap().unwrap(), "");
        assert_eq!(envelopes.next().await.unwrap().unwrap(), "c");
        assert_eq!(envelopes.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_truncated_stream_is_an_error() {
        let mut envelopes = in_chunks(vec![&[0, 0, 0, 0, 2, b'a']]);
        assert_eq!(
            envelopes.next().await.unwrap_err().code,
            Code::InvalidArgument
        );
    }

    #[tokio::test]
    async fn a_message_with_too_large_a_length_is_rejected_before_it_arrives() {
        let mut envelopes = in_chunks(vec![&[0, 0x7f, 0xff, 0xff, 0xff]]);
        assert_eq!(
            envelopes.next().await.unwrap_err().code,
            Code::ResourceExhausted
        );
    }

    #[tokio::test]
    async fn a_compressed_message_is_rejected() {
        let mut envelopes = in_chunks(vec![&[1, 0, 0, 0, 0]]);
        assert_eq!(envelopes.next().await.unwrap_err().code, Code::Internal);
    }
}
