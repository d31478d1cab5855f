use std::collections::HashMap;
use std::io::Read;

use futures_util::{StreamExt, TryStreamExt};
use proptest::prelude::*;

use super::super::image::tests as images;
use super::*;
use crate::docker::blobs::{Blobs, Chunks};
use crate::docker::read_ahead::HEAD_BYTES;
use crate::text::digest::sha256;

/// Blobs in memory, served in chunks of three bytes or a 64th of the blob. `faults` replaces a blob's second chunk by an error.
struct InMemory {
    blobs: HashMap<String, Vec<u8>>,
    faults: HashMap<String, BlobError>,
    /// Only reads from this offset on are faulty.
    faults_from: u64,
}

impl Blobs for InMemory {
    fn read(&self, blob: &Descriptor, offset: u64, length: u64) -> Chunks {
        let content = self.blobs.get(&blob.digest).cloned().unwrap_or_default();
        // A read of the whole blob returns everything, also if it is too long or too short.
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
        if offset >= self.faults_from
            && let Some(fault) = self.faults.get(&blob.digest)
        {
            pieces.truncate(1);
            pieces.push(Err(fault.clone()));
        }
        Box::pin(stream::iter(pieces))
    }
}

fn in_memory(layers: &[&[u8]]) -> InMemory {
    let named = |layer: &&[u8]| (sha256(layer), layer.to_vec());
    InMemory {
        blobs: layers.iter().map(named).collect(),
        faults: HashMap::new(),
        faults_from: 0,
    }
}

/// All blobs of an archive that can end at any time.
fn source_of(descriptors: &[Descriptor], blobs: InMemory) -> Source {
    Source {
        blobs: ReadAhead::new(Arc::new(blobs), descriptors.iter().cloned().collect()),
        next: None,
        may_end: Box::pin(std::future::ready(true)),
    }
}

fn names() -> Vec<Reference> {
    vec![Reference::parse("acme/app:1").unwrap()]
}

async fn files(archive: impl Stream<Item = Result<Bytes, BlobError>>) -> Vec<(String, Vec<u8>)> {
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
async fn an_archive_lists_every_layer_and_contains_the_wanted_ones() {
    let layers: [&[u8]; 4] = [b"lowest", b"middle", b"", b"middle"];
    let image = images::image(&layers);
    let descriptors: Vec<_> = distinct(&image, |index| index > 0).cloned().collect();
    assert_eq!(descriptors.len(), 2, "the same blob is contained once");
    let sent = Sent::default();
    let stream = archive(
        Form::Docker,
        &image,
        &names(),
        &descriptors,
        source_of(&descriptors, in_memory(&layers)),
        sent.clone(),
    );
    let files = files(stream).await;
    let paths: Vec<_> = files.iter().map(|(path, _)| path.as_str()).collect();
    let hex = |layer: &[u8]| sha256(layer)[7..].to_owned();
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
async fn an_image_layout_refers_from_its_name_to_its_layers() {
    let layers: [&[u8]; 1] = [b"lowest"];
    let image = images::image(&layers);
    let descriptors: Vec<_> = distinct(&image, |_| true).cloned().collect();
    let stream = archive(
        Form::Oci,
        &image,
        &names(),
        &descriptors,
        source_of(&descriptors, in_memory(&layers)),
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
async fn an_invalid_blob_ends_the_archive() {
    let layers: [&[u8]; 2] = [b"lowest", b"above"];
    let image = images::image(&layers);
    let descriptors: Vec<_> = distinct(&image, |_| true).cloned().collect();
    let digest = sha256(b"above");
    let broken = BlobError::Broken {
        digest: digest.clone(),
        reason: "reset".into(),
    };
    for (content, fault, expected) in [
        (&b"abovE"[..], None, "its digest is sha256:"),
        (b"abo", None, "received 3 of 5 bytes"),
        (b"above and more", None, "it is larger than 5 bytes"),
        (b"above", Some(broken), "was interrupted"),
    ] {
        let mut blobs = in_memory(&layers);
        blobs.blobs.insert(digest.clone(), content.to_vec());
        blobs
            .faults
            .extend(fault.map(|fault| (digest.clone(), fault)));
        let sent = Sent::default();
        let mut stream = std::pin::pin!(archive(
            Form::Docker,
            &image,
            &names(),
            &descriptors,
            source_of(&descriptors, blobs),
            sent.clone()
        ));
        let mut last = None;
        while let Some(piece) = stream.next().await {
            last = Some(piece);
        }
        let error = last.unwrap().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains(&digest), "{error}");
        assert_eq!(sent.failure().unwrap().to_string(), error);
    }
}

#[tokio::test]
async fn blobs_of_any_size_are_complete_and_in_order() {
    // Sizes around the one that is fetched ahead, and more blobs than are fetched ahead.
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
    let descriptors: Vec<_> = distinct(&image, |_| true).cloned().collect();
    let stream = archive(
        Form::Docker,
        &image,
        &names(),
        &descriptors,
        source_of(&descriptors, in_memory(&slices)),
        Sent::default(),
    );
    let files = files(stream).await;
    let contents: Vec<&Vec<u8>> = files[2..].iter().map(|(_, content)| content).collect();
    assert!(contents.into_iter().eq(&layers));
}

#[tokio::test]
async fn everything_before_a_fault_is_delivered_first() {
    let mib = 1 << 20;
    let layers = [b'a', b'b', b'c', b'd'].map(|letter| vec![letter; 6 * mib]);
    let slices: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let image = images::image(&slices);
    let descriptors: Vec<_> = distinct(&image, |_| true).cloned().collect();
    // In the first blob, which is read at once; in the head of another; in its rest; in two blobs, of which the first is reported.
    for (faulty, offset, passed) in [
        (&[0][..], 0, 0),
        (&[2], 0, 12 * mib),
        (&[2], HEAD_BYTES, 16 * mib),
        (&[1, 3], HEAD_BYTES, 10 * mib),
    ] {
        let mut blobs = in_memory(&slices);
        for &index in faulty {
            let digest = sha256(&layers[index]);
            let broken = BlobError::Broken {
                digest: digest.clone(),
                reason: format!("lost at {index}"),
            };
            blobs.faults.insert(digest, broken);
        }
        blobs.faults_from = offset;
        let sent = Sent::default();
        let stream = archive(
            Form::Docker,
            &image,
            &names(),
            &descriptors,
            source_of(&descriptors, blobs),
            sent.clone(),
        );
        let pieces: Vec<_> = stream.collect().await;
        let error = pieces.last().unwrap().as_ref().unwrap_err().to_string();
        let expected = format!("lost at {}", faulty[0]);
        assert!(error.ends_with(&expected), "{error}");
        assert!(pieces[..pieces.len() - 1].iter().all(Result::is_ok));
        let piece_bytes = 6 * mib / 64 + 1;
        let bytes = usize::try_from(sent.bytes()).unwrap();
        assert!((passed..=passed + piece_bytes).contains(&bytes), "{bytes}");
    }
}

proptest! {
    #[test]
    fn an_archive_is_read_back_unchanged(layers in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..1600), 0..8)) {
        let slices: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
        let image = images::image(&slices);
        let descriptors: Vec<_> = distinct(&image, |_| true).cloned().collect();
        let stream = archive(
            Form::Docker, &image, &names(), &descriptors, source_of(&descriptors, in_memory(&slices)), Sent::default(),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let files: HashMap<_, _> = runtime.block_on(files(stream)).into_iter().collect();
        for layer in &layers {
            prop_assert_eq!(&files[&sha256(layer)[7..]], layer);
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
