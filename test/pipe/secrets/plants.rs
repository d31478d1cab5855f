//! The secrets of a run, each with the places that it may reach.
//!
//! A secret consists of two unique halves, and between them characters that are hard to encode. The halves are also searched
//! separately, because a program can cut a secret at a `:`, an `@` or a space and print the rest.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use depot_build::config::table::{IDENTITY_VARIABLES, all_variables};
use depot_ground::traffic::Piece;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use serde_json::Value;
use uuid::Uuid;

/// A place that a secret may reach: the part, a piece of the call's path, and the beginning of the name of a piece.
pub type Place = (&'static str, &'static str, &'static str);

/// A secret, and the places that it may reach.
pub struct Secret {
    pub name: &'static str,
    pub value: String,
    /// The texts to search for.
    pub marks: Vec<String>,
    pub places: &'static [Place],
}

/// Valid characters of a password that careless encoders damage.
const IN_PASSWORDS: &str = "+/=%:@ é";

/// The same for values that must be visible ASCII.
const IN_TOKENS: &str = "+/=%:@";

/// The call in which the session sends user name and password to the builder.
const TO_BUILDER: Place = ("builder", "Auth/Credentials", "response body");
/// The call in which the session sends a secret to the builder.
const TO_STEP: Place = ("builder", "Secrets/GetSecret", "response body");
const LOGIN: &str = "request header authorization";

/// The secret that is a private key.
const SSH: &str = "SSH";

/// The planted secrets. Names that are not in `all_variables()` are values created during a run.
pub const PLANTED: &[(&str, &str, &[Place])] = &[
    (
        "DEPOT_TOKEN",
        IN_TOKENS,
        &[("api", "CreateBuild", LOGIN), ("api", "GetPullInfo", LOGIN)],
    ),
    (
        "the build's token",
        IN_TOKENS,
        &[("api", "CreateBuild", "response body"), ("api", "", LOGIN)],
    ),
    (
        "DOCKERHUB_TOKEN",
        IN_PASSWORDS,
        &[("hub", "/token", "request body"), ("hub", "/token", LOGIN)],
    ),
    // For a host that is not used.
    ("BITBUCKET_PACKAGES_TOKEN", IN_PASSWORDS, &[]),
    (
        "REGISTRY_PASSWORD",
        IN_PASSWORDS,
        &[
            ("tokens", "/token", "request body"),
            ("tokens", "/token", LOGIN),
        ],
    ),
    (
        "REGISTRIES",
        IN_PASSWORDS,
        &[("listed", "", LOGIN), TO_BUILDER],
    ),
    ("REGISTRIES, for a host that is not used", IN_PASSWORDS, &[]),
    (
        "DOCKER_CONFIG",
        IN_PASSWORDS,
        &[("configured", "", LOGIN), TO_BUILDER],
    ),
    ("DOCKER_CONFIG, for a host that is not used", IN_TOKENS, &[]),
    (
        "DOCKER_CONFIG, in the address of a proxy",
        IN_PASSWORDS,
        &[("builder", "Control/Solve", "request body")],
    ),
    (
        "the login of Depot's registry",
        IN_PASSWORDS,
        &[
            ("api", "CreateBuild", "response body"),
            ("api", "GetPullInfo", "response body"),
            ("kept", "", LOGIN),
            TO_BUILDER,
            ("daemon", "", "request bytes"),
            ("daemon", "/images/create", "request header x-registry-auth"),
        ],
    ),
    ("AWS_SECRET_ACCESS_KEY", "+/", &[]),
    (
        "AWS_SESSION_TOKEN",
        "+/=",
        &[("aws", "", "request header x-amz-security-token")],
    ),
    (
        "BITBUCKET_STEP_OIDC_TOKEN",
        ".",
        &[("aws", "", "request body")],
    ),
    (
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        IN_TOKENS,
        &[("container", "", LOGIN)],
    ),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", IN_TOKENS, &[]),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/", &[]),
    (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "/",
        &[("container", "", "request target")],
    ),
    (
        "HTTPS_PROXY",
        IN_PASSWORDS,
        &[("proxy", "", "request bytes")],
    ),
    (
        "BUILD_CONTEXTS",
        IN_PASSWORDS,
        &[("builder", "Control/Solve", "request body")],
    ),
    ("SECRETS", IN_PASSWORDS, &[TO_STEP]),
    ("SECRETS, which no step mounts", IN_PASSWORDS, &[]),
    ("SECRET_FILES", IN_PASSWORDS, &[TO_STEP]),
    ("GIT_AUTH_TOKEN", IN_TOKENS, &[TO_STEP]),
    // A private key. It never leaves the pipe.
    (SSH, "", &[]),
    (
        "CACHE_FROM",
        IN_TOKENS,
        &[("builder", "Control/Solve", "request body")],
    ),
    // Build arguments should contain no secrets. The pipe still protects them.
    (
        "BUILD_ARGS",
        IN_PASSWORDS,
        &[
            ("builder", "", ""),
            ("tokens", "/blobs/", ""),
            ("listed", "/blobs/", ""),
            ("configured", "/blobs/", ""),
            ("kept", "/blobs/", ""),
            ("daemon", "", ""),
        ],
    ),
];

impl Secret {
    /// All planted secrets.
    pub fn all() -> Vec<Self> {
        let planted = PLANTED.iter().map(|&(name, between, places)| {
            if name == SSH {
                return Self::key();
            }
            let half = || format!("x{}", &Uuid::new_v4().simple().to_string()[..17]);
            let (head, tail) = (half(), half());
            let value = format!("{head}{between}{tail}");
            Self {
                name,
                marks: vec![value.clone(), head, tail],
                value,
                places,
            }
        });
        planted.collect()
    }

    /// A new private key. Each of its lines is secret, and so are all as one.
    fn key() -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let body = STANDARD.encode(key);
        let (first, second) = body.split_at(64);
        Self {
            name: SSH,
            value: format!(
                "-----BEGIN PRIVATE KEY-----\n{first}\n{second}\n-----END PRIVATE KEY-----\n"
            ),
            // The beginning is the same in all keys of this type.
            marks: vec![
                body[24..].to_owned(),
                first[24..].to_owned(),
                second.to_owned(),
            ],
            places: &[],
        }
    }

    /// A secret that was created during the run.
    pub fn found(name: &'static str, value: &str, places: &'static [Place]) -> Self {
        Self {
            name,
            value: value.to_owned(),
            marks: vec![value.to_owned()],
            places,
        }
    }

    /// The value as encoded in a URL.
    pub fn in_address(&self) -> String {
        utf8_percent_encode(&self.value, NON_ALPHANUMERIC).to_string()
    }

    /// Whether it may reach this place.
    pub fn may_be(&self, part: &str, call: &str, what: &str) -> bool {
        let mut places = self.places.iter();
        places.any(|(of, within, piece)| {
            *of == part && call.contains(within) && what.starts_with(piece)
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

#[test]
fn every_secret_variable_is_planted() {
    let secret = all_variables().filter(|variable| variable.secret);
    let names = secret
        .map(|variable| variable.name)
        .chain(IDENTITY_VARIABLES);
    for name in names {
        let is_planted = PLANTED.iter().any(|(planted, ..)| *planted == name);
        assert!(
            is_planted,
            "{name} is planted nowhere: add it to `PLANTED`, and to the scene"
        );
    }
}

/// The secrets that the parts issued during a run.
pub fn on_the_way(pieces: &[Piece]) -> Vec<Secret> {
    let mut secrets = Vec::new();
    let answers = pieces.iter().filter(|piece| piece.what == "response body");
    for piece in answers {
        let text = String::from_utf8_lossy(&piece.bytes);
        if piece.call.ends_with("/token") {
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            let token = answer.get("token").or(answer.get("access_token"));
            if let Some(token) = token.and_then(Value::as_str) {
                secrets.push(Secret::found("a registry's token", token, TOKEN));
            }
        }
        if piece.call.ends_with("GetBuildKitConnection") {
            let (_, key) = text.split_once("PRIVATE KEY-----").unwrap_or_default();
            if let Some(line) = key.trim_start().lines().next() {
                let places = &[("api", "GetBuildKitConnection", "response body")];
                secrets.push(Secret::found("a machine's key", line, places));
            }
        }
        if piece.part == "aws" {
            secrets.extend(of_amazon(&text));
        }
        if piece.part == "container" {
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
            secrets.push(Secret::found(
                "the container's key",
                &text("SecretAccessKey"),
                KEY,
            ));
            secrets.push(Secret::found(
                "the container's session",
                &text("Token"),
                SESSION,
            ));
        }
    }
    secrets
}

const TOKEN: &[Place] = &[
    ("tokens", "/token", "response body"),
    ("hub", "/token", "response body"),
    ("tokens", "/v2/", LOGIN),
    ("hub", "/v2/", LOGIN),
    ("builder", "Auth/FetchToken", "response body"),
];
const KEY: &[Place] = &[
    ("aws", "", "response body"),
    ("container", "", "response body"),
];
const SESSION: &[Place] = &[
    ("aws", "", "response body"),
    ("container", "", "response body"),
    ("aws", "", "request header x-amz-security-token"),
];
const AMAZONS: &[Place] = &[
    ("aws", "", "response body"),
    ("amazon", "", LOGIN),
    TO_BUILDER,
];

/// The key and the session of a role, and a login of its registry.
fn of_amazon(text: &str) -> Vec<Secret> {
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0)
    };
    let login = text
        .split_once("\"authorizationToken\"")
        .and_then(|(_, rest)| {
            let login = STANDARD.decode(rest.split('"').nth(1)?).ok()?;
            Some(String::from_utf8(login).ok()?.split_once(':')?.1.to_owned())
        });
    let found = [
        element("SecretAccessKey").map(|key| Secret::found("the role's key", key, KEY)),
        element("SessionToken").map(|token| Secret::found("the role's session", token, SESSION)),
        login.map(|login| Secret::found("the login of Amazon's registry", &login, AMAZONS)),
    ];
    found.into_iter().flatten().collect()
}
