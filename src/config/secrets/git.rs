//! Tokens for Git repositories, under the ids by which a builder requests them.
//!
//! For a repository on HOST, BuildKit requests `GIT_AUTH_HEADER.HOST`, `GIT_AUTH_TOKEN.HOST`, `GIT_AUTH_HEADER` and
//! `GIT_AUTH_TOKEN`, in this order (`source/git/source.go`). It sends a token as the password of the user
//! `x-access-token`, and a header unchanged. Bitbucket requires other users, so its tokens are also offered as a header.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use super::SecretsPlan;
use crate::bitbucket::git_user;
use crate::config::fault::Fault;
use crate::config::findings::Findings;

const VARIABLE: &str = "GIT_AUTH_TOKEN";

/// The ids without a host.
const TOKEN: &str = "GIT_AUTH_TOKEN";
const HEADER: &str = "GIT_AUTH_HEADER";

/// Bitbucket's host in an id.
const BITBUCKET: &str = "bitbucket.org";

/// Adds the token. One in `SECRETS` or `SECRET_FILES` takes precedence.
pub(super) fn read_token(token: &str, plan: &mut SecretsPlan, findings: &mut Findings) {
    let token = token.trim();
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = "contains white space or characters that are not ASCII";
        let advice = "write the token alone, without a user name";
        findings.fault(Fault::new(VARIABLE, problem, advice));
    } else if !plan.has(TOKEN) {
        plan.mask(token);
        plan.values.push((TOKEN.to_owned(), token.into()));
    }
}

/// Adds the header for the token that a builder would use for Bitbucket. A token in a file is not converted.
pub(super) fn add_headers(plan: &mut SecretsPlan) {
    let (own_header, own_token) = (id(HEADER), id(TOKEN));
    if plan.has(&own_header) {
        return;
    }
    let token = if plan.has(&own_token) {
        plan.value(&own_token)
    } else if plan.has(HEADER) {
        None
    } else {
        plan.value(TOKEN)
    };
    let Some(token) = token.map(|token| token.expose_secret().trim().to_owned()) else {
        return;
    };
    if token.is_empty() {
        return;
    }
    let login = format!("{}:{token}", git_user(&token));
    let login = STANDARD.encode(login);
    plan.masked.push(login.as_str().into());
    let header = SecretString::from(format!("basic {login}"));
    plan.values.push((own_header, header));
}

fn id(name: &str) -> String {
    format!("{name}.{BITBUCKET}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(secrets: &[(&str, &str)], token: Option<&str>) -> (SecretsPlan, String) {
        let mut plan = SecretsPlan::default();
        for (id, value) in secrets {
            plan.values.push(((*id).to_owned(), (*value).into()));
        }
        let mut findings = Findings::default();
        if let Some(token) = token {
            read_token(token, &mut plan, &mut findings);
        }
        add_headers(&mut plan);
        (plan, findings.into_error().to_string())
    }

    /// The user and the token in the header for Bitbucket.
    fn login(plan: &SecretsPlan) -> Option<String> {
        let header = plan.value("GIT_AUTH_HEADER.bitbucket.org")?.expose_secret();
        let login = STANDARD.decode(header.strip_prefix("basic ")?).ok()?;
        String::from_utf8(login).ok()
    }

    #[test]
    fn a_token_is_offered_to_all_hosts_and_as_a_header_to_bitbucket() {
        for (token, user) in [
            ("ATCTT3xFfGN0abc=1F", "x-token-auth"),
            ("ATATT3xFfGF0abc=2E", "x-bitbucket-api-token-auth"),
            (" another-token\n", "x-token-auth"),
        ] {
            let (plan, error) = plan_of(&[], Some(token));
            assert_eq!(error, "");
            let token = token.trim();
            assert_eq!(plan.value(TOKEN).unwrap().expose_secret(), token);
            assert_eq!(login(&plan), Some(format!("{user}:{token}")));
            let masked: Vec<_> = plan
                .masked
                .iter()
                .map(ExposeSecret::expose_secret)
                .collect();
            let encoded = STANDARD.encode(format!("{user}:{token}"));
            assert!(
                masked.contains(&token) && masked.contains(&&*encoded),
                "{masked:?}"
            );
        }
    }

    #[test]
    fn secrets_take_precedence_over_the_variable() {
        let (plan, _) = plan_of(&[("GIT_AUTH_TOKEN", "of-secrets")], Some("of-variable"));
        assert_eq!(plan.value(TOKEN).unwrap().expose_secret(), "of-secrets");
        assert_eq!(login(&plan).unwrap(), "x-token-auth:of-secrets");
        for (secrets, expected) in [
            (
                &[("GIT_AUTH_TOKEN.bitbucket.org", "own")][..],
                Some("x-token-auth:own"),
            ),
            (
                &[("GIT_AUTH_TOKEN.github.com", "other")],
                Some("x-token-auth:of-variable"),
            ),
            (&[("GIT_AUTH_HEADER", "bearer all")], None),
            (
                &[
                    ("GIT_AUTH_HEADER", "bearer all"),
                    ("GIT_AUTH_TOKEN.bitbucket.org", "own"),
                ],
                Some("x-token-auth:own"),
            ),
            (&[("GIT_AUTH_TOKEN.bitbucket.org", "")], None),
        ] {
            let (plan, _) = plan_of(secrets, Some("of-variable"));
            assert_eq!(login(&plan).as_deref(), expected, "{secrets:?}");
        }
        let header = [("GIT_AUTH_HEADER.bitbucket.org", "bearer own")];
        let (plan, _) = plan_of(&header, Some("of-variable"));
        let headers = plan.values.iter().filter(|(id, _)| id.starts_with(HEADER));
        assert_eq!(headers.count(), 1);
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_reported_without_its_value() {
        for token in ["hun ter", "hun\nter", "hünter"] {
            let (plan, error) = plan_of(&[], Some(token));
            assert!(
                error.starts_with("GIT_AUTH_TOKEN: contains white space"),
                "{error}"
            );
            assert!(!error.contains("ter2") && plan.values.is_empty());
        }
        assert!(plan_of(&[], None).0.values.is_empty());
    }
}
