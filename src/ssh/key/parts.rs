//! The numbers of a private key, from which `ring` builds the key pair.

use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RsaKeyPair,
};
use secrecy::zeroize::Zeroizing;

use super::KeyError;
use super::pair::Pair;
use crate::ssh::wire::without_zeros;

/// A part of a private key. Its memory is overwritten when it is dropped.
pub(super) type Secret = Zeroizing<Vec<u8>>;

/// The limits of `ring` for signatures, in bits.
const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 4096;

/// The smallest public exponent that `ring` supports.
const MIN_RSA_EXPONENT: &[u8] = &[1, 0, 1];

/// The parts of a private key, as a file contains them.
pub(super) enum Parts {
    Ed25519 {
        /// Absent in PKCS#8.
        public: Option<Vec<u8>>,
        /// 32 bytes.
        seed: Secret,
    },
    Ecdsa {
        curve: Curve,
        /// A point, uncompressed.
        public: Vec<u8>,
        /// Big-endian.
        scalar: Secret,
    },
    Rsa(RsaParts),
}

/// The curves that are supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
}

impl Curve {
    fn algorithm(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }

    /// The length of a scalar in bytes.
    fn scalar_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    /// Its name in SSH (RFC 5656, section 10.1).
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::P256 => "nistp256",
            Self::P384 => "nistp384",
        }
    }
}

/// The numbers of an RSA key, big-endian and without leading zeros (RFC 8017, section 3.2).
pub(super) struct RsaParts {
    pub(super) modulus: Vec<u8>,
    pub(super) public_exponent: Vec<u8>,
    pub(super) private_exponent: Secret,
    pub(super) first_prime: Secret,
    pub(super) second_prime: Secret,
    pub(super) first_exponent: Secret,
    pub(super) second_exponent: Secret,
    pub(super) coefficient: Secret,
}

impl Parts {
    /// The key pair, if the parts belong together and are supported.
    pub(super) fn pair(&self) -> Result<Pair, KeyError> {
        match self {
            Self::Ed25519 { public, seed } => {
                let pair = match public {
                    Some(public) => Ed25519KeyPair::from_seed_and_public_key(seed, public),
                    None => Ed25519KeyPair::from_seed_unchecked(seed),
                };
                let pair = pair.map_err(|_| KeyError::Damaged)?;
                Ok(Pair::Ed25519(pair))
            }
            Self::Ecdsa {
                curve,
                public,
                scalar,
            } => {
                let scalar = padded(scalar, curve.scalar_bytes())?;
                let pair = EcdsaKeyPair::from_private_key_and_public_key(
                    curve.algorithm(),
                    &scalar,
                    public,
                    &SystemRandom::new(),
                );
                Ok(Pair::Ecdsa(*curve, pair.map_err(|_| KeyError::Damaged)?))
            }
            Self::Rsa(parts) => parts.pair(),
        }
    }
}

impl RsaParts {
    fn pair(&self) -> Result<Pair, KeyError> {
        check_length(&self.modulus)?;
        let exponent = without_zeros(&self.public_exponent);
        if (exponent.len(), exponent) < (MIN_RSA_EXPONENT.len(), MIN_RSA_EXPONENT) {
            return Err(KeyError::RsaExponent);
        }
        let pair = RsaKeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents {
                n: &*self.modulus,
                e: exponent,
            },
            d: &*self.private_exponent,
            p: &*self.first_prime,
            q: &*self.second_prime,
            dP: &*self.first_exponent,
            dQ: &*self.second_exponent,
            qInv: &*self.coefficient,
        });
        let pair = pair.map_err(|_| KeyError::Damaged)?;
        Ok(Pair::Rsa(Box::new(pair)))
    }
}

/// Checks the length of an RSA key.
pub(super) fn check_length(modulus: &[u8]) -> Result<(), KeyError> {
    let bits = bits(modulus);
    if (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        Ok(())
    } else {
        Err(KeyError::RsaLength(bits))
    }
}

/// The length of a number without leading zeros.
fn bits(number: &[u8]) -> usize {
    let leading = number.first().map_or(0, |first| first.leading_zeros());
    number.len() * 8 - leading as usize
}

/// A number with leading zeros, in this length.
fn padded(number: &[u8], length: usize) -> Result<Secret, KeyError> {
    let number = without_zeros(number);
    let missing = length.checked_sub(number.len()).ok_or(KeyError::Damaged)?;
    let mut padded = Secret::new(vec![0; missing]);
    padded.reserve_exact(number.len());
    padded.extend(number);
    Ok(padded)
}

/// The exponent of one prime: `exponent` modulo `prime - 1`. A file of OpenSSH does not contain it.
///
/// Long division bit by bit. A key has at most 4096 bits, and this runs once for each key.
pub(super) fn reduced_exponent(exponent: &[u8], prime: &[u8]) -> Result<Secret, KeyError> {
    let mut modulus = Secret::new(prime.to_vec());
    // A prime is odd, so subtracting one changes only its last byte.
    match modulus.last_mut() {
        Some(last) if *last & 1 == 1 => *last -= 1,
        _ => return Err(KeyError::Damaged),
    }
    if without_zeros(&modulus).is_empty() {
        return Err(KeyError::Damaged);
    }
    // One byte more than the modulus: twice the remainder has one bit more.
    modulus.insert(0, 0);
    let mut remainder = Secret::new(vec![0; modulus.len()]);
    for byte in exponent {
        for bit in (0..8).rev() {
            let mut carry = byte >> bit & 1;
            for digit in remainder.iter_mut().rev() {
                let next = *digit >> 7;
                *digit = *digit << 1 | carry;
                carry = next;
            }
            if *remainder >= *modulus {
                let mut borrow = false;
                for (digit, other) in remainder.iter_mut().rev().zip(modulus.iter().rev()) {
                    let (difference, first) = digit.overflowing_sub(*other);
                    let (difference, second) = difference.overflowing_sub(u8::from(borrow));
                    *digit = difference;
                    borrow = first || second;
                }
            }
        }
    }
    Ok(Secret::new(without_zeros(&remainder).to_vec()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_exponent_is_reduced_as_numbers_are(exponent in any::<u128>(), prime in any::<u64>()) {
            let prime = prime | 1;
            let reduced = reduced_exponent(&exponent.to_be_bytes(), &prime.to_be_bytes());
            if prime == 1 {
                prop_assert!(reduced.is_err());
            } else {
                let expected = exponent % u128::from(prime - 1);
                let expected = expected.to_be_bytes();
                prop_assert_eq!(&**reduced.unwrap(), without_zeros(&expected));
            }
        }
    }

    #[test]
    fn the_length_of_a_number_is_in_bits() {
        assert_eq!(bits(&[]), 0);
        assert_eq!(bits(&[1, 0]), 9);
        assert_eq!(bits(&[0x80]), 8);
    }
}
