//! What passes between the parts, kept to be searched: who may see a secret is known only by looking at what each part was sent.
//!
//! Nothing is recorded unless a test asks for it, part by part, and hands over a [`Traffic`]. What it holds is full of secrets and lives no
//! longer than the test. Memory is bounded; whether anything was left out is told, since a search that misses the rest proves nothing.

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

/// The longest that is kept of one body, or of one way of a connection.
const PIECE_LIMIT_BYTES: usize = 8 << 20;

/// The most that is kept of everything.
const TOTAL_LIMIT_BYTES: usize = 128 << 20;

/// Which of a call's two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What was asked.
    Request,
    /// What was answered.
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

/// One thing that passed: a header, a body, or all that went one way over a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whom it went to or came from.
    pub part: String,
    /// Method and path of the call; empty for bare bytes.
    pub call: String,
    /// What of the call it is, such as `request header authorization`.
    pub what: String,
    /// The thing itself.
    pub bytes: Vec<u8>,
}

/// A recording. Clones are the same one.
#[derive(Clone, Default)]
pub struct Traffic(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    pieces: Vec<Piece>,
    bytes: usize,
    is_cut: bool,
}

/// It holds secrets.
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
        let mut kept = self.traffic.kept();
        let is_full = kept.bytes + bytes.len() > TOTAL_LIMIT_BYTES;
        let Some(piece) = kept.pieces.get_mut(self.number) else {
            return;
        };
        if is_full || piece.bytes.len() + bytes.len() > PIECE_LIMIT_BYTES {
            kept.is_cut = true;
            return;
        }
        piece.bytes.extend_from_slice(bytes);
        kept.bytes += bytes.len();
    }
}

impl Traffic {
    /// All that has passed.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        self.kept().pieces.clone()
    }

    /// Whether something passed that was not kept.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.kept().is_cut
    }

    pub(crate) fn open(&self, part: &str, call: &str, what: String) -> Growing {
        let mut kept = self.kept();
        kept.pieces.push(Piece {
            part: part.to_owned(),
            call: call.to_owned(),
            what,
            bytes: Vec::new(),
        });
        Growing {
            traffic: self.clone(),
            number: kept.pieces.len() - 1,
        }
    }

    /// Records each header as a piece of its own; `kind` is `header` or `trailer`.
    pub fn headers(&self, part: &str, call: &str, side: Side, kind: &str, headers: &HeaderMap) {
        for (name, value) in headers {
            let piece = self.open(part, call, format!("{side} {kind} {name}"));
            piece.push(value.as_bytes());
        }
    }

    /// A body that is kept while it passes, trailers and all.
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

    /// Nothing that holds this lock can panic.
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
