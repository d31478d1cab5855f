//! Reports of a client about its build.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::buildkit::StatusResponse;
use super::json::{Timestamp, is_default, number};

/// `ReportTimingsRequest`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportTimingsRequest {
    /// The build's id.
    #[prost(string, tag = "1")]
    #[serde(alias = "build_id", skip_serializing_if = "is_default")]
    pub build_id: String,
    /// The steps.
    #[prost(message, repeated, tag = "2")]
    #[serde(alias = "build_steps", skip_serializing_if = "is_default")]
    pub build_steps: Vec<BuildStep>,
}

/// `BuildStep`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BuildStep {
    /// When it began.
    #[prost(message, optional, tag = "1")]
    #[serde(alias = "start_time", skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// Its duration in milliseconds.
    #[prost(int32, tag = "2")]
    #[serde(
        alias = "duration_ms",
        deserialize_with = "number::from_either",
        skip_serializing_if = "is_default"
    )]
    pub duration_ms: i32,
    /// Its name.
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Why it failed.
    #[prost(string, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// A digest that is equal for the same step of another build.
    #[prost(string, optional, tag = "5")]
    #[serde(alias = "stable_digest", skip_serializing_if = "Option::is_none")]
    pub stable_digest: Option<String>,
    /// Whether it came from the cache.
    #[prost(bool, tag = "6")]
    #[serde(skip_serializing_if = "is_default")]
    pub cached: bool,
    /// Stable digests of its inputs.
    #[prost(string, repeated, tag = "7")]
    #[serde(alias = "input_digests", skip_serializing_if = "is_default")]
    pub input_digests: Vec<String>,
    /// Stable digests of all its dependencies.
    #[prost(string, repeated, tag = "8")]
    #[serde(alias = "ancestor_digests", skip_serializing_if = "is_default")]
    pub ancestor_digests: Vec<String>,
}

/// `ReportStatusStreamRequest`: one message of the stream.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportStatusStreamRequest {
    /// The build's id.
    #[prost(string, tag = "1")]
    #[serde(alias = "build_id", skip_serializing_if = "is_default")]
    pub build_id: String,
    /// BuildKit's own status messages.
    #[prost(message, repeated, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub statuses: Vec<StatusResponse>,
    /// Stable digests of the vertices in them.
    #[prost(btree_map = "string, string", tag = "3")]
    #[serde(alias = "stable_digests", skip_serializing_if = "is_default")]
    pub stable_digests: BTreeMap<String, String>,
}

/// `ReportBuildContextRequest`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportBuildContextRequest {
    /// The build's id.
    #[prost(string, tag = "1")]
    #[serde(alias = "build_id", skip_serializing_if = "is_default")]
    pub build_id: String,
    /// The Dockerfiles that were built.
    #[prost(message, repeated, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub dockerfiles: Vec<Dockerfile>,
}

/// `Dockerfile`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Dockerfile {
    /// The target that it builds.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub target: String,
    /// Its name.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub filename: String,
    /// Its text.
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub contents: String,
}
