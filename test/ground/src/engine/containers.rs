//! Containers on the machine's Docker Engine, for machines without Debian's packages.
//!
//! A container has a lifeline, as processes have: its program ends when its standard input ends, and that input is a
//! connection held by this process. The engine then removes the container.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::BufReader;

use super::address::{Address, Duplex};
use super::docker;
use super::http::{send, send_within};

/// How long pulling an image of some 10 MB may take.
const PULL_LIMIT: Duration = Duration::from_mins(5);
/// The largest response of the engine; a pull's progress is the longest.
const RESPONSE_LIMIT_BYTES: usize = 16 << 20;

/// A running container. It stops when this is dropped or this process ends.
pub(crate) struct Container {
    address: Address,
    id: String,
    lifeline: BufReader<Box<dyn Duplex>>,
}

/// The parameters of a container.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The image, with a tag.
    pub(crate) image: &'a str,
    /// A script for `sh`; it must end when its standard input ends.
    pub(crate) script: &'a str,
    /// `NAME=value` for the script.
    pub(crate) variables: &'a [String],
    /// The port to publish on the engine's 127.0.0.1.
    pub(crate) port: u16,
}

impl Container {
    /// Pulls the image unless the engine has it, and starts the container.
    pub(crate) async fn start(address: &Address, plan: &Plan<'_>) -> io::Result<Self> {
        pull(address, plan.image).await?;
        let port = format!("{}/tcp", plan.port);
        let id = create(
            address,
            &json!({
                "Image": plan.image,
                "Entrypoint": ["sh", "-c", plan.script],
                "Env": plan.variables,
                "OpenStdin": true,
                "StdinOnce": true,
                "AttachStdin": true,
                "ExposedPorts": { &port: {} },
                "HostConfig": {
                    "AutoRemove": true,
                    "PortBindings": { &port: [{ "HostIp": "127.0.0.1", "HostPort": "" }] },
                },
            }),
        )
        .await?;
        let attach = format!("/containers/{id}/attach?stream=1&stdin=1");
        let lifeline = docker::upgrade(address, &attach, "tcp").await;
        let started = match lifeline {
            Ok(lifeline) => post(address, &format!("/containers/{id}/start"), &Value::Null)
                .await
                .map(|_| lifeline),
            Err(error) => Err(error),
        };
        match started {
            Ok(lifeline) => Ok(Self {
                address: address.clone(),
                id,
                lifeline,
            }),
            Err(error) => {
                remove(address, &id).await?;
                Err(error)
            }
        }
    }

    /// The published port on 127.0.0.1.
    pub(crate) async fn published_port(&self) -> io::Result<u16> {
        let response = call(
            &self.address,
            Request::get(format!("/containers/{}/json", self.id)),
            Bytes::new(),
        )
        .await?;
        let inspected: Value = serde_json::from_slice(&response).map_err(io::Error::other)?;
        let ports = inspected
            .pointer("/NetworkSettings/Ports")
            .and_then(Value::as_object);
        ports
            .and_then(|ports| {
                ports
                    .values()
                    .next()?
                    .get(0)?
                    .get("HostPort")?
                    .as_str()?
                    .parse()
                    .ok()
            })
            .ok_or_else(|| io::Error::other("the container's port is not published"))
    }

    /// The end of the container's output, as text.
    pub(crate) async fn log(&self) -> io::Result<String> {
        let path = format!("/containers/{}/logs?stdout=1&stderr=1&tail=20", self.id);
        let log = call(&self.address, Request::get(path), Bytes::new()).await?;
        Ok(String::from_utf8_lossy(&log)
            .replace(|mark: char| mark.is_control() && mark != '\n', ""))
    }

    /// Stops the container and waits until the engine has removed it.
    pub(crate) async fn stop(self) -> io::Result<()> {
        drop(self.lifeline);
        let wait = Request::post(format!("/containers/{}/wait?condition=removed", self.id));
        match call(&self.address, wait, Bytes::new()).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}

/// Reads one file of an image, which is pulled unless the engine has it.
pub(crate) async fn read_file(address: &Address, image: &str, path: &str) -> io::Result<Bytes> {
    pull(address, image).await?;
    // This container is never started; its files are only read.
    let id = create(address, &json!({ "Image": image, "Cmd": ["none"] })).await?;
    let archive = call(
        address,
        Request::get(format!("/containers/{id}/archive?path={path}")),
        Bytes::new(),
    )
    .await;
    remove(address, &id).await?;
    first_file(&archive?).ok_or_else(|| io::Error::other(format!("`{image}` has no file `{path}`")))
}

/// The content of a tar archive's first entry, if that is a file.
fn first_file(archive: &Bytes) -> Option<Bytes> {
    const HEADER_BYTES: usize = 512;
    let header = archive.get(..HEADER_BYTES)?;
    let is_file = matches!(header.get(156)?, b'0' | 0);
    let size = std::str::from_utf8(header.get(124..136)?)
        .ok()?
        .trim_matches(['\0', ' ']);
    let size = usize::from_str_radix(size, 8).ok()?;
    let end = HEADER_BYTES.checked_add(size)?;
    (is_file && archive.len() >= end).then(|| archive.slice(HEADER_BYTES..end))
}

/// One line of a pull's progress.
#[derive(Deserialize)]
struct Line {
    error: Option<String>,
}

async fn pull(address: &Address, image: &str) -> io::Result<()> {
    match call(
        address,
        Request::get(format!("/images/{image}/json")),
        Bytes::new(),
    )
    .await
    {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        outcome => return outcome.map(drop),
    }
    let (name, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
    let request = Request::post(format!("/images/create?fromImage={name}&tag={tag}"))
        .body(Bytes::new())
        .map_err(io::Error::other)?;
    let response = checked(send_within(PULL_LIMIT, address, request, RESPONSE_LIMIT_BYTES).await?)?;
    // A pull begins with `200 OK` and can fail later, in a line of the body.
    let failure = serde_json::Deserializer::from_slice(&response)
        .into_iter::<Line>()
        .find_map(|line| line.map_or_else(|error| Some(error.to_string()), |line| line.error));
    failure.map_or(Ok(()), |failure| {
        Err(io::Error::other(format!(
            "`{image}` could not be pulled: {failure}"
        )))
    })
}

async fn create(address: &Address, container: &Value) -> io::Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Created {
        id: String,
    }
    let response = post(address, "/containers/create", container).await?;
    Ok(serde_json::from_slice::<Created>(&response)
        .map_err(io::Error::other)?
        .id)
}

async fn remove(address: &Address, id: &str) -> io::Result<()> {
    call(
        address,
        Request::delete(format!("/containers/{id}?force=1&v=1")),
        Bytes::new(),
    )
    .await
    .map(drop)
}

async fn post(address: &Address, path: &str, body: &Value) -> io::Result<Bytes> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    call(
        address,
        Request::post(path).header(header::CONTENT_TYPE, "application/json"),
        body.into(),
    )
    .await
}

async fn call(
    address: &Address,
    request: http::request::Builder,
    body: Bytes,
) -> io::Result<Bytes> {
    let request = request.body(body).map_err(io::Error::other)?;
    checked(send(address, request, RESPONSE_LIMIT_BYTES).await?)
}

/// The body of a successful response. The error is [`io::ErrorKind::NotFound`] if the status is 404.
fn checked(response: http::Response<Bytes>) -> io::Result<Bytes> {
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response.into_body());
    }
    let kind = if status == StatusCode::NOT_FOUND {
        io::ErrorKind::NotFound
    } else {
        io::ErrorKind::Other
    };
    Err(io::Error::new(
        kind,
        format!(
            "the engine returned {status}: {}",
            String::from_utf8_lossy(response.body()).trim()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_tar_archive_has_no_file() {
        let mut archive = vec![0; 512];
        archive.splice(124..136, *b"00000000005\0");
        archive.extend(b"hello and padding");
        assert_eq!(first_file(&archive.clone().into()).unwrap(), "hello");
        archive.truncate(514);
        assert_eq!(first_file(&archive.clone().into()), None);
        archive.truncate(100);
        assert_eq!(first_file(&archive.into()), None);
    }
}
