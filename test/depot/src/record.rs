//! What the stand-in saw: every call, every build, every connection to a machine.
//!
//! A test takes a copy at any time, or waits until a copy satisfies it, and so never needs to sleep. No token and no other
//! secret is kept here.

use std::time::{Duration, Instant};

use depot_ground::wire::ByteCount;
use tokio::sync::watch;

use crate::messages::{
    BuildOptions, BuildStep, CreateBuildRequest, Dockerfile, FinishBuildRequest,
    GetBuildKitConnectionRequest, GetBuildRequest, GetPullInfoRequest, GetPullTokenRequest,
    ListProjectsRequest, ReportBuildContextRequest, ReportBuildHealthRequest,
    ReportStatusStreamRequest, ReportTimingsRequest, Vertex,
};
use crate::{Architecture, Code, Method};

/// Everything that was seen so far, in the order in which it happened.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Calls of known methods.
    pub calls: Vec<Call>,
    /// Builds that were created.
    pub builds: Vec<BuildRecord>,
    /// Connections to machines.
    pub connections: Vec<ConnectionRecord>,
    /// Leases that builders gave out and that were not deleted yet.
    pub leases: Vec<String>,
    /// Leases that were deleted.
    pub deleted_leases: Vec<String>,
    /// What no client that speaks Depot's protocol would have done, each as a sentence.
    pub unforeseen: Vec<String>,
}

impl Record {
    /// The calls of one method.
    pub fn calls_of(&self, method: Method) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.method == method)
    }

    /// The build that was created last.
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
    /// When it came, since the stand-in's start.
    pub at: Duration,
    /// Which TCP connection it came on, counted from 1.
    pub connection: u64,
    /// What was called.
    pub method: Method,
    /// HTTP's version.
    pub http_version: http::Version,
    /// `Content-Type`, empty if missing.
    pub content_type: String,
    /// `User-Agent`, empty if missing.
    pub user_agent: String,
    /// Which token it carried.
    pub token: TokenKind,
    /// Its message; `None` until it was read, and for good if it could not be.
    pub request: Option<Request>,
    /// How it was answered; `None` as long as it is not, and for good if the client went away before.
    pub outcome: Option<Outcome>,
}

/// The token of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// None.
    Absent,
    /// An `Authorization` header that is no bearer token.
    Malformed,
    /// The user's.
    User,
    /// That of this build.
    Build(String),
    /// Another.
    Unknown,
}

/// How a call was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked for.
    Answered,
    /// With an error of the protocol.
    Refused(Code),
    /// With a bare HTTP status, as planned.
    Html(u16),
    /// By resetting the connection, as planned.
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
    /// All messages of the stream so far.
    ReportStatusStream(Vec<ReportStatusStreamRequest>),
    ReportBuildContext(ReportBuildContextRequest),
    GetPullInfo(GetPullInfoRequest),
    GetPullToken(GetPullTokenRequest),
    ListProjects(ListProjectsRequest),
}

/// One build.
#[derive(Clone, Debug)]
pub struct BuildRecord {
    /// Its id.
    pub id: String,
    /// Its project.
    pub project_id: String,
    /// What a person would look at.
    pub url: String,
    /// What was asked for, target by target.
    pub options: Vec<BuildOptions>,
    /// Where it stands.
    pub state: BuildState,
    /// Health reports, in order.
    pub health: Vec<Architecture>,
    /// Steps that the client reported, in order; one that began and ended stands here twice.
    pub vertices: Vec<Vertex>,
    /// Timings that the client reported.
    pub timings: Vec<BuildStep>,
    /// Dockerfiles that the client reported.
    pub dockerfiles: Vec<Dockerfile>,
}

/// Where a build stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildState {
    /// Created and not finished.
    Created,
    /// Finished well.
    Succeeded,
    /// Finished with this error.
    Failed(String),
    /// Finished before its end.
    Canceled,
}

/// One connection to a machine.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// The machine.
    pub architecture: Architecture,
    /// When it was accepted, since the stand-in's start.
    pub at: Duration,
    /// Bytes from the client to the builder, TLS excluded. Counts on in copies of the record.
    pub received: ByteCount,
    /// Bytes from the builder to the client, TLS excluded. Counts on in copies of the record.
    pub sent: ByteCount,
    /// Where it stands.
    pub state: ConnectionState,
}

/// Where a connection to a machine stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Accepted.
    Accepted,
    /// TLS was agreed on, and bytes go to the builder and back.
    Open,
    /// It never got there; why.
    Refused(String),
    /// It was open and has ended; both ways.
    Closed,
    /// The stand-in reset it, as planned or on command.
    Cut,
}

/// The record as the stand-in writes it.
#[derive(Debug)]
pub(crate) struct Recorder {
    start: Instant,
    record: watch::Sender<Record>,
}

impl Recorder {
    /// Calls kept; more than any test or benchmark makes.
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

    pub(crate) fn lease_made(&self, lease: &str) {
        self.record
            .send_modify(|record| record.leases.push(lease.to_owned()));
    }

    /// Whether there was such a lease.
    pub(crate) fn lease_deleted(&self, lease: &str) -> bool {
        let mut is_known = false;
        self.record.send_modify(|record| {
            let before = record.leases.len();
            record.leases.retain(|known| known != lease);
            is_known = record.leases.len() < before;
            if is_known {
                record.deleted_leases.push(lease.to_owned());
            }
        });
        is_known
    }

    /// Adds a call and returns its number; `None` when too many were made.
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

    /// Adds a connection and returns its number.
    pub(crate) fn connection(&self, connection: ConnectionRecord) -> ConnectionNumber {
        let mut number = 0;
        self.record.send_modify(|record| {
            number = record.connections.len();
            record.connections.push(connection);
        });
        ConnectionNumber(number)
    }

    pub(crate) fn connection_is(
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

/// Place of a call in the record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallNumber(usize);

/// Place of a connection in the record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionNumber(usize);
