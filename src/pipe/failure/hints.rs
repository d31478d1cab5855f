//! What to change after a failure, where a setting helps: the one place behind `config` that names variables.

use super::{Failure, LoadCause};
use crate::buildkit::{ConnectError, ErrorKind, KnownCause, SolveError};
use crate::config::Plan;
use crate::depot::{ApiError, Code};
use crate::docker::{DaemonError, LoadError};
use crate::registry::client::ClientError;
use crate::registry::ecr::{EcrError, EcrHost};
use crate::registry::reference::DOCKER_HUB;

/// What to change, where a setting helps.
pub(super) fn hint(failure: &Failure, plan: &Plan) -> Option<String> {
    match failure {
        Failure::Create(error) => create_hint(error),
        Failure::Connect(ConnectError::Unreachable { .. }) => Some(
            "the step must be able to open TCP connections to Depot's machines; on a \
             self-hosted runner, look at its firewall"
                .into(),
        ),
        Failure::Solve { error, .. } => solve_hint(error, plan),
        Failure::Push(push) => solve_hint(&push.error, plan),
        Failure::Publish(publish) => client_hint(&publish.source, publish.reference.host(), plan),
        Failure::ReadBack { source, .. } => client_hint(source, source.host(), plan),
        Failure::Credentials(error) => amazon_hint(error.cause()?),
        Failure::Repository { source, .. } => amazon_hint(source),
        Failure::Daemon(DaemonError::Unreachable { .. }) => {
            Some("LOAD needs the step's Docker daemon; write in the step, beside `script:`".into())
        }
        Failure::NoPlatform { daemon, .. } => Some(format!(
            "write `{daemon}` into PLATFORMS as well, or leave LOAD out"
        )),
        Failure::Load(failure) => match &failure.cause {
            LoadCause::Load(error) => load_hint(error),
            LoadCause::Export(error) => solve_hint(error, plan),
        },
        _ => None,
    }
}

fn load_hint(error: &LoadError) -> Option<String> {
    let hint = match error {
        error if error.is_disk_full() => {
            "the daemon's disk is full: remove images that the step does not need any more, \
             or give the step a larger `size`"
        }
        LoadError::Lost(_) | LoadError::Stalled(_) => {
            "the daemon may have run out of memory: give the service `docker` more, such as \
             `memory: 2048` under `definitions`"
        }
        _ => return None,
    };
    Some(hint.into())
}

/// After a refusal of Amazon's: which of our proofs it was, and what it lacks.
fn amazon_hint(error: &EcrError) -> Option<String> {
    const KEYS: &str = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    let hint = match (error, error.code()) {
        (EcrError::NoIdentity, _) => format!(
            "give AWS_OIDC_ROLE_ARN, with `oidc: true` in the step, or {KEYS}, as secured variables"
        ),
        (_, "ExpiredToken" | "ExpiredTokenException")
            if error.action() == "AssumeRoleWithWebIdentity" =>
        {
            "the step's identity has ended: it counts for an hour from the step's start".into()
        }
        (_, "ExpiredToken" | "ExpiredTokenException") => format!(
            "AWS_SESSION_TOKEN has ended: give {KEYS} of a new session, or use AWS_OIDC_ROLE_ARN, which \
             does not end"
        ),
        (_, "AccessDenied" | "InvalidIdentityToken")
            if error.action() == "AssumeRoleWithWebIdentity" =>
        {
            "the role in AWS_OIDC_ROLE_ARN must trust Bitbucket's identity provider and this \
             repository: look at its trust policy for the provider, `aud` and `sub`"
                .into()
        }
        (
            _,
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature",
        ) => format!("look at {KEYS}: Amazon does not know the one, or the other is not of it"),
        (_, "AccessDeniedException" | "AccessDenied") => format!(
            "whoever AWS_OIDC_ROLE_ARN or {KEYS} stand for must be allowed `ecr:{}`",
            error.action()
        ),
        _ => return None,
    };
    Some(hint)
}

fn create_hint(error: &ApiError) -> Option<String> {
    let hint = match error {
        ApiError::Refused { code, .. } => match code {
            Code::Unauthenticated => {
                "DEPOT_TOKEN is not a token that Depot knows: make a project token on the \
                 project's settings page and store it as a secured variable of the repository"
            }
            Code::PermissionDenied => {
                "DEPOT_TOKEN may not build in this project: use a project token of the project in \
                 DEPOT_PROJECT_ID, or an organization token"
            }
            Code::NotFound => {
                "write the project's id, from its settings page at Depot, into DEPOT_PROJECT_ID or \
                 depot.json; a project token works for its own project only"
            }
            Code::ResourceExhausted => {
                "a limit of the Depot account is reached: see its usage page"
            }
            _ => return None,
        },
        ApiError::Foreign { .. } => {
            "something between this step and Depot answered instead: look at DEPOT_API_URL and at \
             proxies"
        }
        ApiError::Transport { .. } | ApiError::TooSlow { .. } => {
            "the step must be able to reach this address: look at DEPOT_API_URL, at proxies and at \
             firewalls"
        }
        _ => return None,
    };
    Some(hint.into())
}

fn solve_hint(error: &SolveError, plan: &Plan) -> Option<String> {
    if let Some(hint) = error.hint {
        return Some(hint.into());
    }
    match &error.kind {
        ErrorKind::Registry {
            reference, denied, ..
        } => {
            let host = reference.split('/').next().unwrap_or_default();
            if *denied {
                Some(login_hint(host, plan))
            } else {
                is_untrusted(&error.message).then(|| insecure_hint(host))
            }
        }
        ErrorKind::Build => cause_hint(error.known_cause()?),
        ErrorKind::Connection => {
            Some("the machine went away; running the step again uses what was built so far".into())
        }
        _ => None,
    }
}

fn cause_hint(cause: KnownCause) -> Option<String> {
    let hint = match cause {
        KnownCause::MissingFile => {
            "is the file in CONTEXT, and not excluded by .dockerignore? Paths of COPY and ADD are \
             relative to CONTEXT"
        }
        KnownCause::NoNamedContexts => {
            "the frontend in the `# syntax=` line of the Dockerfile is too old for BUILD_CONTEXTS: write \
             `# syntax=docker/dockerfile:1`, or remove the line"
        }
    };
    Some(hint.into())
}

fn client_hint(error: &ClientError, host: &str, plan: &Plan) -> Option<String> {
    if error.is_denied() {
        Some(login_hint(host, plan))
    } else if error.is_certificate() {
        Some(insecure_hint(host))
    } else {
        None
    }
}

/// After a refusal: which variable the login came from, or which one would give it.
fn login_hint(host: &str, plan: &Plan) -> String {
    let credential = plan.registries.credentials.for_host(host);
    let origin = credential.and_then(|credential| credential.origin());
    match (host, origin) {
        ("", _) => {
            "look at the logins: REGISTRY_USERNAME and REGISTRY_PASSWORD, or REGISTRIES".into()
        }
        (host, Some(origin)) => format!(
            "look at {origin} and the user that it is of: they must belong to `{host}` and allow what the build does there"
        ),
        (host, None) if EcrHost::parse(host).is_some() => format!(
            "who AWS_OIDC_ROLE_ARN or AWS_ACCESS_KEY_ID stand for must be allowed to use the repository at `{host}`; one \
             that is missing can be made with ECR_CREATE_REPOSITORY: 'true'"
        ),
        (DOCKER_HUB, None) => {
            "give DOCKERHUB_USERNAME and DOCKERHUB_TOKEN, as secured variables".into()
        }
        (host, None) => format!(
            "give REGISTRY: {host}, REGISTRY_USERNAME and REGISTRY_PASSWORD, or an entry for \
             `{host}` in REGISTRIES"
        ),
    }
}

fn insecure_hint(host: &str) -> String {
    format!(
        "where `{host}` is your own and its certificate cannot be a public one, write its host \
         into REGISTRY_INSECURE: it is then trusted without check"
    )
}

/// A certificate that was not accepted, in the words of the builder's TLS.
fn is_untrusted(message: &str) -> bool {
    message.contains("x509: ") || message.contains("failed to verify certificate")
}
