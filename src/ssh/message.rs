//! Messages of the agent protocol, without their lengths.

use super::key::{PrivateKey, RsaHash};
use super::wire::{Reader, put_string};

/// Types of messages (draft-ietf-sshm-ssh-agent, section 6.1).
pub(crate) const FAILURE: u8 = 5;
pub(crate) const REQUEST_IDENTITIES: u8 = 11;
pub(super) const IDENTITIES_ANSWER: u8 = 12;
pub(super) const SIGN_REQUEST: u8 = 13;
pub(super) const SIGN_RESPONSE: u8 = 14;

/// Flags of a request for a signature (section 6.2).
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

/// The requests that are answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    Identities,
    Signature {
        /// The public key.
        key: &'a [u8],
        data: &'a [u8],
        /// The hash for an RSA key. Without one, SHA-1 would be used, which servers reject since OpenSSH 8.8.
        hash: Option<RsaHash>,
    },
}

impl<'a> Request<'a> {
    /// `None` for every other request, and for one that is not well-formed.
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let (&kind, rest) = message.split_first()?;
        let mut reader = Reader::new(rest);
        let request = match kind {
            REQUEST_IDENTITIES => Self::Identities,
            SIGN_REQUEST => {
                let (key, data) = (reader.string()?, reader.string()?);
                let flags = reader.number()?;
                // With both flags, OpenSSH uses SHA-256.
                let hash = match flags {
                    flags if flags & RSA_SHA2_256 != 0 => Some(RsaHash::Sha256),
                    flags if flags & RSA_SHA2_512 != 0 => Some(RsaHash::Sha512),
                    _ => None,
                };
                Self::Signature { key, data, hash }
            }
            _ => return None,
        };
        reader.is_at_end().then_some(request)
    }

    /// Whether a response has the type of this request.
    pub(super) fn fits(&self, response: &[u8]) -> bool {
        let expected = match self {
            Self::Identities => IDENTITIES_ANSWER,
            Self::Signature { .. } => SIGN_RESPONSE,
        };
        response.first() == Some(&expected)
    }
}

/// The response of an agent that has these keys.
pub(super) fn respond(keys: &[PrivateKey], message: &[u8]) -> Vec<u8> {
    let response = Request::parse(message).and_then(|request| match request {
        Request::Identities => Some(identities(keys)),
        Request::Signature { key, data, hash } => signature(keys, key, data, hash),
    });
    response.unwrap_or_else(failure)
}

pub(super) fn failure() -> Vec<u8> {
    vec![FAILURE]
}

/// The public keys. Their comments, which can name people and machines, are left in the files.
fn identities(keys: &[PrivateKey]) -> Vec<u8> {
    let mut response = vec![IDENTITIES_ANSWER];
    let count = u32::try_from(keys.len()).unwrap_or_default();
    response.extend(count.to_be_bytes());
    for key in keys {
        put_string(&mut response, key.public());
        put_string(&mut response, b"");
    }
    response
}

fn signature(
    keys: &[PrivateKey],
    public: &[u8],
    data: &[u8],
    hash: Option<RsaHash>,
) -> Option<Vec<u8>> {
    let key = keys.iter().find(|key| key.public() == public)?;
    let signature = key.sign(data, hash)?;
    let mut response = vec![SIGN_RESPONSE];
    put_string(&mut response, &signature);
    Some(response)
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
