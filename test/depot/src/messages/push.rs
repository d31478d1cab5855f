//! Pushes of saved builds, of `depot.cli.v1.PushService`.

use serde::{Deserialize, Serialize};

use super::json::is_default;

/// `StartPushRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StartPushRequest {
    /// The name to push to.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub tag: String,
    /// The build's id.
    #[prost(string, tag = "2")]
    #[serde(alias = "build_id", skip_serializing_if = "is_default")]
    pub build_id: String,
}

/// `StartPushResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StartPushResponse {
    /// The push's id.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub push_id: String,
}

/// `FinishPushRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FinishPushRequest {
    /// The push's id.
    #[prost(string, tag = "1")]
    #[serde(alias = "push_id", skip_serializing_if = "is_default")]
    pub push_id: String,
    /// The build's id.
    #[prost(string, tag = "2")]
    #[serde(alias = "build_id", skip_serializing_if = "is_default")]
    pub build_id: String,
    /// The error of a failed push.
    #[prost(string, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
