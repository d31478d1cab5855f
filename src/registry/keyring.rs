//! Every login of a run: configured logins, and logins that a source creates on request.
//!
//! Some registries, such as Amazon's, have logins that last for hours and are created from other credentials. They are
//! requested from their source each time, and the source caches them while they are valid.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::credentials::{Credential, Credentials, canonical_host};

/// The number of requested hosts that are remembered; a build uses a few.
const MAX_HOSTS: usize = 1000;

/// Creates logins for some registries.
#[tonic::async_trait]
pub(crate) trait CredentialSource: fmt::Debug + Send + Sync + 'static {
    /// Whether this source is responsible for the registry.
    fn covers(&self, host: &str) -> bool;

    /// Whether the build names this registry. A configured login for another registry of this source is not used: it may be
    /// valid for more registries than the build needs, and a builder could request it.
    fn is_named(&self, host: &str) -> bool;

    /// Whether the registry issues tokens, if that is known without a request.
    fn accepts_tokens(&self, host: &str) -> Option<bool>;

    /// A valid login; `None` without an identity, so that only anonymous access remains.
    async fn credential(&self, host: &str) -> Result<Option<Credential>, SourceError>;
}

/// Why a source has no login.
#[derive(Debug)]
pub(crate) struct SourceError {
    /// The request was rejected; false if there was no response.
    pub denied: bool,
    /// The error.
    pub cause: Box<dyn Error + Send + Sync>,
}

/// Why a source returned no login for its registry.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot obtain a login for the registry `{host}`")]
pub(crate) struct KeyringError {
    host: String,
    denied: bool,
    #[source]
    cause: Arc<dyn Error + Send + Sync>,
}

impl KeyringError {
    /// Whether the request was rejected; false if there was no response.
    #[must_use]
    pub(crate) fn is_denied(&self) -> bool {
        self.denied
    }

    /// The source's own error, if it is of this type.
    #[must_use]
    pub(crate) fn cause<Cause: Error + 'static>(&self) -> Option<&Cause> {
        self.cause.downcast_ref()
    }
}

/// Every login of a run.
#[derive(Debug, Default)]
pub(crate) struct Keyring {
    configured: Credentials,
    sources: Vec<Arc<dyn CredentialSource>>,
    /// The hosts for which a login was requested.
    requested: Mutex<BTreeSet<String>>,
}

impl Keyring {
    /// With these logins, which have precedence over those of any source.
    #[must_use]
    pub(crate) fn new(configured: Credentials) -> Self {
        Self {
            configured,
            ..Self::default()
        }
    }

    /// Adds a source.
    #[must_use]
    pub(crate) fn with_source(mut self, source: Arc<dyn CredentialSource>) -> Self {
        self.sources.push(source);
        self
    }

    /// The login for `host`, in the form of a reference, a Docker configuration or a builder.
    pub(crate) async fn for_host(&self, host: &str) -> Result<Option<Credential>, KeyringError> {
        self.find(host, self.configured.for_host(host)).await
    }

    /// The login for a repository of `host`.
    pub(crate) async fn for_repository(
        &self,
        host: &str,
        repository: &str,
    ) -> Result<Option<Credential>, KeyringError> {
        let configured = self.configured.for_repository(host, repository);
        self.find(host, configured).await
    }

    async fn find(
        &self,
        host: &str,
        configured: Option<&Credential>,
    ) -> Result<Option<Credential>, KeyringError> {
        self.note(host);
        let (source, host) = (self.source(host), canonical_host(host));
        if let Some(configured) = configured
            && source.is_none_or(|source| source.is_named(&host))
        {
            return Ok(Some(configured.clone()));
        }
        let Some(source) = source else {
            return Ok(None);
        };
        source
            .credential(&host)
            .await
            .map_err(|error| KeyringError {
                host,
                denied: error.denied,
                cause: error.cause.into(),
            })
    }

    /// Whether the registry issues tokens, if that is known without a request.
    #[must_use]
    pub(crate) fn accepts_tokens(&self, host: &str) -> Option<bool> {
        self.source(host)?.accepts_tokens(&canonical_host(host))
    }

    /// The configured logins that were never requested.
    #[must_use]
    pub(crate) fn unused(&self) -> Vec<&Credential> {
        let requested = self.requested.lock();
        let requested = requested.unwrap_or_else(PoisonError::into_inner);
        let configured = self.configured.iter();
        configured
            .filter(|login| !requested.contains(login.host()))
            .collect()
    }

    fn note(&self, host: &str) {
        let requested = self.requested.lock();
        let mut requested = requested.unwrap_or_else(PoisonError::into_inner);
        // Hosts also come from builders.
        if requested.len() < MAX_HOSTS {
            requested.insert(canonical_host(host));
        }
    }

    fn source(&self, host: &str) -> Option<&Arc<dyn CredentialSource>> {
        let host = canonical_host(host);
        self.sources.iter().find(|source| source.covers(&host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Source(Result<Option<&'static str>, &'static str>);

    #[tonic::async_trait]
    impl CredentialSource for Source {
        fn covers(&self, host: &str) -> bool {
            host.starts_with("source.")
        }

        fn is_named(&self, host: &str) -> bool {
            host != "source.unnamed.example"
        }

        fn accepts_tokens(&self, _host: &str) -> Option<bool> {
            Some(false)
        }

        async fn credential(&self, host: &str) -> Result<Option<Credential>, SourceError> {
            match self.0 {
                Ok(user) => Ok(user.map(|user| Credential::new(host, user.into(), "p".into()))),
                Err(why) => Err(SourceError {
                    denied: true,
                    cause: why.into(),
                }),
            }
        }
    }

    fn keyring(source: Source) -> Keyring {
        let hosts = [
            "source.configured.example",
            "source.unnamed.example",
            "configured.example",
        ];
        let logins = hosts.map(|host| Credential::new(host, "configured".into(), "p".into()));
        Keyring::new(logins.into_iter().collect()).with_source(Arc::new(source))
    }

    async fn user(keyring: &Keyring, host: &str) -> Option<String> {
        let credential = keyring.for_host(host).await.unwrap();
        credential.map(|credential| credential.username().to_owned())
    }

    #[tokio::test]
    async fn configured_logins_have_precedence_over_created_ones() {
        let keyring = keyring(Source(Ok(Some("created"))));
        assert_eq!(
            user(&keyring, "source.configured.example").await.as_deref(),
            Some("configured")
        );
        assert_eq!(
            user(&keyring, "Source.Unnamed.Example").await.as_deref(),
            Some("created")
        );
        assert_eq!(
            user(&keyring, "source.example").await.as_deref(),
            Some("created")
        );
        assert_eq!(user(&keyring, "other.example").await, None);
        assert_eq!(keyring.accepts_tokens("source.example"), Some(false));
        assert_eq!(keyring.accepts_tokens("other.example"), None);
        let unused = keyring.unused().into_iter().map(Credential::host);
        assert_eq!(unused.collect::<Vec<_>>(), ["configured.example"]);
    }

    #[tokio::test]
    async fn a_failure_of_a_source_is_reported_with_the_host() {
        let keyring = keyring(Source(Err("no such role")));
        let error = keyring.for_host("source.example").await.unwrap_err();
        assert_eq!(
            crate::text::cause::one_line(&error),
            "cannot obtain a login for the registry `source.example`: no such role"
        );
        assert!(error.is_denied());
    }
}
