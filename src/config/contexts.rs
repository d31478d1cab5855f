//! Named contexts, which replace stages and images of a Dockerfile.

use secrecy::SecretString;

use super::fault::Fault;
use super::findings::Findings;
use super::git_context::default_key_advice;
use super::pairs;
use super::paths::{FolderPlan, Places};
use super::secret_names::logins_of_address;
use super::ssh::DEFAULT_ID;
use super::ssh_address::SshAddress;
use crate::registry::reference::{DOCKER_HUB, Reference};
use crate::ssh::Agents;

/// The replacement of a stage or an image of a Dockerfile.
#[derive(Debug, Clone)]
pub(crate) enum NamedContext {
    /// Its name, and the directory.
    Directory(String, FolderPlan),
    /// Its name, the address that the builder reads, and the secrets in the address, as written and decoded.
    Address(String, SecretString, Vec<SecretString>),
    /// Its name, and the name of the image of the run whose result it is.
    Image(String, String),
}

impl NamedContext {
    /// The name in the Dockerfile.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Directory(name, _) | Self::Address(name, _, _) | Self::Image(name, _) => name,
        }
    }

    /// The name of the image of the run whose result it is, if it is one.
    pub(crate) fn image(&self) -> Option<&str> {
        match self {
            Self::Image(_, image) => Some(image),
            Self::Directory(..) | Self::Address(..) => None,
        }
    }

    pub(super) fn logins(&self) -> &[SecretString] {
        match self {
            Self::Directory(..) | Self::Image(..) => &[],
            Self::Address(_, _, logins) => logins,
        }
    }
}

const VARIABLE: &str = "BUILD_CONTEXTS";

const ADVICE: &str = "write `NAME=VALUE`: NAME is the name after `FROM` or `--from=` in the Dockerfile; VALUE is a directory of the clone, `docker-image://REFERENCE`, or the address of a Git repository (`https://…`, or `git@HOST:PATH` with SSH)";

/// The schemes that BuildKit supports.
const SCHEMES: [&str; 4] = ["docker-image", "https", "http", "git"];

/// Reads every named context, and reports each fault.
pub(super) fn read(
    value: &str,
    places: &Places<'_>,
    agents: &Agents,
    findings: &mut Findings,
) -> Vec<NamedContext> {
    let mut contexts: Vec<NamedContext> = Vec::new();
    let named = pairs::named(value).unwrap_or_else(|_| {
        let problem = "not a YAML mapping of names to plain values";
        findings.fault(Fault::new(VARIABLE, problem, ADVICE));
        Vec::new()
    });
    for (index, (name, value)) in named.into_iter().enumerate() {
        let label = format!("entry {}", index + 1);
        let Some(value) = value else {
            let problem = format!("{label} has no `=`");
            findings.fault(Fault::new(VARIABLE, problem, ADVICE));
            continue;
        };
        let Some(name) = familiar(name.trim()) else {
            let problem = format!("{label} does not start with the name of a stage or an image");
            findings.fault(Fault::new(VARIABLE, problem, ADVICE));
            continue;
        };
        if contexts.iter().any(|context| context.name() == name) {
            let problem = format!("{label} has the same name as an earlier entry");
            findings.fault(Fault::new(VARIABLE, problem, "write each name once"));
            continue;
        }
        let value = value.trim();
        if let Some(address) = SshAddress::parse(value).filter(|_| !places.has_directory(value)) {
            match over_ssh(&address, agents, findings) {
                Ok(address) => {
                    contexts.push(NamedContext::Address(name, address.into(), Vec::new()));
                }
                Err((problem, advice)) => {
                    let problem = format!("{label} {problem}");
                    findings.fault(Fault::new(VARIABLE, problem, advice));
                }
            }
            continue;
        }
        let context = match value.split_once("://") {
            Some((scheme, rest)) if SCHEMES.contains(&scheme) && !rest.is_empty() => {
                let logins = logins_of_address(value).into_iter();
                let logins = logins.map(SecretString::from).collect();
                Some(NamedContext::Address(name, value.into(), logins))
            }
            Some(_) => {
                // Not shown: an address can contain a login.
                let problem = format!("{label} has an address with an unsupported scheme");
                findings.fault(Fault::new(VARIABLE, problem, ADVICE));
                None
            }
            None if value.is_empty() => {
                let problem = format!("{label} has no value after its `=`");
                findings.fault(Fault::new(VARIABLE, problem, ADVICE));
                None
            }
            None => directory(value, places, findings)
                .map(|directory| NamedContext::Directory(name, directory)),
        };
        contexts.extend(context);
    }
    contexts
}

/// The address of a repository over SSH as builders take it; or problem and advice.
fn over_ssh(
    address: &SshAddress<'_>,
    agents: &Agents,
    findings: &Findings,
) -> Result<String, (String, String)> {
    if agents.get(DEFAULT_ID).is_none() {
        let problem = "is the address of a Git repository over SSH, but SSH has no default key";
        let advice = format!(
            "{}, or write {}, with a user and a token before the host if the repository \
             is private",
            default_key_advice(agents),
            address.over_https(findings)
        );
        return Err((problem.into(), advice));
    }
    address.scp_form().ok_or_else(|| {
        let problem = "is the address of a Git repository over SSH in a form that BuildKit does not support as a named context";
        let advice = "write `git@HOST:PATH`: with the user `git`, and without a port".to_owned();
        (problem.into(), advice)
    })
}

fn directory(value: &str, places: &Places<'_>, findings: &mut Findings) -> Option<FolderPlan> {
    let path = places.context_as_written(Some(value));
    places.named_folder(VARIABLE, &path, findings)
}

/// The named context that is the result of an image of the run.
pub(super) fn linked(name: &str, image: String, findings: &mut Findings) -> Option<NamedContext> {
    let Some(name) = familiar(name.trim()) else {
        let problem = format!(
            "{} is not the name of a stage or an image",
            findings.shown(name)
        );
        findings.fault(Fault::new(VARIABLE, problem, ADVICE));
        return None;
    };
    Some(NamedContext::Image(name, image))
}

/// The name that the frontend looks up: that of a stage, or the shortest form of a reference.
///
/// The frontend converts names of stages to lower case. References have no upper-case letters.
fn familiar(name: &str) -> Option<String> {
    let is_stage = !name.contains(['/', ':', '.']);
    let name = if is_stage {
        name.to_ascii_lowercase()
    } else {
        name.to_owned()
    };
    let reference = Reference::parse(&name).ok()?;
    let shown = reference.to_string();
    let hub = format!("{DOCKER_HUB}/");
    let shown = shown.strip_prefix(&hub).unwrap_or(&shown);
    let shown = shown.strip_prefix("library/").unwrap_or(shown);
    let shown = shown.strip_suffix(":latest").unwrap_or(shown);
    (!shown.is_empty()).then(|| shown.to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::ssh::Agent;

    fn read_from(value: &str) -> (Vec<String>, String) {
        read_with(value, &Agents::default())
    }

    fn read_with(value: &str, agents: &Agents) -> (Vec<String>, String) {
        let folder = tempfile::tempdir().unwrap();
        let clone = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(clone.join("dist/out")).unwrap();
        std::fs::write(clone.join("file"), "x").unwrap();
        let mut findings = Findings::default();
        let places = Places::new(&clone, Some(clone.as_os_str()), &mut findings);
        let contexts = read(value, &places, agents, &mut findings);
        let shown = contexts.iter().map(|context| match context {
            NamedContext::Image(name, image) => format!("{name} target:{image}"),
            NamedContext::Directory(name, path) => {
                format!(
                    "{name} {}",
                    path.path.strip_prefix(&clone).unwrap().display()
                )
            }
            NamedContext::Address(name, _, logins) => {
                let logins: Vec<_> = logins.iter().map(ExposeSecret::expose_secret).collect();
                format!("{name} address {}", logins.join(" "))
            }
        });
        let shown = shown.collect();
        let error = findings.into_error().to_string();
        (shown, error.replace(&clone.display().to_string(), "CLONE"))
    }

    #[test]
    fn a_context_has_a_name_and_a_place() {
        let (contexts, error) = read_from(
            "Builder=dist/out\nalpine:latest = docker-image://alpine:3.20\nghcr.io/acme/x:1=https://me:w%40rd@example.com/x.git\n\
             token=https://ghp_0123456789@example.com/x.git\nteam=https://team@example.com/x.git",
        );
        assert_eq!(error, "");
        assert_eq!(
            contexts,
            [
                "builder dist/out",
                "alpine address ",
                "ghcr.io/acme/x:1 address w%40rd w@rd",
                "token address ghp_0123456789",
                "team address "
            ]
        );
    }

    #[test]
    fn a_mapping_will_do() {
        assert_eq!(read_from("builder: dist/out").0, ["builder dist/out"]);
    }

    #[test]
    fn invalid_entries_are_reported() {
        for (value, problem) in [
            ("builder", "entry 1 has no `=`"),
            ("a: [b]", "not a YAML mapping of names to plain values"),
            (
                "=dist",
                "entry 1 does not start with the name of a stage or an image",
            ),
            ("a b=dist", "entry 1 does not start with the name"),
            (
                "a=dist\na=dist",
                "entry 2 has the same name as an earlier entry",
            ),
            (
                "a=ftp://me:secret@x",
                "entry 1 has an address with an unsupported scheme",
            ),
            ("a=", "entry 1 has no value after its `=`"),
            (
                "a=git@bitbucket.org:acme/x.git",
                "entry 1 is the address of a Git repository over SSH, but SSH has no default key; set `SSH: 'true'` \
                 to use the key of the step, or write `https://bitbucket.org/acme/x.git`, with a user",
            ),
            (
                "a=ssh://me:secret@host/x",
                "entry 1 is the address of a Git repository over SSH",
            ),
            (
                "a=me@host:x",
                "entry 1 is the address of a Git repository over SSH",
            ),
            (
                "a=packages/@scope/app",
                "`CLONE/packages/@scope/app` does not exist",
            ),
            ("a=file", "`CLONE/file` is not a directory"),
            ("a=nowhere", "`CLONE/nowhere` does not exist"),
            ("a=/etc", "`/etc` is outside of the clone directory"),
        ] {
            let (_, error) = read_from(value);
            assert!(
                error.starts_with(&format!("BUILD_CONTEXTS: {problem}")),
                "{error}"
            );
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_repository_over_ssh_is_a_context_if_there_is_a_default_key() {
        let agents = Agents::new([("default".to_owned(), Agent::Keys(Vec::new()))]);
        let (contexts, error) = read_with(
            "a=git@bitbucket.org:acme/x.git#main:dir\nb=ssh://git@host/acme/x.git#v1\nc=ssh://git@host:22/x",
            &agents,
        );
        assert_eq!(error, "");
        assert_eq!(contexts, ["a address ", "b address ", "c address "]);
        for value in [
            "ssh://git@host:7999/x.git",
            "ssh://me@host/x.git",
            "ssh://host/x.git",
            "ssh://git:secret@host/x.git",
            "git+ssh://git@host/x.git",
            "me@host:x.git",
            "bitbucket.org:acme/x.git",
        ] {
            let (contexts, error) = read_with(&format!("a={value}"), &agents);
            assert!(contexts.is_empty());
            assert!(
                error.starts_with("BUILD_CONTEXTS: entry 1 is the address of a Git repository over SSH in a form that BuildKit does not support")
                    && error.ends_with("and without a port")
                    && !error.contains("secret"),
                "{error}"
            );
        }
        // Another id is not used for repositories.
        let agents = Agents::new([("other".to_owned(), Agent::Keys(Vec::new()))]);
        let (_, error) = read_with("a=git@host:x.git", &agents);
        assert!(error.contains("but SSH has no default key"), "{error}");
    }
}
