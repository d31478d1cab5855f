//! References, and responses of registries and token servers.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use secrecy::ExposeSecret;

use super::{SECRET, assert_harmless, fixed_parts, lossy, parts, status};
use crate::config::logins::with_prefix;
use crate::depot::fork;
use crate::platform::Platform;
use crate::registry::annotations::{Annotation, Annotations, Level};
use crate::registry::challenge::{Bearer, bearer, is_basic};
use crate::registry::client::error;
use crate::registry::copy::tree;
use crate::registry::credentials::{Credential, Credentials, canonical_host};
use crate::registry::ecr::{EcrHost, call, xml};
use crate::registry::index::{Part, merge};
use crate::registry::manifest::{DOCKER_LIST, DOCKER_MANIFEST, Manifest, OCI_INDEX, OCI_MANIFEST};
use crate::registry::reference::{Reference, ReferenceError};
use crate::registry::sbom;
use crate::registry::token::{realm, reply};
use crate::text::cause::one_line;
use crate::text::shape::is_digest;

/// Reads a reference, also as a host.
pub fn references(bytes: &[u8]) {
    let text = lossy(bytes);
    match Reference::parse(&text) {
        Ok(reference) => {
            let full = reference.to_string();
            assert_harmless(&full);
            assert!(
                full.is_ascii() && full.len() <= text.len() + "docker.io/library/:latest".len()
            );
            assert_eq!(Reference::parse(&full).as_ref(), Ok(&reference));
        }
        Err(error) => {
            let _message = format!("{error} {}", error.advice());
            if let ReferenceError::UpperCase { lower_case } = error {
                let again = Reference::parse(&lower_case);
                assert!(
                    !matches!(again, Err(ReferenceError::UpperCase { .. })),
                    "{text:?}"
                );
            }
        }
    }
    if let Ok(target) = Reference::parse_push_target(&text) {
        assert_eq!(target.digest(), None);
    }
    let host = canonical_host(&text);
    assert_eq!(canonical_host(&host), host, "{text:?}");
    let _amazon = EcrHost::parse(&text);
}

/// Reads a challenge. The input contains a header of a registry, and a text that is empty for a registry on this machine.
pub fn challenges(bytes: &[u8]) {
    let [header, host] = fixed_parts(bytes);
    let (header, host) = (lossy(header), lossy(host));
    let Some(challenge) = bearer(&header) else {
        let _basic = is_basic(&header);
        return;
    };
    let texts = [&challenge.realm, &challenge.service, &challenge.scope];
    assert!(texts.iter().map(|text| text.len()).sum::<usize>() <= header.len());
    assert_eq!(bearer(&written(&challenge)), Some(challenge.clone()));
    let is_local = host.is_empty();
    for with_password in [false, true] {
        if let Ok(url) = realm::parse(&challenge.realm, is_local, with_password) {
            assert!(url.username().is_empty() && url.password().is_none());
            assert!(matches!(url.scheme(), "http" | "https"));
        }
    }
}

fn written(challenge: &Bearer) -> String {
    let quoted = |text: &str| text.replace('\\', r"\\").replace('"', r#"\""#);
    let Bearer {
        realm,
        service,
        scope,
    } = challenge;
    let [realm, service, scope] = [realm, service, scope].map(|text| quoted(text));
    format!(r#"Bearer realm="{realm}", service="{service}",scope="{scope}""#)
}

/// Reads an index, a manifest of attestations, a statement, and a list of SBOMs as in the response of a builder.
pub fn sboms(bytes: &[u8]) {
    let [index, manifest, statement, list] = fixed_parts(bytes);
    let digests = sbom::attestations(index).unwrap_or_default().into_iter();
    let digests = digests.map(|(_, digest)| digest);
    let statements = sbom::statement(manifest).ok().flatten();
    let listed = STANDARD.encode(list);
    let listed = fork::parse_sboms(&listed).unwrap_or_default();
    for (platform, _) in &listed {
        let harm = |text: &str| text.is_empty() || text.chars().all(|one| one == '.');
        assert!(!platform.split('/').any(harm), "{platform:?}");
        assert_harmless(platform);
    }
    let listed = listed.into_iter().map(|(_, digest)| digest);
    for digest in digests.chain(statements).chain(listed) {
        assert!(is_digest(&digest), "{digest:?}");
    }
    let statement = Bytes::copy_from_slice(statement);
    if let Ok(document) = sbom::document(&statement) {
        let parsed: serde_json::Value = serde_json::from_slice(&document).unwrap_or_default();
        assert!(parsed.is_object(), "{document:?}");
    }
    let _unencoded = fork::parse_sboms(&lossy(list));
}

/// Reads manifests and indexes of images that are copied, each after a byte that selects its type.
pub fn copied_manifests(bytes: &[u8]) {
    const TYPES: [&str; 5] = [
        OCI_INDEX,
        DOCKER_LIST,
        OCI_MANIFEST,
        DOCKER_MANIFEST,
        "application/octet-stream",
    ];
    for part in parts(bytes) {
        let Some((kind, json)) = part.split_first() else {
            continue;
        };
        let Some(media_type) = TYPES.get(usize::from(*kind) % TYPES.len()) else {
            continue;
        };
        let manifest = Manifest::new(*media_type, Bytes::copy_from_slice(json));
        match tree::parse(&manifest) {
            Ok((children, blobs)) => {
                let digests = blobs.iter().map(|blob| &blob.digest).chain(&children);
                for digest in digests {
                    assert!(
                        is_digest(digest) && json_contains(json, digest),
                        "{digest:?}"
                    );
                }
                let unique: HashSet<_> = blobs.iter().map(|blob| &blob.digest).collect();
                assert_eq!(unique.len(), blobs.len());
                // The copies of all manifests to all names are counted in one number.
                let bytes = blobs
                    .iter()
                    .try_fold(0_u64, |sum, blob| sum.checked_add(blob.size));
                assert!(bytes.is_some_and(|bytes| bytes < 1 << 42), "{bytes:?}");
            }
            Err(error) => {
                let message = one_line(&error);
                assert_harmless(&message);
                assert!(message.chars().count() < 500, "{message}");
            }
        }
    }
}

/// Whether a JSON text can contain this text: it does, or it has escapes.
fn json_contains(json: &[u8], text: &str) -> bool {
    let json = lossy(json);
    json.contains(text) || json.contains('\\')
}

/// Reads the `registry` of an entry of `REGISTRIES`: a host, or a host and the start of repositories.
pub fn registry_prefixes(bytes: &[u8]) {
    let text = lossy(bytes);
    let Some((host, prefix)) = with_prefix(&text) else {
        return;
    };
    assert!(!host.is_empty() && !host.contains('/'), "{text:?}");
    let is_name = |part: &str| !part.is_empty() && !part.contains(['@', ':', '?', '#', '%']);
    assert!(prefix.split('/').all(is_name), "{text:?}");
    for part in [&host, &prefix] {
        assert_harmless(part);
        assert!(
            part.is_ascii() && !part.contains(char::is_whitespace),
            "{text:?}"
        );
    }
    assert!(text.contains(&format!("{host}/{prefix}")), "{text:?}");
    assert_eq!(
        with_prefix(&format!("{host}/{prefix}")),
        Some((host.clone(), prefix.clone()))
    );

    // It is used for its own repositories and no others.
    let login = Credential::new(&host, "me".into(), SECRET.into());
    let logins: Credentials = [login.with_prefix(Some(prefix.clone()))]
        .into_iter()
        .collect();
    for name in [prefix.clone(), format!("{prefix}/app")] {
        assert!(logins.for_repository(&host, &name).is_some(), "{text:?}");
    }
    for name in [format!("{prefix}x"), format!("x/{prefix}"), String::new()] {
        assert!(logins.for_repository(&host, &name).is_none(), "{text:?}");
    }
    // A reference to a repository below it has the same host and name.
    let reference = Reference::parse(&format!("{host}/{prefix}/app"));
    let reference = reference.map(|name| {
        let matches = canonical_host(name.host()) == canonical_host(&host);
        matches && name.repository() == format!("{prefix}/app")
    });
    // A name can be too long with one more part.
    assert!(reference.unwrap_or(true), "{text:?}");
}

/// Merges manifests and indexes, each after a byte that selects its type. The whole input is also read as a refusal: an HTTP
/// status in two bytes, and a body.
pub fn registry_responses(bytes: &[u8]) {
    const TYPES: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];
    let part = |bytes: &[u8]| {
        let (kind, manifest) = bytes.split_first()?;
        let media_type = TYPES.get(usize::from(kind % 4))?;
        let platform = Platform::parse("linux/amd64").ok();
        let platform = platform.filter(|_| kind & 4 == 0);
        let manifest = Manifest::new(*media_type, Bytes::copy_from_slice(manifest));
        Some(Part::new(manifest, platform))
    };
    let merging: Vec<_> = parts(bytes).filter_map(part).collect();
    let mut added = Annotations::default();
    for level in [Level::Index, Level::ManifestDescriptor] {
        added.set(Annotation {
            level,
            platform: None,
            name: "added".into(),
            value: "value".into(),
        });
    }
    match merge(&merging, &added) {
        Ok(merged) => {
            let again = merge(&[Part::new(merged.clone(), None)], &added);
            assert_eq!(again.ok(), Some(merged));
        }
        Err(error) => assert!(one_line(&error).chars().count() < 1000, "{error}"),
    }
    let (code, body) = status(bytes);
    let code = StatusCode::from_u16(code).unwrap_or_default();
    let sent = HeaderValue::from_static("Bearer correct-horse-battery");
    let rejected = error::rejected(code, Bytes::copy_from_slice(body), Some(sent));
    let message = one_line(&rejected);
    assert_harmless(&message);
    assert!(
        !message.contains('\n') && !message.contains(SECRET),
        "{message:?}"
    );
    assert!(message.chars().count() < 1500, "{message:?}");
    let _facts = (rejected.is_denied(), rejected.is_transient());
}

/// Reads the response of a token server, or of AWS.
pub fn token_responses(bytes: &[u8]) {
    let (code, body) = status(bytes);
    let code = StatusCode::from_u16(code).unwrap_or_default();
    let credential = Credential::new("r.example", "me".into(), SECRET.into());
    for status in [code, StatusCode::OK] {
        let reply = reply::Reply {
            status,
            body: Bytes::copy_from_slice(body),
        };
        // A fixed time, so that a finding is reproducible.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        if let Ok(token) = reply.token(now) {
            let mut sent = token.value.expose_secret().bytes();
            assert!(sent.all(|byte| byte.is_ascii_graphic()));
            assert!((1..=24 * 60 * 60).contains(&token.expires_in));
            assert!(token.issued_at.is_none_or(|issued| issued <= 1_700_000_000));
        }
        let words = reply.message(Some(&credential));
        assert_harmless(&words);
        assert!(
            !words.contains('\n') && !words.contains(SECRET),
            "{words:?}"
        );
        assert!(words.chars().count() <= 300, "{words:?}");
        let _invalid = reply.is_invalid_grant();
    }
    let amazon = call::Reply {
        status: code,
        kind: lossy(body.get(..20).unwrap_or_default()),
        body: lossy(body),
    };
    let message = one_line(&amazon.rejection("GetAuthorizationToken"));
    assert_harmless(&message);
    assert!(message.chars().count() < 1000, "{message:?}");
    let key = xml::text(&amazon.body, "SecretAccessKey");
    assert!(key.is_none_or(|key| key.len() <= body.len() * 3));
}
