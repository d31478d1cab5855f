//! Key pairs: their public keys and signatures in the forms of SSH.

use ring::rand::SystemRandom;
use ring::signature::{
    EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
};

use super::parts::Curve;
use crate::ssh::wire::{put_integer, put_string};

/// A key pair that can sign.
pub(super) enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(Curve, EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// The hash of an RSA signature (RFC 8332).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RsaHash {
    Sha256,
    Sha512,
}

impl Pair {
    /// The name of the key's type (RFC 4253, RFC 5656, RFC 8709).
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "ssh-ed25519",
            Self::Ecdsa(Curve::P256, _) => "ecdsa-sha2-nistp256",
            Self::Ecdsa(Curve::P384, _) => "ecdsa-sha2-nistp384",
            Self::Rsa(_) => "ssh-rsa",
        }
    }

    /// The public key as a server knows it.
    pub(super) fn public(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        put_string(&mut blob, self.name().as_bytes());
        match self {
            Self::Ed25519(pair) => put_string(&mut blob, pair.public_key().as_ref()),
            Self::Ecdsa(curve, pair) => {
                put_string(&mut blob, curve.name().as_bytes());
                put_string(&mut blob, pair.public_key().as_ref());
            }
            Self::Rsa(pair) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                put_integer(&mut blob, &public.e);
                put_integer(&mut blob, &public.n);
            }
        }
        blob
    }

    /// A signature of `data`, with the name of its algorithm. `hash` is used by RSA only, and `None` there would be SHA-1, which
    /// is not supported. `None` if the key cannot sign.
    pub(super) fn sign(&self, data: &[u8], hash: Option<RsaHash>) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        let (name, signature) = match self {
            Self::Ed25519(pair) => (self.name(), pair.sign(data).as_ref().to_vec()),
            Self::Ecdsa(_, pair) => {
                // Two numbers of the same length.
                let fixed = pair.sign(&random, data).ok()?;
                let fixed = fixed.as_ref();
                let (r, s) = fixed.split_at_checked(fixed.len() / 2)?;
                let mut numbers = Vec::new();
                put_integer(&mut numbers, r);
                put_integer(&mut numbers, s);
                (self.name(), numbers)
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let name = match hash? {
                    RsaHash::Sha256 => {
                        pair.sign(&RSA_PKCS1_SHA256, &random, data, &mut signature)
                            .ok()?;
                        "rsa-sha2-256"
                    }
                    RsaHash::Sha512 => {
                        pair.sign(&RSA_PKCS1_SHA512, &random, data, &mut signature)
                            .ok()?;
                        "rsa-sha2-512"
                    }
                };
                (name, signature)
            }
        };
        let mut blob = Vec::new();
        put_string(&mut blob, name.as_bytes());
        put_string(&mut blob, &signature);
        Some(blob)
    }
}
