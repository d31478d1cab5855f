//! Addresses of Git repositories over SSH.

use super::findings::{Findings, begins_with_host};

/// Git's schemes for SSH.
const SCHEMES: [&str; 3] = ["ssh", "git+ssh", "ssh+git"];

/// The address of a repository over SSH: `git@host:path` or `host:path`, which is the form of `scp`, or `ssh://git@host:22/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SshAddress<'a> {
    /// With the user, without a password.
    text: String,
    host: &'a str,
    path: &'a str,
    /// The address in the form of `scp`, if it has one for the user `git`.
    scp_form: Option<String>,
}

impl<'a> SshAddress<'a> {
    /// Parses an address; `None` for any other text.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (host, path, shown, scp_form) = match text.split_once("://") {
            Some((scheme, rest)) => {
                if !SCHEMES.contains(&&*scheme.to_ascii_lowercase()) {
                    return None;
                }
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
                let user = user.split(':').next().unwrap_or_default();
                let at = if user.is_empty() { "" } else { "@" };
                // SSH's port is not that of HTTPS.
                let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
                let is_plain = scheme == "ssh" && authority.split('@').next() == Some("git");
                let is_scp_form = is_plain && matches!(host.strip_prefix(name), Some("" | ":22"));
                let scp_form = is_scp_form.then(|| match path.strip_prefix("~/") {
                    // The home of the user, which is where a relative path starts.
                    Some(path) => format!("git@{name}:{path}"),
                    None => format!("git@{name}:/{path}"),
                });
                let shown = format!("{scheme}://{user}{at}{host}/{path}");
                (name, path, shown, scp_form)
            }
            None => {
                let (user, rest) = match text.split_once('@') {
                    Some((user, rest)) => (Some(user), rest),
                    None => (None, text),
                };
                let (host, path) = rest.split_once(':')?;
                let is_address = match user {
                    Some(user) => is_word(user) && !path.is_empty(),
                    None => is_repository(host, path),
                };
                if !is_word(host) || !is_address {
                    return None;
                }
                let scp_form = (user == Some("git")).then(|| text.to_owned());
                let path = path.trim_start_matches('/');
                (host, path, text.to_owned(), scp_form)
            }
        };
        Some(Self {
            text: shown,
            host,
            path,
            scp_form,
        })
    }

    /// The address as builders take it for a named context: `git@host:path`. They support no other user and no port
    /// (`frontend/dockerui/namedcontext.go` of BuildKit). `None` if it cannot be written in this form.
    pub(super) fn scp_form(&self) -> Option<String> {
        self.scp_form.clone()
    }

    /// The address in a message.
    pub(super) fn shown(&self, findings: &Findings) -> String {
        format!("`{}`", findings.masked(&self.text))
    }

    /// The address over HTTPS that most servers have for the same repository.
    pub(super) fn over_https(&self, findings: &Findings) -> String {
        let (path, rest) = match self.path.find(['#', '?']) {
            Some(end) => self.path.split_at(end),
            None => (self.path, ""),
        };
        // Builders take an address without it for that of a file.
        let has_suffix = path.rsplit_once('.').is_some_and(|(_, end)| end == "git");
        let suffix = if path.is_empty() || has_suffix {
            ""
        } else {
            ".git"
        };
        let address = format!("https://{}/{path}{suffix}{rest}", self.host);
        format!("`{}`", findings.masked(&address))
    }
}

/// Whether `host:path` without a user is a repository, not an image (`host:5000/app`, `app:1.0`) or a directory.
fn is_repository(host: &str, path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    let is_port = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    let name = path.split(['#', '?']).next().unwrap_or_default();
    let has_suffix = name.rsplit_once('.').is_some_and(|(_, end)| end == "git");
    !is_port && (has_suffix || (begins_with_host(host) && path.contains('/')))
}

fn is_word(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
    !text.is_empty() && text.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_over_ssh_are_recognised() {
        let findings = Findings::default();
        for (text, https) in [
            (
                "git@bitbucket.org:acme/x.git",
                "`https://bitbucket.org/acme/x.git`",
            ),
            (" git@host:x ", "`https://host/x.git`"),
            ("me@10.0.0.1:/srv/x.git", "`https://10.0.0.1/srv/x.git`"),
            (
                "ssh://git@bitbucket.org/acme/x.git",
                "`https://bitbucket.org/acme/x.git`",
            ),
            ("SSH://host:7999/x.git#main", "`https://host/x.git#main`"),
            ("git+ssh://me:word@host/x", "`https://host/x.git`"),
            ("ssh://", "`https:///`"),
            (
                "github.com:acme/lib.git",
                "`https://github.com/acme/lib.git`",
            ),
            (
                "bitbucket.org:acme/lib",
                "`https://bitbucket.org/acme/lib.git`",
            ),
            ("10.0.0.1:/srv/x", "`https://10.0.0.1/srv/x.git`"),
            ("alias:x.git#main:dir", "`https://alias/x.git#main:dir`"),
        ] {
            let address = SshAddress::parse(text).unwrap();
            assert_eq!(address.over_https(&findings), https);
            assert!(!address.shown(&findings).contains("word"), "{text}");
        }
        for text in [
            "",
            "dist",
            "packages/@scope/app",
            "web@2",
            "a@b:",
            "@b:c",
            "a/b@c:d",
            "me:word@host:x",
            "https://git@host/x",
            "git://host/x",
            "docker-image://alpine:3.20",
            "registry.example.com:5000/app",
            "registry.example.com:5000/x.git",
            "alpine:3.20",
            "r.example:1.0",
            "docker-image:acme/app",
            "web/app:acme/x.git",
            ":x.git",
        ] {
            assert_eq!(SshAddress::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_address_for_the_user_git_has_a_form_for_named_contexts() {
        for (text, form) in [
            ("git@host:x.git#main", Some("git@host:x.git#main")),
            ("git@host:/srv/x.git", Some("git@host:/srv/x.git")),
            (
                "ssh://git@host/srv/x.git#main:dir",
                Some("git@host:/srv/x.git#main:dir"),
            ),
            ("ssh://git@host:22/~/x.git", Some("git@host:x.git")),
            ("ssh://git@host:2222/x.git", None),
            ("ssh://git:word@host/x.git", None),
            ("ssh://host/x.git", None),
            ("SSH://git@host/x.git", None),
            ("me@host:x.git", None),
            ("host.example:acme/x.git", None),
        ] {
            let address = SshAddress::parse(text).unwrap();
            assert_eq!(address.scp_form().as_deref(), form, "{text}");
        }
    }
}
