//! The session: a call to the builder that carries the builder's calls to this program.
//!
//! The bytes of one bidirectional gRPC call form a second HTTP/2 connection, on which this program is
//! the server. The builder uses it to request, for example, the files of the context and access to
//! registries. Only [`Services`] are served; the builder gets the list of their methods when the session
//! opens. A service is registered by its own file, and this file contains none of them.

mod auth;
mod diff_copy;
mod failure;
mod filesync;
mod health;
mod routes;
mod secrets;
mod service;
mod ssh;
#[cfg(test)]
mod tests;
mod tree;
mod upload;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{Stream, TryFutureExt, TryStreamExt, stream};
use hyper_util::rt::TokioIo;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

pub(crate) use auth::{Auth, Authorizer, RegistryToken, TokenError, TokenRequest};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use filesync::file_service;
pub(crate) use filesync::{Changes, FileSync};
pub(crate) use health::Health;
pub(crate) use secrets::{SECRET_LIMIT_BYTES, SecretSource, Secrets};
pub(crate) use service::{Service, Services};
pub(crate) use ssh::Ssh;
pub(crate) use tree::TreeSink;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use tree::tree_service;
pub(crate) use upload::file;

use super::connect::{Connection, HEADER_LIMIT_BYTES, MESSAGE_LIMIT_BYTES};
use super::error::SolveError;
use super::io::{SessionIo, outbound};
use super::wire::BytesMessage;
use failure::{Failure, FailureReport};
use routes::Routes;

/// The receive window of one call of the session.
const WINDOW_BYTES: u32 = 4 << 20;

/// The receive window of all calls together. A file that is not read leaves room for health checks.
const SESSION_WINDOW_BYTES: u32 = 2 * WINDOW_BYTES;

/// How long a builder may take to respond to the opening of a session.
const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// How long the builder's calls may take to end after the session has ended.
const CLOSE_GRACE: Duration = Duration::from_millis(100);

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
        metadata.insert(
            "x-docker-expose-session-name",
            MetadataValue::from_static(env!("CARGO_PKG_NAME")),
        );
        metadata.insert(
            "x-docker-expose-session-sharedkey",
            ascii(&services.shared_key)?,
        );
        for method in services.methods() {
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

        let routes = services.into_routes(&failure);
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

    /// Whether the session has ended, or was not opened.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_cancelled() || self.not_opened.get().is_some()
    }

    /// Why the builder did not open the session, if it did not.
    pub(super) fn not_opened(&self) -> Option<Status> {
        self.not_opened.get().cloned()
    }

    /// The failure on this side behind the builder's error, if any.
    pub(super) fn failure(&self, builder_message: &str) -> Option<FailureReport> {
        self.failure.behind(builder_message)
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
    let response = client.streaming(request, path, codec);
    match tokio::time::timeout(OPEN_LIMIT, response).await {
        Ok(response) => Ok(response?.into_inner()),
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
        .serve_connection(TokioIo::new(io), routes)
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
