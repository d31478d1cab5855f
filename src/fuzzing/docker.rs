//! Images, and responses of a Docker daemon.

use std::future::{self, Ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard::query_parameters::ImportImageOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use bytes::{Buf, Bytes};
use futures_util::stream;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{fixed_parts, lossy, run};
use crate::docker::daemon::About;
use crate::docker::load::taken;
use crate::docker::query::{DaemonVersion, Info};
use crate::docker::{Image, LoadError};
use crate::pipe::load::exported::{parse, parse_images, pick};
use crate::platform::Platform;
use crate::registry::manifest::Manifest;

/// Reads an image. The input contains a manifest and a config, which are also read as indexes.
pub fn images(bytes: &[u8]) {
    let [manifest, config] = fixed_parts(bytes).map(Bytes::copy_from_slice);
    let manifest = with_config_digest(&manifest, &config).unwrap_or(manifest);
    let parsed = Image::parse(manifest.clone(), config.clone());
    if let Ok(image) = &parsed {
        assert_eq!(image.manifest_digest(), digest_of(&manifest));
        assert_eq!(image.id(), digest_of(&config));
        let _shown = image.platform().to_string();
    }
    let exported = serde_json::json!([{
        "manifest": STANDARD.encode(&manifest), "config": STANDARD.encode(&config),
    }]);
    let read = parse_images(&STANDARD.encode(exported.to_string()));
    let images = read.as_ref().map_or(0, Vec::len);
    let is_image = parsed.is_ok_and(|image| image.platform().os != "unknown");
    assert_eq!(images, usize::from(is_image));
    let _read = parse_images(&lossy(bytes));
    let platform = Platform {
        os: "linux".into(),
        architecture: "amd64".into(),
        variant: None,
    };
    for document in [manifest, config, Bytes::copy_from_slice(bytes)] {
        let Ok(document) = parse("sha256:", &document) else {
            continue;
        };
        let offered: Vec<_> = document.images().into_iter().map(|(_, it)| it).collect();
        for platform in [None, Some(&platform)] {
            let index = pick(platform, &offered);
            assert!(index.is_none_or(|index| index < offered.len()));
        }
    }
}

fn digest_of(bytes: &Bytes) -> String {
    Manifest::new("", bytes.clone()).digest
}

/// The manifest with the digest of the config, which an input contains only by chance.
fn with_config_digest(manifest: &Bytes, config: &Bytes) -> Option<Bytes> {
    let mut manifest: Value = serde_json::from_slice(manifest).ok()?;
    let digest = manifest.get_mut("config")?.get_mut("digest")?;
    *digest = digest_of(config).into();
    Some(manifest.to_string().into())
}

/// Reads the response of a daemon to a load, and its properties. The first byte of the input selects the head of the response;
/// the rest is the body.
pub fn docker_responses(bytes: &[u8]) {
    let Some((&flags, body)) = bytes.split_first() else {
        return;
    };
    let head = match flags & 3 {
        0 | 1 => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
        2 => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        _ => "HTTP/1.1 ",
    };
    let response = Bytes::from([head.as_bytes(), body].concat());
    let error = run(load(response, flags & 4 != 0)).err();
    if let Some(LoadError::LayerGone { reason } | LoadError::Refused { reason }) = error {
        assert!(reason.len() <= 3 * body.len() + 1000);
    }
    let version = serde_json::from_slice::<DaemonVersion>(body);
    let about = serde_json::from_slice::<Info>(body);
    if version.is_ok() || about.is_ok() {
        let about = About::new(version.unwrap_or_default(), &about.unwrap_or_default());
        let _reads = about.reads_zstd();
    }
}

/// A load that gets this response.
async fn load(response: Bytes, omits_layers: bool) -> Result<(), LoadError> {
    let client = Client::builder(TokioExecutor::new()).build(FixedResponse(response));
    let transport = move |request: BollardRequest| {
        let sending = client.request(request);
        async move {
            sending
                .await
                .map_err(|error| io::Error::other(error).into())
        }
    };
    let address = Some("http://docker");
    let docker = Docker::connect_with_custom_transport(transport, address, 5, API_DEFAULT_VERSION);
    let docker = docker.map_err(|error| LoadError::Lost(Box::new(error)))?;
    let options = ImportImageOptionsBuilder::default().quiet(true).build();
    let archive = stream::empty::<Result<Bytes, io::Error>>();
    taken(
        docker.import_image_stream(options, archive, None),
        omits_layers,
    )
    .await
}

/// Connects to a daemon that sends this response.
#[derive(Clone)]
struct FixedResponse(Bytes);

impl tower_service::Service<http::Uri> for FixedResponse {
    type Response = TokioIo<Responder>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let responder = Responder {
            response: self.0.clone(),
            has_request: false,
            reader: None,
        };
        future::ready(Ok(TokioIo::new(responder)))
    }
}

/// Discards the request, and sends its response after the first byte of it.
struct Responder {
    response: Bytes,
    has_request: bool,
    reader: Option<Waker>,
}

impl Connection for Responder {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Responder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.has_request {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        // In pieces, as over a network.
        let length = self.response.len().min(buffer.remaining()).min(50);
        buffer.put_slice(self.response.get(..length).unwrap_or_default());
        self.response.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Responder {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_request = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
