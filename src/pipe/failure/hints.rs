//! Hints: the settings to change after a failure. The only place besides `config` that names variables.

mod login;
mod privilege;
mod ssh;

use self::login::{Place, Purpose, login_hint};
use self::privilege::privilege_hint;
use self::ssh::{agent_hint, missing_agent, ssh_hint};
use super::{CacheExportFailure, ExportCause, Failure, LoadCause, SbomError};
use crate::bitbucket::variables::PACKAGES_HOST;
use crate::bitbucket::{DOCKER_MEMORY, OIDC};
use crate::buildkit::{ConnectError, ErrorKind, KnownCause, Mounts, SolveError};
use crate::config::Plan;
use crate::config::plan::ProjectSource;
use crate::depot::{ApiError, Code, is_registry};
use crate::docker::{DaemonError, LoadError};
use crate::registry::client::ClientError;
use crate::registry::copy::image::ImageCopyError;
use crate::registry::copy::tree::ReadError;
use crate::registry::credentials::{Credential, canonical_host};
use crate::registry::ecr::{EcrError, EcrHost};
use crate::registry::reference::DOCKER_HUB;

/// The variable of the login that Bitbucket sets.
const PACKAGES_TOKEN: &str = "BITBUCKET_PACKAGES_TOKEN";

/// The setting to change, if one helps. `output` is the end of the failed step's output.
pub(super) fn hint(failure: &Failure, plan: &Plan, output: &[String]) -> Option<String> {
    match failure {
        Failure::Create(error) => create_hint(error, plan),
        Failure::Connect(ConnectError::Unreachable { .. }) => Some(
            "the step must be able to open TCP connections to Depot's builders; on a \
             self-hosted runner, check its firewall"
                .into(),
        ),
        Failure::Agent(_) => Some(
            "start `ssh-agent -a PATH` in the same step, in the background of a line before the pipe, and write its PATH in the clone"
                .into(),
        ),
        Failure::Solve { error, .. } => solve_hint(error, plan, output),
        Failure::Push(push) if push.is_taken => taken_hint(&push.error, plan),
        Failure::Push(push) => solve_hint(&push.error, plan, output),
        Failure::Publish(publish) => client_hint(&publish.source, Purpose::Push, plan),
        Failure::SavedBuild { source, .. } => saved_hint(source),
        Failure::Source(failure) => source_hint(&failure.source, plan),
        Failure::Copy(failure) => copy_hint(&failure.source, plan),
        Failure::ReadBack { source, .. } => client_hint(source, Purpose::Build, plan),
        Failure::Credentials(error) => amazon_hint(error.cause()?),
        Failure::Repository { source, .. } | Failure::CacheKeys { source, .. } => {
            amazon_hint(source)
        }
        Failure::CacheExport(failure) => Some(cache_hint(failure, plan)),
        Failure::Daemon(DaemonError::Unreachable { .. }) => {
            Some("LOAD needs the step's Docker daemon; add to the step, next to `script:`".into())
        }
        Failure::Sbom {
            source: SbomError::None,
            ..
        } => Some(
            "the scanner must write an SPDX file: check the image after `generator=` in SBOM, or remove SBOM_DIR"
                .into(),
        ),
        Failure::NoPlatform { daemon, .. } if plan.promotion.is_some() => {
            Some(format!("use a SOURCE_IMAGE that was built for `{daemon}` too, or remove LOAD"))
        }
        Failure::NoPlatform { daemon, .. } => {
            Some(format!("add `{daemon}` to PLATFORMS, or remove LOAD"))
        }
        Failure::Load(failure) => match &failure.cause {
            LoadCause::Load(error) => load_hint(error),
            LoadCause::Export(error) => solve_hint(error, plan, output),
        },
        Failure::Export(failure) => match &failure.cause {
            ExportCause::Receive(error) => error.hint.map(str::to_owned),
            ExportCause::Write(error) => error.hint().map(str::to_owned),
            ExportCause::Staging { .. } => None,
        },
        _ => None,
    }
}

/// After a failed export of a cache: the entry of `CACHE_TO`, or the login for its registry.
fn cache_hint(failure: &CacheExportFailure, plan: &Plan) -> String {
    let message = failure.error.message.to_ascii_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    let mut of_registries = failure.places.iter().filter(|place| !place.contains("://"));
    let host_of = |place: &str| place.split('/').next().unwrap_or_default().to_owned();
    // With several places, the message shows which one failed, unless the builder omits it.
    let is_failed =
        |place: &&String| failure.places.len() == 1 || message.contains(&host_of(place));
    let place = of_registries.find(is_failed);
    let place = place.map(String::as_str).unwrap_or_default();
    let host = &*host_of(place);
    let ignore = "with `ignore-error=true` in its entry of CACHE_TO, a cache that cannot be exported does not fail the build";
    if has(&["unknown cache exporter"]) {
        return "the builder does not support this type of cache: write `type=registry,ref=REFERENCE` in CACHE_TO".into();
    }
    if has(&[
        "unauthorized",
        "forbidden",
        "denied",
        "authorization failed",
        "no basic auth",
        "(http 401)",
        "(http 403)",
    ]) {
        return if host.contains(['.', ':']) {
            format!("{}; {ignore}", login_hint(&Place::in_build(place), plan))
        } else {
            format!("check the keys in CACHE_TO and their permissions; {ignore}")
        };
    }
    let is_manifest = has(&["error writing manifest"]);
    if is_manifest
        && (EcrHost::parse(host).is_some()
            || has(&["400 bad request", "405 method", "415 unsupported"]))
    {
        return format!(
            "some registries, such as Amazon ECR, accept a cache only in the form of an image: add \
             `image-manifest=true,oci-mediatypes=true` to its entry of CACHE_TO; {ignore}"
        );
    }
    format!("check its entry in CACHE_TO; {ignore}")
}

/// After a failed query for a saved image.
fn saved_hint(error: &ApiError) -> Option<String> {
    let ApiError::Refused { code, .. } = error else {
        return None;
    };
    let hint = match code {
        Code::Unauthenticated => {
            "Depot rejected DEPOT_TOKEN: create a project token on the project's settings page and store it as a secured \
             variable of the repository"
        }
        Code::PermissionDenied | Code::NotFound | Code::FailedPrecondition => {
            "check the id in SOURCE_IMAGE: its build must have `SAVE: 'true'` and belong to the project of DEPOT_TOKEN; Depot \
             deletes saved images after some days"
        }
        _ => return None,
    };
    Some(hint.into())
}

/// After a failed read of the image to copy.
fn source_hint(error: &ReadError, plan: &Plan) -> Option<String> {
    match error {
        ReadError::Client(error) if error.status() == Some(404) => {
            let host = error.host();
            Some(if is_registry(host) {
                format!(
                    "check SOURCE_IMAGE: `{host}` has no such image; Depot deletes saved images after some days"
                )
            } else {
                format!("check SOURCE_IMAGE: `{host}` has no such image")
            })
        }
        ReadError::Client(error) => client_hint(error, Purpose::Pull, plan),
        ReadError::Invalid { .. } | ReadError::TooLarge { .. } => None,
    }
}

/// After a failed copy: the settings of the registry concerned.
fn copy_hint(error: &ImageCopyError, plan: &Plan) -> Option<String> {
    match error {
        ImageCopyError::Source(error) => client_hint(error, Purpose::Pull, plan),
        ImageCopyError::Target(error) => client_hint(error, Purpose::Push, plan),
        ImageCopyError::Content { .. } => None,
    }
}

fn load_hint(error: &LoadError) -> Option<String> {
    let hint = match error {
        error if error.is_disk_full() => {
            "the daemon's disk is full: remove images that the step no longer needs, or set a \
             larger `size` for the step"
        }
        LoadError::Lost(_) | LoadError::Stalled(_) => DOCKER_MEMORY,
        _ => return None,
    };
    Some(hint.into())
}

/// After a rejection by AWS: the credentials that were used, and the missing permission.
fn amazon_hint(error: &EcrError) -> Option<String> {
    const KEYS: &str = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    let hint = match (error, error.code()) {
        (EcrError::NoIdentity, _) => format!(
            "set AWS_OIDC_ROLE_ARN, with `{OIDC}` in the step, or {KEYS}, as secured variables"
        ),
        (_, "ExpiredToken" | "ExpiredTokenException")
            if error.action() == "AssumeRoleWithWebIdentity" =>
        {
            "the step's OIDC token has expired: it is valid for one hour after the step starts".into()
        }
        (_, "ExpiredToken" | "ExpiredTokenException") => format!(
            "AWS_SESSION_TOKEN has expired: set {KEYS} of a new session, or use AWS_OIDC_ROLE_ARN, which does not expire"
        ),
        (_, "AccessDenied" | "InvalidIdentityToken")
            if error.action() == "AssumeRoleWithWebIdentity" =>
        {
            "the role in AWS_OIDC_ROLE_ARN must trust Bitbucket's identity provider and this \
             repository: check the provider, `aud` and `sub` in its trust policy"
                .into()
        }
        (
            _,
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature",
        ) => "AWS rejected the credentials: check that AWS_ACCESS_KEY_ID exists and that AWS_SECRET_ACCESS_KEY belongs to it".into(),
        (_, "AccessDeniedException" | "AccessDenied") => format!(
            "the identity in AWS_OIDC_ROLE_ARN or {KEYS} needs the permission `ecr:{}`",
            error.action()
        ),
        _ => return None,
    };
    Some(hint)
}

fn create_hint(error: &ApiError, plan: &Plan) -> Option<String> {
    let depot = plan.depot.as_ref()?;
    let project = &depot.project_id;
    let origin = match &depot.project_source {
        ProjectSource::Variable => "DEPOT_PROJECT_ID".to_owned(),
        ProjectSource::File(path) => format!("`{}`", path.display()),
        ProjectSource::Definition => "`project_id` in the definition".to_owned(),
    };
    let hint = match error {
        ApiError::Refused { code, .. } => match code {
            Code::Unauthenticated => {
                "Depot rejected DEPOT_TOKEN: create a project token on the project's settings page and \
                 store it as a secured variable of the repository"
            }
            Code::PermissionDenied => {
                return Some(format!(
                    "DEPOT_TOKEN may not build in the project `{project}` (from {origin}): use a project token of that \
                     project, or an organization token"
                ));
            }
            Code::NotFound => {
                return Some(format!(
                    "Depot has no project `{project}` (from {origin}) that DEPOT_TOKEN has access to: write the id from the \
                     project's settings page at Depot into DEPOT_PROJECT_ID or depot.json; a project token works for its \
                     own project only"
                ));
            }
            Code::ResourceExhausted => {
                "a limit of the Depot account is reached: see its usage page"
            }
            _ => return None,
        },
        ApiError::Foreign { .. } => {
            "another server between this step and Depot responded: check DEPOT_API_URL and the \
             proxies"
        }
        ApiError::Transport { .. } | ApiError::TooSlow { .. } => {
            "the step must be able to reach this address: check DEPOT_API_URL, proxies and \
             firewalls"
        }
        _ => return None,
    };
    Some(hint.into())
}

fn solve_hint(error: &SolveError, plan: &Plan, output: &[String]) -> Option<String> {
    if let Some(hint) = error.hint {
        return Some(hint.into());
    }
    let host = match &error.kind {
        ErrorKind::Registry { reference, .. } => reference.split('/').next().unwrap_or_default(),
        _ => "",
    };
    if let Some(cause) = error.known_cause(output) {
        return cause_hint(cause, host, plan);
    }
    match &error.kind {
        kind @ ErrorKind::Registry { denied: true, .. } => {
            Some(login_hint(&Place::of_kind(kind), plan))
        }
        ErrorKind::Connection => {
            Some("the connection to the builder was lost: run the step again; finished build steps come from the cache".into())
        }
        _ => None,
    }
}

/// `host`: the registry concerned; empty if none is known.
fn cause_hint(cause: KnownCause, host: &str, plan: &Plan) -> Option<String> {
    Some(match cause {
        KnownCause::MissingFile => missing_file_hint(plan),
        KnownCause::NoNamedContexts => {
            "the frontend in the `# syntax=` line of the Dockerfile is too old for BUILD_CONTEXTS: write \
             `# syntax=docker/dockerfile:1`, or remove the line"
                .into()
        }
        KnownCause::MissingSecret { id } => secret_hint(&id),
        KnownCause::FailedWithMounts(mounts) => return mounts_hint(&mounts, plan),
        KnownCause::MissingSshKey { id } => agent_hint(&id),
        KnownCause::Ssh { failure, agents } => ssh_hint(failure, &agents, plan),
        KnownCause::GitLogin if plan.built().any(|image| image.build.secrets.has_git_login()) => {
            "the host of the Git repository rejected the login: check that the token in GIT_AUTH_TOKEN, or the entry for the host in \
             SECRETS, may read this repository"
                .into()
        }
        KnownCause::GitLogin => {
            "the Git repository requires a login: store a token as a secured variable, and set GIT_AUTH_TOKEN, or \
             `GIT_AUTH_TOKEN.HOST=$NAME` in SECRETS for a token that only HOST gets"
                .into()
        }
        KnownCause::Privilege { refusal, name } => privilege_hint(refusal, name, plan),
        KnownCause::DiskFull => {
            "the disk of the builder is full: reset the cache of the Depot project or raise its size, in the project's \
             settings"
                .into()
        }
        KnownCause::RateLimit {
            host: registry,
            is_anonymous,
        } => rate_hint(registry.as_deref().unwrap_or(host), is_anonymous, plan),
        KnownCause::ImmutableTag => immutable_hint(host),
        KnownCause::RegistryQuota => quota_hint(host),
        KnownCause::UnknownRepository => unknown_hint(host),
        KnownCause::UntrustedCertificate => insecure_hint(host),
    })
}

/// After a `COPY` or `ADD` of a file that does not exist.
fn missing_file_hint(plan: &Plan) -> String {
    let context = if plan.is_bake() {
        "the target's `context`"
    } else {
        "CONTEXT"
    };
    if withholds_secrets(plan) {
        return format!(
            "check that the file is in {context}, that .dockerignore does not exclude it, and that it is not in SECRET_FILES or \
             SSH, whose files are never in the build context"
        );
    }
    format!(
        "check that the file is in {context} and that .dockerignore does not exclude it; paths of COPY and ADD are relative to \
         {context}"
    )
}

/// Whether files of the context are withheld because they are secrets.
fn withholds_secrets(plan: &Plan) -> bool {
    let mut builds = plan.built().map(|image| &image.build);
    builds.any(|build| !build.secrets.files().is_empty() || !build.ssh.is_empty())
}

/// After a failed step: the first of its mounts that the plan does not provide.
fn mounts_hint(mounts: &Mounts, plan: &Plan) -> Option<String> {
    let is_offered = |id: &str| plan.built().any(|image| image.build.secrets.has(id));
    let missing = mounts.secrets.iter().find(|id| !is_offered(id));
    match missing {
        Some(id) => Some(secret_hint(id)),
        None => missing_agent(&mounts.agents, plan).map(agent_hint),
    }
}

fn secret_hint(id: &str) -> String {
    let id = if id.is_empty() { "ID" } else { id };
    format!(
        "the step mounts the secret `{id}`, which is not set: add `{id}=$NAME` to SECRETS, with NAME a secured variable, or \
         `{id}=PATH` to SECRET_FILES"
    )
}

/// `is_anonymous`: the registry reported that the request had no login, even if the plan has one.
fn rate_hint(host: &str, is_anonymous: bool, plan: &Plan) -> String {
    let host = canonical_host(host);
    let credential = plan.registries.credentials.for_host(&host);
    let origin = credential
        .and_then(Credential::origin)
        .filter(|_| !is_anonymous);
    match (&*host, origin) {
        (DOCKER_HUB, Some(origin)) => format!(
            "Docker Hub's pull rate limit for the account in {origin} is reached: try again later, or use an account with a \
             higher limit"
        ),
        (DOCKER_HUB, None) => {
            "Docker Hub's pull rate limit without a login is reached; it counts all pulls from one IP address, which many \
             builds share: set DOCKERHUB_USERNAME and DOCKERHUB_TOKEN as secured variables"
                .into()
        }
        ("", _) => "a registry limits the rate of requests: try again later".into(),
        (host, Some(origin)) => {
            format!("`{host}` limits the rate of requests of the account in {origin}: try again later")
        }
        (host, None) => format!(
            "`{host}` limits the rate of requests: try again later, or add a login for it, which often has a higher limit"
        ),
    }
}

/// After a rejected push to a tag that refers to another image. Not every builder returns the reason.
fn taken_hint(error: &SolveError, plan: &Plan) -> Option<String> {
    let ErrorKind::Registry {
        reference, denied, ..
    } = &error.kind
    else {
        return None;
    };
    let host = reference.split('/').next().unwrap_or_default();
    let is_known = error.known_cause(&[]) == Some(KnownCause::ImmutableTag);
    Some(if *denied && !is_known {
        format!(
            "{}; or the tag already refers to another image, and the registry does not allow moving it",
            login_hint(&Place::of_kind(&error.kind), plan)
        )
    } else {
        immutable_hint(host)
    })
}

fn immutable_hint(host: &str) -> String {
    format!(
        "the tag already refers to another image, and `{host}` may not allow moving it: use a tag that is new for each build, \
         such as $BITBUCKET_COMMIT, or allow overwriting in the registry's settings"
    )
}

/// After a push to a repository that does not exist.
fn unknown_hint(host: &str) -> String {
    if canonical_host(host) == PACKAGES_HOST {
        return format!(
            "`{host}` has no such package in this workspace, and does not create it on a push: create it in the workspace's \
             settings, under Packages, and link it to this repository; its address is `{host}/WORKSPACE/PACKAGE`"
        );
    }
    if EcrHost::parse(host).is_some() {
        return format!(
            "`{host}` has no such repository: create it, or set `ECR_CREATE_REPOSITORY: 'true'`"
        );
    }
    format!(
        "`{host}` has no such repository, or does not show it to this login: check the name, and create the repository if the registry \
         does not create it on a push"
    )
}

fn quota_hint(host: &str) -> String {
    format!(
        "a storage quota of `{host}` is reached: delete images there, or request a higher quota from its administrator"
    )
}

/// After a failed call to a registry, which was made for this purpose.
fn client_hint(error: &ClientError, purpose: Purpose, plan: &Plan) -> Option<String> {
    let host = error.host();
    if let Some(hint) = error.login_cause().and_then(amazon_hint) {
        Some(hint)
    } else if error.is_quota_exceeded() {
        Some(quota_hint(host))
    } else if error.is_unknown_repository() {
        Some(unknown_hint(host))
    } else if error.is_immutable_tag() {
        Some(immutable_hint(host))
    } else if error.is_denied() {
        Some(login_hint(&Place::of(error, purpose), plan))
    } else if error.is_rate_limited() {
        Some(rate_hint(host, false, plan))
    } else if error.is_certificate() {
        Some(insecure_hint(host))
    } else {
        None
    }
}

fn insecure_hint(host: &str) -> String {
    format!(
        "if `{host}` is your own registry with a private certificate, add its host to REGISTRY_INSECURE: its certificate is \
         then not verified on a push"
    )
}
