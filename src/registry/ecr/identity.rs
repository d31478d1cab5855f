//! AWS keys: from a role, from the configuration, or of the container or machine.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Host, Url};

use super::access::{Access, Authorization, Container, Keys, Role};
use super::call::{address, exchange, exchange_with_retries};
use super::error::EcrError;
use super::host::EcrHost;
use super::xml;
use crate::io::bounded_file;
use crate::registry::credentials::SecretListener;

/// The metadata service of a machine.
const METADATA: &str = "http://169.254.169.254/";

/// The limit for a request to the metadata service, which responds at once or does not exist.
const METADATA_LIMIT: Duration = Duration::from_secs(1);

/// The shortest lifetime of keys, for keys without `Expiration`.
const MIN_LIFETIME: Duration = Duration::from_mins(15);

/// The longest authorization token of a container that is read.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// Addresses of Amazon's container services, in addition to loopback.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// Valid keys. `listener` receives the tokens that are read for them. `direct` uses no proxy, because containers and machines
/// get their keys from their own network.
pub(super) async fn keys(
    access: &Access,
    host: &EcrHost,
    http: &reqwest::Client,
    direct: &reqwest::Client,
    listener: &SecretListener,
) -> Result<Keys, EcrError> {
    if let Some(role) = &access.role {
        return from_role(role, access.endpoint.as_ref(), host, http).await;
    }
    if let Some(keys) = &access.keys {
        return Ok(keys.clone());
    }
    if let Some(container) = &access.container {
        return from_container(container, direct, listener).await;
    }
    from_machine(access.metadata.as_ref(), direct, listener).await
}

/// Assumes the role. The call is not signed: the identity token authenticates it.
async fn from_role(
    role: &Role,
    endpoint: Option<&Url>,
    host: &EcrHost,
    http: &reqwest::Client,
) -> Result<Keys, EcrError> {
    const ACTION: &str = "AssumeRoleWithWebIdentity";
    let url = address(endpoint, &host.sts(), ACTION)?;
    let reply = exchange_with_retries(ACTION, &url, || {
        Ok(http.post(url.clone()).form(&[
            ("Action", ACTION),
            ("Version", "2011-06-15"),
            ("RoleArn", &role.arn),
            ("RoleSessionName", &role.session_name),
            ("WebIdentityToken", role.token.expose_secret()),
        ]))
    })
    .await?;
    let text = |name: &str| xml::text(&reply.body, name).filter(|text| !text.is_empty());
    let keys = || {
        Some(Keys {
            id: text("AccessKeyId")?,
            secret: text("SecretAccessKey")?.into(),
            session: Some(text("SessionToken")?.into()),
            until: text("Expiration").and_then(|time| parse_time(&time)),
        })
    };
    keys().ok_or_else(|| EcrError::Malformed {
        action: ACTION,
        problem: "it contains no keys".into(),
    })
}

/// The reply for a container or a machine.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeysReply {
    access_key_id: String,
    secret_access_key: SecretString,
    token: Option<SecretString>,
    expiration: Option<String>,
}

impl KeysReply {
    fn keys(text: &str, action: &'static str) -> Result<Keys, EcrError> {
        let reply: Self = serde_json::from_str(text).map_err(|_| EcrError::Malformed {
            action,
            problem: "it contains no keys".into(),
        })?;
        let until = reply.expiration.as_deref().and_then(parse_time);
        let until = until.or_else(|| SystemTime::now().checked_add(MIN_LIFETIME));
        Ok(Keys {
            id: reply.access_key_id,
            secret: reply.secret_access_key,
            session: reply.token,
            until,
        })
    }
}

async fn from_container(
    container: &Container,
    direct: &reqwest::Client,
    listener: &SecretListener,
) -> Result<Keys, EcrError> {
    const ACTION: &str = "the request for the container's keys";
    let url = &container.url;
    if !is_allowed_address(url) {
        let at = url.host_str().unwrap_or_default().to_owned();
        return Err(EcrError::ForeignContainer { at });
    }
    let authorization = match &container.authorization {
        None => None,
        Some(Authorization::Token(token)) => Some(token.clone()),
        Some(Authorization::File(path)) => {
            let text = tokio::task::spawn_blocking({
                let path = path.clone();
                move || bounded_file::read_text(&path, MAX_TOKEN_BYTES)
            });
            let text = text
                .await
                .map_err(|error| EcrError::ContainerToken(error.into()))?;
            let text = text.map_err(EcrError::ContainerToken)?;
            listener(text.trim());
            Some(SecretString::from(text.trim()))
        }
    };
    let reply = exchange_with_retries(ACTION, url, || {
        let mut request = direct.get(url.clone());
        if let Some(token) = &authorization {
            request = request.header(reqwest::header::AUTHORIZATION, token.expose_secret());
        }
        Ok(request)
    })
    .await?;
    KeysReply::keys(&reply.body, ACTION)
}

/// The rule of Amazon's own SDKs: an environment variable must not send the authorization token to any host.
fn is_allowed_address(url: &Url) -> bool {
    let is_known = |address: IpAddr| {
        address.is_loopback() || CONTAINER_HOSTS.contains(&address.to_string().as_str())
    };
    match url.host() {
        _ if url.scheme() == "https" => true,
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => is_known(address.into()),
        Some(Host::Ipv6(address)) => is_known(address.into()),
        None => false,
    }
}

/// The machine's keys, from version 2 of its metadata service. A machine outside of AWS has none, which is detected within a
/// second.
async fn from_machine(
    base: Option<&Url>,
    direct: &reqwest::Client,
    listener: &SecretListener,
) -> Result<Keys, EcrError> {
    const ACTION: &str = "the request for the machine's keys";
    let base = address(base, METADATA, ACTION)?;
    let url = |path: &str| base.join(path).map_err(|_| EcrError::NoIdentity);
    let send = async |request: reqwest::RequestBuilder| {
        let sent = exchange(ACTION, &base, request.timeout(METADATA_LIMIT));
        match tokio::time::timeout(METADATA_LIMIT, sent).await {
            Ok(Ok(reply)) if reply.status.is_success() => Ok(reply.body),
            Ok(Ok(reply)) => Err(reply.rejection(ACTION)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(EcrError::NoIdentity),
        }
    };
    let token = direct
        .put(url("latest/api/token")?)
        .header("x-aws-ec2-metadata-token-ttl-seconds", "300");
    // Another server may use this address: the program may run outside of AWS.
    let token = send(token).await.map_err(|_| EcrError::NoIdentity)?;
    listener(token.trim());
    let get = |url: Url| {
        let request = direct.get(url);
        request.header("x-aws-ec2-metadata-token", token.trim())
    };
    let roles = url("latest/meta-data/iam/security-credentials/")?;
    // A machine without a role returns 404.
    let role = send(get(roles.clone()))
        .await
        .map_err(|_| EcrError::NoIdentity)?;
    let role = role.lines().next().unwrap_or_default().trim();
    let url = roles.join(role).map_err(|_| EcrError::NoIdentity)?;
    if role.is_empty() || url.origin() != roles.origin() {
        return Err(EcrError::NoIdentity);
    }
    KeysReply::keys(&send(get(url)).await?, ACTION)
}

fn parse_time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}
