//! Registry credentials, found only by host.
//!
//! A builder also requests credentials when it pulls base images, so a match with the wrong host would send a password to
//! another registry. Hosts are equal if they are the same in lower case; a port is part of the host. All names of
//! Docker Hub are one host.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

use super::reference::DOCKER_HUB;

/// The names of Docker Hub: in references, in Docker's configuration file, and as a server.
const DOCKER_HUB_NAMES: [&str; 3] = [DOCKER_HUB, "index.docker.io", "registry-1.docker.io"];

/// Receives every secret that is obtained during a run, before it is used, so that it can be masked in logs.
pub(crate) type SecretListener = Arc<dyn Fn(&str) + Send + Sync>;

/// A user name and password for one registry.
#[derive(Clone)]
pub(crate) struct Credential {
    host: String,
    username: String,
    password: SecretString,
    is_identity_token: bool,
    origin: Option<String>,
    is_automatic: bool,
    domain: Option<&'static str>,
    /// The start of the names of the repositories that it is for; `None` for all of the registry.
    prefix: Option<String>,
}

impl Credential {
    /// For `host` in any form; see [`canonical_host`].
    #[must_use]
    pub(crate) fn new(host: &str, username: String, password: SecretString) -> Self {
        Self {
            host: canonical_host(host),
            username,
            password,
            is_identity_token: false,
            origin: None,
            is_automatic: false,
            domain: None,
            prefix: None,
        }
    }

    /// With an identity token, which `docker login` stores for registries that issue one: a refresh token of `OAuth2`, which is
    /// only valid for requesting tokens.
    #[must_use]
    pub(crate) fn with_identity_token(host: &str, token: SecretString) -> Self {
        Self {
            is_identity_token: true,
            ..Self::new(host, String::new(), token)
        }
    }

    /// Limits it to the repository `prefix` and those below it.
    #[must_use]
    pub(crate) fn with_prefix(mut self, prefix: Option<String>) -> Self {
        self.prefix = prefix;
        self
    }

    /// The repository that it is limited to, with those below it.
    #[must_use]
    pub(crate) fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    /// Whether it is for this repository of its registry.
    fn covers(&self, repository: &str) -> bool {
        self.prefix.as_deref().is_none_or(|prefix| {
            let rest = repository.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Sets where it was found, for messages.
    #[must_use]
    pub(crate) fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Marks a login that exists in every run, so that a build that does not need it is no mistake.
    #[must_use]
    pub(crate) fn automatic(mut self) -> Self {
        self.is_automatic = true;
        self
    }

    /// Limits the token servers that get the password to the hosts of a domain.
    #[must_use]
    pub(crate) fn within(mut self, domain: &'static str) -> Self {
        self.domain = Some(domain);
        self
    }

    /// Whether it exists in every run.
    #[must_use]
    pub(crate) fn is_automatic(&self) -> bool {
        self.is_automatic
    }

    /// Whether a token server on this host may get the password.
    #[must_use]
    pub(crate) fn is_for_token_server(&self, host: &str) -> bool {
        self.domain.is_none_or(|domain| is_in_domain(host, domain))
    }

    /// Where it was found, for messages.
    #[must_use]
    pub(crate) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Whether [`Self::password`] is an identity token. Then the user name is empty.
    #[must_use]
    pub(crate) fn is_identity_token(&self) -> bool {
        self.is_identity_token
    }

    /// The registry's canonical host; `docker.io` for Docker Hub.
    #[must_use]
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The user name, which is not secret.
    #[must_use]
    pub(crate) fn username(&self) -> &str {
        &self.username
    }

    /// The password, which is sent only to the registry and its token server, or to a builder if nothing else is possible.
    #[must_use]
    pub(crate) fn password(&self) -> &SecretString {
        &self.password
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("Credential");
        fields
            .field("host", &self.host)
            .field("username", &self.username)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// All credentials of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials(Vec<Credential>);

impl Credentials {
    /// For `host`, in the form of a reference, a Docker configuration or a builder. One for the whole registry comes before those
    /// for parts of it.
    #[must_use]
    pub(crate) fn for_host(&self, host: &str) -> Option<&Credential> {
        let host = canonical_host(host);
        let of_host = || self.0.iter().filter(|credential| credential.host == host);
        let whole = of_host().find(|credential| credential.prefix.is_none());
        whole.or_else(|| of_host().next())
    }

    /// For a repository of `host`: the one with the longest prefix.
    #[must_use]
    pub(crate) fn for_repository(&self, host: &str, repository: &str) -> Option<&Credential> {
        let host = canonical_host(host);
        let of_host = self.0.iter().filter(|credential| credential.host == host);
        let mut found: Option<&Credential> = None;
        for credential in of_host.filter(|credential| credential.covers(repository)) {
            let length = |credential: &Credential| credential.prefix().map_or(0, str::len);
            if found.is_none_or(|known| length(credential) > length(known)) {
                found = Some(credential);
            }
        }
        found
    }

    /// The credentials of every host.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Credential> {
        self.0.iter()
    }
}

/// Of two credentials for one host only the first is found.
impl FromIterator<Credential> for Credentials {
    fn from_iter<I: IntoIterator<Item = Credential>>(credentials: I) -> Self {
        Self(credentials.into_iter().collect())
    }
}

/// Whether a host, without a port, is a domain or below it. False for a text that is not a host: a builder can request a login for
/// `evil.example#.registry.example.com`, which ends with the domain, but leads elsewhere.
#[must_use]
pub(crate) fn is_in_domain(host: &str, domain: &str) -> bool {
    let is_label = |label: &str| {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_valid)
    };
    let host = host.to_ascii_lowercase();
    if !host.split('.').all(is_label) {
        return false;
    }
    match host.strip_suffix(domain) {
        Some(before) => before.is_empty() || before.ends_with('.'),
        None => false,
    }
}

/// The form in which hosts are compared: lower case, no scheme, no path, `docker.io` for every name of Docker Hub.
///
/// `https://index.docker.io/v1/`, the name of Docker Hub in Docker's configuration, becomes `docker.io`.
#[must_use]
pub(crate) fn canonical_host(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    let text = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .unwrap_or(&text);
    let host = text.split('/').next().unwrap_or_default().trim();
    if DOCKER_HUB_NAMES.contains(&host) {
        DOCKER_HUB.to_owned()
    } else {
        host.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn credentials(hosts: &[&str]) -> Credentials {
        hosts
            .iter()
            .map(|host| Credential::new(host, format!("user of {host}"), "hunter2".into()))
            .collect()
    }

    #[test]
    fn all_names_of_docker_hub_are_one_host() {
        let names = [
            "docker.io",
            "index.docker.io",
            "registry-1.docker.io",
            "https://index.docker.io/v1/",
            "Docker.IO",
            "docker.io /v1/",
        ];
        for configured in names {
            for requested in names {
                assert!(
                    credentials(&[configured]).for_host(requested).is_some(),
                    "{configured} for {requested}"
                );
            }
        }
    }

    #[test]
    fn no_other_host_matches() {
        let credentials = credentials(&[
            "registry.example.com",
            "docker.io",
            "other.example.com:5000",
        ]);
        for stranger in [
            "",
            "example.com",
            "registry.example.com:5000",
            "other.example.com",
            "registry.example.com.evil.example",
            "evil.example/registry.example.com",
            "https://evil.example/docker.io",
            "registry.example.com@evil.example",
            "auth.docker.io",
            "hub.docker.io",
        ] {
            assert!(credentials.for_host(stranger).is_none(), "{stranger}");
        }
        let found = credentials
            .for_host("Registry.Example.com")
            .map(Credential::username);
        assert_eq!(found, Some("user of registry.example.com"));
    }

    #[test]
    fn the_longest_prefix_of_a_repository_decides() {
        let login = |user: &str, prefix: Option<&str>| {
            let login = Credential::new("r.example", user.into(), "hunter2".into());
            login.with_prefix(prefix.map(str::to_owned))
        };
        let credentials: Credentials = [
            login("team", Some("team")),
            login("all", None),
            login("app", Some("team/app")),
        ]
        .into_iter()
        .collect();
        let user = |repository: &str| {
            let found = credentials.for_repository("R.example", repository);
            found.map(Credential::username)
        };
        for (repository, expected) in [
            ("team", "team"),
            ("team/other", "team"),
            ("team/app", "app"),
            ("team/app/cache", "app"),
            ("team/application", "team"),
            ("teams/app", "all"),
            ("other", "all"),
        ] {
            assert_eq!(user(repository), Some(expected), "{repository}");
        }
        assert_eq!(
            credentials.for_host("r.example").map(Credential::username),
            Some("all")
        );
        assert!(
            credentials
                .for_repository("other.example", "team")
                .is_none()
        );
        let parts: Credentials = [login("team", Some("team"))].into_iter().collect();
        assert!(parts.for_repository("r.example", "other").is_none());
        assert!(parts.for_host("r.example").is_some());
    }

    #[test]
    fn debug_output_shows_no_password() {
        let credentials = credentials(&["registry.example.com"]);
        let shown = format!("{credentials:?}");
        assert!(
            shown.contains("registry.example.com") && !shown.contains("hunter2"),
            "{shown}"
        );
        let password = credentials
            .iter()
            .map(|credential| credential.password().expose_secret())
            .next();
        assert_eq!(password, Some("hunter2"));
    }
}
