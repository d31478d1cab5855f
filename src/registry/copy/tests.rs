//! Copies between registries with planned replies, some of them wrong.

use std::sync::Arc;

use serde_json::json;

use super::blob::{BlobCopy, Presence};
use super::image::{ImageCopyError, Progress, Repository, copy_image};
use super::tree::{Blob, ReadError, Tree};
use crate::registry::client::tests::{client, seen, served};
use crate::registry::fake::{Fake, Reply};
use crate::registry::manifest::{Manifest, OCI_INDEX, OCI_MANIFEST};
use crate::registry::reference::Reference;
use crate::text::cause::one_line;
use crate::text::digest::sha256;

const CONTENT: &str = "content";

fn empty(status: u16) -> Reply {
    Reply::Response(status, String::new(), String::new())
}

/// The response to the beginning of an upload.
fn begun() -> Reply {
    let location = "Location: /v2/target/blobs/uploads/1\r\n";
    Reply::Response(202, location.into(), String::new())
}

/// The replies of a target that accepts the blob.
fn accepting() -> Vec<Reply> {
    vec![empty(404), begun(), empty(201)]
}

/// The replies of a target to an upload that is not completed.
fn waiting() -> Vec<Reply> {
    vec![empty(404), begun()]
}

/// A part of the blob, with its range.
fn part(range: &str, content: &str) -> Reply {
    Reply::Response(206, format!("Content-Range: {range}\r\n"), content.into())
}

/// The start of the blob, and then the end of the connection.
fn cut() -> Reply {
    Reply::Raw(
        "HTTP/1.1 206 X\r\nContent-Range: bytes 0-6/7\r\nContent-Length: 7\r\n\r\ncon".into(),
    )
}

fn repository(fake: &Fake, name: &str) -> Repository {
    Repository {
        host: fake.host(),
        repository: name.to_owned(),
    }
}

/// The result of a copy, with the requests.
struct Copied {
    result: Result<Presence, ImageCopyError>,
    source: Fake,
    target: Fake,
    progress: Progress,
}

impl Copied {
    /// The error, in one line.
    fn error(&self) -> String {
        one_line(self.result.as_ref().unwrap_err())
    }

    /// The requested ranges.
    fn ranges(&self) -> Vec<String> {
        let seen = self.source.seen().into_iter();
        seen.map(|seen| seen.header("range").unwrap().to_owned())
            .collect()
    }

    /// The content of the only completed upload.
    fn upload(&self) -> Vec<u8> {
        let mut seen = self.target.seen().into_iter();
        let upload = seen.find(|seen| seen.method == "PUT").unwrap();
        assert_eq!(upload.field("digest"), Some(&*sha256(CONTENT.as_bytes())));
        assert_eq!(upload.header("content-length"), Some("7"));
        upload.body
    }
}

/// Copies the blob [`CONTENT`] with these replies.
async fn copy(source: Vec<Reply>, target: Vec<Reply>, mount: Option<&str>) -> Copied {
    let (source, target) = (Fake::start(source).await, Fake::start(target).await);
    let progress = Progress::default();
    let result = BlobCopy {
        client: &Arc::new(client(&[])),
        source: &repository(&source, "source"),
        target: &repository(&target, "target"),
        blob: &Blob {
            digest: sha256(CONTENT.as_bytes()),
            size: CONTENT.len() as u64,
        },
        mount,
        progress: &progress,
    }
    .run()
    .await;
    Copied {
        result,
        source,
        target,
        progress,
    }
}

#[tokio::test]
async fn a_blob_is_sent_with_its_digest_and_its_length() {
    // The last registry sends more than the blob.
    for reply in [
        Reply::ok(CONTENT),
        part("bytes 0-6/7", CONTENT),
        Reply::ok("content and more"),
    ] {
        let copied = copy(vec![reply], accepting(), None).await;
        assert_eq!(copied.result.as_ref().unwrap(), &Presence::Sent);
        assert_eq!(copied.ranges(), ["bytes=0-6"]);
        assert_eq!(copied.upload(), CONTENT.as_bytes());
        assert_eq!(copied.progress.bytes(), 7);
    }
}

#[tokio::test]
async fn wrong_content_is_never_completed_at_the_target() {
    for reply in [Reply::ok("CONTENT"), part("bytes 0-6/7", "CONTENT")] {
        let copied = copy(vec![reply], waiting(), None).await;
        let expected = format!(
            "the source returned wrong content for {}: its digest is {}",
            sha256(CONTENT.as_bytes()),
            sha256(b"CONTENT")
        );
        assert_eq!(copied.error(), expected);
        assert_eq!(copied.target.methods(), ["HEAD", "POST"]);
        assert_eq!(copied.progress.bytes(), 0);
    }
}

#[tokio::test]
async fn a_shorter_blob_than_in_the_manifest_is_never_completed() {
    let copied = copy(vec![Reply::ok("cont"), empty(416)], waiting(), None).await;
    assert!(
        matches!(&copied.result, Err(ImageCopyError::Source(error)) if error.status() == Some(416)),
        "{:?}",
        copied.result
    );
    assert_eq!(copied.ranges(), ["bytes=0-6", "bytes=4-6"]);
    assert_eq!(copied.target.methods(), ["HEAD", "POST"]);
    assert_eq!(copied.progress.bytes(), 0);
}

#[tokio::test]
async fn an_interrupted_blob_continues_where_it_ended() {
    // The second registry ignores the range, and sends the whole blob again.
    for rest in [part("bytes 3-6/7", "tent"), Reply::ok(CONTENT)] {
        let copied = copy(vec![cut(), rest], accepting(), None).await;
        assert_eq!(copied.result.as_ref().unwrap(), &Presence::Sent);
        assert_eq!(copied.ranges(), ["bytes=0-6", "bytes=3-6"]);
        assert_eq!(copied.upload(), CONTENT.as_bytes());
    }
}

#[tokio::test]
async fn another_range_than_requested_is_an_error() {
    let none = Reply::Response(206, String::new(), "tent".into());
    for rest in [
        part("bytes 0-6/7", CONTENT),
        part("bytes 30-33/40", "tent"),
        part("bytes */7", "tent"),
        none,
    ] {
        let copied = copy(vec![cut(), rest], waiting(), None).await;
        let error = copied.error();
        assert!(
            error.ends_with("it sent another part of the blob than requested"),
            "{error}"
        );
        assert_eq!(copied.target.methods(), ["HEAD", "POST"]);
    }
}

#[tokio::test]
async fn a_blob_is_not_read_if_the_target_has_it_or_mounts_it() {
    let existing = copy(Vec::new(), vec![empty(200)], None).await;
    assert_eq!(existing.result.unwrap(), Presence::Existed);
    let mounted = copy(Vec::new(), vec![empty(404), empty(201)], Some("other")).await;
    assert_eq!(mounted.result.unwrap(), Presence::Mounted);
    let requests = mounted.target.seen();
    assert_eq!(requests[1].field("from"), Some("other"));
    assert_eq!(
        requests[1].field("mount"),
        Some(&*sha256(CONTENT.as_bytes()))
    );
}

#[tokio::test]
async fn a_refused_mount_becomes_an_upload() {
    for refusal in [empty(403), empty(404)] {
        let target = vec![empty(404), refusal, begun(), empty(201)];
        let copied = copy(vec![Reply::ok(CONTENT)], target, Some("other")).await;
        assert_eq!(copied.result.as_ref().unwrap(), &Presence::Sent);
        assert_eq!(copied.target.methods(), ["HEAD", "POST", "POST", "PUT"]);
        assert_eq!(copied.target.seen()[2].field("mount"), None);
        assert_eq!(copied.upload(), CONTENT.as_bytes());
    }
    // A registry without mounts begins an upload.
    let copied = copy(vec![Reply::ok(CONTENT)], accepting(), Some("other")).await;
    assert_eq!(copied.result.unwrap(), Presence::Sent);
}

#[tokio::test]
async fn a_failed_upload_starts_again_and_its_bytes_do_not_count() {
    // A token can expire between two requests.
    for failure in [empty(503), empty(401), Reply::Raw(String::new())] {
        let mut target = vec![empty(404), begun(), failure];
        target.extend(accepting());
        let source = vec![Reply::ok(CONTENT), Reply::ok(CONTENT)];
        let copied = copy(source, target, None).await;
        assert_eq!(copied.result.as_ref().unwrap(), &Presence::Sent);
        assert_eq!(copied.progress.bytes(), 7);
    }
    // Only the response was lost.
    let target = vec![empty(404), begun(), Reply::Raw(String::new()), empty(200)];
    let copied = copy(vec![Reply::ok(CONTENT)], target, None).await;
    assert_eq!(copied.result.unwrap(), Presence::Existed);
    assert_eq!(copied.progress.bytes(), 0);
}

#[tokio::test]
async fn a_rejected_upload_is_not_repeated() {
    let body = r#"{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}"#;
    let target = vec![empty(404), begun(), Reply::with_body(400, body)];
    let copied = copy(vec![Reply::ok(CONTENT)], target, None).await;
    let error = copied.error();
    assert!(error.ends_with("HTTP 400: DIGEST_INVALID: no"), "{error}");
    assert!(matches!(copied.result, Err(ImageCopyError::Target(_))));
}

/// A manifest with one blob as its config.
fn image(blob: &str) -> Manifest {
    let config = json!({"digest": sha256(blob.as_bytes()), "size": blob.len()});
    Manifest::new(
        OCI_MANIFEST,
        json!({"config": config, "layers": []}).to_string().into(),
    )
}

fn index_of(entries: &[&Manifest]) -> Manifest {
    let entry = |entry: &&Manifest| json!({"digest": entry.digest, "size": entry.bytes.len()});
    let entries: Vec<_> = entries.iter().map(entry).collect();
    Manifest::new(OCI_INDEX, json!({"manifests": entries}).to_string().into())
}

/// Reads an image from a registry with these replies, and returns the requests too.
async fn read(name: &str, replies: Vec<Reply>) -> (Result<Tree, ReadError>, Vec<String>) {
    let fake = Fake::start(replies).await;
    let source = Reference::parse(&format!("{}/{name}", fake.host())).unwrap();
    (Tree::read(&client(&[]), &source).await, seen(&fake))
}

#[tokio::test]
async fn each_manifest_is_read_once_and_comes_after_those_that_it_names() {
    let (one, two) = (image("one"), image("two"));
    let inner = index_of(&[&one, &two]);
    let root = index_of(&[&inner, &one, &inner]);
    let replies = [&root, &inner, &one, &two].map(served);
    let (tree, requests) = read("app:1", replies.into()).await;
    let tree = tree.unwrap();
    let expected = ["1", &inner.digest, &one.digest, &two.digest];
    assert_eq!(
        requests,
        expected.map(|reference| format!("GET /v2/app/manifests/{reference}"))
    );
    let nodes = tree.nodes().iter().map(|node| &node.manifest.digest);
    let nodes: Vec<_> = nodes.collect();
    let place = |manifest: &Manifest| nodes.iter().position(|digest| **digest == manifest.digest);
    assert!(place(&one) < place(&inner) && place(&two) < place(&inner));
    assert_eq!(nodes.last(), Some(&&root.digest));
    assert_eq!(tree.root(), &root);
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_an_error() {
    let (one, other) = (image("one"), image("other"));
    let root = index_of(&[&one]);
    let mislabeled = Reply::Response(
        200,
        format!(
            "Content-Type: {OCI_INDEX}\r\nDocker-Content-Digest: {}\r\n",
            other.digest
        ),
        String::from_utf8(root.bytes.to_vec()).unwrap(),
    );
    let by_digest = format!("app@{}", one.digest);
    for (name, replies) in [
        ("app:1", vec![served(&root), served(&other)]),
        ("app:1", vec![mislabeled]),
        (&by_digest, vec![served(&other)]),
    ] {
        let (tree, _) = read(name, replies).await;
        let error = one_line(&tree.unwrap_err());
        assert!(error.contains("the content has the digest "), "{error}");
    }
}

#[tokio::test]
async fn an_index_of_too_many_levels_is_an_error() {
    let mut levels = vec![image("one")];
    for _ in 0..8 {
        levels.push(index_of(&[levels.last().unwrap()]));
    }
    let replies = levels.iter().rev().map(served).collect();
    let (tree, _) = read("app:1", replies).await;
    let error = tree.unwrap_err().to_string();
    assert_eq!(error, "the image has more than 8 levels of indexes");
}

#[tokio::test]
async fn a_target_that_stores_another_digest_is_an_error() {
    let root = image(CONTENT);
    let source = Fake::start([served(&root), Reply::ok(CONTENT)]).await;
    let name = Reference::parse(&format!("{}/source:1", source.host())).unwrap();
    let client = Arc::new(client(&[]));
    let tree = Tree::read(&client, &name).await.unwrap();

    let stored = format!("Docker-Content-Digest: {}\r\n", image("other").digest);
    let mut replies = vec![empty(404)];
    replies.extend(accepting());
    replies.push(Reply::Response(201, stored, String::new()));
    let target = Fake::start(replies).await;
    let progress = Progress::default();
    let targets = [repository(&target, "target")];
    let copied = copy_image(&client, &Repository::of(&name), &tree, &targets, &progress).await;
    let error = one_line(&copied.unwrap_err());
    assert!(error.contains("it stored the digest"), "{error}");
    assert_eq!(target.methods(), ["HEAD", "HEAD", "POST", "PUT", "PUT"]);
    assert_eq!(progress.blobs(), [1, 0, 0]);
}
