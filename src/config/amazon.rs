//! Identities for Amazon ECR.
//!
//! A role that is assumed with the step's OIDC token takes precedence over an access key. Without both, the runner can have
//! a role: a self-hosted runner on AWS. Only AWS can check that an identity is valid.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::fault::Fault;
use super::findings::Findings;
use super::pipeline::PipelineVariables;
use super::warning::Warning;
use crate::bitbucket::{OIDC, secured_variable};
use crate::http::zones::{Zone, named_zone};
use crate::registry::ecr::{Access, Authorization, Container, Keys, Role};

/// The variables for Amazon ECR.
#[derive(Default, Deserialize)]
pub(super) struct AmazonVariables {
    pub(super) aws_access_key_id: Option<String>,
    pub(super) aws_secret_access_key: Option<String>,
    pub(super) aws_session_token: Option<String>,
    pub(super) aws_oidc_role_arn: Option<String>,
    pub(super) aws_endpoint_url: Option<String>,
    pub(super) ecr_create_repository: Option<String>,
}

/// Identities of the step and of the runner. Users do not set these variables.
#[derive(Default, Deserialize)]
pub(super) struct IdentityVariables {
    pub(super) bitbucket_step_oidc_token: Option<String>,
    pub(super) aws_container_credentials_relative_uri: Option<String>,
    pub(super) aws_container_credentials_full_uri: Option<String>,
    pub(super) aws_container_authorization_token: Option<String>,
    pub(super) aws_container_authorization_token_file: Option<String>,
}

const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const KEY: &str = "AWS_SECRET_ACCESS_KEY";
const ROLE: &str = "AWS_OIDC_ROLE_ARN";
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

/// The secrets in the identities, even if they are not used.
pub(super) fn tokens(identity: &IdentityVariables) -> Vec<SecretString> {
    let tokens = [
        &identity.bitbucket_step_oidc_token,
        &identity.aws_container_authorization_token,
    ];
    tokens
        .into_iter()
        .flatten()
        .map(|token| trimmed(token))
        .collect()
}

/// Reads all identities, and reports each fault.
///
/// `is_needed`: whether the image is pushed to a registry of Amazon ECR for which no other login is set.
pub(super) fn read(
    variables: AmazonVariables,
    identity: IdentityVariables,
    pipeline: &PipelineVariables,
    is_needed: bool,
    findings: &mut Findings,
) -> Access {
    let keys = keys(
        variables.aws_access_key_id,
        variables.aws_secret_access_key,
        variables.aws_session_token.as_deref(),
        findings,
    );
    let role = variables.aws_oidc_role_arn.and_then(|arn| {
        let token = identity.bitbucket_step_oidc_token.clone();
        if token.is_none() && (keys.is_some() || !is_needed) {
            // It can be a variable of the whole workspace, and this build does not need it.
            findings.warn(Warning::RoleWithoutIdentity);
            return None;
        }
        role(&arn, token, pipeline, findings)
    });
    if keys.is_some() && role.is_some() {
        findings.warn(Warning::KeysBesideRole);
    }
    let endpoint = variables
        .aws_endpoint_url
        .and_then(|text| endpoint(&text, findings));
    Access {
        keys,
        role,
        container: container(identity),
        endpoint,
        metadata: None,
    }
}

fn keys(
    id: Option<String>,
    secret: Option<String>,
    session: Option<&str>,
    findings: &mut Findings,
) -> Option<Keys> {
    let hint = secured_variable(KEY);
    match (id, secret) {
        (Some(id), Some(secret)) => {
            let id = id.trim().to_owned();
            let is_id = id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_id {
                // Not shown: id and key are easily swapped.
                let problem = "is not the id of an access key";
                let advice = "set it to the id, such as `AKIAIOSFODNN7EXAMPLE`, and AWS_SECRET_ACCESS_KEY to the key";
                findings.fault(Fault::new(KEY_ID, problem, advice));
                return None;
            }
            Some(Keys {
                id,
                secret: trimmed(&secret),
                session: session.map(trimmed),
                until: None,
            })
        }
        (Some(_), None) => {
            let problem = "not set, but AWS_ACCESS_KEY_ID is set";
            findings.fault(Fault::new(KEY, problem, "set both, or neither").with_hint(hint));
            None
        }
        (None, Some(_)) => {
            let problem = "not set, but AWS_SECRET_ACCESS_KEY is set";
            findings.fault(Fault::new(KEY_ID, problem, "set both, or neither"));
            None
        }
        // A session token without a key is ignored.
        (None, None) => None,
    }
}

fn role(
    arn: &str,
    token: Option<String>,
    pipeline: &PipelineVariables,
    findings: &mut Findings,
) -> Option<Role> {
    let arn = arn.trim();
    let is_good = Role::is_arn(arn);
    if !is_good {
        let problem = format!("{} is not the ARN of a role", findings.shown(arn));
        let advice = "write the role's ARN, such as `arn:aws:iam::123456789012:role/pipelines`";
        findings.fault(Fault::new(ROLE, problem, advice));
    }
    let Some(token) = token else {
        let problem = format!("set, but the step has no OIDC token, because it lacks `{OIDC}`");
        let advice = format!("add `{OIDC}` to the step");
        findings.fault(
            Fault::new(ROLE, problem, advice)
                .with_hint(format!("add to the step, next to `script:`\n  {OIDC}")),
        );
        return None;
    };
    is_good.then(|| Role {
        arn: arn.to_owned(),
        token: trimmed(&token),
        session_name: session_name(pipeline),
    })
}

/// The name of the session in AWS `CloudTrail`: the repository and the number of the pipeline.
fn session_name(pipeline: &PipelineVariables) -> String {
    let parts = [
        Some("depot-build"),
        pipeline.bitbucket_repo_slug.as_deref(),
        pipeline.bitbucket_build_number.as_deref(),
    ];
    Role::valid_session_name(&parts.into_iter().flatten().collect::<Vec<_>>().join("-"))
}

fn endpoint(text: &str, findings: &mut Findings) -> Option<Url> {
    let url = Url::parse(text.trim());
    let url = url.ok().filter(|url| {
        let has_login = !url.username().is_empty() || url.password().is_some();
        let has_more = url.query().is_some() || url.fragment().is_some();
        matches!(url.scheme(), "http" | "https") && url.has_host() && !has_login && !has_more
    });
    let Some(url) = url else {
        findings.fault(Fault::new(
            ENDPOINT,
            format!("{} is not an address", findings.shown(text)),
            "write an address without a login or a query, such as `https://vpce.example.com`, or remove it",
        ));
        return None;
    };
    if url.scheme() == "http" && named_zone(&url) != Zone::ThisMachine {
        findings.warn(Warning::UnencryptedAmazon {
            host: findings.masked(url.host_str().unwrap_or_default()),
        });
    }
    Some(url)
}

/// The endpoint of the runner's container service. An invalid address is ignored, because the user did not write it.
fn container(identity: IdentityVariables) -> Option<Container> {
    let url = Container::endpoint(
        identity.aws_container_credentials_relative_uri.as_deref(),
        identity.aws_container_credentials_full_uri.as_deref(),
    )?;
    let file = identity.aws_container_authorization_token_file;
    let token = identity.aws_container_authorization_token;
    Some(Container {
        url,
        authorization: match (file, token) {
            (Some(path), _) => Some(Authorization::File(PathBuf::from(path))),
            (None, Some(token)) => Some(Authorization::Token(token.into())),
            (None, None) => None,
        },
    })
}

fn trimmed(text: &str) -> SecretString {
    SecretString::from(text.trim())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const ARN: &str = "arn:aws:iam::123456789012:role/ci/pipelines";

    fn outcome(variables: AmazonVariables, token: Option<&str>) -> (Access, String, Vec<Warning>) {
        outcome_for(true, variables, token)
    }

    fn outcome_for(
        is_needed: bool,
        variables: AmazonVariables,
        token: Option<&str>,
    ) -> (Access, String, Vec<Warning>) {
        let mut findings = Findings::default();
        let identity = IdentityVariables {
            bitbucket_step_oidc_token: token.map(Into::into),
            ..IdentityVariables::default()
        };
        let pipeline = PipelineVariables {
            bitbucket_repo_slug: Some("my app".into()),
            bitbucket_build_number: Some("7".into()),
            ..PipelineVariables::default()
        };
        let plan = read(variables, identity, &pipeline, is_needed, &mut findings);
        let error = findings.into_error();
        (plan, error.to_string(), error.warnings().to_vec())
    }

    fn keys(id: Option<&str>, secret: Option<&str>) -> AmazonVariables {
        AmazonVariables {
            aws_access_key_id: id.map(Into::into),
            aws_secret_access_key: secret.map(Into::into),
            ..AmazonVariables::default()
        }
    }

    #[test]
    fn a_role_needs_the_steps_identity() {
        let role = || AmazonVariables {
            aws_oidc_role_arn: Some(ARN.into()),
            ..AmazonVariables::default()
        };
        let (plan, error, _) = outcome(role(), Some("token\n"));
        assert_eq!(error, "");
        let taken = plan.role.unwrap();
        assert_eq!(
            (taken.arn.as_str(), taken.token.expose_secret()),
            (ARN, "token")
        );
        assert_eq!(taken.session_name, "depot-build-myapp-7");
        let (plan, error, _) = outcome(role(), None);
        assert!(
            plan.role.is_none() && error.contains("`oidc: true`"),
            "{error}"
        );
    }

    #[test]
    fn an_access_key_needs_both_parts_and_a_role_takes_precedence() {
        let (plan, error, _) = outcome(keys(Some("AKIAIOSFODNN7EXAMPLE"), Some(" k/ey ")), None);
        assert_eq!(error, "");
        assert_eq!(plan.keys.unwrap().secret.expose_secret(), "k/ey");
        let (_, error, _) = outcome(keys(Some("AKIAIOSFODNN7EXAMPLE"), None), None);
        assert!(
            error.starts_with("AWS_SECRET_ACCESS_KEY: not set"),
            "{error}"
        );
        let (_, error, _) = outcome(
            keys(Some("wJalrXUtnFEMI/K7MDENG"), Some("AKIAIOSFODNN7EXAMPLE")),
            None,
        );
        assert!(
            error.starts_with("AWS_ACCESS_KEY_ID: is not the id"),
            "{error}"
        );
        assert!(!error.contains("wJalr"), "{error}");
        let both = AmazonVariables {
            aws_oidc_role_arn: Some(ARN.into()),
            ..keys(Some("AKIAIOSFODNN7EXAMPLE"), Some("key"))
        };
        assert_eq!(outcome(both, Some("token")).2, [Warning::KeysBesideRole]);
    }

    #[test]
    fn an_endpoint_contains_no_login() {
        let read = |text: &str| {
            let mut findings = Findings::default();
            let url = endpoint(text, &mut findings);
            (url.is_some(), findings.into_error().to_string())
        };
        assert!(read("http://127.0.0.1:5000").0);
        for text in [
            "http://me:hunter2@a.example/",
            "https://a.example/?x",
            "ftp://a.example",
            "x",
        ] {
            let (is_read, error) = read(text);
            assert!(
                !is_read && error.starts_with("AWS_ENDPOINT_URL: "),
                "{error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_file_authorizes_a_container() {
        let whole = container(IdentityVariables {
            aws_container_credentials_full_uri: Some("http://127.0.0.1:7/c".into()),
            aws_container_authorization_token_file: Some("/t".into()),
            ..IdentityVariables::default()
        });
        assert!(matches!(
            whole.unwrap().authorization,
            Some(Authorization::File(_))
        ));
    }
}
