//! Having the daemon pull the image from a registry, with a login that goes no further than that call.

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
use super::platform::Platform;
use crate::registry::reference::Reference;

/// How long a pull may take: longer than a step may.
const PULL_LIMIT: Duration = Duration::from_hours(2);

/// How long a pull may take without a word of progress.
const SILENCE_LIMIT: Duration = Duration::from_mins(5);

/// Who may pull.
#[derive(Clone)]
pub struct PullLogin {
    /// User name.
    pub username: String,
    /// Password.
    pub password: SecretString,
}

impl fmt::Debug for PullLogin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PullLogin({:?}, ***)", self.username)
    }
}

impl Daemon {
    /// Pulls `source` for `platform`, gives the image its `names` and takes the one away that it was pulled by.
    ///
    /// Every name leads to an image with the layers of `image` then; without it, to whatever was pulled. Its id may be that
    /// of an index that the registry has.
    pub async fn pull(
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
        let docker = self.patient(PULL_LIMIT);
        let mut answer = docker.create_image(Some(options.build()), None, Some(credentials));
        loop {
            // Every line is a sign of life.
            let line = tokio::time::timeout(SILENCE_LIMIT, answer.next()).await;
            let Some(line) = line.map_err(|_| LoadError::Stalled(SILENCE_LIMIT))? else {
                break;
            };
            let line = line.map_err(failed)?;
            if let Some(error) = line.error_detail {
                let told = error.message.unwrap_or_else(|| "it gave no reason".into());
                return Err(LoadError::told(told, false));
            }
        }
        let pulled = source.to_string();
        for name in names {
            self.tag(&pulled, name).await.map_err(failed)?;
        }
        if !names.contains(source) {
            // The image is there under its names; one name more is no failure.
            if let Err(error) = self.untag(&pulled).await {
                tracing::debug!("the name `{pulled}` stays in the daemon: {error}");
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
