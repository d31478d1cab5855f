//! The announced methods, and a session that two solves use on a real BuildKit.

use std::sync::Arc;
use std::{fs, future};

use depot_ground::engine::{Engine, EngineOptions};
use secrecy::SecretString;
use tokio::sync::mpsc;

use super::*;
use crate::buildkit::{ErrorKind, Solve, Solved};
use crate::context::{Directory, Tree};
use crate::report::log::subscriber;
use crate::report::output::{Captured, Output, OutputOptions};

#[tokio::test]
async fn every_announced_method_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let (sink, _pieces) = file();
    let services = services(folder.path()).with(sink);
    let methods: Vec<_> = services.methods().collect();
    assert_eq!(methods.len(), 8);
    let routes = services.into_routes(&Failure::default());
    let status = async |path: &str| {
        let body = tonic::body::Body::empty();
        let request = http::Request::post(path)
            .header("content-type", "application/grpc")
            .body(body);
        let response = routes.pass(request.unwrap()).await.unwrap();
        let status = response.headers().get("grpc-status").cloned();
        status.and_then(|status| status.to_str().ok()?.parse().ok())
    };
    let unimplemented = Some(tonic::Code::Unimplemented as i32);
    for method in methods {
        assert_ne!(status(method).await, unimplemented, "{method}");
    }
    for method in [
        "/moby.filesync.v1.Auth/Other",
        "/moby.sshforward.v1.SSH/CheckAgent",
    ] {
        assert_eq!(status(method).await, unimplemented, "{method}");
    }
}

/// Authorizes nothing.
struct NoRegistries;

#[tonic::async_trait]
impl Authorizer for NoRegistries {
    async fn credentials(&self, _host: &str) -> Option<(String, SecretString)> {
        None
    }

    async fn token(&self, request: TokenRequest) -> Result<RegistryToken, TokenError> {
        Err(TokenError {
            message: format!("no token for `{}`", request.host),
            denied: true,
        })
    }
}

/// The services for one folder, which is both the context and the directory of the Dockerfile.
fn services(folder: &std::path::Path) -> Services {
    let directory = || Directory::of(Tree::new(folder, &[]).unwrap());
    let files = FileSync::default()
        .with("context", directory())
        .with("dockerfile", directory());
    Services::new(uuid::Uuid::new_v4().to_string())
        .with(Health)
        .with(files)
        .with(Auth::new(Arc::new(NoRegistries)))
        .with(Secrets::default())
}

/// A solve whose image is kept in the builder's cache only. Solves with other `targets` have other results.
fn solve_of(target: &str) -> Solve {
    Solve {
        frontend_attributes: [("target".to_owned(), target.to_owned())].into(),
        export: None,
        internal: false,
        ..Solve::default()
    }
}

/// A connection to a real BuildKit, the log of this thread, and a context with two stages.
struct Ground {
    _engine: Engine,
    connection: Connection,
    folder: tempfile::TempDir,
    log: Captured,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Ground {
    async fn start() -> Self {
        let engine = Engine::start(&EngineOptions::of_this_machine())
            .await
            .unwrap();
        let stream = engine.connect_buildkit().await.unwrap();
        let connection = Connection::over(stream).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        // Both stages copy the same files. A builder requests a context once for each selection of files.
        let dockerfile = "FROM scratch AS one\nCOPY . /one\nFROM scratch AS two\nCOPY . /two\n";
        fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
        let (output, log) = Output::captured(OutputOptions::default());
        Self {
            _engine: engine,
            connection,
            folder,
            log,
            _subscriber: tracing::subscriber::set_default(subscriber(output, true)),
        }
    }

    async fn solve(&self, session: &Session, target: &str) -> Result<Solved, SolveError> {
        let (status, mut messages) = mpsc::channel(1);
        let solve = solve_of(target);
        let solving = self
            .connection
            .solve(&solve, session, status, future::pending());
        let reading = async { while messages.recv().await.is_some() {} };
        tokio::join!(solving, reading).0
    }

    /// The number of requests for files. The first solve of a session makes three: for the Dockerfile, for `.dockerignore`
    /// and for the context.
    fn requests(&self) -> usize {
        self.log.text().matches("the builder requests").count()
    }
}

#[tokio::test]
async fn solves_on_one_session_transfer_its_context_once() {
    let ground = Ground::start().await;
    let session = ground
        .connection
        .open_session(services(ground.folder.path()))
        .unwrap();
    let (one, two) = tokio::join!(ground.solve(&session, "one"), ground.solve(&session, "two"));
    one.unwrap();
    two.unwrap();
    ground.solve(&session, "one").await.unwrap();
    assert_eq!(ground.requests(), 3, "{}", ground.log.text());
    session.close().await;
    session.close().await;

    // Another session transfers it again.
    let other = ground
        .connection
        .open_session(services(ground.folder.path()))
        .unwrap();
    ground.solve(&other, "one").await.unwrap();
    assert_eq!(ground.requests(), 6, "{}", ground.log.text());
}

#[tokio::test]
async fn a_canceled_solve_does_not_end_its_session() {
    let ground = Ground::start().await;
    let session = ground
        .connection
        .open_session(services(ground.folder.path()))
        .unwrap();
    let (status, _messages) = mpsc::channel(1);
    let solve = solve_of("one");
    let canceled = ground
        .connection
        .solve(&solve, &session, status, future::ready(()));
    assert_eq!(canceled.await.unwrap_err().kind, ErrorKind::Canceled);
    ground.solve(&session, "two").await.unwrap();

    let closed = ground
        .connection
        .open_session(services(ground.folder.path()))
        .unwrap();
    closed.close().await;
    let failed = ground.solve(&closed, "two").await.unwrap_err();
    assert_eq!(failed.kind, ErrorKind::Connection, "{failed:?}");
    ground.solve(&session, "one").await.unwrap();
}
