//! A server with planned replies. It fails the test on an unplanned request and on an unused reply.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Serves connections until it is dropped.
pub(in crate::registry) struct Fake {
    pub(in crate::registry) address: SocketAddr,
    log: Arc<Mutex<Log>>,
    _serving: JoinSet<()>,
}

#[derive(Default)]
struct Log {
    planned: VecDeque<Reply>,
    seen: Vec<Seen>,
    unplanned: Vec<String>,
}

/// A reply, or none.
pub(in crate::registry) enum Reply {
    /// Status, headers (each with its line end), body.
    Response(u16, String, String),
    /// These bytes, and then the end of the connection.
    Raw(String),
    Hang,
}

/// A received request.
#[derive(Clone, Debug)]
pub(in crate::registry) struct Seen {
    pub(in crate::registry) method: String,
    pub(in crate::registry) path: String,
    /// Of the query.
    pub(in crate::registry) query: Vec<(String, String)>,
    /// Of the body.
    pub(in crate::registry) form: Vec<(String, String)>,
    pub(in crate::registry) authorization: Option<String>,
    pub(in crate::registry) body: Vec<u8>,
    head: String,
}

impl Reply {
    pub(in crate::registry) fn status(status: u16) -> Self {
        Self::with_body(status, "<html>no</html>")
    }

    pub(in crate::registry) fn with_body(status: u16, body: impl Into<String>) -> Self {
        Self::Response(status, String::new(), body.into())
    }

    pub(in crate::registry) fn ok(body: &str) -> Self {
        Self::with_body(200, body)
    }

    pub(in crate::registry) fn token() -> Self {
        Self::with_body(200, r#"{"token":"the-token","expires_in":300}"#)
    }

    /// The reply of a registry to a request without a token.
    pub(in crate::registry) fn challenge(realm: &str) -> Self {
        let header = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"s\"\r\n");
        Self::Response(401, header, String::new())
    }
}

impl Seen {
    pub(in crate::registry) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(in crate::registry) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.query.iter().chain(&self.form);
        fields.find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    /// User and password in the header, split at the first colon.
    pub(in crate::registry) fn basic(&self) -> Option<(String, String)> {
        let encoded = self.authorization.as_ref()?.strip_prefix("Basic ")?;
        let decoded = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        let (user, password) = decoded.split_once(':').unwrap();
        Some((user.to_owned(), password.to_owned()))
    }
}

impl Fake {
    pub(in crate::registry) async fn start(planned: impl IntoIterator<Item = Reply>) -> Self {
        Self::start_with(None, planned).await
    }

    pub(in crate::registry) async fn start_with(
        tls: Option<TlsAcceptor>,
        planned: impl IntoIterator<Item = Reply>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log {
            planned: planned.into_iter().collect(),
            ..Log::default()
        }));
        let mut serving = JoinSet::new();
        let noted = Arc::clone(&log);
        serving.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (noted, tls) = (Arc::clone(&noted), tls.clone());
                open.spawn(async move {
                    match tls {
                        // A client that does not trust the certificate is not recorded.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(socket).await {
                                exchange(stream, &noted).await;
                            }
                        }
                        None => exchange(socket, &noted).await,
                    }
                });
            }
        });
        Self {
            address,
            log,
            _serving: serving,
        }
    }

    pub(in crate::registry) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(in crate::registry) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Plans more replies, for those that depend on the address of the server.
    pub(in crate::registry) fn plan(&self, replies: impl IntoIterator<Item = Reply>) {
        self.log.lock().unwrap().planned.extend(replies);
    }

    /// The requests so far.
    pub(in crate::registry) fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().seen.clone()
    }

    /// The methods of the requests so far.
    pub(in crate::registry) fn methods(&self) -> Vec<String> {
        let seen = self.seen().into_iter();
        seen.map(|seen| seen.method).collect()
    }
}

/// A resolver for these names that counts its queries.
pub(in crate::registry) struct Names {
    names: HashMap<String, Vec<IpAddr>>,
    pub(in crate::registry) queries: AtomicUsize,
}

impl Names {
    pub(in crate::registry) fn new<'a>(
        names: impl IntoIterator<Item = (&'a str, &'a [&'a str])>,
    ) -> Self {
        let names = names.into_iter().map(|(name, addresses)| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            (name.to_owned(), addresses.collect())
        });
        Self {
            names: names.collect(),
            queries: AtomicUsize::new(0),
        }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let addresses = self.names.get(name.as_str()).cloned();
        Box::pin(async move {
            let addresses = addresses.ok_or("no such name")?;
            let addresses = addresses
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let log = self.log.lock().unwrap();
        assert!(log.unplanned.is_empty(), "not planned: {:?}", log.unplanned);
        assert_eq!(log.planned.len(), 0, "planned but not requested");
    }
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, log: &Mutex<Log>) {
    let mut stream = BufReader::new(stream);
    let Some(seen) = read(&mut stream).await else {
        return;
    };
    let reply = {
        let mut log = log.lock().unwrap();
        let reply = log.planned.pop_front();
        if reply.is_none() {
            log.unplanned.push(format!("{} {}", seen.method, seen.path));
        }
        log.seen.push(seen);
        reply.unwrap_or(Reply::status(501))
    };
    let response = match reply {
        Reply::Response(status, headers, body) => format!(
            "HTTP/1.1 {status} X\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        Reply::Raw(bytes) => bytes,
        Reply::Hang => return std::future::pending().await,
    };
    // The client may close the connection before the end.
    let _gone = stream.write_all(response.as_bytes()).await;
    let _gone = stream.shutdown().await;
}

async fn read(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Seen> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let header = |name: &str| {
        let mut headers = head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    if method == "POST" && length > 0 {
        let known = [
            "application/x-www-form-urlencoded",
            "application/x-amz-json-1.1",
        ];
        assert!(header("content-type").is_some_and(|media_type| known.contains(&media_type)));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = |bytes: &[u8]| url::form_urlencoded::parse(bytes).into_owned().collect();
    Some(Seen {
        method,
        path: path.to_owned(),
        query: pairs(query.as_bytes()),
        form: pairs(&body),
        authorization: header("authorization").map(str::to_owned),
        body,
        head,
    })
}
