//! The step's daemon, and the images that it is to get.

use std::future::{self, Ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard::models::{SystemInfo, SystemVersion};
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
use crate::docker::{Image, LoadError};
use crate::pipe::load::exported::{parse, pick, told_images};
use crate::platform::Platform;
use crate::registry::client::Manifest;

/// A manifest and a config, as a builder gives them out; each as an index, too.
pub fn images(bytes: &[u8]) {
    let [manifest, config] = fixed_parts(bytes).map(Bytes::copy_from_slice);
    let manifest = naming(&manifest, &config).unwrap_or(manifest);
    let parsed = Image::parse(manifest.clone(), config.clone());
    if let Ok(image) = &parsed {
        assert_eq!(image.manifest_digest(), digest_of(&manifest));
        assert_eq!(image.id(), digest_of(&config));
        let _shown = image.platform().to_string();
    }
    let told = serde_json::json!([{
        "manifest": STANDARD.encode(&manifest), "config": STANDARD.encode(&config),
    }]);
    let told = told_images(&STANDARD.encode(told.to_string()));
    let images = told.as_ref().map_or(0, Vec::len);
    let is_image = parsed.is_ok_and(|image| image.platform().os != "unknown");
    assert_eq!(images, usize::from(is_image));
    let _told = told_images(&lossy(bytes));
    let asked = Platform {
        os: "linux".into(),
        architecture: "amd64".into(),
        variant: None,
    };
    for document in [manifest, config, Bytes::copy_from_slice(bytes)] {
        let Ok(document) = parse("sha256:", &document) else {
            continue;
        };
        let offered: Vec<_> = document.images().into_iter().map(|(_, it)| it).collect();
        for asked in [None, Some(&asked)] {
            let index = pick(asked, &offered);
            assert!(index.is_none_or(|index| index < offered.len()));
        }
    }
}

fn digest_of(bytes: &Bytes) -> String {
    Manifest::new("", bytes.clone()).digest
}

/// The manifest with the config's digest in it, which nobody guesses.
fn naming(manifest: &Bytes, config: &Bytes) -> Option<Bytes> {
    let mut manifest: Value = serde_json::from_slice(manifest).ok()?;
    let digest = manifest.get_mut("config")?.get_mut("digest")?;
    *digest = digest_of(config).into();
    Some(manifest.to_string().into())
}

/// A byte that says what stands before the rest, and what a daemon answers: to a load, and of itself.
pub fn docker_answers(bytes: &[u8]) {
    let Some((&flags, body)) = bytes.split_first() else {
        return;
    };
    let head = match flags & 3 {
        0 | 1 => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
        2 => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        _ => "HTTP/1.1 ",
    };
    let answer = Bytes::from([head.as_bytes(), body].concat());
    let error = run(load(answer, flags & 4 != 0)).err();
    if let Some(LoadError::LayerGone { reason } | LoadError::Refused { reason }) = error {
        assert!(reason.len() <= 3 * body.len() + 1000);
    }
    let version = serde_json::from_slice::<SystemVersion>(body);
    let about = serde_json::from_slice::<SystemInfo>(body);
    if version.is_ok() || about.is_ok() {
        let about = About::new(version.unwrap_or_default(), &about.unwrap_or_default());
        let _reads = about.reads_zstd();
    }
}

/// A load whose answer is this.
async fn load(answer: Bytes, left_out: bool) -> Result<(), LoadError> {
    let client = Client::builder(TokioExecutor::new()).build(Told(answer));
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
    taken(docker.import_image_stream(options, archive, None), left_out).await
}

/// Connects to a daemon that says this.
#[derive(Clone)]
struct Told(Bytes);

impl tower_service::Service<http::Uri> for Told {
    type Response = TokioIo<Telling>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let telling = Telling {
            answer: self.0.clone(),
            was_asked: false,
            waiting: None,
        };
        future::ready(Ok(TokioIo::new(telling)))
    }
}

/// Swallows what it is sent, and from then on says its answer.
struct Telling {
    answer: Bytes,
    was_asked: bool,
    waiting: Option<Waker>,
}

impl Connection for Telling {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Telling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.was_asked {
            self.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        // In pieces, as it may come.
        let length = self.answer.len().min(buffer.remaining()).min(50);
        buffer.put_slice(self.answer.get(..length).unwrap_or_default());
        self.answer.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Telling {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.was_asked = true;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
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
