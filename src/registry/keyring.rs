//! Every login of a run: those that were given, and those that are made when they are asked for.
//!
//! Some registries have logins that last for hours and are made from something else, as Amazon's are. They are asked for
//! each time, and whoever makes them keeps them as long as they are good.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::credentials::{Credential, Credentials, canonical_host};

/// Hosts that are remembered; a build uses a few.
const HOSTS_LIMIT: usize = 1000;

/// Makes logins for some registries.
#[tonic::async_trait]
pub trait CredentialSource: fmt::Debug + Send + Sync + 'static {
    /// Whether this is a registry of its.
    fn covers(&self, host: &str) -> bool;

    /// Whether the build names this registry. A login that the user has given for another one of this source is not used: it may
    /// open more registries than the build needs, and a builder could request it.
    fn is_named(&self, host: &str) -> bool;

    /// Whether the registry takes tokens, where that is known without asking it.
    fn takes_tokens(&self, host: &str) -> Option<bool>;

    /// A login that is good now; `None` where nobody said who we are there, so that only anonymous access is left.
    async fn credential(&self, host: &str) -> Result<Option<Credential>, SourceError>;
}

/// Why a source has no login.
#[derive(Debug)]
pub struct SourceError {
    /// The answer was no, as opposed to none.
    pub denied: bool,
    /// What happened.
    pub cause: Box<dyn Error + Send + Sync>,
}

/// Why there is no login for a registry that has a source of them.
#[derive(Clone, Debug, thiserror::Error)]
#[error("there is no login for the registry `{host}`")]
pub struct KeyringError {
    host: String,
    denied: bool,
    #[source]
    cause: Arc<dyn Error + Send + Sync>,
}

impl KeyringError {
    /// The registry.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the answer was no, as opposed to none.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.denied
    }

    /// The source's own error, where it is of this type.
    #[must_use]
    pub fn cause<Cause: Error + 'static>(&self) -> Option<&Cause> {
        self.cause.downcast_ref()
    }
}

/// Every login of a run.
#[derive(Debug, Default)]
pub struct Keyring {
    given: Credentials,
    sources: Vec<Arc<dyn CredentialSource>>,
    /// The hosts that somebody wanted a login for.
    asked: Mutex<BTreeSet<String>>,
}

impl Keyring {
    /// With these logins, which go before those of any source.
    #[must_use]
    pub fn new(given: Credentials) -> Self {
        Self {
            given,
            ..Self::default()
        }
    }

    /// Adds a source.
    #[must_use]
    pub fn with_source(mut self, source: Arc<dyn CredentialSource>) -> Self {
        self.sources.push(source);
        self
    }

    /// The login for `host`, in whatever form a reference, a Docker configuration or a builder gives it.
    pub async fn for_host(&self, host: &str) -> Result<Option<Credential>, KeyringError> {
        self.note(host);
        let (source, host) = (self.source(host), canonical_host(host));
        if let Some(given) = self.given.for_host(&host)
            && source.is_none_or(|source| source.is_named(&host))
        {
            return Ok(Some(given.clone()));
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

    /// Whether the registry takes tokens, where that is known without asking it.
    #[must_use]
    pub fn takes_tokens(&self, host: &str) -> Option<bool> {
        self.source(host)?.takes_tokens(&canonical_host(host))
    }

    /// The given logins that nobody wanted.
    #[must_use]
    pub fn unused(&self) -> Vec<&Credential> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let given = self.given.iter();
        given.filter(|one| !asked.contains(one.host())).collect()
    }

    fn note(&self, host: &str) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // Hosts come from builders too.
        if asked.len() < HOSTS_LIMIT {
            asked.insert(canonical_host(host));
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
    struct Made(Result<Option<&'static str>, &'static str>);

    #[tonic::async_trait]
    impl CredentialSource for Made {
        fn covers(&self, host: &str) -> bool {
            host.starts_with("made.")
        }

        fn is_named(&self, host: &str) -> bool {
            host != "made.unnamed.example"
        }

        fn takes_tokens(&self, _host: &str) -> Option<bool> {
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

    fn keyring(made: Made) -> Keyring {
        let given = [
            "made.given.example",
            "made.unnamed.example",
            "given.example",
        ];
        let given = given.map(|host| Credential::new(host, "given".into(), "p".into()));
        Keyring::new(given.into_iter().collect()).with_source(Arc::new(made))
    }

    async fn user(keyring: &Keyring, host: &str) -> Option<String> {
        let credential = keyring.for_host(host).await.unwrap();
        credential.map(|credential| credential.username().to_owned())
    }

    #[tokio::test]
    async fn what_is_given_goes_before_what_is_made() {
        let keyring = keyring(Made(Ok(Some("made"))));
        assert_eq!(
            user(&keyring, "made.given.example").await.as_deref(),
            Some("given")
        );
        assert_eq!(
            user(&keyring, "Made.Unnamed.Example").await.as_deref(),
            Some("made")
        );
        assert_eq!(
            user(&keyring, "made.example").await.as_deref(),
            Some("made")
        );
        assert_eq!(user(&keyring, "other.example").await, None);
        assert_eq!(keyring.takes_tokens("made.example"), Some(false));
        assert_eq!(keyring.takes_tokens("other.example"), None);
        let unused = keyring.unused().into_iter().map(Credential::host);
        assert_eq!(unused.collect::<Vec<_>>(), ["given.example"]);
    }

    #[tokio::test]
    async fn a_source_that_fails_is_told_with_the_host() {
        let keyring = keyring(Made(Err("no such role")));
        let error = keyring.for_host("made.example").await.unwrap_err();
        assert_eq!(
            crate::text::cause::one_line(&error),
            "there is no login for the registry `made.example`: no such role"
        );
        assert!(error.is_denied());
    }
}
