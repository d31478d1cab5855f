//! BuildKit's status messages (`moby.buildkit.v1.StatusResponse`), which the status stream carries unchanged.

use serde::{Deserialize, Serialize};

use super::json::{Timestamp, bytes, bytes_list, is_default, number};

/// `StatusResponse`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusResponse {
    /// New, started and ended steps.
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub vertexes: Vec<Vertex>,
    /// Progress within steps.
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
    /// The step's digest.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub digest: String,
    /// Digests of its inputs.
    #[prost(string, repeated, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub inputs: Vec<String>,
    /// The displayed name.
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Whether it came from the cache.
    #[prost(bool, tag = "4")]
    #[serde(skip_serializing_if = "is_default")]
    pub cached: bool,
    /// The start.
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// The end.
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<Timestamp>,
    /// The error.
    #[prost(string, tag = "7")]
    #[serde(skip_serializing_if = "is_default")]
    pub error: String,
    /// The group of steps that are displayed together.
    #[prost(message, optional, tag = "8")]
    #[serde(alias = "progress_group", skip_serializing_if = "Option::is_none")]
    pub progress_group: Option<ProgressGroup>,
}

/// `pb.ProgressGroup`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressGroup {
    /// The group's id.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub id: String,
    /// The displayed name.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Whether it is displayed even if it is incomplete (BuildKit's `weak`).
    #[prost(bool, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub weak: bool,
}

/// `VertexStatus`: progress within a step.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct VertexStatus {
    /// The id of the progress bar; spelled `ID` in the `.proto` file.
    #[prost(string, tag = "1")]
    #[serde(rename = "ID", skip_serializing_if = "is_default")]
    pub id: String,
    /// The step's digest.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub vertex: String,
    /// The displayed name.
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// The amount done.
    #[prost(int64, tag = "4")]
    #[serde(
        serialize_with = "number::to_text",
        deserialize_with = "number::from_either",
        skip_serializing_if = "is_default"
    )]
    pub current: i64,
    /// The total amount.
    #[prost(int64, tag = "5")]
    #[serde(
        serialize_with = "number::to_text",
        deserialize_with = "number::from_either",
        skip_serializing_if = "is_default"
    )]
    pub total: i64,
    /// The time of this status.
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// The start.
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// The end.
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
    /// The time of the output.
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
    /// The output.
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
    /// The severity.
    #[prost(int64, tag = "2")]
    #[serde(
        serialize_with = "number::to_text",
        deserialize_with = "number::from_either",
        skip_serializing_if = "is_default"
    )]
    pub level: i64,
    /// A short text.
    #[prost(bytes = "vec", tag = "3")]
    #[serde(with = "bytes", skip_serializing_if = "is_default")]
    pub short: Vec<u8>,
    /// A detailed text.
    #[prost(bytes = "vec", repeated, tag = "4")]
    #[serde(with = "bytes_list", skip_serializing_if = "is_default")]
    pub detail: Vec<Vec<u8>>,
    /// The address of the documentation.
    #[prost(string, tag = "5")]
    #[serde(skip_serializing_if = "is_default")]
    pub url: String,
    /// The file.
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<SourceInfo>,
    /// The lines.
    #[prost(message, repeated, tag = "7")]
    #[serde(skip_serializing_if = "is_default")]
    pub ranges: Vec<Range>,
}

/// `pb.SourceInfo`, without the definition, which clients do not use.
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
