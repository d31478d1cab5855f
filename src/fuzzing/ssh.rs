//! Private key files, and messages to the SSH agent.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{lossy, run};
use crate::ssh::{Agent, Frames, PrivateKey, secrets_of};

/// Words of a private key's first line, for an input that is the decoded content.
const LABELS: [&str; 4] = ["OPENSSH ", "", "RSA ", "EC "];

/// A key whose seed is zero.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\
                   -----END PRIVATE KEY-----\n";

/// Parses a key file. If the first byte is below [`LABELS`]' length, the rest is the decoded content of one.
pub fn ssh_keys(bytes: &[u8]) {
    let content = bytes.split_first();
    let label = content.and_then(|(&first, rest)| Some((LABELS.get(usize::from(first))?, rest)));
    let text = match label {
        Some((label, content)) => {
            let body = STANDARD.encode(content);
            format!(
                "-----BEGIN {label}PRIVATE KEY-----\n{body}\n-----END {label}PRIVATE KEY-----\n"
            )
        }
        None => lossy(bytes),
    };
    let secrets = secrets_of(&text);
    match PrivateKey::parse(text.as_bytes()) {
        Ok(key) => {
            assert!(!secrets.is_empty(), "a key without secrets to mask");
            let shown = format!("{key:?}");
            assert!(
                !secrets
                    .iter()
                    .any(|secret| secret.len() > 8 && shown.contains(secret))
            );
        }
        Err(error) => {
            let _message = format!("{error} {}", error.advice());
        }
    }
}

/// Sends a stream of messages to an agent, in pieces whose length is the first byte.
pub fn ssh_agent(bytes: &[u8]) {
    let Some((&length, stream)) = bytes.split_first() else {
        return;
    };
    let key = PrivateKey::parse(KEY.as_bytes());
    let agent = Arc::new(Agent::Keys(key.into_iter().collect()));
    let responding = async {
        let Ok(mut connection) = agent.connect().await else {
            unreachable!("an agent in this process accepts every connection");
        };
        let mut frames = Frames::default();
        for piece in stream.chunks(usize::from(length).max(1)) {
            frames.push(piece);
            loop {
                match frames.next() {
                    Ok(Some(message)) => check(&connection.respond(message).await),
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
        }
    };
    run(responding);
}

/// A response is a failure, the identities, or a signature, and has the length that it states.
fn check(response: &[u8]) {
    let (length, message) = response.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
    assert_eq!(u32::from_be_bytes(*length) as usize, message.len());
    assert!(matches!(message.first(), Some(5 | 12 | 14)), "{response:?}");
}
