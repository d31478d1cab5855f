//! Causes of a failed solve that the user can fix.
//!
//! BuildKit has no types for them, so they are recognised by its texts. The texts are those of BuildKit 0.11 and later.

use crate::registry::immutable::is_immutable;
use crate::registry::quota::is_quota_exceeded;
use crate::registry::reference::DOCKER_HUB;

use super::privilege::{Refusal, refused};
use super::ssh::{DEFAULT_AGENT, SshFailure, missing_agent, ssh_failure};
use super::{ErrorKind, RegistryAction, STEP_FAILED, SolveError, Source};

/// A cause that the user can fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KnownCause {
    /// `COPY` or `ADD` names a file that the context does not contain.
    MissingFile,
    /// The frontend of the Dockerfile's `# syntax=` line does not support named contexts.
    NoNamedContexts,
    /// A step requires a secret that the client does not provide.
    MissingSecret {
        /// Its ID; empty if the message contains none.
        id: String,
    },
    /// A step failed that mounts secrets or an SSH key. Without `required`, a step runs without the ones that the client does not
    /// provide.
    FailedWithMounts(Mounts),
    /// A step or a Git repository requires an SSH key that the client does not provide.
    MissingSshKey {
        /// The ID of its agent.
        id: String,
    },
    /// An SSH connection failed.
    Ssh {
        /// The reason.
        failure: SshFailure,
        /// The IDs of the agents that the client was to provide: those of the mounts of the step, or that of a Git repository.
        agents: Vec<String>,
    },
    /// A Git repository requires a login, or the host rejected the one that the client provided.
    GitLogin,
    /// A step cannot have a privilege.
    Privilege {
        /// Who refused it.
        refusal: Refusal,
        /// Its name.
        name: &'static str,
    },
    /// The builder's disk is full.
    DiskFull,
    /// A registry returned status 429.
    RateLimit {
        /// The registry, if the message contains it.
        host: Option<String>,
        /// The registry reported that the request had no login.
        is_anonymous: bool,
    },
    /// A registry does not allow moving a tag from one image to another.
    ImmutableTag,
    /// A storage quota of a registry is reached.
    RegistryQuota,
    /// The registry has no such repository, and does not create it on a push.
    UnknownRepository,
    /// The certificate of a registry is not trusted.
    UntrustedCertificate,
}

/// The mounts of a step that the client provides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounts {
    /// The IDs of the secrets.
    pub(crate) secrets: Vec<String>,
    /// The IDs of the SSH agents.
    pub(crate) agents: Vec<String>,
}

impl SolveError {
    /// The cause, if it is a known one.
    ///
    /// `output` is the end of the failed step's output, if a step failed.
    #[must_use]
    pub(crate) fn known_cause(&self, output: &[String]) -> Option<KnownCause> {
        let is_push = match &self.kind {
            ErrorKind::Build => false,
            ErrorKind::Registry { action, .. } => *action != RegistryAction::Pull,
            // The message is this program's own, or contains no cause.
            ErrorKind::Canceled
            | ErrorKind::Connection
            | ErrorKind::InconsistentState
            | ErrorKind::Session
            | ErrorKind::Export
            | ErrorKind::FilesChanged
            | ErrorKind::InvalidResult => return None,
        };
        if self.message.contains(STEP_FAILED) {
            // The message contains the user's command line, so only the output shows a cause.
            return if output.iter().any(|line| is_disk_full(line)) {
                Some(KnownCause::DiskFull)
            } else if let Some(failure) = output.iter().find_map(|line| ssh_failure(line)) {
                let agents = mounts(&self.sources).agents;
                Some(KnownCause::Ssh { failure, agents })
            } else {
                let mounts = mounts(&self.sources);
                (mounts != Mounts::default()).then_some(KnownCause::FailedWithMounts(mounts))
            };
        }
        let has = |words: &str| self.message.contains(words);
        let lower = self.message.to_ascii_lowercase();
        if has("unsupported frontend capability moby.buildkit.frontend.contexts") {
            Some(KnownCause::NoNamedContexts)
        } else if let Some((refusal, name)) = refused(&self.message) {
            Some(KnownCause::Privilege { refusal, name })
        } else if let Some(id) = missing_agent(&self.message) {
            let id = id.to_owned();
            Some(KnownCause::MissingSshKey { id })
        } else if let Some(failure) = ssh_failure(&self.message) {
            let agents = vec![DEFAULT_AGENT.to_owned()];
            Some(KnownCause::Ssh { failure, agents })
        } else if let Some(id) = missing_secret(&self.message) {
            Some(KnownCause::MissingSecret { id: id.to_owned() })
        } else if GIT_TEXTS.iter().any(|words| has(words)) {
            Some(KnownCause::GitLogin)
        } else if RATE_TEXTS.iter().any(|words| lower.contains(words)) {
            Some(KnownCause::RateLimit {
                host: self.host(),
                is_anonymous: lower.contains("unauthenticated"),
            })
        } else if is_push && is_quota_exceeded(&self.message) {
            Some(KnownCause::RegistryQuota)
        } else if is_push && is_immutable(&self.message) {
            Some(KnownCause::ImmutableTag)
        } else if is_push && is_unknown_repository(&lower) {
            Some(KnownCause::UnknownRepository)
        } else if is_disk_full(&self.message) {
            // A registry's own disk can be full too.
            (!has("unexpected status")).then_some(KnownCause::DiskFull)
        } else if is_push && (has("x509: ") || has("failed to verify certificate")) {
            Some(KnownCause::UntrustedCertificate)
        } else if has("failed to compute cache key") || has("failed to calculate checksum") {
            // A file of a stage or an image is in no context.
            let mut words = self.sources.iter().flat_map(failing_words);
            let is_of_context = !words.any(|word| word.starts_with("--from="));
            // A builder reports a missing directory with the error of the system call.
            let is_missing =
                has("not found") || (has("failed to walk") && has("no such file or directory"));
            (is_missing && is_of_context).then_some(KnownCause::MissingFile)
        } else {
            None
        }
    }

    /// Whether a registry may have rejected a push because its tag cannot be moved. Not every builder passes on the reason, so
    /// a status that registries use for this is sufficient.
    #[must_use]
    pub(crate) fn may_be_immutable_tag(&self) -> bool {
        let ErrorKind::Registry {
            action: RegistryAction::Push,
            ..
        } = &self.kind
        else {
            return false;
        };
        let has_status = IMMUTABLE_STATUSES
            .iter()
            .any(|status| self.message.contains(status));
        (has_status || is_immutable(&self.message)) && !is_quota_exceeded(&self.message)
    }

    /// The registry in the message: of an image, or in an address.
    fn host(&self) -> Option<String> {
        if let ErrorKind::Registry { reference, .. } = &self.kind
            && let Some(host) = reference.split('/').next().filter(|host| !host.is_empty())
        {
            return Some(host.to_owned());
        }
        let mut addresses = self.message.split("https://").skip(1);
        let address = addresses.find(|address| !is_page_of_limit(address));
        let Some(address) = address else {
            let is_hub = self.message.contains(DOCKER_HUB_LIMIT);
            return is_hub.then(|| DOCKER_HUB.to_owned());
        };
        let end = address.find(['/', ' ', '"']).unwrap_or(address.len());
        let host = address.get(..end).filter(|host| !host.is_empty())?;
        Some(host.to_owned())
    }
}

/// Messages of Git over HTTP without a login, or with a wrong one. GitHub and GitLab do not report that a private repository exists.
const GIT_TEXTS: [&str; 4] = [
    "fatal: could not read Username for ",
    "fatal: could not read Password for ",
    "fatal: Authentication failed for ",
    "remote: Repository not found",
];

/// Texts of registries, and of our own responses to a builder, for too many requests, in lower case.
const RATE_TEXTS: [&str; 4] = [
    "toomanyrequests",
    "429 too many requests",
    "pull rate limit",
    "(http 429)",
];

/// Whether a registry rejected a push because it has no such repository. Not every builder passes on the reason of a 404.
fn is_unknown_repository(lower_case: &str) -> bool {
    UNKNOWN_TEXTS.iter().any(|words| lower_case.contains(words))
}

/// Texts of registries without the repository of a push, in lower case.
const UNKNOWN_TEXTS: [&str; 3] = ["name unknown", "name_unknown", ": 404 not found"];

/// The page of Docker Hub's limit, which its message names. It is not a registry.
const DOCKER_HUB_LIMIT: &str = "docker.com/increase-rate-limit";

fn is_page_of_limit(address: &str) -> bool {
    let page = address.strip_prefix("www.").unwrap_or(address);
    page.starts_with(DOCKER_HUB_LIMIT)
}

/// The statuses of registries that do not allow moving a tag: Amazon, Azure and Google, Docker Hub, Harbor.
const IMMUTABLE_STATUSES: [&str; 5] = [
    ": 400 Bad Request",
    ": 403 Forbidden",
    ": 405 Method Not Allowed",
    ": 409 Conflict",
    ": 412 Precondition Failed",
];

/// Messages of a full disk, in lower case: of Linux, of apt, and of dnf and yum. Not `ENOSPC` alone, which Node.js also reports for
/// too many watched files.
const DISK_TEXTS: [&str; 4] = [
    "no space left on device",
    "disk quota exceeded",
    "you don't have enough free space in ",
    " more space needed on the ",
];

fn is_disk_full(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    DISK_TEXTS.iter().any(|words| text.contains(words))
}

/// The ID in `secret ID: not found`, which may contain anything except a line end; empty if the client has no service for secrets.
fn missing_secret(message: &str) -> Option<&str> {
    if message.contains("unknown service moby.buildkit.secrets") {
        return Some("");
    }
    let (before, _) = message.rsplit_once(": not found")?;
    let (head, id) = before.rsplit_once("secret ")?;
    let is_start = head.is_empty() || head.ends_with(": ");
    (is_start && !id.is_empty() && !id.contains('\n')).then_some(id)
}

/// The mounts in the failing lines of the Dockerfile.
fn mounts(sources: &[Source]) -> Mounts {
    let mut mounts = Mounts::default();
    let words = sources.iter().flat_map(failing_words);
    for mount in words.filter_map(|word| word.strip_prefix("--mount=").map(str::to_owned)) {
        let option = |name: &str| {
            let mut options = mount.split(',').filter_map(|part| part.split_once('='));
            options.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
        };
        let kind = option("type").unwrap_or_default();
        if kind.eq_ignore_ascii_case("ssh") {
            let id = option("id").filter(|id| !id.is_empty());
            let id = id.unwrap_or(DEFAULT_AGENT).to_owned();
            if !mounts.agents.contains(&id) {
                mounts.agents.push(id);
            }
        } else if kind.eq_ignore_ascii_case("secret") {
            // Without an ID, it is the last part of the path.
            let path = ["target", "dst", "destination"]
                .into_iter()
                .find_map(option);
            let name = path.and_then(|path| path.rsplit('/').next());
            let id = option("id").or(name).unwrap_or_default().to_owned();
            if !mounts.secrets.contains(&id) {
                mounts.secrets.push(id);
            }
        }
    }
    mounts
}

/// The words of the failing lines of a Dockerfile.
fn failing_words(source: &Source) -> Vec<String> {
    let text = String::from_utf8_lossy(&source.data);
    let lines = text.lines().zip(1_u32..);
    let failing = lines.filter(|(_, number)| {
        source
            .lines
            .iter()
            .any(|(first, last)| (first..=last).contains(&number))
    });
    let words = failing.flat_map(|(line, _)| line.split_whitespace());
    words.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    fn known_cause(message: &str) -> Option<KnownCause> {
        SolveError::from_status(&Status::unknown(message)).known_cause(&[])
    }

    fn missing_agent(id: &str) -> KnownCause {
        KnownCause::MissingSshKey { id: id.to_owned() }
    }

    fn ssh(failure: SshFailure, agents: &[&str]) -> KnownCause {
        let agents = agents.iter().map(|&id| id.to_owned()).collect();
        KnownCause::Ssh { failure, agents }
    }

    fn missing_secret(id: &str) -> KnownCause {
        KnownCause::MissingSecret { id: id.to_owned() }
    }

    fn limit(host: &str, is_anonymous: bool) -> KnownCause {
        let host = Some(host.to_owned());
        KnownCause::RateLimit { host, is_anonymous }
    }

    #[test]
    fn a_cause_is_recognised_by_the_builders_text() {
        for (message, cause) in [
            (
                "failed to compute cache key: failed to calculate checksum of ref x::y: \"/a\": not found",
                KnownCause::MissingFile,
            ),
            (
                "failed to compute cache key: failed to calculate checksum of ref x::y: failed to walk /m/dist: lstat /m/dist: \
                 no such file or directory",
                KnownCause::MissingFile,
            ),
            (
                "unsupported frontend capability moby.buildkit.frontend.contexts",
                KnownCause::NoNamedContexts,
            ),
            ("secret npm token: not found", missing_secret("npm token")),
            (
                "failed to solve: secret npmrc: not found",
                missing_secret("npmrc"),
            ),
            (
                "rpc error: code = Unimplemented desc = unknown service moby.buildkit.secrets.v1.Secrets",
                missing_secret(""),
            ),
            (
                "no SSH key \"default\" forwarded from the client",
                missing_agent("default"),
            ),
            (
                "failed to solve: no SSH key \"git hub\" forwarded from the client",
                missing_agent("git hub"),
            ),
            (
                "failed to load cache key: failed to fetch remote git@host:x.git: git stderr:\ngit@host: Permission denied (publickey).\n\
                 fatal: Could not read from remote repository.: exit status 128",
                ssh(SshFailure::KeyRejected, &["default"]),
            ),
            (
                "failed to load cache key: unknown service moby.sshforward.v1.SSH",
                missing_agent("default"),
            ),
            (
                "failed to read dockerfile: failed to load cache key: error fetching default branch for repository \
                 https://bitbucket.org/acme/x.git: git error: exit status 128\nstderr:\nfatal: could not read Username for \
                 'https://bitbucket.org': terminal prompts disabled",
                KnownCause::GitLogin,
            ),
            (
                "failed to load cache key: failed to fetch remote https://github.com/acme/x.git: git stderr:\nremote: Repository not \
                 found.\nfatal: Authentication failed for 'https://github.com/acme/x.git/': exit status 128",
                KnownCause::GitLogin,
            ),
            (
                "failed to copy files: copy file range failed: no space left on device",
                KnownCause::DiskFull,
            ),
            (
                "failed to push r.example/app:1: write /var/lib/buildkit/x: no space left on device",
                KnownCause::DiskFull,
            ),
            (
                "alpine:3.20: failed to resolve source metadata for docker.io/library/alpine:3.20: failed to copy: \
                 httpReadSeeker: failed open: unexpected status code \
                 https://registry-1.docker.io/v2/library/alpine/manifests/sha256:00: 429 Too Many Requests - Server \
                 message: toomanyrequests: You have reached your unauthenticated pull rate limit.",
                limit("docker.io", true),
            ),
            (
                "failed to compute cache key: failed to copy: httpReadSeeker: failed open: unexpected status code \
                 https://registry-1.docker.io/v2/library/node/blobs/sha256:00: 429 Too Many Requests",
                limit("registry-1.docker.io", false),
            ),
            (
                "failed to authorize: toomanyrequests: You have reached your unauthenticated pull rate limit. \
                 https://www.docker.com/increase-rate-limit",
                limit("docker.io", true),
            ),
        ] {
            assert_eq!(known_cause(message), Some(cause), "{message}");
        }
    }

    #[test]
    fn a_cause_of_a_failed_push_is_recognised_by_the_builders_text() {
        for (message, cause) in [
            (
                "failed to push r.example/app:1: unexpected status from POST request to https://r.example/v2/app/blobs/uploads/: \
                 404 Not Found",
                KnownCause::UnknownRepository,
            ),
            (
                "failed to push r.example/app:1: unexpected status: 400 Bad Request: name unknown: acme/app does not exist",
                KnownCause::UnknownRepository,
            ),
            (
                "failed to push r.example/app:1: unexpected status from PUT request to https://r.example/v2/app/manifests/1: \
                 400 Bad Request: TAG_IMMUTABLE",
                KnownCause::ImmutableTag,
            ),
            (
                "failed to push r.example/app:1: unexpected status from PUT request to https://r.example/v2/app/manifests/1: \
                 400 Bad Request: manifest invalid: cannot update tag 1. The repository has enabled tag immutability",
                KnownCause::ImmutableTag,
            ),
            (
                "failed to push r.example/app:1: unexpected status from PUT request to https://r.example/v2/app/manifests/1: \
                 412 Precondition Failed: DENIED: Quota exceeded when processing the request of adding 26.2 MiB",
                KnownCause::RegistryQuota,
            ),
            (
                "failed to push r.example/app:1: tls: failed to verify certificate: x509: unknown",
                KnownCause::UntrustedCertificate,
            ),
        ] {
            assert_eq!(known_cause(message), Some(cause), "{message}");
        }
    }

    #[test]
    fn a_tag_may_be_immutable_if_the_status_allows_it_and_no_quota_is_reached() {
        let may_be = |words: &str| {
            let put = "unexpected status from PUT request to https://r.example/v2/app/manifests/1";
            let message = format!("failed to push r.example/app:1: {put}: {words}");
            SolveError::from_status(&Status::unknown(message)).may_be_immutable_tag()
        };
        assert!(may_be("412 Precondition Failed"));
        let google =
            "manifest invalid: cannot update tag 1. The repository has enabled tag immutability";
        assert!(may_be(&format!("400 Bad Request: {google}")));
        assert!(!may_be(
            "412 Precondition Failed: DENIED: Quota exceeded when processing"
        ));
        assert!(!may_be("500 Internal Server Error"));
    }

    #[test]
    fn the_same_text_elsewhere_is_not_a_cause() {
        for message in [
            "process \"sh -c echo secret x: not found; echo no space left on device; echo no SSH key \" did not complete \
             successfully: exit code: 1",
            "failed to push r.example/app:1: unexpected status from PUT request to https://r.example/v2/: 500 Internal \
             Server Error: no space left on device",
            "failed to solve: target stage top secret x not found",
            "no build stage in current context",
            "failed to load cache key: Get \"https://files.example/x\": x509: certificate signed by unknown authority",
        ] {
            assert_eq!(known_cause(message), None, "{message}");
        }
    }

    #[test]
    fn a_missing_file_of_a_stage_is_in_no_context() {
        let message = "failed to compute cache key: \"/x\": not found";
        for (line, cause) in [
            ("COPY x /", Some(KnownCause::MissingFile)),
            ("COPY --from=build /x /", None),
            ("COPY --chown=1 --from=alpine \\\n  /x /", None),
        ] {
            let mut error = SolveError::from_status(&Status::unknown(message));
            error.sources.push(Source {
                filename: "Dockerfile".into(),
                data: format!("FROM a\n{line}\n").into(),
                lines: vec![(2, 3)],
            });
            assert_eq!(error.known_cause(&[]), cause, "{line}");
        }
    }

    #[test]
    fn the_cause_of_a_failed_step_is_in_its_lines_or_its_output() {
        let failed = |lines: &str, output: &[&str]| {
            let message = "process \"sh -c make\" did not complete successfully: exit code: 1";
            let mut error = SolveError::from_status(&Status::unknown(message));
            error.sources.push(Source {
                filename: "Dockerfile".into(),
                data: format!("FROM a\n{lines}\nRUN --mount=type=ssh b\n").into(),
                lines: vec![(2, 3)],
            });
            let output: Vec<String> = output.iter().map(|&line| line.to_owned()).collect();
            error.known_cause(&output)
        };
        let mounts = |secrets: &[&str], agents: &[&str]| {
            let owned = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect();
            let (secrets, agents) = (owned(secrets), owned(agents));
            Some(KnownCause::FailedWithMounts(Mounts { secrets, agents }))
        };
        for (lines, cause) in [
            (
                "RUN --mount=type=secret,id=x \\\n  make",
                mounts(&["x"], &[]),
            ),
            (
                "RUN \\\n  --mount=id=x,type=secret make",
                mounts(&["x"], &[]),
            ),
            (
                "RUN --mount=TYPE=Secret,target=/a/npmrc \\\n make",
                mounts(&["npmrc"], &[]),
            ),
            (
                "RUN --mount=type=secret,id=a --mount=type=secret,id=b,env=B --mount=type=secret,id=a,dst=/x \\\n make",
                mounts(&["a", "b"], &[]),
            ),
            ("RUN --mount=type=ssh \\\n make", mounts(&[], &["default"])),
            (
                "RUN --mount=type=ssh,id=a,required --mount=id=a,type=ssh --mount=type=ssh \\\n make",
                mounts(&[], &["a", "default"]),
            ),
            (
                "RUN --mount=type=ssh --mount=type=secret,id=x \\\n make",
                mounts(&["x"], &["default"]),
            ),
            ("RUN --mount=type=cache,target=/x \\\n make", None),
        ] {
            assert_eq!(failed(lines, &[]), cause, "{lines}");
        }
        let full = Some(KnownCause::DiskFull);
        assert_eq!(
            failed("RUN a\n#", &["tar: x: No space left on device", "gone"]),
            full
        );
        let apt = "E: You don't have enough free space in /var/cache/apt/archives/.";
        let dnf = "  At least 12MB more space needed on the / filesystem.";
        for line in [apt, dnf] {
            assert_eq!(failed("RUN a\n#", &[line]), full);
        }
        for (line, failure) in [
            (
                "git@github.com: Permission denied (publickey).",
                SshFailure::KeyRejected,
            ),
            (
                "me@host: Permission denied (publickey,password).",
                SshFailure::KeyRejected,
            ),
            ("Host key verification failed.", SshFailure::UnknownHost),
            (
                "error: cannot run ssh: No such file or directory",
                SshFailure::NoClient,
            ),
        ] {
            let output = [line, "fatal: Could not read from remote repository."];
            let clone = "git clone git@github.com:acme/x\n#";
            let cause = failed(&format!("RUN {clone}"), &output);
            assert_eq!(cause, Some(ssh(failure, &[])), "{line}");
            let cause = failed(&format!("RUN --mount=type=ssh,id=a {clone}"), &output);
            assert_eq!(cause, Some(ssh(failure, &["a"])), "{line}");
        }
        assert_eq!(failed("RUN a\n#", &["sh: ./a: Permission denied"]), None);
        let watched = "Error: ENOSPC: System limit for number of file watchers reached";
        assert_eq!(failed("RUN a\n#", &[watched]), None);
    }
}
