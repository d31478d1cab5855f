//! Loads an image by a pull of the daemon, with a login that is used for this call only.

use std::fmt;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use secrecy::{ExposeSecret, SecretString};

use super::daemon::Daemon;
use super::error::LoadError;
use super::image::Image;
use super::load::Loaded;
use crate::platform::Platform;
use crate::registry::reference::Reference;

/// The limit for a pull: longer than the limit of a step.
const PULL_LIMIT: Duration = Duration::from_hours(2);

/// The limit without a line of progress.
const SILENCE_LIMIT: Duration = Duration::from_mins(5);

/// The login for a pull.
#[derive(Clone)]
pub(crate) struct PullLogin {
    /// User name.
    pub(crate) username: String,
    /// Password.
    pub(crate) password: SecretString,
}

impl fmt::Debug for PullLogin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PullLogin({:?}, ***)", self.username)
    }
}

impl Daemon {
    /// Pulls `source` for `platform`, tags it with `names` and removes the name `source`.
    ///
    /// Verifies that every name refers to an image with the layers of `image`; without `image`, any layers are accepted. The id
    /// of the image can be that of an index in the registry.
    pub(crate) async fn pull(
        &self,
        source: &Reference,
        login: &PullLogin,
        platform: Option<&Platform>,
        names: &[Reference],
        image: Option<&Image>,
    ) -> Result<Loaded, LoadError> {
        let repository = format!("{}/{}", source.host(), source.repository());
        let options = CreateImageOptionsBuilder::default()
            .from_image(&repository)
            .tag(source.tag());
        let platform = platform.map(ToString::to_string);
        let options = match &platform {
            Some(platform) => options.platform(platform),
            None => options,
        };
        let credentials = DockerCredentials {
            username: Some(login.username.clone()),
            password: Some(login.password.expose_secret().to_owned()),
            serveraddress: Some(source.host().to_owned()),
            ..DockerCredentials::default()
        };
        let failed = |error| LoadError::of(error, false);
        let docker = self.with_limit(PULL_LIMIT);
        let mut response = docker.create_image(Some(options.build()), None, Some(credentials));
        loop {
            // Each line restarts the limit.
            let line = tokio::time::timeout(SILENCE_LIMIT, response.next()).await;
            let Some(line) = line.map_err(|_| LoadError::Stalled(SILENCE_LIMIT))? else {
                break;
            };
            let line = line.map_err(failed)?;
            if let Some(error) = line.error_detail {
                let message = error.message.unwrap_or_else(|| "unknown reason".into());
                return Err(LoadError::of_message(message, false));
            }
        }
        let pulled = source.to_string();
        for name in names {
            self.tag(&pulled, name).await.map_err(failed)?;
        }
        if !names.contains(source) {
            // Best effort: the image has its names, and an additional one does no harm.
            if let Err(error) = self.untag(&pulled).await {
                tracing::debug!(
                    "cannot remove the name `{pulled}` from the Docker daemon: {error}"
                );
            }
        }
        let expected = image.map(Image::id).unwrap_or_default();
        self.verify(
            names,
            false,
            |found| image.is_none_or(|image| super::load::has_layers(found, image)),
            expected,
        )
        .await
    }
}
