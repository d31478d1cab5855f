//! The session: a call to the builder that carries the builder's calls to this program.
//!
//! The bytes of one bidirectional gRPC call form a second HTTP/2 connection, on which this program is
//! the server. The builder uses it to request the files of the context and access to registries. It
//! also sends a health check every few seconds, and ends the session if there is no response.
//! Only [`Services`] are served; the builder gets the list of methods when the session opens.

mod auth;
mod authority;
mod diff_copy;
mod files;
mod health;
mod metadata;
mod receive;
mod sender;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bollard_buildkit_proto::health::health_server::HealthServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::AuthServer;
use futures_util::{Stream, TryFutureExt, TryStreamExt, stream};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Routes;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

pub(crate) use auth::{Authorizer, RegistryToken, TokenError, TokenRequest};
pub(crate) use files::FileSync;
pub(crate) use receive::{FileSink, file};

use super::connect::{Connection, HEADER_LIMIT_BYTES, MESSAGE_LIMIT_BYTES};
use super::error::{ErrorKind, SolveError};
use super::io::{SessionIo, outbound};
use super::wire::BytesMessage;
use crate::context::shown;

/// The receive window of one call of the session.
const WINDOW_BYTES: u32 = 4 << 20;

/// The receive window of all calls together. A file that is not read leaves room for health checks.
const SESSION_WINDOW_BYTES: u32 = 2 * WINDOW_BYTES;

/// How long a builder may take to respond to the opening of a session.
const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// How long the builder's calls may take to end after the session has ended.
const CLOSE_GRACE: Duration = Duration::from_millis(100);

/// The services that the builder may use.
pub(crate) struct Services {
    /// Identifies the files that the builder keeps between builds: with the same key, it requests
    /// only the files that have changed. Printable ASCII. Two directories must never share a key.
    pub(crate) shared_key: String,
    /// Directories.
    pub(crate) files: FileSync,
    /// Registries.
    pub(crate) authorizer: Arc<dyn Authorizer>,
    /// The destination of the single file that an exporter sends.
    pub(crate) file: Option<FileSink>,
}

/// An open session, which any number of solves may use, one after the other or at the same time.
///
/// [`Session::close`] ends it in an orderly way; dropping it ends it immediately.
///
/// A failure on this side, such as a file that changed while it was sent, is recorded in the session, not in a solve: every
/// solve that fails on the session afterwards reports it. So a repeated transfer needs a new session.
pub(crate) struct Session {
    id: String,
    /// Fires when the connection inside the call has ended.
    ended: CancellationToken,
    /// Ends the session.
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
    tasks: TaskTracker,
    failure: Failure,
    /// Why it could not be opened, if it could not.
    not_opened: Arc<OnceLock<Status>>,
}

/// How a transfer treats a file whose content changes while it is sent.
///
/// A file that was removed, or whose announced time was derived from its content, ends every transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Changes {
    /// The transfer ends with [`ErrorKind::FilesChanged`].
    #[default]
    Refused,
    /// The file is sent as it is, with a warning: a log that grows constantly would end every transfer.
    Tolerated,
}

/// The first failure on this side while serving the builder.
#[derive(Clone, Debug, Default)]
pub(super) struct Failure(Arc<FailureState>);

#[derive(Debug, Default)]
struct FailureState {
    report: OnceLock<FailureReport>,
    /// The first name in a folder that is not UTF-8, escaped. Not every builder accepts it.
    invalid_name: OnceLock<String>,
}

/// A failure on this side, with a message for the user.
#[derive(Clone, Debug)]
pub(super) struct FailureReport {
    /// [`ErrorKind::Session`] or [`ErrorKind::FilesChanged`].
    pub(super) kind: ErrorKind,
    /// The message.
    pub(super) message: String,
    /// What to change, if that helps.
    pub(super) hint: Option<&'static str>,
}

impl Failure {
    pub(super) fn record(&self, kind: ErrorKind, message: String, hint: Option<&'static str>) {
        // An error means that an earlier failure is the cause.
        let _already = self.0.report.set(FailureReport {
            kind,
            message,
            hint,
        });
    }

    pub(super) fn report(&self) -> Option<FailureReport> {
        self.0.report.get().cloned()
    }

    /// Records an entry if its name or link target is not UTF-8.
    pub(super) fn note_invalid_name(&self, path: &[u8]) {
        let _first = self.0.invalid_name.set(shown(path));
    }

    /// The failure behind the builder's error, if it rejected a name that is not UTF-8.
    fn for_invalid_name(&self, builder_message: &str) -> Option<FailureReport> {
        let path = self.0.invalid_name.get()?;
        let is_rejected = builder_message.to_ascii_lowercase().contains("utf-8");
        is_rejected.then(|| FailureReport {
            kind: ErrorKind::Session,
            message: format!(
                "the builder rejected the name `{path}`, or the target of that link: it is not valid UTF-8"
            ),
            hint: Some(
                "rename it, or exclude it with a line in .dockerignore (`?` matches each invalid byte)",
            ),
        })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut session = formatter.debug_struct("Session");
        session.field("id", &self.id).finish_non_exhaustive()
    }
}

impl Connection {
    /// Starts to open a session, which serves `services` to the builder until it is closed or dropped.
    ///
    /// A solve may use it immediately, because the builder waits for the session when needed. If the builder does not open it,
    /// the solves that use it fail with the reason.
    ///
    /// # Errors
    /// The shared key contains characters other than printable ASCII.
    pub(crate) fn open_session(&self, services: Services) -> Result<Session, SolveError> {
        Session::open(self, services).map_err(|status| SolveError::from_status(&status))
    }
}

impl Session {
    fn open(connection: &Connection, services: Services) -> Result<Self, Status> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let failure = Failure::default();
        let (sender, messages) = outbound();

        let mut request = Request::new(messages);
        let metadata = request.metadata_mut();
        metadata.insert("x-docker-expose-session-uuid", ascii(&id)?);
        metadata.insert("x-docker-expose-session-name", ascii("depot-build")?);
        metadata.insert(
            "x-docker-expose-session-sharedkey",
            ascii(&services.shared_key)?,
        );
        let file_send = services.file.is_some().then_some(FILE_SEND);
        for method in METHODS.into_iter().chain(file_send) {
            metadata.append(
                "x-docker-expose-session-grpc-method",
                MetadataValue::from_static(method),
            );
        }
        let not_opened = Arc::<OnceLock<Status>>::default();
        let status_slot = Arc::clone(&not_opened);
        let opening = call(connection.clone(), request).inspect_err(move |status| {
            // Set only once.
            let _first = status_slot.set(status.clone());
        });
        let inbound = Box::pin(stream::once(opening).try_flatten());

        let routes = Routes::new(HealthServer::new(health::Health))
            .add_service(files::server(services.files, failure.clone()))
            .add_service(
                AuthServer::new(auth::Auth::new(services.authorizer))
                    .max_decoding_message_size(MESSAGE_LIMIT_BYTES),
            );
        let routes = match services.file {
            Some(sink) => routes.add_service(receive::Receiver::new(sink)),
            None => routes,
        };
        let (tasks, ended, stop) = (
            TaskTracker::new(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let server = serve(
            SessionIo::new(inbound, sender),
            routes,
            Executor(tasks.clone(), stop.clone()),
        );
        let over = ended.clone().drop_guard();
        let stopped = stop.clone();
        tasks.spawn(async move {
            let outcome = stopped.run_until_cancelled(server).await;
            if let Some(Err(error)) = outcome {
                tracing::debug!("the session ended: {error}");
            }
            drop(over);
        });
        Ok(Self {
            id,
            ended,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
            tasks,
            failure,
            not_opened,
        })
    }

    /// The ID that a solve uses to refer to this session.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Waits until the session has ended. Cancel safe.
    pub(super) async fn broken(&self) -> Status {
        self.ended.cancelled().await;
        // The solve ends by itself when the builder detects the loss, and its error has more details.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Status::unavailable("the session with the builder was interrupted")
    }

    /// Why the builder did not open the session, if it did not.
    pub(super) fn not_opened(&self) -> Option<Status> {
        self.not_opened.get().cloned()
    }

    /// The failure on this side behind the builder's error, if any.
    pub(super) fn failure(&self, builder_message: &str) -> Option<FailureReport> {
        let report = self.failure.report();
        report.or_else(|| self.failure.for_invalid_name(builder_message))
    }

    /// Ends the session and waits up to [`CLOSE_GRACE`] until its tasks have ended. A solve that still uses it fails.
    ///
    /// Further calls have no effect. Cancel safe: the session ends also if the future is dropped after its first poll.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        let _too_slow = tokio::time::timeout(CLOSE_GRACE, self.tasks.wait()).await;
    }
}

/// The file service without a session, for tests that act as the builder.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn file_service(
    files: FileSync,
) -> impl tower_service::Service<
    http::Request<tonic::body::Body>,
    Response = http::Response<tonic::body::Body>,
    Error = std::convert::Infallible,
> {
    files::server(files, Failure::default())
}

/// The methods that are announced to the builder.
const METHODS: [&str; 6] = [
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.filesync.v1.Auth/FetchToken",
    "/moby.filesync.v1.Auth/GetTokenAuthority",
    "/moby.filesync.v1.Auth/VerifyTokenAuthority",
];

/// The method that receives a file, announced if one is expected.
const FILE_SEND: &str = "/moby.filesync.v1.FileSend/DiffCopy";

fn ascii(text: &str) -> Result<MetadataValue<Ascii>, Status> {
    MetadataValue::try_from(text).map_err(|error| Status::internal(error.to_string()))
}

/// `moby.buildkit.v1.Control/Session`, with messages that share their buffers.
async fn call(
    connection: Connection,
    request: Request<impl Stream<Item = BytesMessage> + Send + 'static>,
) -> Result<Streaming<BytesMessage>, Status> {
    let mut client = tonic::client::Grpc::new(connection.channel.clone())
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
        .accept_compressed(tonic::codec::CompressionEncoding::Gzip);
    if let Some(encoding) = connection.compression {
        client = client.send_compressed(encoding);
    }
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let path = http::uri::PathAndQuery::from_static("/moby.buildkit.v1.Control/Session");
    let codec: ProstCodec<BytesMessage, BytesMessage> = ProstCodec::default();
    let answer = client.streaming(request, path, codec);
    match tokio::time::timeout(OPEN_LIMIT, answer).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(Status::unavailable(
            "the builder did not open a session in time",
        )),
    }
}

/// Serves HTTP/2 on the session's bytes until either side ends it.
async fn serve(
    io: SessionIo<impl Stream<Item = Result<BytesMessage, Status>> + Send + Unpin + 'static>,
    routes: Routes,
    executor: Executor,
) -> Result<(), hyper::Error> {
    hyper::server::conn::http2::Builder::new(executor)
        .max_header_list_size(HEADER_LIMIT_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(SESSION_WINDOW_BYTES)
        .max_send_buf_size(256 << 10)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(routes.prepare()))
        .await
}

/// Runs the calls of a session as tasks that end with it.
#[derive(Clone)]
struct Executor(TaskTracker, CancellationToken);

impl<Task> hyper::rt::Executor<Task> for Executor
where
    Task: Future + Send + 'static,
    Task::Output: Send,
{
    fn execute(&self, task: Task) {
        let stop = self.1.clone();
        self.0.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }
}
