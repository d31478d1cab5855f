//! BuildKit's status messages (`moby.buildkit.v1.StatusResponse`), which the status stream carries as they are.

use serde::{Deserialize, Serialize};

use super::json::{Timestamp, bytes, bytes_list, is_default, number};

/// `StatusResponse`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusResponse {
    /// Steps that began, ended or became known.
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub vertexes: Vec<Vertex>,
    /// Progress inside of steps.
    #[prost(message, repeated, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub statuses: Vec<VertexStatus>,
    /// Output of steps.
    #[prost(message, repeated, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub logs: Vec<VertexLog>,
    /// Warnings.
    #[prost(message, repeated, tag = "4")]
    #[serde(skip_serializing_if = "is_default")]
    pub warnings: Vec<VertexWarning>,
}

/// `Vertex`: one step.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Vertex {
    /// Names the step.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub digest: String,
    /// Digests of the steps before it.
    #[prost(string, repeated, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub inputs: Vec<String>,
    /// For people.
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Came from the cache.
    #[prost(bool, tag = "4")]
    #[serde(skip_serializing_if = "is_default")]
    pub cached: bool,
    /// When it began.
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<Timestamp>,
    /// Why it failed.
    #[prost(string, tag = "7")]
    #[serde(skip_serializing_if = "is_default")]
    pub error: String,
    /// Steps shown together.
    #[prost(message, optional, tag = "8")]
    #[serde(alias = "progress_group", skip_serializing_if = "Option::is_none")]
    pub progress_group: Option<ProgressGroup>,
}

/// `pb.ProgressGroup`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressGroup {
    /// Names the group.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub id: String,
    /// For people.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Shown even when other steps of it run elsewhere.
    #[prost(bool, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub weak: bool,
}

/// `VertexStatus`: progress inside of a step.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct VertexStatus {
    /// Names the progress bar; written `ID` in the `.proto` file too.
    #[prost(string, tag = "1")]
    #[serde(rename = "ID", skip_serializing_if = "is_default")]
    pub id: String,
    /// The step's digest.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub vertex: String,
    /// For people.
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Done so far.
    #[prost(int64, tag = "4")]
    #[serde(
        serialize_with = "number::to_text",
        deserialize_with = "number::from_either",
        skip_serializing_if = "is_default"
    )]
    pub current: i64,
    /// Of so much.
    #[prost(int64, tag = "5")]
    #[serde(
        serialize_with = "number::to_text",
        deserialize_with = "number::from_either",
        skip_serializing_if = "is_default"
    )]
    pub total: i64,
    /// When this was so.
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// When it began.
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<Timestamp>,
}

/// `VertexLog`: output of a step.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct VertexLog {
    /// The step's digest.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub vertex: String,
    /// When it was written.
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// 1 is standard output, 2 standard error.
    #[prost(int64, tag = "3")]
    #[serde(
        serialize_with = "number::to_text",
        deserialize_with = "number::from_either",
        skip_serializing_if = "is_default"
    )]
    pub stream: i64,
    /// What was written.
    #[prost(bytes = "vec", tag = "4")]
    #[serde(with = "bytes", skip_serializing_if = "is_default")]
    pub msg: Vec<u8>,
}

/// `VertexWarning`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct VertexWarning {
    /// The step's digest.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub vertex: String,
    /// How bad.
    #[prost(int64, tag = "2")]
    #[serde(
        serialize_with = "number::to_text",
        deserialize_with = "number::from_either",
        skip_serializing_if = "is_default"
    )]
    pub level: i64,
    /// In a line.
    #[prost(bytes = "vec", tag = "3")]
    #[serde(with = "bytes", skip_serializing_if = "is_default")]
    pub short: Vec<u8>,
    /// At length.
    #[prost(bytes = "vec", repeated, tag = "4")]
    #[serde(with = "bytes_list", skip_serializing_if = "is_default")]
    pub detail: Vec<Vec<u8>>,
    /// Where to read more.
    #[prost(string, tag = "5")]
    #[serde(skip_serializing_if = "is_default")]
    pub url: String,
    /// The file that it is about.
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<SourceInfo>,
    /// The lines that it is about.
    #[prost(message, repeated, tag = "7")]
    #[serde(skip_serializing_if = "is_default")]
    pub ranges: Vec<Range>,
}

/// `pb.SourceInfo`, without the definition that a client has no use for.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceInfo {
    /// Its name.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub filename: String,
    /// Its text.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "bytes", skip_serializing_if = "is_default")]
    pub data: Vec<u8>,
    /// Its language.
    #[prost(string, tag = "4")]
    #[serde(skip_serializing_if = "is_default")]
    pub language: String,
}

/// `pb.Range`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Range {
    /// Its first position.
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Position>,
    /// Its last position.
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Position>,
}

/// `pb.Position`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Position {
    /// From 1.
    #[prost(int32, tag = "1")]
    #[serde(
        deserialize_with = "number::from_either",
        skip_serializing_if = "is_default"
    )]
    pub line: i32,
    /// From 0.
    #[prost(int32, tag = "2")]
    #[serde(
        deserialize_with = "number::from_either",
        skip_serializing_if = "is_default"
    )]
    pub character: i32,
}
