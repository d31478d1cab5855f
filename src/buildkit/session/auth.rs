//! `moby.filesync.v1.Auth`: what the builder may know of registries.
//!
//! Where a registry takes tokens, we fetch them and the builder sees nothing else. Only where it
//! takes nothing but user name and password does the builder get those, for that host alone.

use std::sync::Arc;

use bollard_buildkit_proto::moby::filesync::v1::auth_server::Auth as Service;
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use secrecy::{ExposeSecret, SecretString};
use tonic::{Request, Response, Status};

use super::authority::Authority;

/// Knows the registries' credentials. Implemented by whoever uses the session.
#[tonic::async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// User name and password for exactly this host, to be given to the builder; none where the host
    /// takes tokens.
    async fn credentials(&self, host: &str) -> Option<(String, SecretString)>;

    /// A token for a registry, fetched by us.
    async fn token(&self, request: TokenRequest) -> Result<RegistryToken, TokenError>;
}

/// A token that the builder needs, as the registry described it in its challenge.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The registry's host, as the builder calls it.
    pub host: String,
    /// Where tokens are given out, by the builder's word.
    pub realm: String,
    /// The registry's name at that place.
    pub service: String,
    /// What the token is to allow.
    pub scopes: Vec<String>,
}

/// A token of a registry.
#[derive(Debug)]
pub struct RegistryToken {
    /// The token.
    pub token: SecretString,
    /// Its life in seconds.
    pub expires_in: u64,
    /// When it began, in seconds since 1970; 0 for now.
    pub issued_at: i64,
}

/// Why there is no token.
#[derive(Debug)]
pub struct TokenError {
    /// For people, without secrets.
    pub message: String,
    /// The registry refused, as opposed to not being reached.
    pub denied: bool,
}

/// Bounds of what a builder may ask for, in bytes: a host with its port, a place for tokens, a registry's name there, and one
/// scope; and how many scopes. What is asked for is remembered for a while.
const HOST_BYTES: usize = 300;
const REALM_BYTES: usize = 2048;
const SERVICE_BYTES: usize = 1024;
const SCOPE_BYTES: usize = 1024;
const SCOPES: usize = 100;

/// Refuses a question that is longer than any real one.
fn bounded(is_bounded: bool) -> Result<(), Status> {
    is_bounded
        .then_some(())
        .ok_or_else(|| Status::invalid_argument("the request is too long"))
}

/// The service.
pub(super) struct Auth {
    authorizer: Arc<dyn Authorizer>,
    authority: Option<Authority>,
}

impl Auth {
    pub(super) fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self {
            authorizer,
            authority: Authority::new(),
        }
    }

    fn authority(&self) -> Result<&Authority, Status> {
        // "Unavailable" makes the builder go on without.
        self.authority
            .as_ref()
            .ok_or_else(|| Status::unavailable("no source of randomness"))
    }
}

#[tonic::async_trait]
impl Service for Auth {
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
                // Not a failure of the session: the builder goes on without where it can, and where it
                // cannot, its own words hold these and tell what they were for.
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
    async fn a_question_that_is_too_long_is_not_taken() {
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
