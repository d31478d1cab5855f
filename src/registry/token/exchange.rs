//! Requests to a token server, and the meaning of its replies.

use std::time::SystemTime;

use reqwest::{RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret;
use url::Url;

use super::attempts::{Attempts, transient_error, transient_status};
use super::realm::authority;
use super::reply::{MAX_REPLY_BYTES, Reply};
use super::{Token, TokenError, Tokens};
use crate::http::body::BodyError;
use crate::http::trace;
use crate::registry::credentials::Credential;
use crate::registry::guard::ForbiddenAddress;
use crate::registry::transient::is_unavailable;
use crate::text::cut::printable;

impl Tokens {
    /// `OAuth2` with the password, or with an identity token.
    pub(super) async fn post(
        &self,
        query: &Query<'_>,
        credential: &Credential,
    ) -> Result<PostOutcome, TokenError> {
        let scope = query.scopes.join(" ");
        let secret = credential.password().expose_secret();
        let mut form = vec![("client_id", env!("CARGO_PKG_NAME"))];
        if credential.is_identity_token() {
            form.extend([("grant_type", "refresh_token"), ("refresh_token", secret)]);
        } else {
            form.extend([
                ("grant_type", "password"),
                ("username", credential.username()),
                ("password", secret),
            ]);
        }
        form.extend(parameter("service", query.service));
        form.extend(parameter("scope", &scope));
        let request = self
            .reach
            .client_for_target(query.host, &query.realm, true)
            .post(query.realm.clone())
            .form(&form);
        let reply = query.send(request).await?;
        match reply.status {
            // Google, JFrog and others return these if they do not support POST. Token servers that support it
            // return some of them for a wrong password.
            StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED => {
                let is_rejected =
                    reply.status == StatusCode::UNAUTHORIZED || reply.is_invalid_grant();
                Ok(PostOutcome::Failed {
                    rejection: is_rejected.then(|| query.denied(&reply)),
                })
            }
            _ => query.token(&reply).map(PostOutcome::Token),
        }
    }

    /// GET, with Basic authentication if there is a credential.
    pub(super) async fn get(&self, query: &Query<'_>) -> Result<Token, TokenError> {
        let mut parameters: Vec<_> = parameter("service", query.service).collect();
        parameters.extend(query.scopes.iter().map(|scope| ("scope", scope.as_str())));
        let is_named = query.credential.is_some();
        let http = self
            .reach
            .client_for_target(query.host, &query.realm, is_named);
        let mut request = http.get(query.realm.clone());
        if let Some(credential) = query.credential {
            parameters.push(("account", credential.username()));
            request = request.basic_auth(
                credential.username(),
                Some(credential.password().expose_secret()),
            );
        }
        let reply = query.send(request.query(&parameters)).await?;
        query.token(&reply)
    }
}

/// The outcome of a POST.
pub(super) enum PostOutcome {
    Token(Token),
    /// The token server may not support POST. `rejection` is the error if it does.
    Failed {
        rejection: Option<TokenError>,
    },
}

/// A parameter, unless it is empty: some token servers reject those.
fn parameter<'a>(name: &'a str, value: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    (!value.is_empty()).then_some((name, value)).into_iter()
}

/// A request for a token.
pub(super) struct Query<'a> {
    pub(super) host: &'a str,
    pub(super) realm: Url,
    pub(super) service: &'a str,
    pub(super) scopes: &'a [String],
    pub(super) credential: Option<&'a Credential>,
    pub(super) attempts: &'a Attempts,
}

impl Query<'_> {
    async fn send(&self, request: RequestBuilder) -> Result<Reply, TokenError> {
        let at = authority(&self.realm);
        let attempt = || async {
            // The body is a short text, so the request can be cloned.
            let Some(copy) = request.try_clone() else {
                return (
                    Err(self.unusable("the request cannot be cloned".into())),
                    None,
                );
            };
            // The limit includes the body of the response.
            let sent = trace::send(copy.timeout(self.attempts.limit())).await;
            let (unavailable, reply) = match sent {
                Ok(response) => (
                    transient_status(&at, response.status(), response.headers()),
                    self.read(response).await,
                ),
                Err(error) => (None, Err(self.transport(error))),
            };
            let error = reply.as_ref().err();
            let transient =
                unavailable.or_else(|| error.and_then(|error| transient_error(&at, error)));
            (reply, transient)
        };
        self.attempts.run(attempt).await
    }

    async fn read(&self, response: Response) -> Result<Reply, TokenError> {
        Reply::read(response).await.map_err(|error| match error {
            BodyError::TooLarge => {
                self.unusable(format!("the reply is longer than {MAX_REPLY_BYTES} bytes"))
            }
            BodyError::Broken(source) => self.transport(source),
        })
    }

    fn token(&self, reply: &Reply) -> Result<Token, TokenError> {
        if matches!(
            reply.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return Err(self.denied(reply));
        }
        if is_unavailable(reply.status) {
            return Err(TokenError::Unavailable {
                host: self.host.to_owned(),
                status: reply.status.as_u16(),
                message: self.message(reply),
            });
        }
        let token = reply.token(SystemTime::now());
        token.map_err(|problem| self.unusable(problem))
    }

    fn denied(&self, reply: &Reply) -> TokenError {
        let identity = match self.credential {
            Some(credential) => {
                let user = match credential.username() {
                    "" => "an identity token".to_owned(),
                    user => format!("the credentials of user `{}`", printable(user, 100)),
                };
                let origin = credential.origin().map(|origin| format!(" from {origin}"));
                user + &origin.unwrap_or_default()
            }
            None => "anonymous access".into(),
        };
        TokenError::Denied {
            host: self.host.to_owned(),
            identity,
            status: reply.status.as_u16(),
            message: self.message(reply),
        }
    }

    fn message(&self, reply: &Reply) -> String {
        match reply.message(self.credential) {
            message if message.is_empty() => message,
            message => format!(": {message}"),
        }
    }

    pub(super) fn unusable(&self, problem: String) -> TokenError {
        TokenError::Unusable {
            host: self.host.to_owned(),
            problem,
        }
    }

    fn transport(&self, source: reqwest::Error) -> TokenError {
        if ForbiddenAddress::is_cause_of(&source) {
            return TokenError::Realm {
                host: self.host.to_owned(),
                realm: printable(self.realm.as_str(), 200),
                reason: "its name resolves to an address of this machine or a link-local address, which only a registry on this machine may use",
            };
        }
        TokenError::Transport {
            host: self.host.to_owned(),
            at: authority(&self.realm),
            source: source.without_url(),
        }
    }
}
