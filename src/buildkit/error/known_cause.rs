//! Causes of a failed solve that the user can fix.
//!
//! BuildKit has no types for them, so they are recognised by its texts. The texts are those of BuildKit 0.11 and later.

use crate::registry::immutable::is_immutable;
use crate::registry::quota::is_quota_exceeded;

use super::{ErrorKind, RegistryAction, STEP_FAILED, SolveError, Source};

/// A cause that the user can fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KnownCause {
    /// `COPY` or `ADD` names a file that the context does not contain.
    MissingFile,
    /// The frontend of the Dockerfile's `# syntax=` line does not support named contexts.
    NoNamedContexts,
    /// A step requires a secret, and the client provides none.
    MissingSecret,
    /// A step or a Git repository requires an SSH key, and the client forwards none.
    MissingSshKey,
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
    /// The certificate of a registry is not trusted.
    UntrustedCertificate,
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
            | ErrorKind::FilesChanged
            | ErrorKind::InvalidResult => return None,
        };
        if self.message.contains(STEP_FAILED) {
            // The message contains the user's command line, so only the output shows a cause.
            return if output.iter().any(|line| is_disk_full(line)) {
                Some(KnownCause::DiskFull)
            } else if output.iter().any(|line| lacks_ssh_key(line)) {
                Some(KnownCause::MissingSshKey)
            } else {
                self.sources.iter().find_map(mounted)
            };
        }
        let has = |words: &str| self.message.contains(words);
        let lower = self.message.to_ascii_lowercase();
        if has("unsupported frontend capability moby.buildkit.frontend.contexts") {
            Some(KnownCause::NoNamedContexts)
        } else if has("no SSH key ")
            || has("unset ssh forward key")
            || has("unknown service moby.sshforward")
        {
            Some(KnownCause::MissingSshKey)
        } else if has("unknown service moby.buildkit.secrets") || misses_secret(&self.message) {
            Some(KnownCause::MissingSecret)
        } else if RATE_TEXTS.iter().any(|words| lower.contains(words)) {
            Some(KnownCause::RateLimit {
                host: self.host(),
                is_anonymous: lower.contains("unauthenticated"),
            })
        } else if is_push && is_quota_exceeded(&self.message) {
            Some(KnownCause::RegistryQuota)
        } else if is_push && is_immutable(&self.message) {
            Some(KnownCause::ImmutableTag)
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
        let (_, address) = self.message.split_once("https://")?;
        let end = address.find(['/', ' ', '"']).unwrap_or(address.len());
        let host = address.get(..end).filter(|host| !host.is_empty())?;
        Some(host.to_owned())
    }
}

/// Texts of registries, and of our own responses to a builder, for too many requests, in lower case.
const RATE_TEXTS: [&str; 4] = [
    "toomanyrequests",
    "429 too many requests",
    "pull rate limit",
    "(http 429)",
];

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

/// Messages of OpenSSH without a usable key or without known hosts, and of Git without OpenSSH, in lower case.
const SSH_TEXTS: [&str; 3] = [
    "permission denied (publickey",
    "host key verification failed",
    "cannot run ssh: no such file",
];

fn lacks_ssh_key(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    SSH_TEXTS.iter().any(|words| line.contains(words))
}

/// `secret ID: not found`; the ID may contain anything except a line end.
fn misses_secret(message: &str) -> bool {
    let before = message.rsplit_once(": not found").map(|(before, _)| before);
    let Some((head, id)) = before.and_then(|before| before.rsplit_once("secret ")) else {
        return false;
    };
    let is_start = head.is_empty() || head.ends_with(": ");
    is_start && !id.is_empty() && !id.contains('\n')
}

/// The secret or SSH mount in the failing lines of a Dockerfile, if any: the client provides neither.
fn mounted(source: &Source) -> Option<KnownCause> {
    let words = failing_words(source);
    let mut mounts = words
        .iter()
        .filter_map(|word| word.strip_prefix("--mount="));
    mounts.find_map(|mount| {
        let has = |option: &str| {
            mount
                .split(',')
                .any(|part| part.eq_ignore_ascii_case(option))
        };
        if has("type=secret") {
            Some(KnownCause::MissingSecret)
        } else {
            has("type=ssh").then_some(KnownCause::MissingSshKey)
        }
    })
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
            ("secret npm token: not found", KnownCause::MissingSecret),
            (
                "failed to solve: secret npmrc: not found",
                KnownCause::MissingSecret,
            ),
            (
                "rpc error: code = Unimplemented desc = unknown service moby.buildkit.secrets.v1.Secrets",
                KnownCause::MissingSecret,
            ),
            (
                "no SSH key \"default\" forwarded from the client",
                KnownCause::MissingSshKey,
            ),
            (
                "failed to load cache key: unknown service moby.sshforward.v1.SSH",
                KnownCause::MissingSshKey,
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
        let secret = Some(KnownCause::MissingSecret);
        assert_eq!(
            failed("RUN --mount=type=secret,id=x \\\n  make", &[]),
            secret
        );
        assert_eq!(
            failed("RUN \\\n  --mount=id=x,type=secret make", &[]),
            secret
        );
        assert_eq!(
            failed("RUN --mount=type=ssh \\\n make", &[]),
            Some(KnownCause::MissingSshKey)
        );
        assert_eq!(
            failed("RUN --mount=type=cache,target=/x \\\n make", &[]),
            None
        );
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
        for line in [
            "git@github.com: Permission denied (publickey).",
            "me@host: Permission denied (publickey,password).",
            "Host key verification failed.",
            "error: cannot run ssh: No such file or directory",
        ] {
            let output = [line, "fatal: Could not read from remote repository."];
            let cause = failed("RUN git clone git@github.com:acme/x\n#", &output);
            assert_eq!(cause, Some(KnownCause::MissingSshKey), "{line}");
        }
        assert_eq!(failed("RUN a\n#", &["sh: ./a: Permission denied"]), None);
        let watched = "Error: ENOSPC: System limit for number of file watchers reached";
        assert_eq!(failed("RUN a\n#", &[watched]), None);
    }
}
