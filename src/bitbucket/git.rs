//! Logins for Git repositories on Bitbucket over HTTPS.

/// The start of an API token of an Atlassian account. Access tokens of repositories, projects and workspaces start with `ATCTT`.
const API_TOKEN: &str = "ATATT";

/// The user name that belongs to a token ("Using API tokens" and "Using access tokens" in Bitbucket's documentation).
pub(crate) fn git_user(token: &str) -> &'static str {
    if token.starts_with(API_TOKEN) {
        "x-bitbucket-api-token-auth"
    } else {
        "x-token-auth"
    }
}
