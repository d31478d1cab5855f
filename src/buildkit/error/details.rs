//! The typed details of a solve's error: the failed vertex, and the source lines of the failed step.
//!
//! BuildKit sends them in the details of the gRPC status, as JSON under type names of its own, such as
//! `github.com/moby/buildkit/errdefs.Source+json`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard_buildkit_proto::google::rpc;
use prost::Message;
use serde::Deserialize;
use tonic::Status;

/// The number of sources that are kept. A solve has one or two.
const MAX_SOURCES: usize = 8;

/// Lines of a source file, for an excerpt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The name that the frontend uses, usually `Dockerfile`.
    pub(crate) filename: String,
    /// The whole file.
    pub(crate) data: Vec<u8>,
    /// The first and last line of each failing part, from 1.
    pub(crate) lines: Vec<(u32, u32)>,
}

/// The details of an error.
#[derive(Debug, Default)]
pub(super) struct Details {
    /// The digest of the failed vertex.
    pub(super) vertex: Option<String>,
    /// The lines of the failed step, innermost last.
    pub(super) sources: Vec<Source>,
}

impl Details {
    /// Reads the details of a status. Invalid ones are ignored: they must not hide the error itself.
    pub(super) fn of(status: &Status) -> Self {
        let mut read = Self::default();
        let details = rpc::Status::decode(status.details()).unwrap_or_default();
        for detail in details.details {
            let name = detail.type_url.rsplit('/').next().unwrap_or("");
            match name.trim_end_matches("+json") {
                "errdefs.Vertex" => {
                    if let Ok(vertex) = serde_json::from_slice::<VertexDetail>(&detail.value) {
                        read.vertex.get_or_insert(vertex.digest);
                    }
                }
                "errdefs.Source" if read.sources.len() < MAX_SOURCES => {
                    read.sources.extend(source(&detail.value));
                }
                _ => {}
            }
        }
        read
    }
}

#[derive(Deserialize)]
struct VertexDetail {
    #[serde(default)]
    digest: String,
}

#[derive(Deserialize)]
struct SourceDetail {
    info: SourceInfo,
    #[serde(default)]
    ranges: Vec<LineRange>,
}

#[derive(Deserialize)]
struct SourceInfo {
    #[serde(default)]
    filename: String,
    /// Base64, as Go encodes bytes in JSON.
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct LineRange {
    #[serde(default)]
    start: Position,
    #[serde(default)]
    end: Position,
}

#[derive(Default, Deserialize)]
struct Position {
    #[serde(default)]
    line: u32,
}

fn source(json: &[u8]) -> Option<Source> {
    let detail: SourceDetail = serde_json::from_slice(json).ok()?;
    Some(Source {
        filename: detail.info.filename,
        data: STANDARD.decode(detail.info.data).ok()?,
        lines: detail
            .ranges
            .iter()
            .map(|range| (range.start.line, range.end.line.max(range.start.line)))
            .filter(|(start, _)| *start > 0)
            .collect(),
    })
}
