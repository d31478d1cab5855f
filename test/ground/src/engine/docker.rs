//! Docker Engine: its description, and the connection to the `BuildKit` inside it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::BuildkitStream;
use super::address::{Address, Duplex};
use super::http::send;

/// The oldest release whose `BuildKit` can keep images in containerd's store.
const OLDEST_MAJOR: u32 = 25;
/// The largest response to `/info`; measured: 3 KB.
const INFO_LIMIT_BYTES: usize = 1 << 20;
/// The largest head of a response to an upgrade.
const HEAD_LIMIT_BYTES: u64 = 16 << 10;
const UPGRADE_LIMIT: Duration = Duration::from_secs(10);

/// The fields of `GET /info` that are read here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Info {
    pub(crate) server_version: String,
    pub(super) operating_system: String,
    #[serde(default)]
    driver_status: Option<Vec<(String, String)>>,
}

impl Info {
    /// Why this engine cannot be used; `None` if it can.
    pub(super) fn objection(&self) -> Option<String> {
        let major = self
            .server_version
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < OLDEST_MAJOR) {
            return Some(format!(
                "it is Docker Engine {}, and {OLDEST_MAJOR} is the oldest supported release",
                self.server_version
            ));
        }
        let containerd = |(key, value): &(String, String)| {
            key == "driver-type" && value.starts_with("io.containerd.snapshotter.")
        };
        if !self
            .driver_status
            .as_deref()
            .unwrap_or_default()
            .iter()
            .any(containerd)
        {
            return Some(
                "it keeps images in Docker's classic store, not in containerd's".to_owned(),
            );
        }
        None
    }
}

/// Queries the description of the engine at `address`.
pub(crate) async fn info(address: &Address) -> io::Result<Info> {
    let request = Request::get("/info")
        .body(Bytes::new())
        .map_err(io::Error::other)?;
    let response = send(address, request, INFO_LIMIT_BYTES).await?;
    if response.status() != StatusCode::OK {
        return Err(io::Error::other(format!(
            "it returned {} for `GET /info`",
            response.status()
        )));
    }
    serde_json::from_slice(response.body()).map_err(io::Error::other)
}

/// Opens a connection to the engine's `BuildKit`: HTTP/2 without TLS, from the first byte on.
pub(super) async fn connect_buildkit(address: &Address) -> io::Result<BuildkitStream> {
    upgrade(address, "/grpc", "h2c").await
}

/// Upgrades a connection to `protocol` at `path`. Cancel safe.
pub(super) async fn upgrade(
    address: &Address,
    path: &str,
    protocol: &str,
) -> io::Result<BufReader<Box<dyn Duplex>>> {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nContent-Length: 0\r\n\r\n"
    );
    let upgrade = async {
        let mut stream = address.connect().await?;
        stream.write_all(request.as_bytes()).await?;
        // Bytes after the head can arrive in the same read: they stay in the buffer.
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await?;
        Ok(stream)
    };
    tokio::time::timeout(UPGRADE_LIMIT, upgrade)
        .await
        .unwrap_or_else(|late| Err(late.into()))
}

/// Reads the response to an upgrade up to its empty line, and not a byte further.
async fn read_head(stream: &mut BufReader<Box<dyn Duplex>>) -> io::Result<()> {
    let mut head = stream.take(HEAD_LIMIT_BYTES);
    let mut status = String::new();
    head.read_line(&mut status).await?;
    let mut line = status.clone();
    while !line.trim_end().is_empty() {
        line.clear();
        if head.read_line(&mut line).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the response to an upgrade ended early",
            ));
        }
    }
    if status.split_ascii_whitespace().nth(1) == Some("101") {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "it returned `{}` for an upgrade",
            status.trim_end()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn head_of(response: &[u8]) -> (io::Result<()>, Vec<u8>) {
        let (mut far, near) = tokio::io::duplex(response.len() + 1);
        far.write_all(response).await.unwrap();
        drop(far);
        let mut stream: BufReader<Box<dyn Duplex>> = BufReader::new(Box::new(near));
        let outcome = read_head(&mut stream).await;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        (outcome, rest)
    }

    #[tokio::test]
    async fn bytes_that_arrive_with_the_upgrade_are_kept() {
        let (outcome, rest) =
            head_of(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: h2c\r\n\r\n\0\0\x1e\x04\n\n").await;
        outcome.unwrap();
        assert_eq!(rest, b"\0\0\x1e\x04\n\n");
    }

    #[tokio::test]
    async fn an_engine_without_buildkit_is_reported() {
        let (outcome, _) = head_of(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(
            outcome.unwrap_err().to_string(),
            "it returned `HTTP/1.1 404 Not Found` for an upgrade"
        );
        let (outcome, _) = head_of(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: h2c\r\n").await;
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn only_a_recent_engine_with_containerds_store_is_accepted() {
        let info = |version: &str, store: &str| Info {
            server_version: version.to_owned(),
            operating_system: String::new(),
            driver_status: Some(vec![("driver-type".to_owned(), store.to_owned())]),
        };
        assert_eq!(
            info("26.1.5+dfsg1", "io.containerd.snapshotter.v1").objection(),
            None
        );
        assert!(
            info("24.0.7", "io.containerd.snapshotter.v1")
                .objection()
                .unwrap()
                .contains("24.0.7")
        );
        assert!(
            info("26.1.5", "overlay2")
                .objection()
                .unwrap()
                .contains("classic store")
        );
        assert!(
            info("dev", "io.containerd.snapshotter.v1")
                .objection()
                .is_some()
        );
    }
}
