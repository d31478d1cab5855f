//! Depot's messages, both in protobuf and in the JSON form that protobuf defines for them.
//!
//! Written by hand and apart from the pipe's own, so that a wrong field number on one side shows. Only what `depot build`
//! needs is here.
//!
//! JSON: names are lowerCamelCase and also taken in `snake_case`; enums are names and also taken as numbers; 64-bit numbers are
//! strings; bytes are base64; a `oneof` is the one member that is set; `null` means "not set" (it is taken out before
//! these see it); members at their default are left out.

mod build;
mod buildkit;
mod json;
mod machine;
mod pull;
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
pub use report::{
    BuildStep, Dockerfile, ReportBuildContextRequest, ReportStatusStreamRequest,
    ReportTimingsRequest,
};
