//! Serves the builder's requests for registry access with the credentials of this run.

use std::sync::Arc;

use secrecy::SecretString;

use super::registries::Registries;
use crate::buildkit::session::{Authorizer, RegistryToken, TokenError, TokenRequest};

/// The session's authorizer over the run's [`Registries`], which all of its sessions share.
pub(super) struct RegistryAuthorizer(pub(super) Arc<Registries>);

#[tonic::async_trait]
impl Authorizer for RegistryAuthorizer {
    async fn credentials(&self, host: &str) -> Option<(String, SecretString)> {
        let tokens = &self.0.tokens;
        let credential = tokens.credential_without_tokens(host).await?;
        Some((
            credential.username().to_owned(),
            credential.password().clone(),
        ))
    }

    async fn token(&self, request: TokenRequest) -> Result<RegistryToken, TokenError> {
        let fetched = self
            .0
            .tokens
            .fetch(
                &request.host,
                &request.realm,
                &request.service,
                &request.scopes,
            )
            .await;
        match fetched {
            Ok(token) => {
                tracing::debug!("fetched a token of `{}`", request.host.escape_debug());
                Ok(RegistryToken {
                    token: token.value,
                    expires_in: token.expires_in,
                    issued_at: token.issued_at.unwrap_or(0),
                })
            }
            Err(error) => Err(TokenError {
                denied: error.is_denied(),
                message: crate::text::cause::one_line(&error),
            }),
        }
    }
}
