//! Pulls of saved images, and the list of projects.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::build::BuildOptions;
use super::json::is_default;

/// `GetPullInfoRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetPullInfoRequest {
    /// The build's id.
    #[prost(string, tag = "1")]
    #[serde(alias = "build_id", skip_serializing_if = "is_default")]
    pub build_id: String,
}

/// `GetPullInfoResponse`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[prost(skip_debug)]
#[serde(rename_all = "camelCase", default)]
pub struct GetPullInfoResponse {
    /// The image's reference.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub reference: String,
    /// User name.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub username: String,
    /// Password.
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub password: String,
    /// The options of the build.
    #[prost(message, repeated, tag = "4")]
    #[serde(skip_serializing_if = "is_default")]
    pub options: Vec<BuildOptions>,
    /// Whether the image was saved only to be loaded.
    #[prost(bool, tag = "5")]
    #[serde(skip_serializing_if = "is_default")]
    pub save_for_load: bool,
}

impl fmt::Debug for GetPullInfoResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GetPullInfoResponse")
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

/// `GetPullTokenRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetPullTokenRequest {
    /// For all images of a project.
    #[prost(string, optional, tag = "1")]
    #[serde(alias = "project_id", skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// For the image of a build.
    #[prost(string, optional, tag = "2")]
    #[serde(alias = "build_id", skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
}

/// `GetPullTokenResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[prost(skip_debug)]
#[serde(default)]
pub struct GetPullTokenResponse {
    /// A password for the user `x-token`.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub token: String,
}

impl fmt::Debug for GetPullTokenResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GetPullTokenResponse")
            .finish_non_exhaustive()
    }
}

/// `ListProjectsRequest`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
pub struct ListProjectsRequest {}

/// `ListProjectsResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ListProjectsResponse {
    /// Every project that the token may see.
    #[prost(message, repeated, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub projects: Vec<Project>,
}

/// `ListProjectsResponse.Project`.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Project {
    /// Its id.
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "is_default")]
    pub id: String,
    /// Its name.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Its organization's id.
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "is_default")]
    pub org_id: String,
    /// Its organization's name.
    #[prost(string, tag = "4")]
    #[serde(skip_serializing_if = "is_default")]
    pub org_name: String,
}
