//! Amazon ECR: logins and repositories of its registries.
//!
//! The API of ECR returns a login, valid for twelve hours, in response to a signed request. So only the host of a reference
//! and AWS credentials are needed: no other program, and no `docker login`. Each account and region has its own registry
//! and its own login.

mod access;
pub(crate) mod call;
mod error;
mod host;
mod identity;
mod renewal;
#[cfg(test)]
mod tests;
pub(crate) mod xml;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::{Value, json};

pub(crate) use access::{Access, Authorization, Container, Keys, Role};
pub(crate) use error::EcrError;
pub(crate) use host::EcrHost;

use super::credentials::{Credential, SecretListener};
use renewal::Renewals;

/// The lifetime of a login without `expiresAt`, by Amazon's documentation.
const LOGIN_LIFETIME: Duration = Duration::from_hours(12);

/// A client for logins and repositories of Amazon ECR.
pub(crate) struct Ecr {
    http: reqwest::Client,
    direct: reqwest::Client,
    access: Access,
    listener: SecretListener,
    /// By whether they are for China's regions, which have separate accounts.
    keys: Renewals<bool, Keys>,
    /// Set if no credentials exist: each search for them takes a second.
    has_no_identity: AtomicBool,
    logins: Renewals<EcrHost, Credential>,
}

impl fmt::Debug for Ecr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("Ecr");
        fields.field("access", &self.access).finish_non_exhaustive()
    }
}

/// Whether a repository was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ensured {
    /// It existed.
    Existed,
    /// It was created.
    Created,
}

impl Ecr {
    /// `http` follows no redirects; `direct` uses no proxy either.
    #[must_use]
    pub(crate) fn new(
        http: reqwest::Client,
        direct: reqwest::Client,
        access: Access,
        listener: SecretListener,
    ) -> Self {
        Self {
            http,
            direct,
            access,
            listener,
            keys: Renewals::default(),
            has_no_identity: AtomicBool::new(false),
            logins: Renewals::default(),
        }
    }

    /// A valid login. Concurrent callers share one request for each registry.
    pub(crate) async fn credential(
        &self,
        name: &str,
        host: &EcrHost,
    ) -> Result<Credential, EcrError> {
        self.logins
            .get(host.clone(), async || self.login(name, host).await)
            .await
    }

    async fn login(
        &self,
        name: &str,
        host: &EcrHost,
    ) -> Result<(Credential, SystemTime), EcrError> {
        const ACTION: &str = "GetAuthorizationToken";
        let reply = self.call(host, ACTION, &json!({})).await?;
        // A list from private registries, one entry from the public one.
        let data = reply.get("authorizationData");
        let data = data.and_then(|data| data.get(0)).or(data);
        let token = data
            .and_then(|data| data.get("authorizationToken"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        // The registry receives it in this form, and may repeat it in a message.
        (self.listener)(token);
        let login = decoded(token).ok_or_else(|| EcrError::Malformed {
            action: ACTION,
            problem: "it contains no login".into(),
        })?;
        let until = data
            .and_then(|data| data.get("expiresAt"))
            .and_then(Value::as_f64)
            .and_then(unix_time)
            .unwrap_or_else(|| SystemTime::now() + LOGIN_LIFETIME);
        (self.listener)(&login.1);
        let password = SecretString::from(login.1);
        Ok((Credential::new(name, login.0, password), until))
    }

    /// Creates a repository unless it exists.
    pub(crate) async fn ensure_repository(
        &self,
        host: &EcrHost,
        repository: &str,
    ) -> Result<Ensured, EcrError> {
        // In the public registry the account's alias precedes the name, but is not part of it.
        let repository = match (host, repository.split_once('/')) {
            (EcrHost::Public, Some((_alias, name))) => name,
            _ => repository,
        };
        let mut names = json!({ "repositoryNames": [repository] });
        let mut name = json!({ "repositoryName": repository });
        if let EcrHost::Private { account, .. } = host {
            // The default is the caller's own registry, which may belong to another account.
            for body in [&mut names, &mut name] {
                body["registryId"] = account.as_str().into();
            }
        }
        match self.call(host, "DescribeRepositories", &names).await {
            Ok(_) => return Ok(Ensured::Existed),
            // Permission to create a repository does not include permission to describe it.
            Err(error)
                if matches!(
                    error.code(),
                    "RepositoryNotFoundException" | "AccessDeniedException"
                ) => {}
            Err(error) => return Err(error),
        }
        match self.call(host, "CreateRepository", &name).await {
            Ok(_) => Ok(Ensured::Created),
            Err(error) if error.code() == "RepositoryAlreadyExistsException" => {
                Ok(Ensured::Existed)
            }
            Err(error) => Err(error),
        }
    }

    async fn call(
        &self,
        host: &EcrHost,
        action: &'static str,
        body: &Value,
    ) -> Result<Value, EcrError> {
        let keys = self.keys_for(host).await?;
        let endpoint = self.access.endpoint.as_ref();
        call::signed(&self.http, host, endpoint, &keys, action, body).await
    }

    /// Keys for other services of AWS in `region`, from the configured identity; `None` if none is configured.
    ///
    /// The identity of the machine is not used: only its registries are read with it.
    pub(crate) async fn session_keys(&self, region: &str) -> Result<Option<Keys>, EcrError> {
        let Access {
            role,
            keys,
            container,
            ..
        } = &self.access;
        if role.is_none() && keys.is_none() && container.is_none() {
            return Ok(None);
        }
        let host = EcrHost::Private {
            account: String::new(),
            region: region.to_owned(),
            fips: false,
        };
        self.keys_for(&host).await.map(Some)
    }

    /// Valid keys. Concurrent callers share one request.
    async fn keys_for(&self, host: &EcrHost) -> Result<Keys, EcrError> {
        let is_china = host.region().starts_with("cn-");
        self.keys
            .get(is_china, async || {
                if self.has_no_identity.load(Ordering::Relaxed) {
                    return Err(EcrError::NoIdentity);
                }
                let keys =
                    identity::keys(&self.access, host, &self.http, &self.direct, &self.listener)
                        .await;
                let has_no_identity = matches!(keys, Err(EcrError::NoIdentity));
                self.has_no_identity
                    .store(has_no_identity, Ordering::Relaxed);
                let keys = keys?;
                keys.secrets().for_each(|secret| (self.listener)(secret));
                let until = keys
                    .until
                    .unwrap_or_else(|| SystemTime::now() + LOGIN_LIFETIME);
                Ok((keys, until))
            })
            .await
    }
}

/// `user:password` in base64.
fn decoded(token: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    (!username.is_empty() && !password.is_empty())
        .then(|| (username.to_owned(), password.to_owned()))
}

/// The time from seconds since 1970; `None` if it is out of range.
fn unix_time(seconds: f64) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}
