//! The messages of `depot.cli.v1.BuildService` that a build needs.
//!
//! Written by hand from the field numbers of Depot's public protocol: a dozen small messages need no
//! code generator, and unused fields are omitted. The decoder skips unknown fields, so new fields of
//! the API are compatible.
//!
//! Messages with a token, a password or a private key do not derive `Debug` through prost: the
//! implementations below mask these fields.

use std::collections::HashMap;
use std::fmt;

use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;

use crate::platform::Architecture;

/// Creates a build in a project.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CreateBuildRequest {
    /// The project; absent if the token determines it.
    #[prost(string, optional, tag = "1")]
    pub(crate) project_id: Option<String>,
    /// One entry for each image of the build.
    #[prost(message, repeated, tag = "2")]
    pub(crate) options: Vec<BuildOptions>,
}

/// The build's options, for Depot's records and its choice of a registry.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BuildOptions {
    /// The kind of command.
    #[prost(enumeration = "Command", tag = "1")]
    pub(crate) command: i32,
    /// References of the image.
    #[prost(string, repeated, tag = "2")]
    pub(crate) tags: Vec<String>,
    /// The outputs of the build.
    #[prost(message, repeated, tag = "3")]
    pub(crate) outputs: Vec<BuildOutput>,
    /// The image is pushed to the registries named in `tags`.
    #[prost(bool, tag = "4")]
    pub(crate) push: bool,
    /// The image is loaded into a Docker daemon.
    #[prost(bool, tag = "5")]
    pub(crate) load: bool,
    /// The name of a target of a definition.
    #[prost(string, optional, tag = "6")]
    pub(crate) target_name: Option<String>,
    /// The image is kept in Depot's registry.
    #[prost(bool, tag = "8")]
    pub(crate) save: bool,
    /// The user's tags in that registry.
    #[prost(string, repeated, tag = "9")]
    pub(crate) save_tags: Vec<String>,
}

/// The kind of command that a build belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Command {
    /// Not set.
    Unspecified = 0,
    /// One image from one Dockerfile.
    Build = 1,
    /// The targets of a definition.
    Bake = 2,
}

/// One output of a build.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BuildOutput {
    /// `image`, `docker`, `local`, `tar` or `oci`.
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    /// The exporter's attributes.
    #[prost(map = "string, string", tag = "2")]
    pub(crate) attributes: HashMap<String, String>,
}

/// A build that now exists and must be finished.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct CreateBuildResponse {
    /// The build's id, sent in every later call.
    #[prost(string, tag = "1")]
    pub(crate) build_id: String,
    /// Authorizes every later call of this build.
    #[prost(string, tag = "2")]
    pub(crate) build_token: String,
    /// How Depot requests that the image is loaded.
    #[prost(message, optional, tag = "3")]
    pub(crate) registry: Option<RegistryChoice>,
    /// The address of the build's page.
    #[prost(string, tag = "5")]
    pub(crate) build_url: String,
    /// The project that Depot chose; it overrides the requested one.
    #[prost(string, tag = "6")]
    pub(crate) project_id: String,
    /// Logins for the hosts of `additional_tags`.
    #[prost(message, repeated, tag = "7")]
    pub(crate) additional_credentials: Vec<AdditionalCredential>,
    /// Names of the image in addition to the user's.
    #[prost(message, repeated, tag = "8")]
    pub(crate) additional_tags: Vec<AdditionalTag>,
}

/// How Depot requests that an image is loaded into a Docker daemon.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct RegistryChoice {
    /// Whether by a pull from Depot's registry, where the image is saved for this.
    #[prost(bool, tag = "3")]
    pub(crate) load_using_registry: bool,
}

/// Queries where the saved image of a build can be pulled from.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetPullInfoRequest {
    /// The build.
    #[prost(string, tag = "1")]
    pub(crate) build_id: String,
}

/// The reference of a saved image, and the login to pull it.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct GetPullInfoResponse {
    /// The image.
    #[prost(string, tag = "1")]
    pub(crate) reference: String,
    /// User name.
    #[prost(string, tag = "2")]
    pub(crate) username: String,
    /// Password.
    #[prost(string, tag = "3")]
    pub(crate) password: String,
}

impl fmt::Debug for GetPullInfoResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GetPullInfoResponse({:?}, ***)", self.reference)
    }
}

/// A login for one registry, valid for this build.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct AdditionalCredential {
    /// The registry's host.
    #[prost(string, tag = "1")]
    pub(crate) host: String,
    /// `user:password` in base64.
    #[prost(string, tag = "2")]
    pub(crate) token: String,
}

impl fmt::Debug for AdditionalCredential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AdditionalCredential({:?}, ***)", self.host)
    }
}

/// A name of the image that Depot adds.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct AdditionalTag {
    /// A reference, such as `registry.depot.dev/project:build`.
    #[prost(string, tag = "1")]
    pub(crate) tag: String,
    /// Whether the builder pushes the image to it.
    #[prost(bool, tag = "2")]
    pub(crate) push: bool,
}

impl fmt::Debug for CreateBuildResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CreateBuildResponse")
            .field("build_id", &self.build_id)
            .field("build_token", &"***")
            .field("registry", &self.registry)
            .field("build_url", &self.build_url)
            .field("project_id", &self.project_id)
            .field("additional_credentials", &self.additional_credentials)
            .field("additional_tags", &self.additional_tags)
            .finish()
    }
}

/// Finishes a build with a result.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FinishBuildRequest {
    /// The build.
    #[prost(string, tag = "1")]
    pub(crate) build_id: String,
    /// How it ended.
    #[prost(oneof = "BuildResult", tags = "2, 3, 4")]
    pub(crate) result: Option<BuildResult>,
}

/// How a build ended.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum BuildResult {
    /// The build and all its outputs succeeded.
    #[prost(message, tag = "2")]
    Success(Empty),
    /// The build failed; the page of the build shows the message.
    #[prost(message, tag = "3")]
    Error(BuildError),
    /// The build was canceled.
    #[prost(message, tag = "4")]
    Canceled(Empty),
}

/// Why a build failed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BuildError {
    /// The error message, without secrets.
    #[prost(string, tag = "1")]
    pub(crate) error: String,
}

/// A message without fields.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Empty {}

/// The architecture of a builder machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum BuilderPlatform {
    /// Not set; never sent.
    Unspecified = 0,
    /// A machine with x86-64 processors.
    Amd64 = 1,
    /// A machine with 64-bit Arm processors.
    Arm64 = 2,
}

impl From<Architecture> for BuilderPlatform {
    fn from(architecture: Architecture) -> Self {
        match architecture {
            Architecture::Amd64 => Self::Amd64,
            Architecture::Arm64 => Self::Arm64,
        }
    }
}

/// A build and one of its machines; the request of both machine calls.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MachineRequest {
    /// The build.
    #[prost(string, tag = "1")]
    pub(crate) build_id: String,
    /// The machine.
    #[prost(enumeration = "BuilderPlatform", tag = "2")]
    pub(crate) platform: i32,
}

/// The state of the requested machine.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetBuildKitConnectionResponse {
    /// Absent only if the API is newer than this program.
    #[prost(oneof = "MachineConnection", tags = "1, 2")]
    pub(crate) connection: Option<MachineConnection>,
}

/// The state of a machine.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum MachineConnection {
    /// The machine is starting.
    #[prost(message, tag = "1")]
    Pending(PendingConnection),
    /// The machine accepts connections.
    #[prost(message, tag = "2")]
    Active(ActiveConnection),
}

/// A machine that is starting.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct PendingConnection {
    /// The pause before the next request, in milliseconds.
    #[prost(int32, tag = "1")]
    pub(crate) wait_ms: i32,
}

/// How to connect to a machine.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ActiveConnection {
    /// `tcp://host:port`.
    #[prost(string, tag = "1")]
    pub(crate) endpoint: String,
    /// The name that its certificate must contain.
    #[prost(string, tag = "2")]
    pub(crate) server_name: String,
    /// The client certificate and its key.
    #[prost(message, optional, tag = "3")]
    pub(crate) cert: Option<Certificate>,
    /// The one authority to trust.
    #[prost(message, optional, tag = "4")]
    pub(crate) ca_cert: Option<Certificate>,
    /// How gRPC messages to the machine are compressed.
    #[prost(oneof = "Compressor", tags = "5, 6")]
    pub(crate) compressor: Option<Compressor>,
}

/// How gRPC messages to a machine are compressed.
#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
pub(crate) enum Compressor {
    /// Not compressed.
    #[prost(message, tag = "5")]
    Identity(Empty),
    /// Compressed with gzip.
    #[prost(message, tag = "6")]
    Gzip(Empty),
}

/// A certificate; the client's also has its key.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Certificate {
    /// One or more certificates, PEM.
    #[prost(string, tag = "1")]
    pub(crate) cert: String,
    /// The private key, PEM; empty for an authority.
    #[prost(string, tag = "2")]
    pub(crate) key: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Certificate(***)")
    }
}

/// The response to a health report.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReportBuildHealthResponse {
    /// The moment at which Depot cancels the build.
    #[prost(message, optional, tag = "1")]
    pub(crate) cancels_at: Option<prost_types::Timestamp>,
}

/// The pipe's own steps for the build's page; one message of a client stream.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReportStatusStreamRequest {
    /// The build.
    #[prost(string, tag = "1")]
    pub(crate) build_id: String,
    /// The steps, in BuildKit's format.
    #[prost(message, repeated, tag = "2")]
    pub(crate) statuses: Vec<StatusResponse>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_keys_are_masked_in_debug_output() {
        let created = CreateBuildResponse {
            build_token: "token-of-the-build".into(),
            additional_credentials: vec![AdditionalCredential {
                host: "registry.example".into(),
                token: "login-in-base64".into(),
            }],
            ..Default::default()
        };
        let pull = GetPullInfoResponse {
            password: "password-to-pull".into(),
            ..Default::default()
        };
        let active = ActiveConnection {
            cert: Some(Certificate {
                cert: "PEM".into(),
                key: "private-key".into(),
            }),
            ..Default::default()
        };
        let shown = format!("{created:?} {active:?} {pull:?}");
        assert!(!shown.contains("token-of-the-build"), "{shown}");
        assert!(!shown.contains("private-key"), "{shown}");
        assert!(!shown.contains("password-to-pull"), "{shown}");
        assert!(!shown.contains("login-in-base64"), "{shown}");
        assert!(shown.contains("registry.example"), "{shown}");
    }
}
