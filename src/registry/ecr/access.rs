//! The configured AWS credentials.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::host::is_account;

/// The possible sources of credentials. The first one that is set is used: role, keys, container, machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// A role that is assumed with a signed identity token.
    pub role: Option<Role>,
    /// Keys of a user or a session.
    pub keys: Option<Keys>,
    /// The source of keys of the container.
    pub container: Option<Container>,
    /// An address that replaces all of Amazon's.
    pub endpoint: Option<Url>,
    /// The address of the machine's metadata service; `None` for the default.
    pub metadata: Option<Url>,
}

impl Access {
    /// All secrets, which must be masked in logs.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        let keys = self.keys.iter();
        let keys = keys.flat_map(|keys| [Some(&keys.secret), keys.session.as_ref()]);
        let role = self.role.iter().map(|role| &role.token);
        let container = self.container.iter();
        let container = container.filter_map(|container| match &container.authorization {
            Some(Authorization::Token(token)) => Some(token),
            Some(Authorization::File(_)) | None => None,
        });
        keys.flatten().chain(role).chain(container)
    }

    /// The file that authorizes the container; `None` without one.
    #[must_use]
    pub(crate) fn authorization_file(&self) -> Option<&Path> {
        match self.container.as_ref()?.authorization.as_ref()? {
            Authorization::File(path) => Some(path),
            Authorization::Token(_) => None,
        }
    }
}

/// Keys of a user or a session.
#[derive(Clone)]
pub(crate) struct Keys {
    /// The id of the key, which is not secret.
    pub id: String,
    /// The key.
    pub secret: SecretString,
    /// The session token, for temporary keys.
    pub session: Option<SecretString>,
    /// When they expire; `None` if they do not.
    pub until: Option<SystemTime>,
}

impl Keys {
    /// The values to mask in logs.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let session = self.session.as_ref().map(ExposeSecret::expose_secret);
        std::iter::once(self.secret.expose_secret()).chain(session)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("Keys");
        fields.field("id", &self.id).finish_non_exhaustive()
    }
}

/// A role and the identity that assumes it.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    /// Its ARN.
    pub arn: String,
    /// A signed identity that the role trusts.
    pub token: SecretString,
    /// The name of the session in AWS's records.
    pub session_name: String,
}

/// The longest name of a session, in characters (API reference of AWS STS).
const MAX_SESSION_NAME_CHARACTERS: usize = 64;

impl Role {
    /// Whether `arn` is the ARN of a role, such as `arn:aws:iam::123456789012:role/path/name`, in any partition of AWS.
    #[must_use]
    pub(crate) fn is_arn(arn: &str) -> bool {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let [scheme, partition, service, region, account, resource] = parts[..] else {
            return false;
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
        let name = resource.strip_prefix("role/").unwrap_or_default();
        scheme == "arn"
            && (partition == "aws" || partition.starts_with("aws-"))
            && service == "iam"
            && region.is_empty()
            && is_account(account)
            && !name.is_empty()
            && name.bytes().all(is_plain)
    }

    /// `text` as the name of a session: without characters that AWS STS rejects, and cut to its limit.
    #[must_use]
    pub(crate) fn valid_session_name(text: &str) -> String {
        let is_allowed =
            |character: &char| character.is_ascii_alphanumeric() || "_+=,.@-".contains(*character);
        let characters = text.chars().filter(is_allowed);
        characters.take(MAX_SESSION_NAME_CHARACTERS).collect()
    }
}

/// The base of relative addresses of a container's credentials (AWS SDKs and Tools Reference Guide, "Container
/// credential provider").
const CONTAINER_BASE: &str = "http://169.254.170.2";

impl Container {
    /// The address of the credentials; `None` if neither is set, or the one that applies is invalid. `relative` takes
    /// precedence.
    #[must_use]
    pub(crate) fn endpoint(relative: Option<&str>, full: Option<&str>) -> Option<Url> {
        match (relative, full) {
            // Appended unchanged: a join could lead to another host.
            (Some(path), _) if path.starts_with('/') => {
                Url::parse(&format!("{CONTAINER_BASE}{path}")).ok()
            }
            (None, Some(url)) => Url::parse(url).ok(),
            (Some(_), _) | (None, None) => None,
        }
    }
}

/// Where a container gets its keys.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    /// The address.
    pub url: Url,
    /// The value of the header `Authorization`.
    pub authorization: Option<Authorization>,
}

/// The source of a container's authorization token.
#[derive(Clone, Debug)]
pub(crate) enum Authorization {
    /// This text.
    Token(SecretString),
    /// The content of this file at the time of the request: it is renewed from time to time.
    File(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arns_of_roles_are_accepted() {
        for arn in [
            "pipelines",
            "arn:aws:iam::123456789012:user/me",
            "arn:aws:iam::1234:role/x",
            "arn:aws:iam:eu-central-1:123456789012:role/x",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
        ] {
            assert!(!Role::is_arn(arn), "{arn}");
        }
        for arn in [
            "arn:aws:iam::123456789012:role/ci/pipelines",
            "arn:aws-cn:iam::123456789012:role/x",
            "arn:aws-us-gov:iam::123456789012:role/x",
        ] {
            assert!(Role::is_arn(arn), "{arn}");
        }
    }

    #[test]
    fn a_session_name_has_only_allowed_characters() {
        assert_eq!(Role::valid_session_name("my app/ö-7"), "myapp-7");
        assert_eq!(Role::valid_session_name(&"x".repeat(100)).len(), 64);
    }

    #[test]
    fn a_relative_address_cannot_lead_to_another_host() {
        let endpoint = |relative, full| Container::endpoint(relative, full).map(String::from);
        let relative = endpoint(Some("/v2/credentials/x"), None);
        assert_eq!(
            relative.as_deref(),
            Some("http://169.254.170.2/v2/credentials/x")
        );
        for path in ["//evil.example/x", "@evil.example/x", "x"] {
            let url = Container::endpoint(Some(path), Some("http://127.0.0.1/"));
            let host = url.as_ref().map(|url| url.host_str());
            assert!(
                host.is_none_or(|host| host == Some("169.254.170.2")),
                "{path}"
            );
        }
        let full = endpoint(None, Some("http://127.0.0.1:7/c"));
        assert_eq!(full.as_deref(), Some("http://127.0.0.1:7/c"));
    }
}
