//! A Git server over HTTP on loopback, with `git http-backend` behind it. It requires a login and records what clients send.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::tasks::Tasks;

/// The limit for a request, which lists the commits that the client has.
const REQUEST_LIMIT_BYTES: usize = 1 << 20;

/// A Git server with one repository, `/app.git`. Dropping this stops it.
#[derive(Debug)]
pub struct GitServer {
    address: SocketAddr,
    state: Arc<State>,
    tasks: Tasks,
}

#[derive(Debug)]
struct State {
    folder: TempDir,
    /// The value of `Authorization` that a request needs; `None` for a public repository.
    authorization: Option<String>,
    seen: Mutex<Vec<Option<String>>>,
}

impl GitServer {
    /// Starts a server whose repository has a commit of the files in `source` on the branch `main`.
    ///
    /// # Errors
    /// If git is missing or fails, or if no port can be opened on loopback.
    pub async fn start(source: &Path, authorization: Option<&str>) -> io::Result<Self> {
        let folder = TempDir::new()?;
        let repository = folder.path().join("app.git");
        create(source, &repository).await?;

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            folder,
            authorization: authorization.map(str::to_owned),
            seen: Mutex::default(),
        });
        let tasks = Tasks::default();
        let (serving, connections) = (Arc::clone(&state), tasks.clone());
        tasks.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let state = Arc::clone(&serving);
                let service = service_fn(move |request| {
                    let state = Arc::clone(&state);
                    async move { Ok::<_, Infallible>(state.respond(request).await) }
                });
                connections.spawn(async move {
                    let connection = http1::Builder::new();
                    let served = connection.serve_connection(TokioIo::new(socket), service);
                    if let Err(error) = served.await {
                        tracing::debug!(%error, "a connection to the Git server broke");
                    }
                });
            }
        });
        Ok(Self {
            address,
            state,
            tasks,
        })
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The address of the repository.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/app.git", self.address)
    }

    /// The `Authorization` of each request until now.
    #[must_use]
    pub fn seen(&self) -> Vec<Option<String>> {
        let seen = self.state.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl State {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let sent = request.headers().get(header::AUTHORIZATION);
        let sent = sent.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let is_allowed = self.authorization.is_none() || self.authorization == sent;
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).push(sent);
        if !is_allowed {
            let mut refusal = Response::new(Full::default());
            *refusal.status_mut() = StatusCode::UNAUTHORIZED;
            let challenge = HeaderValue::from_static("Basic realm=\"git\"");
            refusal
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
            return refusal;
        }
        match self.backend(request).await {
            Ok(response) => response,
            Err(error) => {
                let mut failure = Response::new(Full::from(error.to_string()));
                *failure.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                failure
            }
        }
    }

    /// Runs `git http-backend` as a CGI program (RFC 3875).
    async fn backend(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, REQUEST_LIMIT_BYTES).collect().await;
        let body = body.map_err(io::Error::other)?.to_bytes();
        let text = |name: &str| {
            let value = parts.headers.get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let mut child = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", self.folder.path())
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_PROTOCOL", text("git-protocol"))
            .env("REQUEST_METHOD", parts.method.as_str())
            .env("PATH_INFO", parts.uri.path())
            .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
            .env("CONTENT_TYPE", text("content-type"))
            .env("CONTENT_LENGTH", body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", text("content-encoding"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(&body).await?;
        }
        let output = child.wait_with_output().await?.stdout;
        let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let end = end.ok_or_else(|| io::Error::other("the response has no head"))?;
        let (head, content) = output.split_at(end);
        let mut response = Response::new(Full::from(content.get(4..).unwrap_or_default().to_vec()));
        for line in String::from_utf8_lossy(head).lines() {
            if let Some((name, value)) = line.split_once(": ") {
                add(name, value, &mut response);
            }
        }
        Ok(response)
    }
}

fn add(name: &str, value: &str, response: &mut Response<Full<Bytes>>) {
    if name == "Status" {
        let code = value.split(' ').next().unwrap_or_default();
        if let Ok(status) = code.parse() {
            *response.status_mut() = status;
        }
        return;
    }
    let headers: &mut HeaderMap = response.headers_mut();
    if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

/// Creates a bare repository with a commit of the files in `source` on the branch `main`.
pub(crate) async fn create(source: &Path, repository: &Path) -> io::Result<()> {
    git(source, &["init", "--quiet", "--initial-branch=main"]).await?;
    git(source, &["add", "--all"]).await?;
    git(source, &["commit", "--quiet", "--message=files"]).await?;
    let target = repository.display().to_string();
    git(source, &["clone", "--quiet", "--bare", ".", &target]).await?;
    // A builder fetches a commit by its digest too.
    let setting = ["config", "uploadpack.allowAnySHA1InWant", "true"];
    git(repository, &setting).await
}

/// Runs git without the configuration of the machine.
async fn git(folder: &Path, arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "test")
        .env("GIT_AUTHOR_EMAIL", "test@example.com")
        .env("GIT_COMMITTER_NAME", "test")
        .env("GIT_COMMITTER_EMAIL", "test@example.com")
        .output()
        .await?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("git {arguments:?}: {errors}")))
}
