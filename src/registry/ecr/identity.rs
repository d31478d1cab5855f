//! Keys at Amazon: from a role, as they were given, or of the machine that we run on.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Host, Url};

use super::access::{Access, Authorization, Container, Keys, Role};
use super::call::{address, once, repeated};
use super::error::EcrError;
use super::host::EcrHost;
use super::xml;
use crate::io::bounded_file;
use crate::registry::credentials::SecretListener;

/// Where a machine of Amazon's is told who it is.
const METADATA: &str = "http://169.254.169.254/";

/// That place answers at once or is not there.
const METADATA_LIMIT: Duration = Duration::from_secs(1);

/// The shortest that Amazon gives keys for; what counts where their end was not told.
const SHORTEST_LIFE: Duration = Duration::from_mins(15);

/// The longest proof of a container that is read.
const PROOF_LIMIT_BYTES: u64 = 64 << 10;

/// Places of Amazon's container services, beside loopback.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// Keys that are good now. `listener` gets the proofs that are read on the way. `direct` uses no proxy: what a machine is told of itself is on its own network.
pub(super) async fn keys(
    access: &Access,
    host: &EcrHost,
    http: &reqwest::Client,
    direct: &reqwest::Client,
    listener: &SecretListener,
) -> Result<Keys, EcrError> {
    if let Some(role) = &access.role {
        return of_role(role, access.endpoint.as_ref(), host, http).await;
    }
    if let Some(keys) = &access.keys {
        return Ok(keys.clone());
    }
    if let Some(container) = &access.container {
        return of_container(container, direct, listener).await;
    }
    of_machine(access.metadata.as_ref(), direct, listener).await
}

/// A session of the role. The call is not signed: the identity is the proof.
async fn of_role(
    role: &Role,
    endpoint: Option<&Url>,
    host: &EcrHost,
    http: &reqwest::Client,
) -> Result<Keys, EcrError> {
    const ACTION: &str = "AssumeRoleWithWebIdentity";
    let url = address(endpoint, &host.sts(), ACTION)?;
    let answer = repeated(ACTION, &url, || {
        Ok(http.post(url.clone()).form(&[
            ("Action", ACTION),
            ("Version", "2011-06-15"),
            ("RoleArn", &role.arn),
            ("RoleSessionName", &role.session_name),
            ("WebIdentityToken", role.token.expose_secret()),
        ]))
    })
    .await?;
    let text = |name: &str| xml::text(&answer.body, name).filter(|text| !text.is_empty());
    let keys = || {
        Some(Keys {
            id: text("AccessKeyId")?,
            secret: text("SecretAccessKey")?.into(),
            session: Some(text("SessionToken")?.into()),
            until: text("Expiration").and_then(|moment| parse_moment(&moment)),
        })
    };
    keys().ok_or_else(|| EcrError::Malformed {
        action: ACTION,
        what: "it holds no keys".into(),
    })
}

/// What both a container's and a machine's place answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: SecretString,
    token: Option<SecretString>,
    expiration: Option<String>,
}

impl Given {
    fn keys(text: &str, action: &'static str) -> Result<Keys, EcrError> {
        let given: Self = serde_json::from_str(text).map_err(|_| EcrError::Malformed {
            action,
            what: "it holds no keys".into(),
        })?;
        let until = given.expiration.as_deref().and_then(parse_moment);
        let until = until.or_else(|| SystemTime::now().checked_add(SHORTEST_LIFE));
        Ok(Keys {
            id: given.access_key_id,
            secret: given.secret_access_key,
            session: given.token,
            until,
        })
    }
}

async fn of_container(
    container: &Container,
    direct: &reqwest::Client,
    listener: &SecretListener,
) -> Result<Keys, EcrError> {
    const ACTION: &str = "the container's keys";
    let url = &container.url;
    if !is_container_place(url) {
        let at = url.host_str().unwrap_or_default().to_owned();
        return Err(EcrError::ForeignContainer { at });
    }
    let authorization = match &container.authorization {
        None => None,
        Some(Authorization::Token(token)) => Some(token.clone()),
        Some(Authorization::File(path)) => {
            let text = tokio::task::spawn_blocking({
                let path = path.clone();
                move || bounded_file::read_text(&path, PROOF_LIMIT_BYTES)
            });
            let text = text
                .await
                .map_err(|error| EcrError::ContainerProof(error.into()))?;
            let text = text.map_err(EcrError::ContainerProof)?;
            listener(text.trim());
            Some(SecretString::from(text.trim()))
        }
    };
    let answer = repeated(ACTION, url, || {
        let mut request = direct.get(url.clone());
        if let Some(proof) = &authorization {
            request = request.header(reqwest::header::AUTHORIZATION, proof.expose_secret());
        }
        Ok(request)
    })
    .await?;
    Given::keys(&answer.body, ACTION)
}

/// As Amazon's own programs have it: a variable of the environment must not send a proof to just anybody.
fn is_container_place(url: &Url) -> bool {
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

/// Of the machine, by version 2 of its metadata. A machine that is not Amazon's has none, which is known within a second.
async fn of_machine(
    base: Option<&Url>,
    direct: &reqwest::Client,
    listener: &SecretListener,
) -> Result<Keys, EcrError> {
    const ACTION: &str = "the machine's keys";
    let base = address(base, METADATA, ACTION)?;
    let place = |path: &str| base.join(path).map_err(|_| EcrError::NoIdentity);
    let ask = async |request: reqwest::RequestBuilder| {
        let asked = once(ACTION, &base, request.timeout(METADATA_LIMIT));
        match tokio::time::timeout(METADATA_LIMIT, asked).await {
            Ok(Ok(answer)) if answer.status.is_success() => Ok(answer.body),
            Ok(Ok(answer)) => Err(answer.refusal(ACTION)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(EcrError::NoIdentity),
        }
    };
    let token = direct
        .put(place("latest/api/token")?)
        .header("x-aws-ec2-metadata-token-ttl-seconds", "300");
    // Whatever is there instead of it: nobody told us to be on a machine of Amazon's.
    let token = ask(token).await.map_err(|_| EcrError::NoIdentity)?;
    listener(token.trim());
    let get = |url: Url| {
        let request = direct.get(url);
        request.header("x-aws-ec2-metadata-token", token.trim())
    };
    let roles = place("latest/meta-data/iam/security-credentials/")?;
    // A machine without role answers "not found".
    let role = ask(get(roles.clone()))
        .await
        .map_err(|_| EcrError::NoIdentity)?;
    let role = role.lines().next().unwrap_or_default().trim();
    let url = roles.join(role).map_err(|_| EcrError::NoIdentity)?;
    if role.is_empty() || url.origin() != roles.origin() {
        return Err(EcrError::NoIdentity);
    }
    Given::keys(&ask(get(url)).await?, ACTION)
}

fn parse_moment(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}
