//! Creation and end of a build.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::json::{Names, from_name, is_default, to_name};

/// A message without fields.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
pub struct Empty {}

/// The kind of program that requests the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
#[expect(missing_docs, reason = "the names are Depot's")]
pub enum Command {
    Unspecified = 0,
    Build = 1,
    Bake = 2,
    Buildx = 3,
    Dagger = 4,
    Exec = 5,
    Flyctl = 6,
}

impl Names for Command {
    const NAMES: &'static [(i32, &'static str)] = &[
        (0, "COMMAND_UNSPECIFIED"),
        (1, "COMMAND_BUILD"),
        (2, "COMMAND_BAKE"),
        (3, "COMMAND_BUILDX"),
        (4, "COMMAND_DAGGER"),
        (5, "COMMAND_EXEC"),
        (6, "COMMAND_FLYCTL"),
    ];
}

/// `CreateBuildRequest`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CreateBuildRequest {
    /// The project to build in.
    #[prost(string, optional, tag = "1")]
    #[serde(alias = "project_id", skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// One for each target.
    #[prost(message, repeated, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub options: Vec<BuildOptions>,
    /// The engine that must run on the machine.
    #[prost(message, optional, tag = "3")]
    #[serde(alias = "required_engine", skip_serializing_if = "Option::is_none")]
    pub required_engine: Option<RequiredEngine>,
}

/// `CreateBuildRequest.RequiredEngine`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct RequiredEngine {
    /// The engine.
    #[prost(oneof = "Engine", tags = "1, 2")]
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
}

/// The engine that must run on a machine.
#[derive(Clone, PartialEq, prost::Oneof, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Engine {
    /// Plain BuildKit.
    #[prost(message, tag = "1")]
    Buildkit(BuildkitEngine),
    /// Dagger's engine.
    #[prost(message, tag = "2")]
    Dagger(DaggerEngine),
}

/// `CreateBuildRequest.RequiredEngine.BuildKitEngine`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
pub struct BuildkitEngine {}

/// `CreateBuildRequest.RequiredEngine.DaggerEngine`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct DaggerEngine {
    /// Its version.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub version: String,
}

#[expect(clippy::struct_excessive_bools, reason = "Depot's message has them")]
/// `BuildOptions`: one target of a build.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BuildOptions {
    /// A [`Command`].
    #[prost(enumeration = "Command", tag = "1")]
    #[serde(
        serialize_with = "to_name::<Command, _>",
        deserialize_with = "from_name::<Command, _>",
        skip_serializing_if = "is_default"
    )]
    pub command: i32,
    /// References of the image.
    #[prost(string, repeated, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub tags: Vec<String>,
    /// The outputs of the build.
    #[prost(message, repeated, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub outputs: Vec<BuildOutput>,
    /// Whether the image is pushed.
    #[prost(bool, tag = "4")]
    #[serde(skip_serializing_if = "is_default")]
    pub push: bool,
    /// Whether the image is loaded into the local daemon.
    #[prost(bool, tag = "5")]
    #[serde(skip_serializing_if = "is_default")]
    pub load: bool,
    /// The stage, or bake's target.
    #[prost(string, optional, tag = "6")]
    #[serde(alias = "target_name", skip_serializing_if = "Option::is_none")]
    pub target_name: Option<String>,
    /// Whether the Dockerfile is linted.
    #[prost(bool, tag = "7")]
    #[serde(skip_serializing_if = "is_default")]
    pub lint: bool,
    /// Whether the image is saved in Depot's registry.
    #[prost(bool, tag = "8")]
    #[serde(skip_serializing_if = "is_default")]
    pub save: bool,
    /// Tags under which it is saved.
    #[prost(string, repeated, tag = "9")]
    #[serde(alias = "save_tags", skip_serializing_if = "is_default")]
    pub save_tags: Vec<String>,
}

/// `BuildOutput`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildOutput {
    /// `image`, `local`, `docker`, `tar` or `oci`.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub kind: String,
    /// The exporter's attributes.
    #[prost(btree_map = "string, string", tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub attributes: BTreeMap<String, String>,
}

/// `CreateBuildResponse`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[prost(skip_debug)]
#[serde(rename_all = "camelCase", default)]
pub struct CreateBuildResponse {
    /// The build's id.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub build_id: String,
    /// The token of every later call of this build.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub build_token: String,
    /// How images must be loaded.
    #[prost(message, optional, tag = "3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
    /// A profiler's token.
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiler: Option<Profiler>,
    /// The address of the build's web page.
    #[prost(string, tag = "5")]
    #[serde(skip_serializing_if = "is_default")]
    pub build_url: String,
    /// The project that the build runs in.
    #[prost(string, tag = "6")]
    #[serde(skip_serializing_if = "is_default")]
    pub project_id: String,
    /// Credentials for the registries of the additional tags.
    #[prost(message, repeated, tag = "7")]
    #[serde(skip_serializing_if = "is_default")]
    pub additional_credentials: Vec<AdditionalCredential>,
    /// References for the push of a saved image.
    #[prost(message, repeated, tag = "8")]
    #[serde(skip_serializing_if = "is_default")]
    pub additional_tags: Vec<AdditionalTag>,
}

impl fmt::Debug for CreateBuildResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CreateBuildResponse")
            .field("build_id", &self.build_id)
            .finish_non_exhaustive()
    }
}

/// `Registry`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Registry {
    /// Whether the machine can serve its images itself.
    #[prost(bool, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub can_use_local_registry: bool,
    /// The helper image for that.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_image: String,
    /// Whether images must be saved and pulled instead of loaded.
    #[prost(bool, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub load_using_registry: bool,
}

/// `CreateBuildResponse.Profiler`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[prost(skip_debug)]
#[serde(default)]
pub struct Profiler {
    /// Its token.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub token: String,
}

impl fmt::Debug for Profiler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Profiler").finish_non_exhaustive()
    }
}

/// `CreateBuildResponse.Credential`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[prost(skip_debug)]
#[serde(default)]
pub struct AdditionalCredential {
    /// The registry's host.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub host: String,
    /// Base64 of `user:password`.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub token: String,
}

impl fmt::Debug for AdditionalCredential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AdditionalCredential")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// `CreateBuildResponse.Tag`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct AdditionalTag {
    /// The reference.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub tag: String,
    /// Whether it is pushed.
    #[prost(bool, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub push: bool,
}

/// `GetBuildRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetBuildRequest {
    /// The build's id.
    #[prost(string, tag = "1")]
    #[serde(alias = "build_id", skip_serializing_if = "is_default")]
    pub build_id: String,
}

/// `GetBuildResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetBuildResponse {
    /// The build's id.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub build_id: String,
    /// Its project.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub project_id: String,
    /// The address of its web page.
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub build_url: String,
}

/// `FinishBuildRequest`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FinishBuildRequest {
    /// The build's id.
    #[prost(string, tag = "1")]
    #[serde(alias = "build_id", skip_serializing_if = "is_default")]
    pub build_id: String,
    /// The result.
    #[prost(oneof = "FinishResult", tags = "2, 3, 4")]
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub result: Option<FinishResult>,
}

/// The result of a build.
#[derive(Clone, PartialEq, prost::Oneof, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FinishResult {
    /// Success.
    #[prost(message, tag = "2")]
    Success(Empty),
    /// An error.
    #[prost(message, tag = "3")]
    Error(BuildError),
    /// Canceled.
    #[prost(message, tag = "4")]
    Canceled(Empty),
}

/// `FinishBuildRequest.BuildError`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildError {
    /// Its text.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub error: String,
}
