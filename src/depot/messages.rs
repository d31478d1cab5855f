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

/// Creates a build in a project.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CreateBuildRequest {
    /// The project; absent if the token determines it.
    #[prost(string, optional, tag = "1")]
    pub project_id: Option<String>,
    /// One entry for each image of the build; a pipe builds one.
    #[prost(message, repeated, tag = "2")]
    pub options: Vec<BuildOptions>,
}

/// What is built, for Depot's records and for its choice of registry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildOptions {
    /// The kind of command; always [`Command::Build`] here.
    #[prost(enumeration = "Command", tag = "1")]
    pub command: i32,
    /// References of the image.
    #[prost(string, repeated, tag = "2")]
    pub tags: Vec<String>,
    /// The outputs of the build.
    #[prost(message, repeated, tag = "3")]
    pub outputs: Vec<BuildOutput>,
    /// The image is pushed to the registries named in `tags`.
    #[prost(bool, tag = "4")]
    pub push: bool,
    /// The image is loaded into a Docker daemon.
    #[prost(bool, tag = "5")]
    pub load: bool,
    /// The image is kept in Depot's registry.
    #[prost(bool, tag = "8")]
    pub save: bool,
    /// The user's tags in that registry.
    #[prost(string, repeated, tag = "9")]
    pub save_tags: Vec<String>,
}

/// The kind of command that a build belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Command {
    /// Not set.
    Unspecified = 0,
    /// One image from one Dockerfile.
    Build = 1,
}

/// One output of a build.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildOutput {
    /// `image`, `docker`, `local`, `tar` or `oci`.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// The exporter's attributes.
    #[prost(map = "string, string", tag = "2")]
    pub attributes: HashMap<String, String>,
}

/// A build that now exists and must be finished.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct CreateBuildResponse {
    /// The build's id, named in every later call.
    #[prost(string, tag = "1")]
    pub build_id: String,
    /// Authorizes every later call of this build.
    #[prost(string, tag = "2")]
    pub build_token: String,
    /// How Depot requests that the image is loaded.
    #[prost(message, optional, tag = "3")]
    pub registry: Option<RegistryChoice>,
    /// The address of the build's page.
    #[prost(string, tag = "5")]
    pub build_url: String,
    /// The project that Depot chose; it overrides the requested one.
    #[prost(string, tag = "6")]
    pub project_id: String,
    /// Logins for the hosts of `additional_tags`.
    #[prost(message, repeated, tag = "7")]
    pub additional_credentials: Vec<AdditionalCredential>,
    /// Names of the image in addition to the user's.
    #[prost(message, repeated, tag = "8")]
    pub additional_tags: Vec<AdditionalTag>,
}

/// How Depot requests that an image is loaded into a Docker daemon.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct RegistryChoice {
    /// Whether by a pull from Depot's registry, where the image is saved for this.
    #[prost(bool, tag = "3")]
    pub load_using_registry: bool,
}

/// Queries where the saved image of a build can be pulled from.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetPullInfoRequest {
    /// The build.
    #[prost(string, tag = "1")]
    pub build_id: String,
}

/// The reference of a saved image, and the login to pull it.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct GetPullInfoResponse {
    /// The image.
    #[prost(string, tag = "1")]
    pub reference: String,
    /// User name.
    #[prost(string, tag = "2")]
    pub username: String,
    /// Password.
    #[prost(string, tag = "3")]
    pub password: String,
}

impl fmt::Debug for GetPullInfoResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GetPullInfoResponse({:?}, ***)", self.reference)
    }
}

/// A login for one registry, valid for this build.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct AdditionalCredential {
    /// The registry's host.
    #[prost(string, tag = "1")]
    pub host: String,
    /// `user:password` in base64.
    #[prost(string, tag = "2")]
    pub token: String,
}

impl fmt::Debug for AdditionalCredential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AdditionalCredential({:?}, ***)", self.host)
    }
}

/// A name of the image that Depot adds.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AdditionalTag {
    /// A reference, such as `registry.depot.dev/project:build`.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// Whether the builder pushes the image to it.
    #[prost(bool, tag = "2")]
    pub push: bool,
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
pub struct FinishBuildRequest {
    /// The build.
    #[prost(string, tag = "1")]
    pub build_id: String,
    /// How it ended.
    #[prost(oneof = "BuildResult", tags = "2, 3, 4")]
    pub result: Option<BuildResult>,
}

/// How a build ended.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum BuildResult {
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
pub struct BuildError {
    /// The error message, without secrets.
    #[prost(string, tag = "1")]
    pub error: String,
}

/// A message without fields.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Empty {}

/// The architecture of a builder machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum BuilderPlatform {
    /// Not set; never sent.
    Unspecified = 0,
    /// A machine with x86-64 processors.
    Amd64 = 1,
    /// A machine with 64-bit Arm processors.
    Arm64 = 2,
}

/// A build and one of its machines; the request of both machine calls.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MachineRequest {
    /// The build.
    #[prost(string, tag = "1")]
    pub build_id: String,
    /// The machine.
    #[prost(enumeration = "BuilderPlatform", tag = "2")]
    pub platform: i32,
}

/// The state of the requested machine.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetBuildKitConnectionResponse {
    /// Absent only if the API is newer than this program.
    #[prost(oneof = "MachineConnection", tags = "1, 2")]
    pub connection: Option<MachineConnection>,
}

/// The state of a machine.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum MachineConnection {
    /// The machine is starting.
    #[prost(message, tag = "1")]
    Pending(PendingConnection),
    /// The machine accepts connections.
    #[prost(message, tag = "2")]
    Active(ActiveConnection),
}

/// A machine that is starting.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct PendingConnection {
    /// The pause before the next request, in milliseconds.
    #[prost(int32, tag = "1")]
    pub wait_ms: i32,
}

/// How to connect to a machine.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ActiveConnection {
    /// `tcp://host:port`.
    #[prost(string, tag = "1")]
    pub endpoint: String,
    /// The name that its certificate must contain.
    #[prost(string, tag = "2")]
    pub server_name: String,
    /// The client certificate and its key.
    #[prost(message, optional, tag = "3")]
    pub cert: Option<Certificate>,
    /// The one authority to trust.
    #[prost(message, optional, tag = "4")]
    pub ca_cert: Option<Certificate>,
    /// How gRPC messages to the machine are compressed.
    #[prost(oneof = "Compressor", tags = "5, 6")]
    pub compressor: Option<Compressor>,
}

/// How gRPC messages to a machine are compressed.
#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
pub enum Compressor {
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
pub struct Certificate {
    /// One or more certificates, PEM.
    #[prost(string, tag = "1")]
    pub cert: String,
    /// The private key, PEM; empty for an authority.
    #[prost(string, tag = "2")]
    pub key: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Certificate(***)")
    }
}

/// The response to a health report.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReportBuildHealthResponse {
    /// The moment at which Depot cancels the build.
    #[prost(message, optional, tag = "1")]
    pub cancels_at: Option<prost_types::Timestamp>,
}

/// The pipe's own steps for the build's page; one message of a client stream.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReportStatusStreamRequest {
    /// The build.
    #[prost(string, tag = "1")]
    pub build_id: String,
    /// The steps, in BuildKit's format.
    #[prost(message, repeated, tag = "2")]
    pub statuses: Vec<StatusResponse>,
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
