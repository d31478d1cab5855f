//! Depot's messages, in protobuf and in protobuf's JSON form.
//!
//! They are written by hand and share no code with the pipe's messages, so that a wrong field number on one side is found.
//! Only messages that `depot build`, `depot push` and `depot pull` use are here.
//!
//! JSON: names are lowerCamelCase and accepted in `snake_case`; enums are names and accepted as numbers; 64-bit numbers are
//! strings; bytes are base64; a `oneof` is the one member that is set; `null` means "not set" (it is removed before these
//! types read it); members at their default are omitted.

mod build;
mod buildkit;
mod json;
mod machine;
mod pull;
mod push;
mod report;

pub use build::{
    AdditionalCredential, AdditionalTag, BuildError, BuildOptions, BuildOutput, BuildkitEngine,
    Command, CreateBuildRequest, CreateBuildResponse, DaggerEngine, Empty, Engine,
    FinishBuildRequest, FinishResult, GetBuildRequest, GetBuildResponse, Profiler, Registry,
    RequiredEngine,
};
pub use buildkit::{
    Position, ProgressGroup, Range, SourceInfo, StatusResponse, Vertex, VertexLog, VertexStatus,
    VertexWarning,
};
pub use json::Timestamp;
pub use machine::{
    ActiveConnection, BuilderPlatform, CompressorChoice, Connection, GetBuildKitConnectionRequest,
    GetBuildKitConnectionResponse, PemPair, PendingConnection, ReportBuildHealthRequest,
    ReportBuildHealthResponse,
};
pub use pull::{
    GetPullInfoRequest, GetPullInfoResponse, GetPullTokenRequest, GetPullTokenResponse,
    ListProjectsRequest, ListProjectsResponse, Project,
};
pub use push::{FinishPushRequest, StartPushRequest, StartPushResponse};
pub use report::{
    BuildStep, Dockerfile, ReportBuildContextRequest, ReportStatusStreamRequest,
    ReportTimingsRequest,
};
