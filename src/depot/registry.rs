//! Depot's registries, which keep saved images. Every token of Depot is a login for them, with the user `x-token` (Depot's "Registry").

use std::fmt;

use secrecy::SecretString;

use crate::registry::credentials::{Credential, canonical_host, is_in_domain};
use crate::registry::keyring::{CredentialSource, SourceError};

/// The registry of all projects. Below it, each organization has a host of its own.
const HOST: &str = "registry.depot.dev";

/// The domain of Depot, whose hosts may get a token.
const DOMAIN: &str = "depot.dev";

const USER: &str = "x-token";

/// Whether a host, in the form of a reference, is a registry of Depot.
#[must_use]
pub(crate) fn is_registry(host: &str) -> bool {
    let host = canonical_host(host);
    is_in_domain(host.strip_suffix(":443").unwrap_or(&host), HOST)
}

/// The login for Depot's registries. A login of the build, or one that is configured, has precedence.
pub(crate) struct RegistryLogins {
    token: SecretString,
}

impl RegistryLogins {
    /// With the token of the run.
    pub(crate) fn new(token: SecretString) -> Self {
        Self { token }
    }
}

impl fmt::Debug for RegistryLogins {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RegistryLogins")
    }
}

#[tonic::async_trait]
impl CredentialSource for RegistryLogins {
    fn covers(&self, host: &str) -> bool {
        is_registry(host)
    }

    fn is_named(&self, _host: &str) -> bool {
        // These registries belong to the owner of the token, and so does every builder.
        true
    }

    fn accepts_tokens(&self, _host: &str) -> Option<bool> {
        None
    }

    async fn credential(&self, host: &str) -> Result<Option<Credential>, SourceError> {
        if !is_registry(host) {
            return Ok(None);
        }
        let login = Credential::new(host, USER.to_owned(), self.token.clone());
        Ok(Some(login.within(DOMAIN)))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::registry::keyring::Keyring;

    #[tokio::test]
    async fn only_depots_registries_get_the_token() {
        let logins = RegistryLogins::new("depot-token".into());
        assert!(!format!("{logins:?}").contains("depot-token"));
        let keyring = Keyring::default().with_source(std::sync::Arc::new(logins));
        for host in [
            "registry.depot.dev",
            "Registry.Depot.dev",
            "registry.depot.dev:443",
            "acme1234.registry.depot.dev",
            "https://a.b.registry.depot.dev/v2/",
        ] {
            let login = keyring.for_host(host).await.unwrap().unwrap();
            assert_eq!(login.username(), "x-token");
            assert_eq!(login.password().expose_secret(), "depot-token");
            for realm in ["registry.depot.dev", "auth.depot.dev", "DEPOT.DEV"] {
                assert!(login.is_for_token_server(realm), "{realm}");
            }
            for realm in [
                "",
                "auth.example.com",
                "evil-depot.dev",
                "depot.dev.example.com",
            ] {
                assert!(!login.is_for_token_server(realm), "{realm}");
            }
        }
        for host in [
            "",
            "depot.dev",
            "api.depot.dev",
            "evilregistry.depot.dev",
            "registry-depot.dev",
            "registry.depot.dev.example.com",
            "example.com/registry.depot.dev",
            "registry.depot.dev:5000",
            "registry.depot.dev@example.com",
            "registry.depot.devx",
            "docker.io",
            // Texts that are not hosts, and lead elsewhere in an address.
            "example.com#.registry.depot.dev",
            "example.com?.registry.depot.dev",
            "example.com\\.registry.depot.dev",
            "example.com:1@.registry.depot.dev",
            "example.com%2f.registry.depot.dev",
            "exämple.com.registry.depot.dev",
            ".registry.depot.dev",
            "a..registry.depot.dev",
            "registry.depot.dev.",
        ] {
            assert!(keyring.for_host(host).await.unwrap().is_none(), "{host}");
        }
    }
}
