//! `CONTEXT` as the address of a Git repository, which the builder fetches.
//!
//! BuildKit 0.11 recognises `https://` and `http://` addresses whose path ends in `.git`, `git://`, `ssh://`, `git@HOST:PATH` and
//! `github.com/PATH` (`frontend/dockerui/context.go`). It would request any other address over HTTP as an archive. After a `#`
//! come the branch, tag or commit, and after a `:` a directory of the repository.

use std::fmt;

use secrecy::SecretString;

use super::fault::Fault;
use super::findings::Findings;
use super::secret_names::logins_of_address;
use super::ssh::DEFAULT_ID;
use super::ssh_address::SshAddress;
use crate::ssh::Agents;

const VARIABLE: &str = "CONTEXT";

const NO_PATH: &str = "is not the address of a Git repository: it has no path";

const FORM: &str =
    "write `https://HOST/PATH.git#REF:DIRECTORY`, in which REF is a branch, a tag or a commit";

/// A repository whose files the builder fetches itself.
#[derive(Clone)]
pub(crate) struct GitContext {
    /// The address as written.
    pub(crate) address: SecretString,
    /// The path of the Dockerfile in the directory of the repository.
    pub(crate) dockerfile: String,
    /// The secrets in the address, as written and decoded.
    logins: Vec<SecretString>,
}

impl GitContext {
    pub(super) fn logins(&self) -> &[SecretString] {
        &self.logins
    }
}

/// Contains no address, because that can contain a login.
impl fmt::Debug for GitContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut context = formatter.debug_struct("GitContext");
        context
            .field("dockerfile", &self.dockerfile)
            .finish_non_exhaustive()
    }
}

/// Whether a value that is not a directory is an address.
pub(crate) fn is_address(value: &str) -> bool {
    value.contains("://")
        || value.trim_start().starts_with("github.com/")
        || SshAddress::parse(value).is_some()
}

/// Reads an address and the path of the Dockerfile in the repository. Reports all faults. `agents` are those that the builder can
/// use.
pub(super) fn read(
    value: &str,
    dockerfile: Option<&str>,
    agents: &Agents,
    findings: &mut Findings,
) -> Option<GitContext> {
    let value = value.trim();
    let logins = logins_of_address(value);
    for login in &logins {
        findings.keep_secret(login);
    }
    let is_valid = match check(value, agents, findings) {
        Ok(()) => true,
        Err((problem, advice)) => {
            findings.fault(Fault::new(VARIABLE, problem, advice));
            false
        }
    };
    let dockerfile = self::dockerfile(dockerfile, findings);
    Some(GitContext {
        address: value.into(),
        dockerfile: dockerfile?,
        logins: logins.into_iter().map(SecretString::from).collect(),
    })
    .filter(|_| is_valid)
}

/// The context and all faults, for tests.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn outcome(value: &str, dockerfile: Option<&str>) -> (Option<GitContext>, String) {
    let mut findings = Findings::default();
    let context = read(value, dockerfile, &Agents::default(), &mut findings);
    (context, findings.into_error().to_string())
}

/// Problem and advice of an address that the builder would not fetch as a repository.
fn check(value: &str, agents: &Agents, findings: &Findings) -> Result<(), (String, String)> {
    // A query can contain a token.
    let shown = findings.shown(value.split('?').next().unwrap_or_default());
    let invalid = |problem: &str| Err((format!("{shown} {problem}"), FORM.to_owned()));
    if value.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return invalid("contains white space, which is not allowed in an address");
    }
    let (repository, fragment) = value.split_once('#').unwrap_or((value, ""));
    let directory = fragment
        .split_once(':')
        .map_or("", |(_, directory)| directory);
    if directory.split('/').any(|name| name == "..") {
        return invalid("has a directory outside of the repository after the `:`");
    }
    if let Some(address) = SshAddress::parse(value) {
        return check_ssh(value, &address, agents, findings);
    }
    let Some((scheme, rest)) = repository.split_once("://") else {
        return match repository.strip_prefix("github.com/") {
            Some("") | None => invalid(NO_PATH),
            Some(_) => Ok(()),
        };
    };
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    match scheme {
        "git" if !path.is_empty() => Ok(()),
        "https" | "http" if path.contains('?') => {
            invalid("has a query; the branch, tag or commit comes after a `#`")
        }
        "https" | "http"
            if path
                .strip_suffix(".git")
                .is_some_and(|name| !name.is_empty()) =>
        {
            Ok(())
        }
        "https" | "http" => {
            invalid("is not the address of a Git repository: its path does not end in `.git`")
        }
        "git" => invalid(NO_PATH),
        _ => invalid("is not the address of a Git repository: its scheme is not supported"),
    }
}

fn check_ssh(
    value: &str,
    address: &SshAddress<'_>,
    agents: &Agents,
    findings: &Findings,
) -> Result<(), (String, String)> {
    let shown = address.shown(findings);
    if !value.starts_with("git@") && !value.starts_with("ssh://") {
        let problem = format!(
            "{shown} is the address of a Git repository over SSH in a form that builders do not support"
        );
        return Err((
            problem,
            "write `git@HOST:PATH` or `ssh://USER@HOST/PATH`".into(),
        ));
    }
    if agents.get(DEFAULT_ID).is_none() {
        let problem = format!(
            "{shown} is the address of a Git repository over SSH, but SSH has no default key"
        );
        let advice = format!(
            "{}, or write {}, and set GIT_AUTH_TOKEN if the repository is private",
            default_key_advice(agents),
            address.over_https(findings)
        );
        return Err((problem, advice));
    }
    Ok(())
}

/// The path of the Dockerfile, relative to the directory of the repository.
/// The advice for a missing default key.
pub(super) fn default_key_advice(agents: &Agents) -> &'static str {
    if agents.is_empty() {
        "set `SSH: 'true'` to use the key of the step"
    } else {
        "add a line `default=PATH` with a key to SSH"
    }
}

fn dockerfile(value: Option<&str>, findings: &mut Findings) -> Option<String> {
    let value = value.map_or("Dockerfile", str::trim);
    let is_inside = !value.starts_with('/') && value.split('/').all(|name| name != "..");
    let is_file = !matches!(value.rsplit('/').next(), None | Some("" | "."));
    if is_inside && is_file && !value.contains(char::is_control) {
        return Some(value.to_owned());
    }
    let problem = format!(
        "{} is not a path inside the repository in CONTEXT",
        findings.shown(value)
    );
    let advice = "write the path of a Dockerfile, relative to the directory of the repository";
    findings.fault(Fault::new("DOCKERFILE", problem, advice));
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::ssh::Agent;

    #[test]
    fn addresses_that_a_builder_fetches_are_accepted() {
        for (value, logins) in [
            ("https://github.com/acme/app.git", ""),
            (" https://bitbucket.org/acme/app.git#main:services/api ", ""),
            ("https://me:w%40rd@example.com/x.git#v1", "w%40rd w@rd"),
            ("http://127.0.0.1:8080/x.git#0123456789abcdef:", ""),
            ("git://example.com/x#main", ""),
            ("github.com/acme/app", ""),
            ("github.com/acme/app.git#refs/pull/1/head", ""),
        ] {
            assert!(is_address(value), "{value}");
            let (context, error) = outcome(value, None);
            assert_eq!(error, "", "{value}");
            let context = context.unwrap();
            assert_eq!(context.address.expose_secret(), value.trim());
            assert_eq!(context.dockerfile, "Dockerfile");
            let found: Vec<_> = context
                .logins
                .iter()
                .map(ExposeSecret::expose_secret)
                .collect();
            assert_eq!(found.join(" "), logins, "{value}");
            assert!(!format!("{context:?}").contains("rd"), "{context:?}");
        }
        for value in [
            "dist",
            "packages/@scope/app",
            "github.com",
            "./github.com/x",
            "a:b",
            "/abs",
        ] {
            assert!(!is_address(value), "{value}");
        }
    }

    #[test]
    fn other_addresses_are_reported_without_their_logins() {
        for (value, problem, advice) in [
            (
                "https://me:secret@example.com/x",
                "`***@example.com/x` is not the address of a Git repository: its path does not end",
                "`https://HOST/PATH.git#REF:DIRECTORY`",
            ),
            (
                "https://example.com/x.tar.gz",
                "its path does not end in `.git`",
                "PATH.git",
            ),
            (
                "https://example.com/.git",
                "its path does not end in `.git`",
                "PATH.git",
            ),
            (
                "https://example.com",
                "its path does not end in `.git`",
                "PATH.git",
            ),
            ("https://example.com/x.git?ref=main", "has a query", "#REF"),
            (
                "https://example.com/x.git/?private_token=secret",
                "has a query",
                "#REF",
            ),
            ("git://example.com", "it has no path", "PATH.git"),
            ("github.com/", "it has no path", "PATH.git"),
            (
                "ftp://me:secret@example.com/x.git",
                "its scheme is not supported",
                "https://",
            ),
            (
                "HTTPS://example.com/x.git",
                "its scheme is not supported",
                "https://",
            ),
            (
                "file:///srv/x.git",
                "its scheme is not supported",
                "https://",
            ),
            (
                "docker-image://alpine",
                "its scheme is not supported",
                "https://",
            ),
            (
                "https://example.com/x.git#main:../other",
                "has a directory outside of the repository",
                "DIRECTORY",
            ),
            (
                "https://example.com/x.git# main",
                "contains white space",
                "REF",
            ),
            (
                "git@bitbucket.org:acme/x.git#main",
                "`git@bitbucket.org:acme/x.git#main` is the address of a Git repository over SSH, but SSH has no default key",
                "or write `https://bitbucket.org/acme/x.git#main`, and set GIT_AUTH_TOKEN",
            ),
            (
                "ssh://me:secret@host:7999/x.git",
                "`ssh://me@host:7999/x.git` is the address of a Git repository over SSH, but SSH has no default",
                "`https://host/x.git`",
            ),
            (
                "me@host:x.git",
                "in a form that builders do not support",
                "`git@HOST:PATH` or `ssh://USER@HOST/PATH`",
            ),
            (
                "host.example:acme/x.git",
                "in a form that builders do not support",
                "`git@HOST:PATH`",
            ),
            (
                "git+ssh://git@host/x.git",
                "in a form that builders do not support",
                "`ssh://",
            ),
        ] {
            assert!(is_address(value), "{value}");
            let (context, error) = outcome(value, None);
            assert!(context.is_none(), "{value}");
            assert!(
                error.starts_with("CONTEXT: ") && error.contains(problem),
                "{value}: {error}"
            );
            assert!(
                error.contains(advice) && !error.contains("secret"),
                "{value}: {error}"
            );
            assert_eq!(error.lines().count(), 1);
        }
    }

    #[test]
    fn the_dockerfile_is_a_path_inside_the_repository() {
        let address = "https://example.com/x.git";
        for (value, expected) in [
            (" ci/Dockerfile.api ", "ci/Dockerfile.api"),
            ("./Dockerfile", "./Dockerfile"),
            ("a..b", "a..b"),
        ] {
            let (context, error) = outcome(address, Some(value));
            assert_eq!((&*context.unwrap().dockerfile, &*error), (expected, ""));
        }
        for value in [
            "/Dockerfile",
            "../Dockerfile",
            "a/../../b",
            "..",
            ".",
            "a/",
            "a\u{1}b",
        ] {
            let (context, error) = outcome("https://example.com/x", Some(value));
            assert!(context.is_none());
            // Both faults at once.
            let [first, second] = &error.lines().collect::<Vec<_>>()[..] else {
                panic!("{error}");
            };
            assert!(first.starts_with("CONTEXT: "), "{error}");
            assert!(second.starts_with("DOCKERFILE: `"), "{error}");
            assert!(
                second.contains("is not a path inside the repository in CONTEXT"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_repository_over_ssh_is_a_context_if_there_is_a_default_key() {
        let agents = Agents::new([("default".to_owned(), Agent::Keys(Vec::new()))]);
        for value in [
            "git@bitbucket.org:acme/x.git#main:services/api",
            "ssh://me@host:7999/x.git",
        ] {
            let mut findings = Findings::default();
            let context = read(value, None, &agents, &mut findings).unwrap();
            assert_eq!(context.address.expose_secret(), value);
            assert!(findings.is_faultless());
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_password_is_shown(
            text in "((https?|ssh|git|ftp)://(me:s3cret@)?|git@|github.com/|)[a-z.]{0,6}(:[0-9]{0,3})?(/[a-z.]{0,4}){0,3}(\\.git)?([#?:][a-z./]{0,5}){0,2}",
        ) {
            let (_, error) = outcome(&text, None);
            prop_assert!(!error.contains("s3cret"), "{}", error);
        }
    }
}
