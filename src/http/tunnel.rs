//! A tunnel through an HTTP proxy, opened with `CONNECT` (RFC 9110, section 9.3.6).

use std::fmt;
use std::io;

use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::text::cut::cut;

/// The limit for the header of a response.
const HEAD_LIMIT_BYTES: usize = 16 << 10;

/// A proxy that opens tunnels.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// A name or an address; an IPv6 address without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// The value of the `Proxy-Authorization` header.
    pub(crate) authorization: Option<SecretString>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Proxy({}:{})", self.host, self.port)
    }
}

impl Proxy {
    /// Opens a tunnel to `authority`, such as `builder.example:443`. Cancel safe.
    pub(crate) async fn open(&self, authority: &str) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect((&*self.host, self.port)).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str("Proxy-Authorization: ");
            request.push_str(authorization.expose_secret());
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        opened(&mut stream).await?;
        Ok(stream)
    }
}

/// Reads the header of a proxy's response, and nothing after it. An error unless the tunnel is open.
pub(crate) async fn opened(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    // Byte by byte: the data after the header is already from the destination.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_LIMIT_BYTES {
            return Err(io::Error::other("its response header is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let status = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    if status.starts_with('2') {
        return Ok(());
    }
    // Only the status line: the rest may repeat the login.
    let line = cut(head.lines().next().unwrap_or_default(), 200);
    Err(io::Error::other(format!(
        "it responded with `{}`",
        line.escape_debug()
    )))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// The request to a proxy that returns `response`, and the result.
    async fn exchange(response: &'static str) -> (String, io::Result<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy {
            host: "127.0.0.1".into(),
            port: listener.local_addr().unwrap().port(),
            authorization: Some("Basic bWU6cGFzczp3b3Jk".into()),
        };
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(response.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        };
        let using = async {
            let mut stream = proxy.open("builder.example:443").await?;
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await?;
            Ok(rest)
        };
        tokio::join!(serving, using)
    }

    #[tokio::test]
    async fn a_tunnel_starts_directly_after_the_response() {
        let (request, rest) = exchange("HTTP/1.1 200 OK\r\nVia: x\r\n\r\nfrom the builder").await;
        assert_eq!(
            request,
            "CONNECT builder.example:443 HTTP/1.1\r\nHost: builder.example:443\r\n\
             Proxy-Authorization: Basic bWU6cGFzczp3b3Jk\r\n\r\n"
        );
        assert_eq!(rest.unwrap(), "from the builder");
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_is_reported_with_its_response() {
        let (_, refused) = exchange("HTTP/1.1 403 Not this \x1b[2J port\r\n\r\n").await;
        let error = refused.unwrap_err().to_string();
        assert!(
            error.starts_with("it responded with `HTTP/1.1 403 Not this"),
            "{error}"
        );
        assert!(!error.contains('\x1b'), "{error}");
        assert!(exchange("HTTP/1.1 200").await.1.is_err());
    }
}
