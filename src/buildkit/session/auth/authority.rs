//! Proof, for the builder, that a registry token may be shared between sessions.
//!
//! A builder that caches a token requests a signature with the first session's key from the next
//! session; only a session with the same key may use the token. The keys are derived from a seed that
//! is new in every session, so that no token is shared with other builds, and a public key reveals
//! nothing about a password.

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};

/// The keys of one session: one for each host and salt.
pub(super) struct Authority {
    seed: hmac::Key,
}

impl Authority {
    /// With a new seed; `None` if the system has no source of randomness.
    pub(super) fn new() -> Option<Self> {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).ok()?;
        Some(Self {
            seed: hmac::Key::new(hmac::HMAC_SHA256, &seed),
        })
    }

    /// The public key, 32 bytes.
    pub(super) fn public_key(&self, host: &str, salt: &[u8]) -> Option<Vec<u8>> {
        let pair = self.pair(host, salt)?;
        Some(pair.public_key().as_ref().to_vec())
    }

    /// The signature of `payload`, 64 bytes, followed by `payload`.
    pub(super) fn sign(&self, host: &str, salt: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
        let signature = self.pair(host, salt)?.sign(payload);
        Some([signature.as_ref(), payload].concat())
    }

    fn pair(&self, host: &str, salt: &[u8]) -> Option<Ed25519KeyPair> {
        let mut context = hmac::Context::with_key(&self.seed);
        context.update(&(host.len() as u64).to_be_bytes());
        context.update(host.as_bytes());
        context.update(salt);
        Ed25519KeyPair::from_seed_unchecked(context.sign().as_ref()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};

    #[test]
    fn the_public_key_verifies_signatures_for_the_same_host_and_salt() {
        let authority = Authority::new().unwrap();
        let key = authority.public_key("registry.example", b"salt").unwrap();
        let signed = authority
            .sign("registry.example", b"salt", b"payload")
            .unwrap();
        let (signature, payload) = signed.split_at(64);
        assert_eq!(payload, b"payload");
        let verifier = UnparsedPublicKey::new(&ED25519, &key);
        assert!(verifier.verify(payload, signature).is_ok());
        assert_ne!(authority.public_key("other.example", b"salt").unwrap(), key);
        assert_ne!(
            Authority::new()
                .unwrap()
                .public_key("registry.example", b"salt"),
            Some(key)
        );
    }
}
