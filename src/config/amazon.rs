//! Who we are at Amazon, for its registries.
//!
//! A role that the step takes by its own identity comes first, then keys. Where neither is given, the machine that the step
//! runs on may have a role: a self-hosted runner at Amazon has. Whether any of this is good is for Amazon to say.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::{
    fault::Fault,
    findings::Findings,
    plan::{AwsAuthorization, AwsContainer, AwsKeys, AwsPlan, AwsRole},
    variables::{AmazonVariables, IdentityVariables, PipelineVariables},
    warning::Warning,
};
use crate::http::zones::{Zone, named_zone};

const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const KEY: &str = "AWS_SECRET_ACCESS_KEY";
const ROLE: &str = "AWS_OIDC_ROLE_ARN";
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

/// Where Amazon's container services give out credentials, for a relative address.
const CONTAINER_BASE: &str = "http://169.254.170.2";

/// The longest name of a session.
const SESSION_MAX_CHARACTERS: usize = 64;

const OIDC_HINT: &str = "write in the step, beside `script:`\n  oidc: true";

/// What proves who the step is, whether or not it is used.
pub(super) fn proofs(identity: &IdentityVariables) -> Vec<SecretString> {
    let proofs = [
        &identity.bitbucket_step_oidc_token,
        &identity.aws_container_authorization_token,
    ];
    proofs
        .into_iter()
        .flatten()
        .map(|proof| trimmed(proof))
        .collect()
}

/// Reads all that is given, and tells of each bad part.
///
/// `is_needed`: whether the image goes to a registry of Amazon's for which there is no other login.
pub(super) fn read(
    variables: AmazonVariables,
    identity: IdentityVariables,
    pipeline: &PipelineVariables,
    is_needed: bool,
    findings: &mut Findings,
) -> AwsPlan {
    let keys = keys(
        variables.aws_access_key_id,
        variables.aws_secret_access_key,
        variables.aws_session_token.as_deref(),
        findings,
    );
    let role = variables.aws_oidc_role_arn.and_then(|arn| {
        let token = identity.bitbucket_step_oidc_token.clone();
        if token.is_none() && (keys.is_some() || !is_needed) {
            // It may be a variable of the whole workspace, and this build can do without.
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
    AwsPlan {
        keys,
        role,
        container: container(identity),
        endpoint,
    }
}

fn keys(
    id: Option<String>,
    secret: Option<String>,
    session: Option<&str>,
    findings: &mut Findings,
) -> Option<AwsKeys> {
    let hint = "keep AWS_SECRET_ACCESS_KEY as a secured variable of the repository or the workspace; pull requests from \
                forks get no secured variables";
    match (id, secret) {
        (Some(id), Some(secret)) => {
            let id = id.trim().to_owned();
            let is_id = id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_id {
                // Not shown: the two are easily put in each other's place.
                let problem = "is not the id of an access key";
                let advice = "write the id, such as `AKIAIOSFODNN7EXAMPLE`, and the key itself into AWS_SECRET_ACCESS_KEY";
                findings.fault(Fault::new(KEY_ID, problem, advice));
                return None;
            }
            Some(AwsKeys {
                id,
                secret: trimmed(&secret),
                session: session.map(trimmed),
            })
        }
        (Some(_), None) => {
            let problem = "not set, though AWS_ACCESS_KEY_ID is";
            findings.fault(Fault::new(KEY, problem, "give both, or neither").with_hint(hint));
            None
        }
        (None, Some(_)) => {
            let problem = "not set, though AWS_SECRET_ACCESS_KEY is";
            findings.fault(Fault::new(KEY_ID, problem, "give both, or neither"));
            None
        }
        // A session without key is of no use, and of no harm.
        (None, None) => None,
    }
}

fn role(
    arn: &str,
    token: Option<String>,
    pipeline: &PipelineVariables,
    findings: &mut Findings,
) -> Option<AwsRole> {
    let arn = arn.trim();
    let is_good = is_role(arn);
    if !is_good {
        let problem = format!("{} is not the ARN of a role", findings.shown(arn));
        let advice = "write the role's ARN, such as `arn:aws:iam::123456789012:role/pipelines`";
        findings.fault(Fault::new(ROLE, problem, advice));
    }
    let Some(token) = token else {
        let problem = "set, but the step has no OIDC token, because it lacks `oidc: true`";
        let advice = "add `oidc: true` to the step";
        findings.fault(Fault::new(ROLE, problem, advice).with_hint(OIDC_HINT));
        return None;
    };
    is_good.then(|| AwsRole {
        arn: arn.to_owned(),
        token: trimmed(&token),
        session_name: session_name(pipeline),
    })
}

/// `arn:aws:iam::123456789012:role/path/name`, in any of Amazon's partitions.
fn is_role(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [scheme, partition, service, region, account, resource] = parts[..] else {
        return false;
    };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
    let name = resource.strip_prefix("role/").unwrap_or_default();
    scheme == "arn"
        && (partition == "aws" || partition.starts_with("aws-"))
        && service == "iam"
        && region.is_empty()
        && is_account
        && !name.is_empty()
        && name.bytes().all(is_plain)
}

/// How the session is called in Amazon's records: after the build that it is for.
fn session_name(pipeline: &PipelineVariables) -> String {
    let parts = [
        Some("depot-build"),
        pipeline.bitbucket_repo_slug.as_deref(),
        pipeline.bitbucket_build_number.as_deref(),
    ];
    let name = parts.into_iter().flatten().collect::<Vec<_>>().join("-");
    let is_allowed =
        |character: &char| character.is_ascii_alphanumeric() || "_+=,.@-".contains(*character);
    name.chars()
        .filter(is_allowed)
        .take(SESSION_MAX_CHARACTERS)
        .collect()
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
            "write an address without login and query, such as `https://vpce.example.com`, or leave it out",
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

/// Where the machine's container service gives out credentials. What cannot be read is none: the user did not write it.
fn container(identity: IdentityVariables) -> Option<AwsContainer> {
    let url = match (
        identity.aws_container_credentials_relative_uri,
        identity.aws_container_credentials_full_uri,
    ) {
        // Behind the base as it stands: joined, it could name another host.
        (Some(path), _) if path.starts_with('/') => {
            Url::parse(&format!("{CONTAINER_BASE}{path}")).ok()?
        }
        (None, Some(url)) => Url::parse(&url).ok()?,
        (Some(_), _) | (None, None) => return None,
    };
    let file = identity.aws_container_authorization_token_file;
    let token = identity.aws_container_authorization_token;
    Some(AwsContainer {
        url,
        authorization: match (file, token) {
            (Some(path), _) => Some(AwsAuthorization::File(PathBuf::from(path))),
            (None, Some(token)) => Some(AwsAuthorization::Token(token.into())),
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

    fn outcome(variables: AmazonVariables, token: Option<&str>) -> (AwsPlan, String, Vec<Warning>) {
        outcome_for(true, variables, token)
    }

    fn outcome_for(
        is_needed: bool,
        variables: AmazonVariables,
        token: Option<&str>,
    ) -> (AwsPlan, String, Vec<Warning>) {
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
    fn what_is_no_role_is_told() {
        for arn in [
            "pipelines",
            "arn:aws:iam::123456789012:user/me",
            "arn:aws:iam::1234:role/x",
            "arn:aws:iam:eu-central-1:123456789012:role/x",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
        ] {
            assert!(!is_role(arn), "{arn}");
        }
        for arn in [
            ARN,
            "arn:aws-cn:iam::123456789012:role/x",
            "arn:aws-us-gov:iam::123456789012:role/x",
        ] {
            assert!(is_role(arn), "{arn}");
        }
    }

    #[test]
    fn keys_go_in_pairs_and_a_role_goes_before_them() {
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
    fn one_address_for_all_holds_no_login() {
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
    fn a_containers_endpoint_is_relative_or_whole() {
        let relative = container(IdentityVariables {
            aws_container_credentials_relative_uri: Some("/v2/credentials/x".into()),
            ..IdentityVariables::default()
        });
        assert_eq!(
            relative.unwrap().url.as_str(),
            "http://169.254.170.2/v2/credentials/x"
        );
        for path in ["//evil.example/x", "@evil.example/x", "x"] {
            let relative = container(IdentityVariables {
                aws_container_credentials_relative_uri: Some(path.into()),
                ..IdentityVariables::default()
            });
            let host = relative.map(|container| container.url.host_str().map(str::to_owned));
            assert!(
                host.is_none_or(|host| host.as_deref() == Some("169.254.170.2")),
                "{path}"
            );
        }
        let whole = container(IdentityVariables {
            aws_container_credentials_full_uri: Some("http://127.0.0.1:7/c".into()),
            aws_container_authorization_token_file: Some("/t".into()),
            ..IdentityVariables::default()
        });
        let whole = whole.unwrap();
        assert!(matches!(
            whole.authorization,
            Some(AwsAuthorization::File(_))
        ));
    }
}
