//! Requests for a machine, and reports that it is still in use.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::build::Empty;
use super::json::{Names, Timestamp, from_name, is_default, number, to_name};

/// `BuilderPlatform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
#[expect(missing_docs, reason = "the names are Depot's")]
pub enum BuilderPlatform {
    Unspecified = 0,
    Amd64 = 1,
    Arm64 = 2,
}

impl Names for BuilderPlatform {
    const NAMES: &'static [(i32, &'static str)] = &[
        (0, "BUILDER_PLATFORM_UNSPECIFIED"),
        (1, "BUILDER_PLATFORM_AMD64"),
        (2, "BUILDER_PLATFORM_ARM64"),
    ];
}

/// `GetBuildKitConnectionRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetBuildKitConnectionRequest {
    /// The build's id.
    #[prost(string, tag = "1")]
    #[serde(alias = "build_id", skip_serializing_if = "is_default")]
    pub build_id: String,
    /// A [`BuilderPlatform`].
    #[prost(enumeration = "BuilderPlatform", tag = "2")]
    #[serde(
        serialize_with = "to_name::<BuilderPlatform, _>",
        deserialize_with = "from_name::<BuilderPlatform, _>",
        skip_serializing_if = "is_default"
    )]
    pub platform: i32,
}

/// `GetBuildKitConnectionResponse`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct GetBuildKitConnectionResponse {
    /// Pending or active.
    #[prost(oneof = "Connection", tags = "1, 2")]
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
}

/// The state of a machine.
#[derive(Clone, PartialEq, prost::Oneof, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Connection {
    /// Not ready yet.
    #[prost(message, tag = "1")]
    Pending(PendingConnection),
    /// Ready.
    #[prost(message, tag = "2")]
    Active(ActiveConnection),
}

/// `GetBuildKitConnectionResponse.PendingConnection`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PendingConnection {
    /// Milliseconds to wait before the next poll.
    #[prost(int32, tag = "1")]
    #[serde(
        deserialize_with = "number::from_either",
        skip_serializing_if = "is_default"
    )]
    pub wait_ms: i32,
}

/// `GetBuildKitConnectionResponse.ActiveConnection`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ActiveConnection {
    /// `tcp://host:port`.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub endpoint: String,
    /// The name to verify.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub server_name: String,
    /// The client's certificate and key.
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PemPair>,
    /// The only authority to trust; no key.
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<PemPair>,
    /// The compression of gRPC messages.
    #[prost(oneof = "CompressorChoice", tags = "5, 6")]
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub compressor: Option<CompressorChoice>,
}

/// The compression of gRPC messages.
#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CompressorChoice {
    /// None.
    #[prost(message, tag = "5")]
    Identity(Empty),
    /// gzip.
    #[prost(message, tag = "6")]
    Gzip(Empty),
}

/// `Cert`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[prost(skip_debug)]
#[serde(default)]
pub struct PemPair {
    /// Certificate in PEM.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub cert: String,
    /// Key in PEM.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub key: String,
}

impl fmt::Debug for PemPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PemPair")
            .field("cert", &self.cert)
            .finish_non_exhaustive()
    }
}

/// `ReportBuildHealthRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportBuildHealthRequest {
    /// The build's id.
    #[prost(string, tag = "1")]
    #[serde(alias = "build_id", skip_serializing_if = "is_default")]
    pub build_id: String,
    /// A [`BuilderPlatform`].
    #[prost(enumeration = "BuilderPlatform", tag = "2")]
    #[serde(
        serialize_with = "to_name::<BuilderPlatform, _>",
        deserialize_with = "from_name::<BuilderPlatform, _>",
        skip_serializing_if = "is_default"
    )]
    pub platform: i32,
}

/// `ReportBuildHealthResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportBuildHealthResponse {
    /// The time at which the build must stop.
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancels_at: Option<Timestamp>,
}
