//! Addresses of Git repositories over SSH, which no builder gets keys for.

use super::findings::Findings;

/// Schemes that Git reaches over SSH.
const SCHEMES: [&str; 3] = ["ssh", "git+ssh", "ssh+git"];

/// The address of a repository over SSH: `git@host:path`, which is the form of `scp`, or `ssh://git@host:22/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SshAddress<'a> {
    /// With the user, without a password.
    text: String,
    host: &'a str,
    path: &'a str,
}

impl<'a> SshAddress<'a> {
    /// Whether a text is such an address.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (host, path, shown) = match text.split_once("://") {
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
                (name, path, format!("{scheme}://{user}{at}{host}/{path}"))
            }
            None => {
                let (user, rest) = text.split_once('@')?;
                let (host, path) = rest.split_once(':')?;
                if !is_word(user) || !is_word(host) || path.is_empty() {
                    return None;
                }
                (host, path.trim_start_matches('/'), text.to_owned())
            }
        };
        Some(Self {
            text: shown,
            host,
            path,
        })
    }

    /// For a message.
    pub(super) fn shown(&self, findings: &Findings) -> String {
        format!("`{}`", findings.masked(&self.text))
    }

    /// The address over HTTPS that most servers have for the same repository.
    pub(super) fn over_https(&self, findings: &Findings) -> String {
        let address = format!("https://{}/{}", self.host, self.path);
        format!("`{}`", findings.masked(&address))
    }
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
            (" git@host:x ", "`https://host/x`"),
            ("me@10.0.0.1:/srv/x.git", "`https://10.0.0.1/srv/x.git`"),
            (
                "ssh://git@bitbucket.org/acme/x.git",
                "`https://bitbucket.org/acme/x.git`",
            ),
            ("SSH://host:7999/x.git#main", "`https://host/x.git#main`"),
            ("git+ssh://me:word@host/x", "`https://host/x`"),
            ("ssh://", "`https:///`"),
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
        ] {
            assert_eq!(SshAddress::parse(text), None, "{text}");
        }
    }
}
