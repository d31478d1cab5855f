//! The queries of a daemon, with models that contain only the properties in use.
//!
//! `bollard` has models of whole responses. They would add 2 % to the program, and a property that no one uses could make a
//! response invalid. So only requests that change something are its calls; errors are the same.

use std::time::Duration;

use bollard::errors::Error;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::transport::Transport;

/// The maximum size of a response, in bytes. A list of images has about 1 kB for each image.
const MAX_RESPONSE_BYTES: usize = 64 << 20;

/// The response to `GET /version`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct DaemonVersion {
    /// Such as `25.0.3`.
    pub(crate) version: Option<String>,
    /// The highest version of the API, such as `1.43`.
    pub(crate) api_version: Option<String>,
    /// The operating system.
    pub(crate) os: Option<String>,
    /// The architecture, with Go's name.
    pub(crate) arch: Option<String>,
    /// The parts of the daemon.
    pub(crate) components: Option<Vec<Component>>,
}

/// A part of a daemon.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Component {
    /// Such as `Engine`.
    pub(crate) name: String,
}

/// The response to `GET /info`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Info {
    /// Names and values of the storage driver's properties.
    pub(crate) driver_status: Option<Vec<Vec<String>>>,
}

/// The response to `GET /images/{name}/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InspectedImage {
    /// The digest of the config, or of the manifest or index in a containerd store.
    pub(super) id: Option<String>,
    /// Its layers.
    #[serde(rename = "RootFS")]
    pub(super) root_fs: Option<RootFs>,
}

/// The file system of an image.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RootFs {
    /// The digests of the uncompressed layers, from the lowest on.
    pub(super) layers: Option<Vec<String>>,
}

/// An entry of the response to `GET /images/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedImage {
    /// As in [`InspectedImage`].
    pub(super) id: String,
    /// The manifests of a containerd store, since version 1.47 of the API.
    #[serde(default)]
    pub(super) manifests: Option<Vec<ListedManifest>>,
}

/// A manifest of an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedManifest {
    /// Its digest.
    #[serde(rename = "ID")]
    pub(super) id: String,
    /// Whether the config and all layers are in the store.
    pub(super) available: bool,
}

/// The daemon's description of an error.
#[derive(Deserialize)]
struct Problem {
    message: String,
}

impl Transport {
    /// Sends a `GET` request and reads the JSON of its response.
    ///
    /// # Errors
    /// Those of `bollard`'s calls: the connection failed, the daemon rejected the request, its response is invalid, or the call
    /// took longer than `limit`.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        limit: Duration,
    ) -> Result<T, Error> {
        let body = tokio::time::timeout(limit, self.body_of(path)).await;
        let body = body.unwrap_or(Err(Error::RequestTimeoutError))?;
        serde_json::from_slice(&body).map_err(|error| Error::JsonDataError {
            message: error.to_string(),
            column: error.column(),
        })
    }

    async fn body_of(&self, path: &str) -> Result<Bytes, Error> {
        // The address is only used for the header `Host`.
        let request = http::Request::get(format!("http://docker{path}"));
        let request = request.body(bollard::body_full(Bytes::new()))?;
        let response = self.send(request).await?;
        let status = response.status();
        let body = collect(response.into_body()).await?;
        if status.is_success() {
            return Ok(body);
        }
        let message = match serde_json::from_slice(&body) {
            Ok(Problem { message }) => message,
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        };
        Err(Error::DockerResponseServerError {
            status_code: status.as_u16(),
            message,
        })
    }
}

async fn collect(body: Incoming) -> Result<Bytes, Error> {
    let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await;
    let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => Error::from(*error),
        Err(error) => std::io::Error::other(error).into(),
    })?;
    Ok(body.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn properties_of_a_response_may_be_null_or_absent() {
        for null in [json!({}), json!({ "Os": null, "Components": null })] {
            let version: DaemonVersion = serde_json::from_value(null).unwrap();
            assert!(version.os.is_none() && version.components.is_none());
        }
        let info: Info = serde_json::from_value(json!({ "DriverStatus": null })).unwrap();
        assert!(info.driver_status.is_none());
        for null in [json!({}), json!({ "RootFS": null, "Id": null })] {
            let image: InspectedImage = serde_json::from_value(null).unwrap();
            assert!(image.id.is_none() && image.root_fs.is_none());
        }
        for null in [
            json!([{ "Id": "a" }]),
            json!([{ "Id": "a", "Manifests": null }]),
        ] {
            let images: Vec<ListedImage> = serde_json::from_value(null).unwrap();
            assert!(matches!(&images[..], [image] if image.manifests.is_none()));
        }
    }

    #[test]
    fn other_properties_of_a_response_are_ignored() {
        let image = json!({
            "Id": "sha256:one",
            "Created": "not a time",
            "Config": { "Healthcheck": { "Interval": "a string" } },
            "RootFS": { "Type": "layers", "Layers": ["sha256:a", "sha256:b"] },
        });
        let image: InspectedImage = serde_json::from_value(image).unwrap();
        assert_eq!(image.id.as_deref(), Some("sha256:one"));
        let layers = image.root_fs.and_then(|root| root.layers);
        assert_eq!(layers.unwrap_or_default(), ["sha256:a", "sha256:b"]);
        let listed = json!([{
            "Id": "sha256:one",
            "Created": -1,
            "Manifests": [{ "ID": "sha256:m", "Available": true, "Kind": "of a later version" }],
        }]);
        let listed: Vec<ListedImage> = serde_json::from_value(listed).unwrap();
        let manifests = listed.into_iter().filter_map(|image| image.manifests);
        let manifests: Vec<_> = manifests.flatten().collect();
        assert!(matches!(&manifests[..], [one] if one.id == "sha256:m" && one.available));
    }
}
