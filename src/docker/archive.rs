//! The archive that a daemon loads: a tar stream, written in chunks, without the blobs that the daemon has.
//!
//! For the classic store it has the format of `docker save` (`manifest.json`, a config, layers); a layer whose chain id
//! is in the store can be omitted. For containerd's store it is an OCI image layout; a blob that is in the content store
//! can be omitted.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, stream};
use serde_json::json;
use tokio::sync::oneshot;

use super::blobs::BlobError;
use super::image::{Descriptor, Image};
use super::read_ahead::ReadAhead;
use crate::registry::reference::Reference;

/// The block size of tar, in bytes.
const BLOCK: usize = 512;

static ZEROS: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The format of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The format of `docker save`.
    Docker,
    /// An OCI image layout.
    Oci,
}

/// The progress of a load. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    bytes: Arc<AtomicU64>,
    /// The error that ended the archive.
    failure: Arc<OnceLock<BlobError>>,
}

impl Sent {
    /// The number of layer bytes that have been sent.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts a chunk of an archive from another source, or stores the error that ended it.
    pub(crate) fn count(&self, piece: &Result<Bytes, BlobError>) {
        match piece {
            Ok(bytes) => {
                self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            Err(error) => {
                let _first = self.failure.set(error.clone());
            }
        }
    }

    /// The error that ended the archive, if any.
    pub(super) fn failure(&self) -> Option<BlobError> {
        self.failure.get().cloned()
    }
}

/// The blobs of an archive, and the condition that must hold before it ends.
pub(super) struct Source {
    /// The reader, whose next blobs belong to this archive.
    pub(super) blobs: ReadAhead,
    /// Receives `blobs` after the last blob of this archive.
    pub(super) next: Option<oneshot::Sender<ReadAhead>>,
    /// Awaited before the end of the archive. If it returns false, the archive ends with an error, and the daemon loads nothing.
    pub(super) may_end: BoxFuture<'static, bool>,
}

/// The archive of `image` under `names`, with the blobs in `descriptors`.
pub(super) fn archive(
    form: Form,
    image: &Image,
    names: &[Reference],
    descriptors: &[Descriptor],
    source: Source,
    sent: Sent,
) -> impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static {
    let mut files = match form {
        Form::Docker => docker_files(image, names),
        Form::Oci => oci_files(image, names),
    };
    for blob in descriptors {
        files.push_back((layer_path(form, blob), Content::Blob(blob.size)));
    }
    let writer = Writer {
        files,
        source: Some(source),
        state: State::Between,
        sent,
    };
    stream::unfold(writer, |mut writer| async move {
        let piece = writer.next().await?;
        Some((piece, writer))
    })
}

/// The blobs of the layers whose index satisfies `is_included`, in order and without duplicates.
pub(super) fn distinct(
    image: &Image,
    is_included: impl Fn(usize) -> bool,
) -> impl Iterator<Item = &Descriptor> {
    let mut seen = HashSet::new();
    let layers = image.layers.iter().enumerate();
    layers
        .filter(move |(index, layer)| is_included(*index) && seen.insert(layer.blob.digest.clone()))
        .map(|(_, layer)| &layer.blob)
}

fn layer_path(form: Form, blob: &Descriptor) -> String {
    match form {
        Form::Docker => blob.hex().to_owned(),
        Form::Oci => format!("blobs/sha256/{}", blob.hex()),
    }
}

enum Content {
    Bytes(Bytes),
    /// The next blob, of this size.
    Blob(u64),
}

type Files = VecDeque<(String, Content)>;

fn docker_files(image: &Image, names: &[Reference]) -> Files {
    let config = format!("{}.json", image.config_descriptor.hex());
    let layers = image.layers.iter();
    let layers: Vec<_> = layers
        .map(|layer| layer_path(Form::Docker, &layer.blob))
        .collect();
    let tags: Vec<_> = names.iter().map(ToString::to_string).collect();
    let manifest = json!([{ "Config": config, "RepoTags": tags, "Layers": layers }]);
    [
        (
            "manifest.json".to_owned(),
            Content::Bytes(manifest.to_string().into()),
        ),
        (config, Content::Bytes(image.config.clone())),
    ]
    .into()
}

fn oci_files(image: &Image, names: &[Reference]) -> Files {
    let manifest = &image.manifest_descriptor;
    let entry = |name: &Reference| {
        json!({
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": manifest.size,
            "annotations": {
                // The name for containerd, and the one of the OCI specification.
                "io.containerd.image.name": name.to_string(),
                "org.opencontainers.image.ref.name": name.tag(),
            },
        })
    };
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": names.iter().map(entry).collect::<Vec<_>>(),
    });
    let layout = json!({ "imageLayoutVersion": "1.0.0" });
    [
        (
            "oci-layout".to_owned(),
            Content::Bytes(layout.to_string().into()),
        ),
        (
            "index.json".to_owned(),
            Content::Bytes(index.to_string().into()),
        ),
        (
            layer_path(Form::Oci, manifest),
            Content::Bytes(image.manifest.clone()),
        ),
        (
            layer_path(Form::Oci, &image.config_descriptor),
            Content::Bytes(image.config.clone()),
        ),
    ]
    .into()
}

/// The position of the writer.
enum State {
    /// The next part is a header, or the end.
    Between,
    /// The next part is this content of a file.
    Content(Bytes),
    /// In a blob of this size.
    Blob(u64),
    /// The next part is the padding after this many bytes of content.
    Padding(u64),
    /// The archive has ended.
    Ended,
}

struct Writer {
    files: Files,
    /// Taken at the end.
    source: Option<Source>,
    state: State,
    sent: Sent,
}

impl Writer {
    async fn next(&mut self) -> Option<Result<Bytes, BlobError>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return None,
                State::Between => {
                    let Some((path, content)) = self.files.pop_front() else {
                        return Some(end(self.source.take()?).await);
                    };
                    let (size, state) = match content {
                        Content::Bytes(bytes) => (bytes.len() as u64, State::Content(bytes)),
                        Content::Blob(size) => (size, State::Blob(size)),
                    };
                    self.state = state;
                    return Some(Ok(header(&path, size)));
                }
                State::Content(bytes) => {
                    self.state = State::Padding(bytes.len() as u64);
                    if !bytes.is_empty() {
                        return Some(Ok(bytes));
                    }
                }
                State::Blob(size) => match self.source.as_mut()?.blobs.piece().await {
                    Some(Ok(piece)) => {
                        self.state = State::Blob(size);
                        self.sent.count(&Ok(piece.clone()));
                        if !piece.is_empty() {
                            return Some(Ok(piece));
                        }
                    }
                    Some(Err(error)) => {
                        let failed = Err(error);
                        // The HTTP client reports only an aborted request, without the cause.
                        self.sent.count(&failed);
                        return Some(failed);
                    }
                    None => self.state = State::Padding(size),
                },
                State::Padding(size) => {
                    self.state = State::Between;
                    let padding = size.wrapping_neg() % BLOCK as u64;
                    if let Some(zeros) = ZEROS.get(..usize::try_from(padding).unwrap_or(0))
                        && !zeros.is_empty()
                    {
                        return Some(Ok(Bytes::from_static(zeros)));
                    }
                }
            }
        }
    }
}

/// Waits for `may_end` and returns the end of the archive.
async fn end(source: Source) -> Result<Bytes, BlobError> {
    if let Some(next) = source.next {
        // If the receiver is dropped, the load has ended.
        let _ended = next.send(source.blobs);
    }
    if source.may_end.await {
        Ok(Bytes::from_static(&ZEROS))
    } else {
        Err(BlobError::Broken {
            digest: "the archive".into(),
            reason: "the daemon did not load the archive with the lower layers".into(),
        })
    }
}

/// A file's header. Files differ only in name and size.
fn header(path: &str, size: u64) -> Bytes {
    let mut header = tar::Header::new_gnu();
    // Fails only for names of 100 characters and more; these have at most 77.
    let _fits = header.set_path(path);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Bytes::copy_from_slice(header.as_bytes())
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
