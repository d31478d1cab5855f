//! The record of a local Depot: every call, every build, every connection to a machine.
//!
//! A test copies it at any time, or waits until it satisfies a predicate, so tests need no sleep. It contains no token and
//! no other secret.

use std::time::{Duration, Instant};

use depot_ground::wire::ByteCount;
use tokio::sync::watch;

use crate::messages::{
    BuildOptions, BuildStep, CreateBuildRequest, Dockerfile, FinishBuildRequest, FinishPushRequest,
    GetBuildKitConnectionRequest, GetBuildRequest, GetPullInfoRequest, GetPullTokenRequest,
    ListProjectsRequest, ReportBuildContextRequest, ReportBuildHealthRequest,
    ReportStatusStreamRequest, ReportTimingsRequest, StartPushRequest, Vertex,
};
use crate::{Architecture, Code, Method};

/// Everything until now, in the order in which it happened.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Calls of known methods.
    pub calls: Vec<Call>,
    /// Builds that were created.
    pub builds: Vec<BuildRecord>,
    /// Pushes of saved builds, in the order of their start.
    pub pushes: Vec<PushRecord>,
    /// Requests to the blob service.
    pub blobs: Vec<BlobRecord>,
    /// Connections to machines.
    pub connections: Vec<ConnectionRecord>,
    /// Leases that builders created and that were not deleted.
    pub leases: Vec<String>,
    /// Leases that were deleted.
    pub deleted_leases: Vec<String>,
    /// Violations of Depot's protocol by clients, as sentences.
    pub unforeseen: Vec<String>,
}

impl Record {
    /// The calls of one method.
    pub fn calls_of(&self, method: Method) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.method == method)
    }

    /// The most recent build.
    #[must_use]
    pub fn last_build(&self) -> Option<&BuildRecord> {
        self.builds.last()
    }

    /// The connections to one machine.
    pub fn connections_to(
        &self,
        architecture: Architecture,
    ) -> impl Iterator<Item = &ConnectionRecord> {
        self.connections
            .iter()
            .filter(move |connection| connection.architecture == architecture)
    }
}

/// One call of a known method.
#[derive(Clone, Debug)]
pub struct Call {
    /// The time of arrival, since the local Depot's start.
    pub at: Duration,
    /// The number of its TCP connection, from 1.
    pub connection: u64,
    /// The method.
    pub method: Method,
    /// The HTTP version.
    pub http_version: http::Version,
    /// `Content-Type`, empty if absent.
    pub content_type: String,
    /// `User-Agent`, empty if absent.
    pub user_agent: String,
    /// The kind of token.
    pub token: TokenKind,
    /// The message; `None` until it is read, and if it cannot be read.
    pub request: Option<Request>,
    /// The response; `None` until there is one, and if the client disconnected before.
    pub outcome: Option<Outcome>,
}

/// The token of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// None.
    Absent,
    /// An `Authorization` header without a bearer token.
    Malformed,
    /// The user's token.
    User,
    /// The token of this build.
    Build(String),
    /// Another token.
    Unknown,
}

/// The response to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A success.
    Answered,
    /// An error of the protocol.
    Refused(Code),
    /// A planned bare HTTP status.
    Html(u16),
    /// A planned reset of the connection.
    Reset,
}

/// The message of a call.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "each is the request of the method of that name"
)]
pub enum Request {
    CreateBuild(CreateBuildRequest),
    GetBuild(GetBuildRequest),
    FinishBuild(FinishBuildRequest),
    GetBuildKitConnection(GetBuildKitConnectionRequest),
    ReportBuildHealth(ReportBuildHealthRequest),
    ReportTimings(ReportTimingsRequest),
    /// All messages of the stream until now.
    ReportStatusStream(Vec<ReportStatusStreamRequest>),
    ReportBuildContext(ReportBuildContextRequest),
    GetPullInfo(GetPullInfoRequest),
    GetPullToken(GetPullTokenRequest),
    StartPush(StartPushRequest),
    FinishPush(FinishPushRequest),
    ListProjects(ListProjectsRequest),
}

/// One build.
#[derive(Clone, Debug)]
pub struct BuildRecord {
    /// The id.
    pub id: String,
    /// The project's id.
    pub project_id: String,
    /// The address of its web page.
    pub url: String,
    /// The options of each target.
    pub options: Vec<BuildOptions>,
    /// The state.
    pub state: BuildState,
    /// Health reports, in order.
    pub health: Vec<Architecture>,
    /// Steps that the client reported, in order; a step can be reported at its start and again at its end.
    pub vertices: Vec<Vertex>,
    /// Timings that the client reported.
    pub timings: Vec<BuildStep>,
    /// Dockerfiles that the client reported.
    pub dockerfiles: Vec<Dockerfile>,
}

/// The state of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildState {
    /// Created and not finished.
    Created,
    /// Finished with success.
    Succeeded,
    /// Finished with this error.
    Failed(String),
    /// Finished as canceled.
    Canceled,
}

/// One push of a saved build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushRecord {
    /// The id.
    pub id: String,
    /// The build's id.
    pub build_id: String,
    /// The name to push to.
    pub tag: String,
    /// The state.
    pub state: PushState,
}

/// The state of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushState {
    /// Started and not finished.
    Started,
    /// Finished with success.
    Succeeded,
    /// Finished with this error.
    Failed(String),
}

/// One blob that the blob service copied, or could not copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRecord {
    /// The id of the build whose image has the blob.
    pub build_id: String,
    /// The digest.
    pub digest: String,
    /// The host and the repository of the target.
    pub target: String,
    /// The scheme of the authorization for the target.
    pub scheme: String,
    /// The status of the response.
    pub status: u16,
}

/// One connection to a machine.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// The machine.
    pub architecture: Architecture,
    /// The time of acceptance, since the local Depot's start.
    pub at: Duration,
    /// Bytes from the client to the builder, TLS excluded. Copies of the record share the counter.
    pub received: ByteCount,
    /// Bytes from the builder to the client, TLS excluded. Copies of the record share the counter.
    pub sent: ByteCount,
    /// The state.
    pub state: ConnectionState,
}

/// The state of a connection to a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Accepted.
    Accepted,
    /// The TLS handshake is done, and bytes pass in both directions.
    Open,
    /// It was not opened; the reason.
    Refused(String),
    /// It was open and has ended in both directions.
    Closed,
    /// The local Depot reset it, as planned or on request.
    Cut,
}

/// The writing side of the record.
#[derive(Debug)]
pub(crate) struct Recorder {
    start: Instant,
    record: watch::Sender<Record>,
}

impl Recorder {
    /// The most recorded calls; more than any test or benchmark makes.
    const MAX_CALLS: usize = 100_000;

    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            record: watch::Sender::new(Record::default()),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn snapshot(&self) -> Record {
        self.record.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Record> {
        self.record.subscribe()
    }

    pub(crate) fn add_lease(&self, lease: &str) {
        self.record
            .send_modify(|record| record.leases.push(lease.to_owned()));
    }

    /// Deletes a lease; `false` if it does not exist.
    pub(crate) fn delete_lease(&self, lease: &str) -> bool {
        let mut exists = false;
        self.record.send_modify(|record| {
            let before = record.leases.len();
            record.leases.retain(|other| other != lease);
            exists = record.leases.len() < before;
            if exists {
                record.deleted_leases.push(lease.to_owned());
            }
        });
        exists
    }

    /// Adds a call and returns its index; `None` after [`Self::MAX_CALLS`] calls.
    pub(crate) fn call(&self, call: Call) -> Option<CallNumber> {
        let mut number = None;
        self.record.send_modify(|record| {
            if record.calls.len() < Self::MAX_CALLS {
                number = Some(CallNumber(record.calls.len()));
                record.calls.push(call);
            }
        });
        number
    }

    pub(crate) fn change_call(
        &self,
        CallNumber(number): CallNumber,
        change: impl FnOnce(&mut Call),
    ) {
        self.record.send_modify(|record| {
            if let Some(call) = record.calls.get_mut(number) {
                change(call);
            }
        });
    }

    pub(crate) fn unforeseen(&self, sentence: String) {
        self.record.send_modify(|record| {
            if record.unforeseen.len() < Self::MAX_CALLS {
                record.unforeseen.push(sentence);
            }
        });
    }

    pub(crate) fn build(&self, build: BuildRecord) {
        self.record.send_modify(|record| record.builds.push(build));
    }

    pub(crate) fn change_build(&self, id: &str, change: impl FnOnce(&mut BuildRecord)) {
        self.record.send_modify(|record| {
            if let Some(build) = record.builds.iter_mut().find(|build| build.id == id) {
                change(build);
            }
        });
    }

    pub(crate) fn push(&self, push: PushRecord) {
        self.record.send_modify(|record| record.pushes.push(push));
    }

    /// Finishes a push; `false` if none with these ids is running.
    pub(crate) fn finish_push(&self, id: &str, build_id: &str, state: PushState) -> bool {
        let mut is_running = false;
        self.record.send_modify(|record| {
            let running = record.pushes.iter_mut().find(|push| {
                push.id == id && push.build_id == build_id && push.state == PushState::Started
            });
            is_running = running.is_some();
            if let Some(push) = running {
                push.state = state;
            }
        });
        is_running
    }

    pub(crate) fn blob(&self, blob: BlobRecord) {
        self.record.send_modify(|record| {
            if record.blobs.len() < Self::MAX_CALLS {
                record.blobs.push(blob);
            }
        });
    }

    /// Adds a connection and returns its index.
    pub(crate) fn connection(&self, connection: ConnectionRecord) -> ConnectionNumber {
        let mut number = 0;
        self.record.send_modify(|record| {
            number = record.connections.len();
            record.connections.push(connection);
        });
        ConnectionNumber(number)
    }

    pub(crate) fn change_connection(
        &self,
        ConnectionNumber(number): ConnectionNumber,
        state: ConnectionState,
    ) {
        self.record.send_modify(|record| {
            if let Some(connection) = record.connections.get_mut(number) {
                connection.state = state;
            }
        });
    }
}

/// The index of a call in the record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallNumber(usize);

/// The index of a connection in the record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionNumber(usize);
