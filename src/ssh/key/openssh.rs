//! Private keys in OpenSSH's own form (`PROTOCOL.key` of OpenSSH), which `ssh-keygen` has written by default since 7.8.

use super::KeyError;
use super::parts::{Curve, Parts, RsaParts, check_length, reduced_exponent};
use crate::ssh::wire::Reader;

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The name of no encryption.
const NONE: &[u8] = b"none";

/// Parses the decoded content. Returns the parts of the key, and the public key next to it.
pub(super) fn parse(content: &[u8]) -> Result<(Parts, &[u8]), KeyError> {
    let content = content.strip_prefix(MAGIC).ok_or(KeyError::Damaged)?;
    let mut reader = Reader::new(content);
    let mut head = || {
        let cipher = reader.string()?;
        let derivation = reader.string()?;
        let _options = reader.string()?;
        let count = reader.number()?;
        let public = reader.string()?;
        let is_plain = cipher == NONE && derivation == NONE;
        Some((is_plain, count, public, reader.string()?))
    };
    let (is_plain, count, public, private) = head().ok_or(KeyError::Damaged)?;
    // OpenSSH writes exactly one key.
    if count != 1 {
        return Err(KeyError::Damaged);
    }
    // The type is readable although the rest is encrypted, and removing the passphrase of another type would not help.
    let name = Reader::new(public).string().ok_or(KeyError::Damaged)?;
    let kind = Kind::named(name)?;
    if !is_plain {
        return Err(KeyError::Passphrase);
    }
    let mut reader = Reader::new(private);
    let checks = (reader.number(), reader.number());
    let is_same = checks.0.is_some() && checks.0 == checks.1;
    if !is_same || reader.string() != Some(name) {
        return Err(KeyError::Damaged);
    }
    let parts = kind.parts(&mut reader)?;
    reader.string().ok_or(KeyError::Damaged)?; // the comment
    let padding = reader.rest().iter().zip(1_u8..);
    if reader.rest().len() > 255 || !padding.into_iter().all(|(&byte, number)| byte == number) {
        return Err(KeyError::Damaged);
    }
    Ok((parts, public))
}

/// The supported types.
#[derive(Clone, Copy)]
enum Kind {
    Ed25519,
    Ecdsa(Curve),
    Rsa,
}

impl Kind {
    fn named(name: &[u8]) -> Result<Self, KeyError> {
        Ok(match name {
            b"ssh-ed25519" => Self::Ed25519,
            b"ecdsa-sha2-nistp256" => Self::Ecdsa(Curve::P256),
            b"ecdsa-sha2-nistp384" => Self::Ecdsa(Curve::P384),
            b"ssh-rsa" => Self::Rsa,
            b"ecdsa-sha2-nistp521" => return Err(KeyError::Kind("ECDSA P-521")),
            b"ssh-dss" => return Err(KeyError::Kind("DSA")),
            name if name.starts_with(b"sk-") => return Err(KeyError::Kind("FIDO")),
            _ => return Err(KeyError::Kind("unknown")),
        })
    }

    /// Reads the fields behind the name.
    fn parts(self, reader: &mut Reader<'_>) -> Result<Parts, KeyError> {
        let damaged = || KeyError::Damaged;
        match self {
            Self::Ed25519 => {
                let public = reader.string().ok_or_else(damaged)?;
                // The seed, followed by the public key.
                let private = reader.string().ok_or_else(damaged)?;
                let (seed, rest) = private.split_at_checked(32).ok_or_else(damaged)?;
                if rest != public {
                    return Err(KeyError::Damaged);
                }
                Ok(Parts::Ed25519 {
                    public: Some(public.to_vec()),
                    seed: seed.to_vec().into(),
                })
            }
            Self::Ecdsa(curve) => {
                if reader.string() != Some(curve.name().as_bytes()) {
                    return Err(KeyError::Damaged);
                }
                let public = reader.string().ok_or_else(damaged)?;
                let scalar = reader.integer().ok_or_else(damaged)?;
                Ok(Parts::Ecdsa {
                    curve,
                    public: public.to_vec(),
                    scalar: scalar.to_vec().into(),
                })
            }
            Self::Rsa => {
                let mut number = || reader.integer().ok_or_else(damaged);
                let (modulus, public_exponent) = (number()?, number()?);
                let (private_exponent, coefficient) = (number()?, number()?);
                let (first_prime, second_prime) = (number()?, number()?);
                // Before the work below, which grows with these lengths.
                check_length(modulus)?;
                let others = [private_exponent, first_prime, second_prime];
                if others.iter().any(|other| other.len() > modulus.len()) {
                    return Err(KeyError::Damaged);
                }
                Ok(Parts::Rsa(RsaParts {
                    modulus: modulus.to_vec(),
                    public_exponent: public_exponent.to_vec(),
                    first_exponent: reduced_exponent(private_exponent, first_prime)?,
                    second_exponent: reduced_exponent(private_exponent, second_prime)?,
                    private_exponent: private_exponent.to_vec().into(),
                    first_prime: first_prime.to_vec().into(),
                    second_prime: second_prime.to_vec().into(),
                    coefficient: coefficient.to_vec().into(),
                }))
            }
        }
    }
}
