//! Amazon ECR: logins of its registries, and their repositories.
//!
//! A registry of Amazon's takes a login that its API gives out for twelve hours, for a signed request. So the host of a
//! reference, and something that proves who we are at Amazon, are all that it takes: no other program, and no `docker
//! login`. Each account and region has a registry, and a login, of its own.

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

pub use access::{Access, Authorization, Container, Keys, Role};
pub use error::EcrError;
pub use host::EcrHost;

use super::credentials::{Credential, SecretListener};
use renewal::Renewals;

/// The life of a login whose end was not told, by Amazon's documentation.
const LOGIN_LIFE: Duration = Duration::from_hours(12);

/// Logins and repositories at Amazon.
pub struct Ecr {
    http: reqwest::Client,
    direct: reqwest::Client,
    access: Access,
    listener: SecretListener,
    /// By whether they are for China's regions, which are a world of their own.
    keys: Renewals<bool, Keys>,
    /// Set once it is known that there is nothing to prove who we are: to look for it takes a second.
    is_nobody: AtomicBool,
    logins: Renewals<EcrHost, Credential>,
}

impl fmt::Debug for Ecr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("Ecr");
        fields.field("access", &self.access).finish_non_exhaustive()
    }
}

/// Whether a repository had to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// It was there.
    Existed,
    /// It was made.
    Created,
}

impl Ecr {
    /// `http` follows no redirects; `direct` uses no proxy either.
    #[must_use]
    pub fn new(
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
            is_nobody: AtomicBool::new(false),
            logins: Renewals::default(),
        }
    }

    /// A login that is good now. Who asks at the same time shares one request; registries go side by side.
    pub async fn credential(&self, name: &str, host: &EcrHost) -> Result<Credential, EcrError> {
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
        let answer = self.call(host, ACTION, &json!({})).await?;
        // A list from private registries, one entry from the public one.
        let data = answer.get("authorizationData");
        let data = data.and_then(|data| data.get(0)).or(data);
        let token = data
            .and_then(|data| data.get("authorizationToken"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        // As it is sent to the registry, and may come back in its words.
        (self.listener)(token);
        let login = decoded(token).ok_or_else(|| EcrError::Malformed {
            action: ACTION,
            what: "it holds no login".into(),
        })?;
        let until = data
            .and_then(|data| data.get("expiresAt"))
            .and_then(Value::as_f64)
            .and_then(moment)
            .unwrap_or_else(|| SystemTime::now() + LOGIN_LIFE);
        (self.listener)(&login.1);
        let password = SecretString::from(login.1);
        Ok((Credential::new(name, login.0, password), until))
    }

    /// Sees that a repository exists, and makes it if it does not.
    pub async fn ensure_repository(
        &self,
        host: &EcrHost,
        repository: &str,
    ) -> Result<Ensured, EcrError> {
        // In the public registry the account's alias stands before the name, and is no part of it.
        let repository = match (host, repository.split_once('/')) {
            (EcrHost::Public, Some((_alias, name))) => name,
            _ => repository,
        };
        let mut names = json!({ "repositoryNames": [repository] });
        let mut name = json!({ "repositoryName": repository });
        if let EcrHost::Private { account, .. } = host {
            // Without it Amazon takes the caller's own registry, which may be another account's.
            for body in [&mut names, &mut name] {
                body["registryId"] = account.as_str().into();
            }
        }
        match self.call(host, "DescribeRepositories", &names).await {
            Ok(_) => return Ok(Ensured::Existed),
            // Whoever may not look may still be allowed to make one.
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
        let is_china = host.region().starts_with("cn-");
        let keys = self
            .keys
            .get(is_china, async || {
                if self.is_nobody.load(Ordering::Relaxed) {
                    return Err(EcrError::NoIdentity);
                }
                let keys =
                    identity::keys(&self.access, host, &self.http, &self.direct, &self.listener)
                        .await;
                let is_nobody = matches!(keys, Err(EcrError::NoIdentity));
                self.is_nobody.store(is_nobody, Ordering::Relaxed);
                let keys = keys?;
                keys.secrets().for_each(|secret| (self.listener)(secret));
                let until = keys.until.unwrap_or_else(|| SystemTime::now() + LOGIN_LIFE);
                Ok((keys, until))
            })
            .await?;
        let endpoint = self.access.endpoint.as_ref();
        call::signed(&self.http, host, endpoint, &keys, action, body).await
    }
}

/// `user:password` in base64.
fn decoded(token: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    (!username.is_empty() && !password.is_empty())
        .then(|| (username.to_owned(), password.to_owned()))
}

/// Seconds since 1970; `None` for what is no moment.
fn moment(seconds: f64) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}
