//! Gives out tokens: GET by the distribution project's token specification, and the POST of `OAuth2`.
//!
//! Strict: what a client should not send is answered with 400 and noted as unforeseen. As the specification has it, a
//! right password with too much asked for gets a token that allows less; the registry then refuses.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{
    super::login::Login,
    plan::{TokenAnswer, TokenPlan},
    record::{Notes, PasswordSeen, TokenRequest},
    signer::{Access, Signer},
};

/// The registry's name in challenges and tokens.
pub(super) const SERVICE: &str = "registry of depot-ground";
/// Repositories that anybody may pull begin with this.
pub(super) const PUBLIC: &str = "public/";

/// A form of `OAuth2` has some hundred bytes.
const FORM_LIMIT: usize = 64 << 10;

/// The one place that knows users and signs.
#[derive(Debug)]
pub(super) struct TokenServer {
    plan: TokenPlan,
    /// Where redirections lead.
    elsewhere: String,
    pub(super) signer: Signer,
    /// May pull and push everywhere.
    pub(super) owner: Login,
    /// May pull everywhere.
    pub(super) reader: Login,
    refused: Mutex<Vec<String>>,
    pub(super) notes: Notes,
}

/// What a request says of its sender.
struct Claim {
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
            refused: Mutex::default(),
            notes: Notes::new(),
        })
    }

    /// From now on this user gets no tokens, whatever the password.
    pub(super) fn refuse(&self, username: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.push(username.to_owned());
    }

    /// Answers one request, or never.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let read = match head.method {
            Method::GET => Ok(self.of_query(head.uri.query().unwrap_or_default(), &head.headers)),
            Method::POST => self.of_form(&head.headers, body).await,
            _ => Err(format!("{} for a token", head.method)),
        };
        let (fields, claim) = match read {
            Ok(read) => read,
            Err(sentence) => {
                self.notes.unforeseen(sentence.clone());
                return json_answer(StatusCode::BAD_REQUEST, &json!({ "error": sentence }));
            }
        };
        let host = head.headers.get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let request = TokenRequest {
            method: head.method.clone(),
            host: host.to_owned(),
            fields,
            user: claim.user,
            password: claim.password,
            status: None,
        };
        let place = self.notes.token_request(request.clone());
        let planned = if head.method == Method::POST {
            self.plan.post
        } else {
            self.plan.get
        };
        let answer = match planned {
            TokenAnswer::Token => self.token(&request),
            TokenAnswer::Status(status) => {
                page(StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT))
            }
            TokenAnswer::Garbage => page(StatusCode::OK),
            TokenAnswer::Redirect => self.redirection(),
            TokenAnswer::Hang => std::future::pending().await,
        };
        self.notes.token_answered(place, answer.status().as_u16());
        answer
    }

    fn token(&self, request: &TokenRequest) -> Response<Full<Bytes>> {
        if let Some(sentence) = fault(request) {
            self.notes.unforeseen(sentence.clone());
            return json_answer(StatusCode::BAD_REQUEST, &json!({ "error": sentence }));
        }
        if request.password == PasswordSeen::Wrong {
            return refusal(
                StatusCode::UNAUTHORIZED,
                "incorrect username or password",
                request,
            );
        }
        if let Some(user) = &request.user {
            let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            if refused.contains(user) {
                return refusal(StatusCode::FORBIDDEN, "this account is closed", request);
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
                // Each method's answer has its own name for the token.
                let name = match request.method {
                    Method::POST => "access_token",
                    _ => "token",
                };
                let body = json!({ name: token, "expires_in": life.as_secs() });
                json_answer(StatusCode::OK, &body)
            }
            Err(error) => json_answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({ "error": error.to_string() }),
            ),
        }
    }

    fn redirection(&self) -> Response<Full<Bytes>> {
        let mut answer = page(StatusCode::TEMPORARY_REDIRECT);
        if let Ok(location) = HeaderValue::try_from(&self.elsewhere) {
            answer.headers_mut().insert(header::LOCATION, location);
        }
        answer
    }

    /// As much of `scope` (`repository:name:pull,push`) as the user may.
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

    fn of_query(&self, query: &str, headers: &HeaderMap) -> (Vec<(String, String)>, Claim) {
        let fields = decoded(query.as_bytes());
        let claim = match headers.get(header::AUTHORIZATION) {
            None => Claim {
                user: None,
                password: PasswordSeen::Absent,
            },
            Some(value) => match basic(value) {
                Some((user, password)) => self.claim(Some(user), Some(&password)),
                None => self.claim(None, Some("")),
            },
        };
        (fields, claim)
    }

    async fn of_form(
        &self,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<(Vec<(String, String)>, Claim), String> {
        let kind = headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return Err(format!("POST for a token as `{kind}`"));
        }
        if headers.contains_key(header::AUTHORIZATION) {
            return Err("POST for a token with an Authorization header".to_owned());
        }
        let body = Limited::new(body, FORM_LIMIT).collect().await;
        let body = body.map_err(|error| format!("a form that cannot be read: {error}"))?;
        let (passwords, fields): (Vec<_>, Vec<_>) = decoded(&body.to_bytes())
            .into_iter()
            .partition(|(name, _)| name == "password");
        let user = fields.iter().find(|(name, _)| name == "username");
        let user = user.map(|(_, user)| user.clone());
        let password = passwords.first().map(|(_, password)| password.as_str());
        let claim = self.claim(user, password);
        Ok((fields, claim))
    }

    fn claim(&self, user: Option<String>, password: Option<&str>) -> Claim {
        let login = [&self.owner, &self.reader]
            .into_iter()
            .find(|login| Some(&login.username) == user.as_ref());
        let password = match (login, password) {
            (_, None) => PasswordSeen::Absent,
            (Some(login), Some(password)) if login.password == password => PasswordSeen::Right,
            _ => PasswordSeen::Wrong,
        };
        Claim { user, password }
    }
}

/// What is wrong with a request, by the specifications.
fn fault(request: &TokenRequest) -> Option<String> {
    let field = |name| request.field(name);
    if field("service") != Some(SERVICE) {
        return Some(format!("a token of service {:?}", field("service")));
    }
    if let Some(scope) = request
        .scopes()
        .into_iter()
        .find(|scope| scope.split(':').count() < 3)
    {
        return Some(format!("a token of scope `{scope}`"));
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
        return Some("a token of another account".to_owned());
    }
    None
}

fn refusal(status: StatusCode, message: &str, request: &TokenRequest) -> Response<Full<Bytes>> {
    let body = if request.method == Method::POST {
        json!({ "error": "invalid_grant", "error_description": message })
    } else {
        json!({ "errors": [{ "code": "UNAUTHORIZED", "message": message }] })
    };
    json_answer(status, &body)
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

fn json_answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    typed(status, "application/json", body.to_string())
}

fn page(status: StatusCode) -> Response<Full<Bytes>> {
    let body = format!("<html><head><title>{status}</title></head><body></body></html>\n");
    typed(status, "text/html", body)
}

fn typed(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
