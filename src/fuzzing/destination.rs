//! A builder that sends the result of a build.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full};
use tonic::body::Body;
use tower_service::Service;

use super::run;
use crate::buildkit::session::tree_service;
use crate::destination::{Place, Received, Staging};

/// The content of a file that no builder may change.
const OUTSIDE: &str = "outside of the clone";

/// Receives a directory twice, into one place. The input contains the messages of the call.
///
/// `folder` is empty, or was filled by an earlier call.
pub fn file_send(bytes: &[u8], folder: &Path) {
    let root = folder.join("clone");
    let outside = folder.join("outside");
    if fs::create_dir_all(&root).is_err() || fs::create_dir_all(&outside).is_err() {
        return;
    }
    if fs::write(outside.join("file"), OUTSIDE).is_err() {
        return;
    }
    let place = Place {
        path: root.join("out"),
        staging: root.join("staging"),
        root,
    };
    for _ in 0..2 {
        receive(bytes, &place);
    }
    let names = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(folder), ["clone", "outside"]);
    assert_eq!(names(&outside), ["file"]);
    let kept = fs::read_to_string(outside.join("file"));
    assert_eq!(kept.unwrap_or_default(), OUTSIDE);
    assert!(names(&place.root).iter().all(|name| name == "out"));
    // Follows no link.
    let _missing = fs::remove_dir_all(&place.path);
}

fn receive(bytes: &[u8], place: &Place) {
    let Ok(staging) = Staging::create(place) else {
        return;
    };
    let Ok((name, tree)) = staging.tree() else {
        return;
    };
    let body = Full::new(Bytes::copy_from_slice(bytes));
    let mut request = Request::new(Body::new(body));
    *request.uri_mut() = http::Uri::from_static("/moby.filesync.v1.FileSend/DiffCopy");
    let content_type = http::HeaderValue::from_static("application/grpc");
    request.headers_mut().insert(CONTENT_TYPE, content_type);
    let mut service = tree_service(std::sync::Arc::clone(&tree));
    run(async {
        let Ok(response) = service.call(request).await;
        let _replies = response.into_body().collect().await;
    });
    if let Ok(received) = Received::of_tree(name, &tree) {
        // The place can have entries that prevent it, such as a directory without permissions.
        let _outcome = staging.place(&received, place);
    }
}
