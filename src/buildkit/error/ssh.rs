//! Failures of SSH connections, in the texts of OpenSSH, Git and BuildKit.

/// Why an SSH connection of a step, or of the builder for a Git repository, failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SshFailure {
    /// The server rejected all keys, or the client had none.
    KeyRejected,
    /// The key of the server is not among the known ones.
    UnknownHost,
    /// Git found no SSH client.
    NoClient,
}

/// The ID of the agent for a mount without one, and for Git repositories.
pub(super) const DEFAULT_AGENT: &str = "default";

/// Messages of OpenSSH without a usable key or without known hosts, and of Git without OpenSSH, in lower case.
const SSH_TEXTS: [(&str, SshFailure); 3] = [
    ("permission denied (publickey", SshFailure::KeyRejected),
    ("host key verification failed", SshFailure::UnknownHost),
    ("cannot run ssh: no such file", SshFailure::NoClient),
];

/// The failure in an output or in an error.
pub(super) fn ssh_failure(text: &str) -> Option<SshFailure> {
    let text = text.to_ascii_lowercase();
    let mut known = SSH_TEXTS.iter();
    known.find_map(|(words, failure)| text.contains(words).then_some(*failure))
}

/// The ID in `no SSH key "ID" forwarded from the client`.
pub(super) fn missing_agent(message: &str) -> Option<&str> {
    if message.contains("unknown service moby.sshforward") {
        return Some(DEFAULT_AGENT);
    }
    let (_, rest) = message.split_once("no SSH key \"")?;
    let (id, _) = rest.split_once("\" forwarded from the client")?;
    Some(if id.is_empty() { DEFAULT_AGENT } else { id })
}
