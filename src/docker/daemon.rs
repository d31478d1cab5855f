//! A daemon: its properties, and simple calls.

use std::io;
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};

use super::endpoint::{Connector, Endpoint};
use super::error::DaemonError;
use super::query::{DaemonVersion, Info, InspectedImage, ListedImage};
use super::transport::Transport;
use crate::platform::Platform;
use crate::registry::reference::Reference;

/// The limit for the daemon's start. It starts at the same time as the step.
const START_LIMIT: Duration = Duration::from_secs(5);

/// The limit for each of the first calls.
const START_CALL_LIMIT: Duration = Duration::from_secs(30);

/// The pause between two connection attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// The limit for a call that transfers no image data.
const CALL_LIMIT: Duration = Duration::from_mins(1);

/// A connected daemon.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    docker: Docker,
    transport: Transport,
    connector: Connector,
    about: About,
}

/// The properties of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// Such as `25.0.3`.
    pub(crate) version: String,
    /// Its native platform.
    pub(crate) platform: Platform,
    /// Its image store.
    pub(crate) store: Store,
}

/// The kind of a daemon's image store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// Layers under chain ids, in a driver such as `overlay2`.
    Classic,
    /// Blobs and snapshots, in containerd.
    Containerd,
    /// The store of another program, such as Podman.
    Other,
}

impl About {
    pub(crate) fn new(version: DaemonVersion, info: &Info) -> Self {
        let is_docker = version
            .components
            .iter()
            .flatten()
            .any(|component| component.name == "Engine");
        let is_containerd = info.driver_status.iter().flatten().any(|pair| {
            matches!(&pair[..], [key, value]
                if key == "driver-type" && value.starts_with("io.containerd.snapshotter."))
        });
        Self {
            version: version.version.unwrap_or_else(|| "unknown".to_owned()),
            platform: Platform {
                os: version.os.unwrap_or_else(|| "linux".to_owned()),
                architecture: version.arch.unwrap_or_default(),
                variant: None,
            },
            store: match (is_docker, is_containerd) {
                (true, true) => Store::Containerd,
                (true, false) => Store::Classic,
                (false, _) => Store::Other,
            },
        }
    }

    /// Whether it supports layers compressed with zstd, as Docker does since 23.0.
    pub(crate) fn reads_zstd(&self) -> bool {
        let major = self.version.split('.').next().unwrap_or_default();
        self.store == Store::Containerd || major.parse::<u32>().is_ok_and(|major| major >= 23)
    }
}

impl Daemon {
    /// Connects to a daemon and queries its properties. Waits up to [`START_LIMIT`] for a daemon that is still starting.
    ///
    /// Cancel safe.
    pub(crate) async fn connect(endpoint: Endpoint) -> Result<Self, DaemonError> {
        let shown = endpoint.to_string();
        let may_be_starting = matches!(endpoint, Endpoint::Tcp { .. });
        let connector = Connector::new(endpoint).map_err(DaemonError::Certificates)?;
        let transport = Transport::new(connector.clone());
        let deadline = tokio::time::Instant::now() + START_LIMIT;
        loop {
            let source = match Self::query(&transport, &connector).await {
                Ok(daemon) => return Ok(daemon),
                Err(Error::IOError { err }) => err,
                Err(Error::RequestTimeoutError) => {
                    let problem = format!("no response within {} s", START_CALL_LIMIT.as_secs());
                    io::Error::new(io::ErrorKind::TimedOut, problem)
                }
                Err(source) => return Err(DaemonError::response("its version", source)),
            };
            let is_refused = is_connection_refused(&source);
            if !may_be_starting || !is_refused || tokio::time::Instant::now() + PAUSE > deadline {
                return Err(DaemonError::Unreachable {
                    endpoint: shown,
                    source,
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn query(transport: &Transport, connector: &Connector) -> Result<Self, Error> {
        // Paths without a version, which every daemon supports.
        let version = transport.get::<DaemonVersion>("/version", START_CALL_LIMIT);
        let info = transport.get::<Info>("/info", START_CALL_LIMIT);
        let (version, info) = tokio::try_join!(version, info)?;
        let agreed = version.api_version.as_deref().and_then(api_version);
        let agreed = agreed
            .filter(|theirs| theirs < API_DEFAULT_VERSION)
            .unwrap_or(*API_DEFAULT_VERSION);
        let transport = transport.of_version(&agreed);
        Ok(Self {
            docker: client(&transport, &agreed)?,
            transport,
            connector: connector.clone(),
            about: About::new(version, &info),
        })
    }

    /// Its properties.
    #[must_use]
    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// A client whose calls have this limit.
    pub(super) fn with_limit(&self, limit: Duration) -> Docker {
        self.docker.clone().with_timeout(limit)
    }

    /// Queries an image by its id or a name.
    pub(super) async fn inspect_image(&self, name: &str) -> Result<InspectedImage, Error> {
        let path = format!("/images/{name}/json");
        self.transport.get(&path, CALL_LIMIT).await
    }

    /// Lists the images, including intermediate ones; with `manifests`, their manifests in a containerd store.
    pub(super) async fn list_images(&self, manifests: bool) -> Result<Vec<ListedImage>, Error> {
        let path = format!("/images/json?all=true&manifests={manifests}");
        self.transport.get(&path, CALL_LIMIT).await
    }

    /// Adds a name to an image, identified by its id or another name.
    pub(super) async fn tag(&self, image: &str, name: &Reference) -> Result<(), Error> {
        let repository = format!("{}/{}", name.host(), name.repository());
        let options = TagImageOptionsBuilder::default()
            .repo(&repository)
            .tag(name.tag())
            .build();
        self.docker.tag_image(image, Some(options)).await
    }

    /// Removes a name or an id, without pruning parent images.
    pub(super) async fn untag(&self, name: &str) -> Result<(), Error> {
        let options = RemoveImageOptionsBuilder::default().noprune(true).build();
        let removing = self.docker.remove_image(name, Some(options), None);
        removing.await.map(|_| ())
    }
}

fn client(transport: &Transport, version: &ClientVersion) -> Result<Docker, Error> {
    // The address is only used for the header `Host`.
    let address = Some("http://docker");
    let transport = transport.clone();
    let send = move |request| transport.send(request);
    Docker::connect_with_custom_transport(send, address, CALL_LIMIT.as_secs(), version)
}

/// Parses `1.43`.
fn api_version(text: &str) -> Option<ClientVersion> {
    let (major, minor) = text.split_once('.')?;
    Some(ClientVersion {
        major_version: major.parse().ok()?,
        minor_version: minor.parse().ok()?,
    })
}

/// Whether the connection was refused, as before the daemon listens.
fn is_connection_refused(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn about(component: &str, driver_status: &[[&str; 2]], version: &str) -> About {
        let version = json!({
            "Version": version, "Os": "linux", "Arch": "amd64",
            "Components": [{ "Name": component, "Version": version }],
        });
        let info = json!({ "DriverStatus": driver_status });
        About::new(
            serde_json::from_value(version).unwrap(),
            &serde_json::from_value(info).unwrap(),
        )
    }

    #[test]
    fn the_store_is_derived_from_the_driver_status() {
        let classic = [["Backing Filesystem", "extfs"], ["Using metacopy", "false"]];
        let containerd = [["driver-type", "io.containerd.snapshotter.v1"]];
        assert_eq!(about("Engine", &classic, "25.0.3").store, Store::Classic);
        assert_eq!(
            about("Engine", &containerd, "29.0.0").store,
            Store::Containerd
        );
        assert_eq!(
            about("Podman Engine", &classic, "4.9.3").store,
            Store::Other
        );
        let old = about("Engine", &classic, "20.10.24+dfsg1");
        assert!(!old.reads_zstd());
        assert_eq!(old.platform.to_string(), "linux/amd64");
        assert!(about("Engine", &classic, "23.0.0-rc.1").reads_zstd());
        assert!(!about("Engine", &classic, "dev").reads_zstd());
    }
}
