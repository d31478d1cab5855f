//! Issues tokens: by GET as in the distribution project's token specification, and by the POST of `OAuth2`.
//!
//! Strict: an invalid request gets a 400 and is recorded as unforeseen. As the specification requires, a request with a
//! right password and too large a scope gets a token with fewer permissions; the registry then rejects the client.

use std::io;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::super::login::Login;
use super::plan::{TokenAnswer, TokenPlan};
use super::record::{PasswordSeen, Recorder, TokenRequest};
use super::signer::{Access, Signer};

/// The registry's name in challenges and tokens.
pub(super) const SERVICE: &str = "registry of depot-ground";
/// The prefix of repositories that everyone may pull.
pub(super) const PUBLIC: &str = "public/";

/// A form of `OAuth2` has some hundred bytes.
const FORM_LIMIT_BYTES: usize = 64 << 10;

/// The users and the signing key.
#[derive(Debug)]
pub(super) struct TokenServer {
    plan: TokenPlan,
    /// The target of redirects.
    elsewhere: String,
    pub(super) signer: Signer,
    /// May pull and push everywhere.
    pub(super) owner: Login,
    /// May pull everywhere.
    pub(super) reader: Login,
    blocked: Mutex<Vec<String>>,
    pub(super) recorder: Recorder,
}

/// The credentials of a request, without the password.
struct Credentials {
    user: Option<String>,
    password: PasswordSeen,
}

impl TokenServer {
    pub(super) fn new(plan: TokenPlan, elsewhere: String) -> io::Result<Self> {
        let owner = plan.owner.clone().map_or_else(Login::random, Ok)?;
        Ok(Self {
            plan,
            elsewhere,
            signer: Signer::new()?,
            owner,
            reader: Login::random()?,
            blocked: Mutex::default(),
            recorder: Recorder::new(),
        })
    }

    /// From now on this user gets no token, even with the right password.
    pub(super) fn refuse(&self, username: &str) {
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        blocked.push(username.to_owned());
    }

    /// Responds to one request, or hangs if that is planned.
    pub(super) async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let parsed = match head.method {
            Method::GET => Ok(self.of_query(head.uri.query().unwrap_or_default(), &head.headers)),
            Method::POST => self.of_form(&head.headers, body).await,
            _ => Err(format!("{} for a token", head.method)),
        };
        let (fields, credentials) = match parsed {
            Ok(parsed) => parsed,
            Err(sentence) => {
                self.recorder.unforeseen(sentence.clone());
                return json_response(StatusCode::BAD_REQUEST, &json!({ "error": sentence }));
            }
        };
        let host = head.headers.get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let request = TokenRequest {
            method: head.method.clone(),
            host: host.to_owned(),
            fields,
            user: credentials.user,
            password: credentials.password,
            status: None,
        };
        let index = self.recorder.token_request(request.clone());
        let planned = if head.method == Method::POST {
            self.plan.post
        } else {
            self.plan.get
        };
        let response = match planned {
            TokenAnswer::Token => self.token(&request),
            TokenAnswer::Status(status) => {
                page(StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT))
            }
            TokenAnswer::Garbage => page(StatusCode::OK),
            TokenAnswer::Redirect => self.redirect(),
            TokenAnswer::Hang => std::future::pending().await,
        };
        self.recorder
            .token_status(index, response.status().as_u16());
        response
    }

    fn token(&self, request: &TokenRequest) -> Response<Full<Bytes>> {
        if let Some(sentence) = violation(request) {
            self.recorder.unforeseen(sentence.clone());
            return json_response(StatusCode::BAD_REQUEST, &json!({ "error": sentence }));
        }
        if request.password == PasswordSeen::Wrong {
            return rejection(
                StatusCode::UNAUTHORIZED,
                "incorrect username or password",
                request,
            );
        }
        if let Some(user) = &request.user {
            let blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
            if blocked.contains(user) {
                return rejection(StatusCode::FORBIDDEN, "this account is closed", request);
            }
        }
        let access: Vec<Access> = request
            .scopes()
            .into_iter()
            .filter_map(|scope| self.granted(request.user.as_deref(), scope))
            .collect();
        let subject = request.user.as_deref().unwrap_or_default();
        let life = self.plan.life;
        match self.signer.token(SERVICE, subject, &access, life) {
            Ok(token) => {
                // The name of the token differs between the two methods.
                let name = match request.method {
                    Method::POST => "access_token",
                    _ => "token",
                };
                let body = json!({ name: token, "expires_in": life.as_secs() });
                json_response(StatusCode::OK, &body)
            }
            Err(error) => json_response(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({ "error": error.to_string() }),
            ),
        }
    }

    fn redirect(&self) -> Response<Full<Bytes>> {
        let mut response = page(StatusCode::TEMPORARY_REDIRECT);
        if let Ok(location) = HeaderValue::try_from(&self.elsewhere) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    /// The part of `scope` (`repository:name:pull,push`) that the user is allowed.
    fn granted(&self, user: Option<&str>, scope: &str) -> Option<Access> {
        let (kind, rest) = scope.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let may = |action: &str| match user {
            Some(user) if user == self.owner.username => matches!(action, "pull" | "push"),
            Some(user) if user == self.reader.username => action == "pull",
            _ => action == "pull" && name.starts_with(PUBLIC),
        };
        let actions: Vec<String> = actions
            .split(',')
            .filter(|action| may(action))
            .map(str::to_owned)
            .collect();
        (kind == "repository" && !actions.is_empty()).then(|| Access {
            kind: kind.to_owned(),
            name: name.to_owned(),
            actions,
        })
    }

    fn of_query(&self, query: &str, headers: &HeaderMap) -> (Vec<(String, String)>, Credentials) {
        let fields = decoded(query.as_bytes());
        let credentials = match headers.get(header::AUTHORIZATION) {
            None => Credentials {
                user: None,
                password: PasswordSeen::Absent,
            },
            Some(value) => match basic(value) {
                Some((user, password)) => self.check(Some(user), Some(&password)),
                None => self.check(None, Some("")),
            },
        };
        (fields, credentials)
    }

    async fn of_form(
        &self,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<(Vec<(String, String)>, Credentials), String> {
        let kind = headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return Err(format!("POST for a token as `{kind}`"));
        }
        if headers.contains_key(header::AUTHORIZATION) {
            return Err("POST for a token with an Authorization header".to_owned());
        }
        let body = Limited::new(body, FORM_LIMIT_BYTES).collect().await;
        let body = body.map_err(|error| format!("unreadable form: {error}"))?;
        let (passwords, fields): (Vec<_>, Vec<_>) = decoded(&body.to_bytes())
            .into_iter()
            .partition(|(name, _)| name == "password");
        let user = fields.iter().find(|(name, _)| name == "username");
        let user = user.map(|(_, user)| user.clone());
        let password = passwords.first().map(|(_, password)| password.as_str());
        let credentials = self.check(user, password);
        Ok((fields, credentials))
    }

    fn check(&self, user: Option<String>, password: Option<&str>) -> Credentials {
        let login = [&self.owner, &self.reader]
            .into_iter()
            .find(|login| Some(&login.username) == user.as_ref());
        let password = match (login, password) {
            (_, None) => PasswordSeen::Absent,
            (Some(login), Some(password)) if login.password == password => PasswordSeen::Right,
            _ => PasswordSeen::Wrong,
        };
        Credentials { user, password }
    }
}

/// How a request violates the specifications.
fn violation(request: &TokenRequest) -> Option<String> {
    let field = |name| request.field(name);
    if field("service") != Some(SERVICE) {
        return Some(format!("a token for service {:?}", field("service")));
    }
    if let Some(scope) = request
        .scopes()
        .into_iter()
        .find(|scope| scope.split(':').count() < 3)
    {
        return Some(format!("a token for scope `{scope}`"));
    }
    if request.method == Method::POST {
        if field("grant_type") != Some("password") {
            return Some(format!("a grant of type {:?}", field("grant_type")));
        }
        if field("client_id").is_none_or(str::is_empty) {
            return Some("a POST for a token without client_id".to_owned());
        }
        if request.user.is_none() || request.password == PasswordSeen::Absent {
            return Some("a POST for a token without user or password".to_owned());
        }
    } else if field("account").is_some() && field("account") != request.user.as_deref() {
        return Some("a token for another account".to_owned());
    }
    None
}

fn rejection(status: StatusCode, message: &str, request: &TokenRequest) -> Response<Full<Bytes>> {
    let body = if request.method == Method::POST {
        json!({ "error": "invalid_grant", "error_description": message })
    } else {
        json!({ "errors": [{ "code": "UNAUTHORIZED", "message": message }] })
    };
    json_response(status, &body)
}

fn decoded(bytes: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(bytes).into_owned().collect()
}

/// User and password of a `Basic` header.
fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    let decoded = STANDARD.decode(encoded).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| (user.to_owned(), password.to_owned()))
}

fn json_response(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    typed(status, "application/json", body.to_string())
}

fn page(status: StatusCode) -> Response<Full<Bytes>> {
    let body = format!("<html><head><title>{status}</title></head><body></body></html>\n");
    typed(status, "text/html", body)
}

fn typed(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
