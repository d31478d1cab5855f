//! The Docker daemon of a step, which images are loaded into.
//!
//! It is a real one, started from Debian's packages as private engines are (`engine/own.rs`), with either image store. A
//! [`Door`] in front of it is a port that counts, slows down, holds and cuts connections.

mod door;
mod image;

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{Request, StatusCode};
use serde::Deserialize;

pub use door::{Certificates, Door, DoorPlan, Hold};
pub use image::{Config, Inspected, RootFs};

use crate::engine::own::{self, Plan};
use crate::engine::{Address, EngineError, Grants, http as one_request};
use crate::packages::Set;
use crate::process::Supervised;

/// How often the log of an ended container is read until it is not empty, and the pause in between.
const LOG_READS: usize = 20;
const LOG_PAUSE: Duration = Duration::from_millis(100);

/// The largest response of the daemon.
const RESPONSE_LIMIT_BYTES: usize = 8 << 20;

/// Removing a large image takes a while.
const CALL_LIMIT: Duration = Duration::from_mins(1);

/// A release of Docker with an image store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Docker 20.10, classic store.
    Docker20,
    /// Docker 26.1, classic store.
    Docker26,
    /// Docker 26.1, containerd's store.
    Docker26Containerd,
}

impl Release {
    /// All releases.
    pub const ALL: [Self; 3] = [Self::Docker20, Self::Docker26, Self::Docker26Containerd];
}

/// A running daemon. It stops when this is dropped or this process ends.
#[derive(Debug)]
pub struct Daemon {
    address: Address,
    daemon: Supervised,
}

/// The parameters with which Bitbucket runs a pipe's image.
#[derive(Clone, Debug)]
pub struct PipeRun {
    /// The image.
    pub image: String,
    /// `NAME=value`.
    pub variables: Vec<String>,
    /// The working directory.
    pub directory: String,
    /// Folders to mount at the same path, and whether they are writable.
    pub mounts: Vec<(String, bool)>,
}

impl Daemon {
    /// Starts a daemon. `state` is the folder for downloaded packages.
    pub async fn start(release: Release, state: &Path) -> Result<Self, EngineError> {
        Self::start_on_disk(release, state, None).await
    }

    /// As [`Daemon::start`], with a disk of `disk` bytes.
    pub async fn start_on_disk(
        release: Release,
        state: &Path,
        disk: Option<u64>,
    ) -> Result<Self, EngineError> {
        let plan = Plan {
            set: match release {
                Release::Docker20 => Set::OldEngine,
                Release::Docker26 | Release::Docker26Containerd => Set::Engine,
            },
            containerd: release == Release::Docker26Containerd,
            environment: Vec::new(),
            grants: Grants::default(),
            disk,
        };
        let (daemon, address) = own::start(state, &plan).await?;
        Ok(Self { address, daemon })
    }

    /// Its address, as in `DOCKER_HOST`.
    #[must_use]
    pub fn docker_host(&self) -> String {
        self.address.to_string()
    }

    /// The address at which its containers reach this machine, on its own bridge.
    pub async fn gateway(&self) -> io::Result<Ipv4Addr> {
        let (_, body) = self.get("/networks/bridge").await?;
        let network: serde_json::Value = serde_json::from_slice(&body).map_err(io::Error::other)?;
        let gateway = network.pointer("/IPAM/Config/0/Gateway");
        let gateway = gateway.and_then(|gateway| gateway.as_str()?.parse().ok());
        gateway.ok_or_else(|| io::Error::other("the daemon's bridge has no gateway"))
    }

    /// Opens a port that leads to the daemon.
    pub async fn door(&self, plan: DoorPlan) -> io::Result<Door> {
        self.door_at(0, plan).await
    }

    /// As [`Daemon::door`], at a given free port of 127.0.0.1.
    pub async fn door_at(&self, port: u16, plan: DoorPlan) -> io::Result<Door> {
        Door::open(self.address.clone(), port, plan).await
    }

    /// Inspects an image; `None` if the daemon has none of that name.
    pub async fn image(&self, name: &str) -> io::Result<Option<Inspected>> {
        match self.get(&format!("/images/{name}/json")).await? {
            (StatusCode::OK, body) => serde_json::from_slice(&body).map_err(io::Error::other),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, body) => Err(unexpected(status, &body)),
        }
    }

    /// The names of all files in an image; folders end with a slash.
    pub async fn files(&self, image: &str) -> io::Result<Vec<String>> {
        let container = serde_json::json!({ "Image": image, "Cmd": ["none"] });
        let create = Request::post("/containers/create").header("content-type", "application/json");
        let (status, body) = self.send(create, container.to_string().into()).await?;
        let created: serde_json::Value = serde_json::from_slice(&body)?;
        let Some(id) = created.get("Id").and_then(|id| id.as_str()) else {
            return Err(unexpected(status, &body));
        };
        let request = Request::get(format!("/containers/{id}/export"))
            .body(Bytes::new())
            .map_err(io::Error::other)?;
        // The pipe has some 70 MB in a build for tests.
        let limit = 256 << 20;
        let exported = one_request::send_within(CALL_LIMIT, &self.address, request, limit).await;
        let remove = Request::delete(format!("/containers/{id}?force=true"));
        self.send(remove, Bytes::new()).await?;
        Ok(image::file_names(exported?.body()))
    }

    /// The ids of its images that have no name.
    pub async fn nameless(&self) -> io::Result<Vec<String>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listed {
            id: String,
        }
        let filter = "%7B%22dangling%22%3A%5B%22true%22%5D%7D";
        let (_, body) = self.get(&format!("/images/json?filters={filter}")).await?;
        let images: Vec<Listed> = serde_json::from_slice(&body).map_err(io::Error::other)?;
        Ok(images.into_iter().map(|image| image.id).collect())
    }

    /// The number of its images.
    pub async fn images(&self) -> io::Result<usize> {
        let (_, body) = self.get("/images/json?all=true").await?;
        let images: Vec<serde_json::Value> =
            serde_json::from_slice(&body).map_err(io::Error::other)?;
        Ok(images.len())
    }

    /// Pulls an image.
    pub async fn pull(&self, reference: &str, username: &str, password: &str) -> io::Result<()> {
        let (name, tag) = reference.rsplit_once(':').unwrap_or((reference, "latest"));
        let login = serde_json::json!({ "username": username, "password": password });
        let login = base64::engine::general_purpose::URL_SAFE.encode(login.to_string());
        let request = Request::post(format!("/images/create?fromImage={name}&tag={tag}"))
            .header("X-Registry-Auth", login);
        let (status, body) = self.send(request, Bytes::new()).await?;
        // A pull can fail after its response has begun.
        if status == StatusCode::OK && !body.windows(7).any(|part| part == b"\"error\"") {
            return Ok(());
        }
        Err(unexpected(status, &body))
    }

    /// Removes a name, and with the last name the image.
    pub async fn remove(&self, name: &str) -> io::Result<()> {
        let request = Request::delete(format!("/images/{name}?force=true"));
        match self.send(request, Bytes::new()).await? {
            (StatusCode::OK | StatusCode::NOT_FOUND, _) => Ok(()),
            (status, body) => Err(unexpected(status, &body)),
        }
    }

    /// Removes every image except one.
    pub async fn empty_but(&self, kept: &str) -> io::Result<()> {
        // An image can be removed only if no other image is based on it.
        for _ in 0..10 {
            let (_, body) = self.get("/images/json?all=true").await?;
            let mut images: Vec<serde_json::Value> =
                serde_json::from_slice(&body).map_err(io::Error::other)?;
            images.retain(|image| {
                let tags = image.get("RepoTags").and_then(|tags| tags.as_array());
                !tags.into_iter().flatten().any(|tag| tag == kept)
            });
            if images.is_empty() {
                return Ok(());
            }
            for image in &images {
                let id = image.get("Id").and_then(|id| id.as_str());
                let request = Request::delete(format!("/images/{}?force=true", id.unwrap_or("")));
                self.send(request, Bytes::new()).await?;
            }
        }
        Err(io::Error::other("some images could not be removed"))
    }

    /// Runs a program in a container of an image and returns its output.
    pub async fn run(&self, image: &str, command: &[&str]) -> io::Result<String> {
        let container = serde_json::json!({
            "Image": image, "Cmd": command,
            "HostConfig": { "NetworkMode": "none" },
        });
        let create = Request::post("/containers/create").header("content-type", "application/json");
        let (status, body) = self.send(create, container.to_string().into()).await?;
        let created: serde_json::Value = serde_json::from_slice(&body)?;
        let Some(id) = created.get("Id").and_then(|id| id.as_str()) else {
            return Err(unexpected(status, &body));
        };
        let post = |action: &str| Request::post(format!("/containers/{id}/{action}"));
        let started = self.send(post("start"), Bytes::new()).await?;
        let waited = match started.0 {
            StatusCode::NO_CONTENT => self.send(post("wait"), Bytes::new()).await?,
            _ => started,
        };
        let mut log = Bytes::new();
        // A busy daemon can write the log after the container has ended.
        for _ in 0..LOG_READS {
            log = self
                .get(&format!("/containers/{id}/logs?stdout=1&stderr=1"))
                .await?
                .1;
            if !log.is_empty() {
                break;
            }
            tokio::time::sleep(LOG_PAUSE).await;
        }
        let remove = Request::delete(format!("/containers/{id}?force=true"));
        self.send(remove, Bytes::new()).await?;
        if waited.0 != StatusCode::OK {
            return Err(unexpected(waited.0, &waited.1));
        }
        Ok(String::from_utf8_lossy(&log)
            .replace(|mark: char| mark.is_control() && mark != '\n', ""))
    }

    /// Runs an image as Bitbucket runs a pipe's, on the network of this machine, and returns its exit code and output.
    pub async fn run_pipe(&self, pipe: &PipeRun) -> io::Result<(i32, String)> {
        let binds: Vec<String> = pipe
            .mounts
            .iter()
            .map(|(path, is_writable)| {
                let mode = if *is_writable { "" } else { ":ro" };
                format!("{path}:{path}{mode}")
            })
            .collect();
        let container = serde_json::json!({
            "Image": pipe.image,
            "Env": pipe.variables,
            "WorkingDir": pipe.directory,
            "Labels": { "org.bitbucket.pipelines.system": "true" },
            "HostConfig": {
                "Binds": binds,
                "NetworkMode": "host",
                "ExtraHosts": ["host.docker.internal:127.0.0.1"],
            },
        });
        let create = Request::post("/containers/create").header("content-type", "application/json");
        let (status, body) = self.send(create, container.to_string().into()).await?;
        let created: serde_json::Value = serde_json::from_slice(&body)?;
        let Some(id) = created.get("Id").and_then(|id| id.as_str()) else {
            return Err(unexpected(status, &body));
        };
        let ran = self.run_container(id).await;
        let remove = Request::delete(format!("/containers/{id}?force=true"));
        self.send(remove, Bytes::new()).await?;
        ran
    }

    async fn run_container(&self, id: &str) -> io::Result<(i32, String)> {
        let post = |action: &str| Request::post(format!("/containers/{id}/{action}"));
        let (status, body) = self.send(post("start"), Bytes::new()).await?;
        if status != StatusCode::NO_CONTENT {
            return Err(unexpected(status, &body));
        }
        let (_, waited) = self.send(post("wait"), Bytes::new()).await?;
        let waited: serde_json::Value = serde_json::from_slice(&waited)?;
        let code = waited.get("StatusCode").and_then(serde_json::Value::as_i64);
        let logs = format!("/containers/{id}/logs?stdout=1&stderr=1");
        let (_, mut log) = self.get(&logs).await?;
        // Each frame has a header of eight bytes, the last four of which are its length.
        let mut text = Vec::new();
        while let Some(length) = log.get(4..8).and_then(|length| length.try_into().ok()) {
            let end = log.len().min(8 + u32::from_be_bytes(length) as usize);
            text.extend_from_slice(log.get(8..end).unwrap_or_default());
            log = log.slice(end..);
        }
        let code = code.and_then(|code| i32::try_from(code).ok());
        Ok((
            code.unwrap_or(-1),
            String::from_utf8_lossy(&text).into_owned(),
        ))
    }

    /// Stops the daemon and waits until everything of it is removed.
    pub async fn stop(self) -> io::Result<()> {
        self.daemon.stop().await
    }

    async fn get(&self, path: &str) -> io::Result<(StatusCode, Bytes)> {
        self.send(Request::get(path), Bytes::new()).await
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> io::Result<(StatusCode, Bytes)> {
        let request = request.body(body).map_err(io::Error::other)?;
        let response =
            one_request::send_within(CALL_LIMIT, &self.address, request, RESPONSE_LIMIT_BYTES)
                .await?;
        Ok((response.status(), response.into_body()))
    }
}

fn unexpected(status: StatusCode, body: &Bytes) -> io::Error {
    io::Error::other(format!(
        "the daemon returned {status}: {}",
        String::from_utf8_lossy(body).trim()
    ))
}
