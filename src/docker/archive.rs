//! The archive that a daemon loads: a tar stream, made piece by piece, without the blobs that the daemon has.
//!
//! For the classic store it is what `docker save` writes (`manifest.json`, a config, layers); a layer that the daemon
//! knows by its chain id may be missing there. For containerd's store it is an OCI image layout; a blob that the
//! content store holds may be missing there.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::json;

use super::blobs::{BlobError, Blobs};
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

/// The archive of `image` under `names`, with the blobs of `wanted`.
pub(super) fn archive(
    form: Form,
    image: &Image,
    names: &[Reference],
    wanted: &[Descriptor],
    blobs: Arc<dyn Blobs>,
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
        blobs: ReadAhead::new(blobs, wanted.iter().cloned().collect()),
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
    blobs: ReadAhead,
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
                        return Some(Ok(Bytes::from_static(&ZEROS)));
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
                State::Blob(size) => match self.blobs.piece().await {
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
mod tests {
    use std::collections::HashMap;
    use std::io::Read;

    use futures_util::{StreamExt, TryStreamExt};
    use proptest::prelude::*;

    use super::super::image::{digest_of, tests as images};
    use super::*;
    use crate::docker::blobs::Chunks;

    /// Blobs that are here, in pieces of three bytes; `faults` says what comes in place of a blob's second piece.
    struct Here {
        blobs: HashMap<String, Vec<u8>>,
        faults: HashMap<String, BlobError>,
    }

    impl Blobs for Here {
        fn read(&self, blob: &Descriptor, offset: u64, length: u64) -> Chunks {
            let content = self.blobs.get(&blob.digest).cloned().unwrap_or_default();
            // All that there is, where it is not what it should be.
            let whole = offset == 0 && length == blob.size;
            let end = if whole {
                content.len()
            } else {
                usize::try_from(offset + length).unwrap()
            };
            let content = content[usize::try_from(offset).unwrap()..end].to_vec();
            let pieces = content
                .chunks(3.max(content.len() / 64))
                .map(Bytes::copy_from_slice)
                .map(Ok);
            let mut pieces: Vec<_> = pieces.collect();
            if let Some(fault) = self.faults.get(&blob.digest) {
                pieces.truncate(1);
                pieces.push(Err(fault.clone()));
            }
            Box::pin(stream::iter(pieces))
        }
    }

    fn here(layers: &[&[u8]]) -> Here {
        let named = |layer: &&[u8]| (digest_of(layer), layer.to_vec());
        Here {
            blobs: layers.iter().map(named).collect(),
            faults: HashMap::new(),
        }
    }

    fn names() -> Vec<Reference> {
        vec![Reference::parse("acme/app:1").unwrap()]
    }

    async fn files(
        archive: impl Stream<Item = Result<Bytes, BlobError>>,
    ) -> Vec<(String, Vec<u8>)> {
        let pieces: Vec<Bytes> = archive.try_collect().await.unwrap();
        let bytes = pieces.concat();
        let mut archive = tar::Archive::new(bytes.as_slice());
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (entry.path().unwrap().display().to_string(), content)
            })
            .collect()
    }

    #[tokio::test]
    async fn an_archive_names_every_layer_and_holds_those_that_are_wanted() {
        let layers: [&[u8]; 4] = [b"lowest", b"middle", b"", b"middle"];
        let image = images::image(&layers);
        let wanted: Vec<_> = distinct(&image, |index| index > 0).cloned().collect();
        assert_eq!(wanted.len(), 2, "the same blob is there once");
        let sent = Sent::default();
        let stream = archive(
            Form::Docker,
            &image,
            &names(),
            &wanted,
            Arc::new(here(&layers)),
            sent.clone(),
        );
        let files = files(stream).await;
        let paths: Vec<_> = files.iter().map(|(path, _)| path.as_str()).collect();
        let hex = |layer: &[u8]| digest_of(layer)[7..].to_owned();
        let config = format!("{}.json", &image.id()[7..]);
        assert_eq!(
            paths,
            ["manifest.json", &config, &hex(b"middle"), &hex(b"")]
        );
        assert_eq!(files[2].1, b"middle");
        let manifest: serde_json::Value = serde_json::from_slice(&files[0].1).unwrap();
        assert_eq!(
            manifest,
            json!([{
                "Config": config, "RepoTags": ["docker.io/acme/app:1"],
                "Layers": layers.map(hex),
            }])
        );
        assert_eq!(sent.bytes(), 6);
    }

    #[tokio::test]
    async fn an_image_layout_leads_from_its_name_to_its_layers() {
        let layers: [&[u8]; 1] = [b"lowest"];
        let image = images::image(&layers);
        let wanted: Vec<_> = distinct(&image, |_| true).cloned().collect();
        let stream = archive(
            Form::Oci,
            &image,
            &names(),
            &wanted,
            Arc::new(here(&layers)),
            Sent::default(),
        );
        let files: HashMap<_, _> = files(stream).await.into_iter().collect();
        let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let [named] = &index["manifests"].as_array().unwrap()[..] else {
            panic!("{index}")
        };
        assert_eq!(
            named["annotations"]["io.containerd.image.name"],
            "docker.io/acme/app:1"
        );
        let blob = |digest: &serde_json::Value| {
            let digest = digest.as_str().unwrap().replace(':', "/");
            files[&format!("blobs/{digest}")].clone()
        };
        let manifest: serde_json::Value = serde_json::from_slice(&blob(&named["digest"])).unwrap();
        assert_eq!(blob(&manifest["config"]["digest"]), image.config);
        assert_eq!(blob(&manifest["layers"][0]["digest"]), b"lowest");
        assert!(files["oci-layout"].starts_with(b"{\"imageLayoutVersion\""));
    }

    #[tokio::test]
    async fn a_blob_that_is_not_what_its_digest_says_ends_the_archive() {
        let layers: [&[u8]; 2] = [b"lowest", b"above"];
        let image = images::image(&layers);
        let wanted: Vec<_> = distinct(&image, |_| true).cloned().collect();
        let digest = digest_of(b"above");
        let broken = BlobError::Broken {
            digest: digest.clone(),
            told: "reset".into(),
        };
        for (content, fault, told) in [
            (&b"abovE"[..], None, "its content has the digest"),
            (b"abo", None, "3 of 5 bytes came"),
            (b"above and more", None, "it has more than its 5 bytes"),
            (b"above", Some(broken), "broke off on its way"),
        ] {
            let mut blobs = here(&layers);
            blobs.blobs.insert(digest.clone(), content.to_vec());
            blobs
                .faults
                .extend(fault.map(|fault| (digest.clone(), fault)));
            let sent = Sent::default();
            let mut stream = std::pin::pin!(archive(
                Form::Docker,
                &image,
                &names(),
                &wanted,
                Arc::new(blobs),
                sent.clone()
            ));
            let mut last = None;
            while let Some(piece) = stream.next().await {
                last = Some(piece);
            }
            let error = last.unwrap().unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
            assert!(error.contains(&digest), "{error}");
            assert_eq!(sent.failure().unwrap().to_string(), error);
        }
    }

    #[tokio::test]
    async fn blobs_of_any_size_come_whole_and_in_their_order() {
        // Around what is fetched ahead, and more of them than are.
        let mib = 1 << 20;
        let sizes = [5 * mib, 4 * mib, 4 * mib + 1, 0, 4 * mib - 1, 1, 9 * mib];
        let layers: Vec<Vec<u8>> = sizes
            .iter()
            .enumerate()
            .map(|(index, &size)| {
                (0..size)
                    .map(|at| (at * (index + 3) / 7).to_le_bytes()[0])
                    .collect()
            })
            .collect();
        let slices: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
        let image = images::image(&slices);
        let wanted: Vec<_> = distinct(&image, |_| true).cloned().collect();
        let stream = archive(
            Form::Docker,
            &image,
            &names(),
            &wanted,
            Arc::new(here(&slices)),
            Sent::default(),
        );
        let files = files(stream).await;
        let contents: Vec<&Vec<u8>> = files[2..].iter().map(|(_, content)| content).collect();
        assert!(contents.into_iter().eq(&layers));
    }

    proptest! {
        #[test]
        fn what_is_read_back_is_what_was_written(layers in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..1600), 0..8)) {
            let slices: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
            let image = images::image(&slices);
            let wanted: Vec<_> = distinct(&image, |_| true).cloned().collect();
            let stream = archive(
                Form::Docker, &image, &names(), &wanted, Arc::new(here(&slices)), Sent::default(),
            );
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let files: HashMap<_, _> = runtime.block_on(files(stream)).into_iter().collect();
            for layer in &layers {
                prop_assert_eq!(&files[&digest_of(layer)[7..]], layer);
            }
        }
    }

    #[test]
    fn a_file_of_more_than_8_gib_has_its_size() {
        let mut header = tar::Header::new_gnu();
        header
            .as_mut_bytes()
            .copy_from_slice(&super::header("large", 20 << 30));
        assert_eq!(header.size().unwrap(), 20 << 30);
    }
}
