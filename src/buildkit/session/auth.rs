//! `moby.filesync.v1.Auth`: the builder's access to registries.
//!
//! If a registry supports tokens, this program fetches them, and the builder gets nothing else. If a
//! registry supports only user name and password, the builder gets these, and only for that host.

mod authority;

use std::sync::Arc;

use bollard_buildkit_proto::moby::filesync::v1::auth_server::{Auth as Methods, AuthServer};
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use secrecy::{ExposeSecret, SecretString};
use tonic::{Request, Response, Status};

use self::authority::Authority;
use super::failure::Failure;
use super::routes::Routes;
use super::service::Service;
use crate::buildkit::connect::MESSAGE_LIMIT_BYTES;

/// Provides the registries' credentials. Implemented by the user of the session.
#[tonic::async_trait]
pub(crate) trait Authorizer: Send + Sync + 'static {
    /// User name and password for exactly this host, to be sent to the builder; `None` if the host
    /// supports tokens.
    async fn credentials(&self, host: &str) -> Option<(String, SecretString)>;

    /// Fetches a token for a registry.
    async fn token(&self, request: TokenRequest) -> Result<RegistryToken, TokenError>;
}

/// A token that the builder needs, as the registry described it in its challenge.
#[derive(Clone, Debug)]
pub(crate) struct TokenRequest {
    /// The registry's host, in the builder's notation.
    pub(crate) host: String,
    /// The URL of the token server, as sent by the builder.
    pub(crate) realm: String,
    /// The registry's name at the token server.
    pub(crate) service: String,
    /// The scopes of the token.
    pub(crate) scopes: Vec<String>,
}

/// A token of a registry.
#[derive(Debug)]
pub(crate) struct RegistryToken {
    /// The token.
    pub(crate) token: SecretString,
    /// Its lifetime in seconds.
    pub(crate) expires_in: u64,
    /// When it was issued, in seconds since 1970; 0 means now.
    pub(crate) issued_at: i64,
}

/// Why there is no token.
#[derive(Debug)]
pub(crate) struct TokenError {
    /// The message, without secrets.
    pub(crate) message: String,
    /// The registry rejected the request; otherwise it could not be reached.
    pub(crate) denied: bool,
}

/// Limits for a builder's request, in bytes: the host with its port, the URL of the token server, the registry's name there, and
/// one scope; and the number of scopes. Requests are limited because they are kept in memory for a while.
const HOST_BYTES: usize = 300;
const REALM_BYTES: usize = 2048;
const SERVICE_BYTES: usize = 1024;
const SCOPE_BYTES: usize = 1024;
const SCOPES: usize = 100;

/// Rejects a request that is longer than any valid one.
fn bounded(is_bounded: bool) -> Result<(), Status> {
    is_bounded
        .then_some(())
        .ok_or_else(|| Status::invalid_argument("the request is too long"))
}

/// The service.
pub(crate) struct Auth {
    authorizer: Arc<dyn Authorizer>,
    authority: Option<Authority>,
}

impl Auth {
    /// Serves requests with `authorizer`.
    pub(crate) fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self {
            authorizer,
            authority: Authority::new(),
        }
    }

    fn authority(&self) -> Result<&Authority, Status> {
        // With "unavailable" the builder continues without a key.
        self.authority
            .as_ref()
            .ok_or_else(|| Status::unavailable("no source of randomness"))
    }
}

impl Service for Auth {
    fn methods(&self) -> &'static [&'static str] {
        &[
            "/moby.filesync.v1.Auth/Credentials",
            "/moby.filesync.v1.Auth/FetchToken",
            "/moby.filesync.v1.Auth/GetTokenAuthority",
            "/moby.filesync.v1.Auth/VerifyTokenAuthority",
        ]
    }

    fn mount(self: Box<Self>, routes: Routes, _failure: &Failure) -> Routes {
        let server = AuthServer::new(*self);
        routes.add_service(server.max_decoding_message_size(MESSAGE_LIMIT_BYTES))
    }
}

#[tonic::async_trait]
impl Methods for Auth {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let host = request.into_inner().host;
        bounded(host.len() <= HOST_BYTES)?;
        let response = match self.authorizer.credentials(&host).await {
            Some((username, password)) => {
                tracing::debug!(
                    "`{}` does not support tokens: its user name and password are sent to the builder",
                    host.escape_debug()
                );
                CredentialsResponse {
                    username,
                    secret: password.expose_secret().to_owned(),
                }
            }
            None => CredentialsResponse::default(),
        };
        Ok(Response::new(response))
    }

    async fn fetch_token(
        &self,
        request: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        let request = request.into_inner();
        bounded(
            request.host.len() <= HOST_BYTES
                && request.realm.len() <= REALM_BYTES
                && request.service.len() <= SERVICE_BYTES
                && request.scopes.len() <= SCOPES
                && request
                    .scopes
                    .iter()
                    .all(|scope| scope.len() <= SCOPE_BYTES),
        )?;
        let fetched = self
            .authorizer
            .token(TokenRequest {
                host: request.host,
                realm: request.realm,
                service: request.service,
                scopes: request.scopes,
            })
            .await;
        match fetched {
            Ok(token) => Ok(Response::new(FetchTokenResponse {
                token: token.token.expose_secret().to_owned(),
                expires_in: i64::try_from(token.expires_in).unwrap_or(i64::MAX),
                issued_at: token.issued_at,
            })),
            Err(error) => {
                // Not a failure of the session: the builder continues without a token if possible. Otherwise
                // its error contains this message and the purpose of the token.
                tracing::debug!("no token: {}", error.message);
                Err(if error.denied {
                    Status::unauthenticated(error.message)
                } else {
                    Status::unavailable(error.message)
                })
            }
        }
    }

    async fn get_token_authority(
        &self,
        request: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        let request = request.into_inner();
        let public_key = self
            .authority()?
            .public_key(&request.host, &request.salt)
            .ok_or_else(|| Status::unavailable("no key"))?;
        Ok(Response::new(GetTokenAuthorityResponse { public_key }))
    }

    async fn verify_token_authority(
        &self,
        request: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        let request = request.into_inner();
        let signed = self
            .authority()?
            .sign(&request.host, &request.salt, &request.payload)
            .ok_or_else(|| Status::unavailable("no key"))?;
        Ok(Response::new(VerifyTokenAuthorityResponse { signed }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Generous;

    #[tonic::async_trait]
    impl Authorizer for Generous {
        async fn credentials(&self, _host: &str) -> Option<(String, SecretString)> {
            Some(("user".into(), "password".into()))
        }

        async fn token(&self, _request: TokenRequest) -> Result<RegistryToken, TokenError> {
            Ok(RegistryToken {
                token: "token".into(),
                expires_in: 60,
                issued_at: 0,
            })
        }
    }

    #[tokio::test]
    async fn a_request_that_is_too_long_is_rejected() {
        let auth = Auth::new(Arc::new(Generous));
        let host = |host: String| Request::new(CredentialsRequest { host });
        assert!(
            auth.credentials(host("a.example:5000".into()))
                .await
                .is_ok()
        );
        assert!(auth.credentials(host("x".repeat(1 << 20))).await.is_err());

        let good = FetchTokenRequest {
            host: "a.example".into(),
            realm: "https://a.example/token".into(),
            service: "a.example".into(),
            scopes: vec!["repository:acme/app:pull,push".into()],
            ..FetchTokenRequest::default()
        };
        assert!(auth.fetch_token(Request::new(good.clone())).await.is_ok());
        let long = || "x".repeat(1 << 20);
        for bad in [
            FetchTokenRequest {
                host: long(),
                ..good.clone()
            },
            FetchTokenRequest {
                realm: long(),
                ..good.clone()
            },
            FetchTokenRequest {
                service: long(),
                ..good.clone()
            },
            FetchTokenRequest {
                scopes: vec![long()],
                ..good.clone()
            },
            FetchTokenRequest {
                scopes: vec!["x".into(); 1000],
                ..good.clone()
            },
        ] {
            let refused = auth.fetch_token(Request::new(bad)).await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        }
    }
}
