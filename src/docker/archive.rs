//! The archive that a daemon loads: a tar stream, made piece by piece, without the blobs that the daemon has.
//!
//! For the classic store it is what `docker save` writes (`manifest.json`, a config, layers); a layer that the daemon
//! knows by its chain id may be missing there. For containerd's store it is an OCI image layout; a blob that the
//! content store holds may be missing there.

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

/// Tar's unit.
const BLOCK: usize = 512;

static ZEROS: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// What the archive is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As `docker save` writes it.
    Docker,
    /// An OCI image layout.
    Oci,
}

/// How far a load is, for whoever shows it. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    bytes: Arc<AtomicU64>,
    /// Why the archive broke off.
    failure: Arc<OnceLock<BlobError>>,
}

impl Sent {
    /// Bytes of layers that have been sent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts a piece of an archive that somebody else made, and remembers why it broke off.
    pub fn count(&self, piece: &Result<Bytes, BlobError>) {
        match piece {
            Ok(bytes) => {
                self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            Err(error) => {
                let _first = self.failure.set(error.clone());
            }
        }
    }

    /// Why the archive broke off, if it did.
    pub(super) fn failure(&self) -> Option<BlobError> {
        self.failure.get().cloned()
    }
}

/// Where the layers of an archive come from, and whom it minds.
pub(super) struct Source {
    /// The next blobs of this are the archive's.
    pub(super) blobs: ReadAhead,
    /// Gets `blobs` back when the last of the archive's has passed.
    pub(super) next: Option<oneshot::Sender<ReadAhead>>,
    /// The archive ends only after this, and breaks off where it is false: a daemon does nothing with one that has not ended.
    pub(super) may_end: BoxFuture<'static, bool>,
}

/// The archive of `image` under `names`, with the blobs of `wanted`.
pub(super) fn archive(
    form: Form,
    image: &Image,
    names: &[Reference],
    wanted: &[Descriptor],
    source: Source,
    sent: Sent,
) -> impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static {
    let mut files = match form {
        Form::Docker => docker_files(image, names),
        Form::Oci => oci_files(image, names),
    };
    for blob in wanted {
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

/// The blobs of the layers for which `is_wanted`, each once, in their order.
pub(super) fn distinct(
    image: &Image,
    is_wanted: impl Fn(usize) -> bool,
) -> impl Iterator<Item = &Descriptor> {
    let mut seen = HashSet::new();
    let layers = image.layers.iter().enumerate();
    layers
        .filter(move |(index, layer)| is_wanted(*index) && seen.insert(layer.blob.digest.clone()))
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
                // What containerd calls the image, and what everybody else does.
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

/// Where the writer is.
enum State {
    /// A header is next, or the end.
    Between,
    /// The content of a file is next, which is here.
    Content(Bytes),
    /// A blob of this size is passing.
    Blob(u64),
    /// So many bytes of content have to be filled up to a block.
    Padding(u64),
    /// All is said.
    Over,
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
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return None,
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
                        // The client that sends the archive would know only that it broke off.
                        self.sent.count(&Ok(piece.clone()));
                        if !piece.is_empty() {
                            return Some(Ok(piece));
                        }
                    }
                    Some(Err(error)) => {
                        let broken = Err(error);
                        self.sent.count(&broken);
                        return Some(broken);
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

/// What ends an archive, when it may.
async fn end(source: Source) -> Result<Bytes, BlobError> {
    if let Some(next) = source.next {
        // Where nobody takes it the load is over.
        let _over = next.send(source.blobs);
    }
    if source.may_end.await {
        Ok(Bytes::from_static(&ZEROS))
    } else {
        Err(BlobError::Broken {
            digest: "the archive".into(),
            told: "the daemon did not take the layers below".into(),
        })
    }
}

/// A file's header. All files are alike but for name and size.
fn header(path: &str, size: u64) -> Bytes {
    let mut header = tar::Header::new_gnu();
    // It fails for names of 100 characters and more; ours have at most 77.
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
