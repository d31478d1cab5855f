//! `moby.filesync.v1.FileSend`: receives the single file that an exporter sends, such as an archive of the image.

use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::mpsc;
use tonic::server::StreamingService;
use tonic::{Request, Response, Status, Streaming};

use super::diff_copy::{Answering, DiffCopy, Mounted};
use super::failure::Failure;
use super::routes::Routes;
use super::service::Service;
use crate::buildkit::wire::BytesMessage;

/// Pieces that wait to be read.
const PIECES: usize = 2;

/// The destination of a file, which receives it in pieces.
#[derive(Debug)]
pub(crate) struct FileSink(mpsc::Sender<Piece>);

/// A message from the builder's call to the reader of the file.
#[derive(Debug)]
enum Piece {
    Some(Bytes),
    /// The file is complete. If the channel ends without this, the file is incomplete.
    End,
    Broken(Status),
}

/// A destination for one file, and the stream of its pieces. The stream ends with an error unless the file is complete.
pub(crate) fn file() -> (
    FileSink,
    impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) {
    let (sender, receiver) = mpsc::channel(PIECES);
    let pieces = stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver: mpsc::Receiver<Piece> = receiver?;
        match receiver.recv().await {
            Some(Piece::Some(bytes)) => Some((Ok(bytes), Some(receiver))),
            Some(Piece::End) => None,
            Some(Piece::Broken(status)) => Some((Err(status), None)),
            None => Some((Err(Status::aborted("the file is incomplete")), None)),
        }
    });
    (FileSink(sender), pieces)
}

impl Service for FileSink {
    fn methods(&self) -> &'static [&'static str] {
        &[Receiver::PATH]
    }

    fn mount(self: Box<Self>, routes: Routes, _failure: &Failure) -> Routes {
        let receiver = Receiver(Arc::new(Mutex::new(Some(*self))));
        routes.add_service(Mounted::new(receiver))
    }
}

/// Receives one file, and rejects any other.
#[derive(Clone)]
struct Receiver(Arc<Mutex<Option<FileSink>>>);

impl fmt::Debug for Receiver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileSend").finish_non_exhaustive()
    }
}

impl StreamingService<BytesMessage> for Receiver {
    type Response = BytesMessage;
    type ResponseStream = stream::Empty<Result<BytesMessage, Status>>;
    type Future = Answering<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<BytesMessage>>) -> Self::Future {
        // The lock is never poisoned: nothing panics while it is held.
        let sink = self.0.lock().ok().and_then(|mut sink| sink.take());
        Box::pin(async move {
            let Some(sink) = sink else {
                return Err(Status::unavailable("no file is expected"));
            };
            let mut pieces = request.into_inner();
            // The response is sent after the whole file was received: the builder treats it as confirmation.
            loop {
                let (piece, outcome) = match pieces.message().await {
                    Ok(Some(message)) => (Piece::Some(message.data), None),
                    Ok(None) => (Piece::End, Some(Ok(Response::new(stream::empty())))),
                    Err(status) => (Piece::Broken(status.clone()), Some(Err(status))),
                };
                if sink.0.send(piece).await.is_err() {
                    return Err(Status::aborted("the file is no longer needed"));
                }
                if let Some(outcome) = outcome {
                    return outcome;
                }
            }
        })
    }
}

impl DiffCopy<BytesMessage> for Receiver {
    const NAME: &'static str = "moby.filesync.v1.FileSend";
    const PATH: &'static str = "/moby.filesync.v1.FileSend/DiffCopy";
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn a_file_is_complete_only_after_its_end_message() {
        for (end, is_whole) in [
            (Some(Piece::End), true),
            (Some(Piece::Broken(Status::internal("x"))), false),
            (None, false),
        ] {
            let (sink, pieces) = file();
            let sending = async {
                for piece in [Bytes::from("a"), Bytes::new(), Bytes::from("b")] {
                    sink.0.send(Piece::Some(piece)).await.unwrap();
                }
                if let Some(end) = end {
                    sink.0.send(end).await.unwrap();
                }
                drop(sink);
            };
            let taking = pieces.try_collect::<Vec<_>>();
            let ((), taken) = tokio::join!(sending, taking);
            assert_eq!(
                taken.map(|pieces| pieces.concat() == b"ab").is_ok(),
                is_whole
            );
        }
    }
}
