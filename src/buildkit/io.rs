//! The byte stream of a session, which consists of the messages of a gRPC call.
//!
//! Writes are buffered until [`PIECE_BYTES`] are available or the writer flushes, because each message
//! costs the receiver a wake-up and a copy. At most [`PIECES_IN_FLIGHT`] wait for the call's flow
//! control, so memory is bounded on a slow connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::PollSender;

use super::wire::BytesMessage;

/// The size of a message in a busy session.
const PIECE_BYTES: usize = 64 << 10;

/// Messages that may wait to be sent.
const PIECES_IN_FLIGHT: usize = 4;

/// The client's end of a session's byte stream.
pub(super) struct SessionIo<Inbound> {
    inbound: Inbound,
    /// Received, but not read yet.
    received: Bytes,
    outbound: PollSender<BytesMessage>,
    /// Written, but not sent yet.
    gathered: BytesMut,
}

/// The channel from [`SessionIo`] to the messages of the call.
pub(super) fn outbound() -> (PollSender<BytesMessage>, ReceiverStream<BytesMessage>) {
    let (sender, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
    (PollSender::new(sender), ReceiverStream::new(receiver))
}

impl<Inbound> SessionIo<Inbound> {
    pub(super) fn new(inbound: Inbound, outbound: PollSender<BytesMessage>) -> Self {
        Self {
            inbound,
            received: Bytes::new(),
            outbound,
            gathered: BytesMut::with_capacity(PIECE_BYTES),
        }
    }

    /// Sends the buffered bytes as one message.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let ended = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.outbound.poll_reserve(context)).map_err(ended)?;
        let data = self.gathered.split().freeze();
        self.gathered.reserve(PIECE_BYTES);
        let sent = self.outbound.send_item(BytesMessage { data });
        Poll::Ready(sent.map_err(ended))
    }

    /// Makes room for a write: sends the buffer if it is full.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= PIECE_BYTES {
            ready!(self.poll_send(context))?;
        }
        Poll::Ready(Ok(PIECE_BYTES - self.gathered.len()))
    }
}

impl<Inbound: Unpin> AsyncWrite for SessionIo<Inbound> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let room = ready!(self.poll_room(context))?;
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.gathered.extend_from_slice(taken);
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut room = ready!(self.poll_room(context))?;
        let before = self.gathered.len();
        for bytes in slices {
            let taken = bytes.get(..room).unwrap_or(bytes);
            self.gathered.extend_from_slice(taken);
            room -= taken.len();
            if room == 0 {
                break;
            }
        }
        Poll::Ready(Ok(self.gathered.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        self.outbound.close();
        Poll::Ready(Ok(()))
    }
}

impl<Inbound> AsyncRead for SessionIo<Inbound>
where
    Inbound: Stream<Item = Result<BytesMessage, tonic::Status>> + Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.received.is_empty() {
            match ready!(self.inbound.poll_next_unpin(context)) {
                Some(Ok(message)) => self.received = message.data,
                Some(Err(status)) => return Poll::Ready(Err(io::Error::other(status))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.received.len().min(buffer.remaining());
        buffer.put_slice(self.received.get(..length).unwrap_or_default());
        self.received.advance(length);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn small_writes_are_combined_and_large_ones_are_split() {
        let (sender, messages) = outbound();
        let nothing = futures_util::stream::pending::<Result<BytesMessage, tonic::Status>>();
        let mut io = SessionIo::new(nothing, sender);
        let writing = async move {
            io.write_all(b"ab").await.unwrap();
            io.write_all(b"cd").await.unwrap();
            io.flush().await.unwrap();
            io.write_all(&vec![7; 3 * PIECE_BYTES + 1]).await.unwrap();
            io.shutdown().await.unwrap();
        };
        let (sizes, ()) = tokio::join!(
            messages
                .map(|message| message.data.len())
                .collect::<Vec<_>>(),
            writing
        );
        assert_eq!(sizes, [4, PIECE_BYTES, PIECE_BYTES, PIECE_BYTES, 1]);
    }

    #[tokio::test]
    async fn received_bytes_are_read_in_order_and_an_empty_message_is_not_the_end() {
        let pieces = [&b"ab"[..], b"", b"cde"].map(|data| {
            Ok(BytesMessage {
                data: Bytes::from_static(data),
            })
        });
        let (sender, _messages) = outbound();
        let mut io = SessionIo::new(futures_util::stream::iter(pieces), sender);
        let mut read = String::new();
        io.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "abcde");
    }
}
