//! Records the traffic between parts, so that a test can search it: the only proof that a part did not receive a secret.
//!
//! Nothing is recorded unless a test passes a [`Traffic`] to a part. A recording contains secrets and lives no longer than
//! its test. Memory is bounded. [`Traffic::is_cut`] reports whether bytes were dropped, since searching an incomplete
//! recording proves nothing.

mod http;
mod tap;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ::http::HeaderMap;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;

pub use http::{HttpDoor, Instead};
pub use tap::Tap;
pub(crate) use tap::Tapped;

/// The most bytes that are recorded of one body, or of one direction of a connection.
const PIECE_LIMIT_BYTES: usize = 8 << 20;

/// The most bytes of a whole recording.
const TOTAL_LIMIT_BYTES: usize = 128 << 20;

/// One of a call's two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request.
    Request,
    /// The response.
    Response,
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Request => "request",
            Self::Response => "response",
        })
    }
}

/// One recorded item: a header, a body, or all bytes of one direction of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The part that received or sent it.
    pub part: String,
    /// Method and path of the call; empty for bare bytes.
    pub call: String,
    /// The kind of item, such as `request header authorization`.
    pub what: String,
    /// The content.
    pub bytes: Vec<u8>,
}

/// A recording. Clones share it.
#[derive(Clone, Default)]
pub struct Traffic(Arc<Mutex<Recording>>);

#[derive(Default)]
struct Recording {
    pieces: Vec<Piece>,
    bytes: usize,
    is_cut: bool,
}

/// Prints no content, which holds secrets.
impl fmt::Debug for Traffic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Traffic")
    }
}

/// A piece that grows.
#[derive(Clone, Debug)]
pub(crate) struct Growing {
    traffic: Traffic,
    number: usize,
}

impl Growing {
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut recording = self.traffic.recording();
        let is_full = recording.bytes + bytes.len() > TOTAL_LIMIT_BYTES;
        let Some(piece) = recording.pieces.get_mut(self.number) else {
            return;
        };
        if is_full || piece.bytes.len() + bytes.len() > PIECE_LIMIT_BYTES {
            recording.is_cut = true;
            return;
        }
        piece.bytes.extend_from_slice(bytes);
        recording.bytes += bytes.len();
    }
}

impl Traffic {
    /// Everything that was recorded.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        self.recording().pieces.clone()
    }

    /// Whether some bytes were not recorded.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.recording().is_cut
    }

    pub(crate) fn open(&self, part: &str, call: &str, what: String) -> Growing {
        let mut recording = self.recording();
        recording.pieces.push(Piece {
            part: part.to_owned(),
            call: call.to_owned(),
            what,
            bytes: Vec::new(),
        });
        Growing {
            traffic: self.clone(),
            number: recording.pieces.len() - 1,
        }
    }

    /// Records each header as a piece of its own; `kind` is `header` or `trailer`.
    pub fn headers(&self, part: &str, call: &str, side: Side, kind: &str, headers: &HeaderMap) {
        for (name, value) in headers {
            let piece = self.open(part, call, format!("{side} {kind} {name}"));
            piece.push(value.as_bytes());
        }
    }

    /// Records a body while it passes, trailers included.
    pub fn body<B>(
        &self,
        part: &str,
        call: &str,
        side: Side,
        body: B,
    ) -> impl Body<Data = Bytes, Error = B::Error> + use<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        let traffic = self.clone();
        let (part, call) = (part.to_owned(), call.to_owned());
        let piece = traffic.open(&part, &call, format!("{side} body"));
        body.map_frame(move |frame| {
            if let Some(data) = frame.data_ref() {
                piece.push(data);
            }
            if let Some(trailers) = frame.trailers_ref() {
                traffic.headers(&part, &call, side, "trailer", trailers);
            }
            frame
        })
    }

    /// No code that holds this lock can panic.
    fn recording(&self) -> std::sync::MutexGuard<'_, Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
