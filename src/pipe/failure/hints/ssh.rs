//! Hints after failures of SSH.

use crate::buildkit::SshFailure;
use crate::config::Plan;

/// The first of these SSH agents that the plan does not provide.
pub(super) fn missing_agent<'a>(agents: &'a [String], plan: &Plan) -> Option<&'a str> {
    let builds = plan.built().map(|image| &image.build);
    let is_offered = |id: &str| builds.clone().any(|build| build.ssh.get(id).is_some());
    let mut agents = agents.iter().map(String::as_str);
    agents.find(|id| !is_offered(id))
}

/// After an error that reports a missing SSH key.
pub(super) fn agent_hint(id: &str) -> String {
    if id == "default" {
        "the build needs an SSH key (`--mount=type=ssh`, or a Git repository over SSH): set `SSH: 'true'` for the key of the \
         step, or SSH to the path of another key"
            .into()
    } else {
        format!(
            "the step mounts the SSH key `{id}`, which is not set: add `{id}=PATH` to SSH, with the path of a private key"
        )
    }
}

/// After a failed SSH connection.
pub(super) fn ssh_hint(failure: SshFailure, agents: &[String], plan: &Plan) -> String {
    let key = if agents.is_empty() {
        Some("the step has no SSH key: add `--mount=type=ssh` to its RUN, and set `SSH: 'true'` for the key of the step".into())
    } else {
        missing_agent(agents, plan).map(agent_hint)
    };
    let first = match failure {
        SshFailure::UnknownHost => {
            "the host key of the SSH server is not among the known hosts of the step: add it in an earlier step, for example with `RUN mkdir -p -m 700 \
             ~/.ssh && ssh-keyscan bitbucket.org >> ~/.ssh/known_hosts`"
        }
        SshFailure::NoClient => {
            "the step has no SSH client: install one in an earlier step, such as the package `openssh-client`"
        }
        SshFailure::KeyRejected => {
            return key.unwrap_or_else(|| {
                "the SSH server rejected the keys in SSH: add the public key there, for Bitbucket under Access keys in the \
                 settings of the repository that is read"
                    .into()
            });
        }
    };
    match key {
        Some(key) => format!("{first}; also, {key}"),
        None => first.into(),
    }
}
