//! Requests of a builder for files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use bollard_buildkit_proto::fsutil::types::Packet;
use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bytes::{Buf, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::body::Body;
use tower_service::Service;

use super::{lossy, run};
use crate::buildkit::session::{FileSync, file_service};
use crate::context::patterns::{MAX_PATTERN_BYTES, Matcher, Scratch};
use crate::context::{Directory, Tree, checkout};

/// Content that no builder may get.
const OUTSIDE: &str = "outside of the context";

/// Reads the files of a checkout that name submodules and files in Git LFS, and the start of such a file.
pub fn checkouts(bytes: &[u8]) {
    let text = lossy(bytes);
    for path in checkout::submodules(&text) {
        assert!(
            !path.is_empty() && !Path::new(&path).is_absolute(),
            "{path}"
        );
        assert!(
            path.split('/').all(|name| !matches!(name, "" | "." | "..")),
            "{path}"
        );
    }
    if checkout::uses_lfs(bytes) {
        assert!(text.contains("filter=lfs"), "{text}");
    }
    if checkout::is_pointer(bytes) {
        assert!(text.starts_with("version "), "{text}");
    }
}

/// Matches a path against patterns. The input contains the path and the patterns, one per line.
pub fn patterns(bytes: &[u8]) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let path = lines.next().unwrap_or_default();
    let patterns: Vec<_> = lines.map(lossy).collect();
    let is_matched = judge(&patterns, path);
    let rewrites: [fn(&str) -> Vec<String>; 4] = [
        |pattern| vec![pattern.into(), pattern.into()],
        |pattern| vec![format!("  {pattern}\t")],
        |pattern| vec![" ".into(), pattern.into(), String::new()],
        |pattern| match pattern.trim() {
            "" => Vec::new(),
            pattern => vec![format!("{pattern}/")],
        },
    ];
    // A pattern that white space makes too long is a different one.
    if patterns
        .iter()
        .all(|pattern| pattern.len() + 4 < MAX_PATTERN_BYTES)
    {
        for rewrite in rewrites {
            let rewritten: Vec<_> = patterns
                .iter()
                .flat_map(|pattern| rewrite(pattern))
                .collect();
            assert_eq!(judge(&rewritten, path), is_matched, "{rewritten:?}");
        }
    }
    let is_plain = !patterns
        .iter()
        .any(|pattern| pattern.trim().starts_with('!'));
    if let (Some(is_matched), true) = (is_matched, is_plain)
        && let Some(found) = match_by_directories(&patterns, path)
    {
        assert_eq!(found, is_matched, "{patterns:?}");
    }
}

/// Whether the patterns match the path; `None` if they are invalid.
fn judge(patterns: &[String], path: &[u8]) -> Option<bool> {
    let matcher = Matcher::new(patterns.iter().map(String::as_str)).ok()?;
    matcher.matches(path).ok()
}

/// The same result, computed directory by directory on the way to the path.
fn match_by_directories(patterns: &[String], path: &[u8]) -> Option<bool> {
    let matcher = Matcher::new(patterns.iter().map(String::as_str)).ok()?;
    let mut scratch = Scratch::default();
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let mut parent = vec![false; patterns.len()];
    for end in ends.map(|(end, _)| end).chain([path.len()]) {
        let (path, _) = path.split_at(end);
        let mut marks = Vec::new();
        let is_matched = matcher
            .matches_below(path, Some(&parent), Some(&mut marks), &mut scratch)
            .ok()?;
        if is_matched {
            // So is everything below it.
            return Some(true);
        }
        parent = marks;
    }
    Some(false)
}

/// Serves a call for files. The input contains the metadata of the call, one header per line, an empty line, and the
/// messages of the call.
///
/// `folder` is empty, or was filled by an earlier call.
pub fn file_sync(bytes: &[u8], folder: &Path) {
    let tree = folder.join("context");
    if !tree.exists() && create_folder(folder).is_err() {
        return;
    }
    let Ok(tree) = Tree::new(&tree, &[]) else {
        return;
    };
    let directory = Directory::of(tree);
    let end = bytes.windows(2).position(|end| end == b"\n\n");
    let (headers, messages) = end.map_or((bytes, &[][..]), |end| bytes.split_at(end));
    let messages = messages.get(2..).unwrap_or_default();
    let body = Full::new(Bytes::copy_from_slice(messages));
    let mut request = Request::new(Body::new(body));
    *request.uri_mut() = http::Uri::from_static("/moby.filesync.v1.FileSync/DiffCopy");
    let map = request.headers_mut();
    map.insert("dir-name", HeaderValue::from_static("context"));
    map.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    for header in headers.split(|&byte| byte == b'\n') {
        let colon = header.iter().position(|&byte| byte == b':');
        let (name, value) = header.split_at(colon.unwrap_or(header.len()));
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value)
            && map.len() < 1000
        {
            map.append(name, value);
        }
    }
    let response = run(async {
        let files = FileSync::default().with("context", directory);
        let Ok(response) = file_service(files).call(request).await;
        response
            .into_body()
            .collect()
            .await
            .ok()
            .map(http_body_util::Collected::to_bytes)
    });
    if let Some(response) = response {
        check(response);
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("secret"), OUTSIDE)?;
    let tree = folder.join("context");
    fs::create_dir_all(tree.join("a/b/c"))?;
    fs::create_dir_all(tree.join("d.e"))?;
    for file in [
        "a/b/c/f",
        "a/b.txt",
        "a/z",
        "d.e/[x]",
        "Dockerfile",
        ".dockerignore",
        "ä",
    ] {
        fs::write(tree.join(file), file)?;
    }
    fs::write(tree.join("large"), vec![b'x'; 100_000])?;
    fs::hard_link(tree.join("a/z"), tree.join("hard"))?;
    symlink("../secret", tree.join("out"))?;
    symlink("..", tree.join("up"))?;
    symlink("b/c", tree.join("a/link"))?;
    symlink("loop", tree.join("loop"))
}

/// Asserts that the list is in order, contains only entries of the folder, and that each listed file is sent at most once.
fn check(mut response: Bytes) {
    assert!(
        !response
            .windows(OUTSIDE.len())
            .any(|text| text == OUTSIDE.as_bytes())
    );
    let mut listed: Vec<(String, i64)> = Vec::new();
    let mut sent: BTreeMap<u32, i64> = BTreeMap::new();
    while response.len() >= 5 {
        assert_eq!(response.get_u8(), 0, "nothing is compressed");
        let length = usize::try_from(response.get_u32()).unwrap_or(usize::MAX);
        assert!(length <= response.len());
        let packet = Packet::decode(response.split_to(length));
        let Ok(packet) = packet else {
            unreachable!("{packet:?}");
        };
        match (packet.r#type(), packet.stat) {
            (PacketType::PacketStat, Some(stat)) => {
                let names = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
                if let Some((last, _)) = listed.last() {
                    assert!(names(last) < names(&stat.path), "{last} {}", stat.path);
                }
                assert!(
                    !names(&stat.path)
                        .iter()
                        .any(|name| matches!(&**name, "" | "." | ".."))
                );
                listed.push((stat.path, stat.size));
            }
            (PacketType::PacketData, _) => {
                *sent.entry(packet.id).or_default() +=
                    i64::try_from(packet.data.len()).unwrap_or(i64::MAX);
            }
            _ => {}
        }
    }
    for (id, bytes) in sent {
        let entry = usize::try_from(id).ok().and_then(|id| listed.get(id));
        // Content can be sent before the list is complete.
        assert!(
            entry.is_none_or(|(_, size)| bytes <= *size),
            "{entry:?} {bytes}"
        );
    }
}
