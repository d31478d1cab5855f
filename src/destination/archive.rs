//! An archive that is received in pieces.

use std::fs::File;
use std::io::{self, Write};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Pieces that wait to be written.
const PIECES_IN_FLIGHT: usize = 4;

/// Why an archive is not complete.
#[derive(Debug)]
pub(crate) enum ArchiveError<E> {
    /// It cannot be written.
    Write(io::Error),
    /// The stream of pieces failed.
    Pieces(E),
}

/// Writes all pieces to `file`, and returns their number of bytes. One thread writes, because a file system can block.
///
/// # Errors
/// See [`ArchiveError`]. The file is incomplete then.
///
/// Cancel safe: the thread ends after the current piece.
pub(crate) async fn write_pieces<E>(
    mut file: File,
    pieces: impl Stream<Item = Result<Bytes, E>>,
) -> Result<u64, ArchiveError<E>> {
    let (sender, mut waiting) = mpsc::channel::<Bytes>(PIECES_IN_FLIGHT);
    let mut thread = JoinSet::new();
    thread.spawn_blocking(move || {
        let mut written: u64 = 0;
        while let Some(piece) = waiting.blocking_recv() {
            file.write_all(&piece)?;
            written = written.saturating_add(piece.len() as u64);
        }
        Ok(written)
    });
    let mut pieces = std::pin::pin!(pieces);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(ArchiveError::Pieces)?;
        if sender.send(piece).await.is_err() {
            break; // the result of the thread has the reason
        }
    }
    drop(sender);
    match thread.join_next().await {
        Some(Ok(written)) => written.map_err(ArchiveError::Write),
        // The thread neither panics nor is it aborted.
        Some(Err(_)) | None => Err(ArchiveError::Write(io::Error::other(
            "the writer has ended",
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn pieces_are_written_in_order_until_one_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let create = || File::create(&path).unwrap();
        let texts: Vec<String> = (0..20).map(|number| format!("{number} ")).collect();
        let pieces = texts
            .clone()
            .into_iter()
            .map(|text| Ok::<_, ()>(Bytes::from(text)));
        let written = write_pieces(create(), stream::iter(pieces)).await.unwrap();
        let expected = texts.concat();
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(written, expected.len() as u64);

        let broken = stream::iter([Ok(Bytes::from("a")), Err("broken")]);
        let error = write_pieces(create(), broken).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Pieces("broken")), "{error:?}");
    }

    #[tokio::test]
    async fn a_full_disk_is_reported() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let pieces = stream::iter((0..20).map(|_| Ok::<_, ()>(Bytes::from("a"))));
        match write_pieces(full, pieces).await {
            Err(ArchiveError::Write(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            }
            other => panic!("{other:?}"),
        }
    }
}
