//! Private keys in DER: PKCS#1 (RFC 8017), PKCS#8 (RFC 5958) and SEC1 (RFC 5915), as OpenSSL and older `ssh-keygen` write them.

use super::KeyError;
use super::parts::{Curve, Parts, RsaParts};
use crate::ssh::wire::without_zeros;

/// Tags of ASN.1.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0xa1;

/// Object ids of algorithms, without tag and length.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const ED448: &[u8] = &[0x2b, 0x65, 0x71];

/// Object ids of curves.
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];

/// Reads elements from the front of a buffer.
#[derive(Clone, Copy)]
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The content of the next element, if it has this tag.
    fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        if found != tag {
            return None;
        }
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first & 0x80 != 0 {
            // A length of more than two bytes exceeds the limit of a key file.
            let count = usize::from(first & 0x7f);
            if !(1..=2).contains(&count) {
                return None;
            }
            let (bytes, behind) = rest.split_at_checked(count)?;
            length = bytes
                .iter()
                .fold(0, |length, &byte| length << 8 | usize::from(byte));
            rest = behind;
        }
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// The elements of the next sequence.
    fn sequence(&mut self) -> Option<Self> {
        self.next(SEQUENCE).map(Self)
    }

    /// A positive integer, without leading zeros.
    fn integer(&mut self) -> Option<&'a [u8]> {
        let bytes = self.next(INTEGER)?;
        let is_negative = bytes.first().is_none_or(|first| first & 0x80 != 0);
        (!is_negative).then(|| without_zeros(bytes))
    }
}

/// PKCS#1.
pub(super) fn rsa(der: &[u8]) -> Result<Parts, KeyError> {
    let parts = || {
        let mut key = Elements(der).sequence()?;
        // Version 0: two primes.
        if !key.integer()?.is_empty() {
            return None;
        }
        let mut number = || key.integer().map(<[u8]>::to_vec);
        Some(RsaParts {
            modulus: number()?,
            public_exponent: number()?,
            private_exponent: number()?.into(),
            first_prime: number()?.into(),
            second_prime: number()?.into(),
            first_exponent: number()?.into(),
            second_exponent: number()?.into(),
            coefficient: number()?.into(),
        })
    };
    parts().map(Parts::Rsa).ok_or(KeyError::Damaged)
}

/// SEC1. `curve` is the object id of the curve if the key itself may lack it.
pub(super) fn elliptic(der: &[u8], curve: Option<&[u8]>) -> Result<Parts, KeyError> {
    let fields = || {
        let mut key = Elements(der).sequence()?;
        if key.integer()? != [1] {
            return None;
        }
        let scalar = key.next(OCTET_STRING)?;
        let own_curve = key
            .next(CONTEXT_0)
            .and_then(|named| Elements(named).next(OBJECT_ID));
        let public = key
            .next(CONTEXT_1)
            .and_then(|public| Elements(public).next(BIT_STRING));
        Some((scalar, own_curve, public))
    };
    let (scalar, own_curve, public) = fields().ok_or(KeyError::Damaged)?;
    let curve = own_curve.or(curve).ok_or(KeyError::Damaged)?;
    let curve = match curve {
        P256 => Curve::P256,
        P384 => Curve::P384,
        P521 => return Err(KeyError::Kind("ECDSA P-521")),
        _ => return Err(KeyError::Kind("ECDSA")),
    };
    // The first byte of a bit string is the number of unused bits.
    let public = public.ok_or(KeyError::NoPublicPart)?;
    let public = public.strip_prefix(&[0]).ok_or(KeyError::Damaged)?;
    Ok(Parts::Ecdsa {
        curve,
        public: public.to_vec(),
        scalar: scalar.to_vec().into(),
    })
}

/// PKCS#8, without encryption.
pub(super) fn pkcs8(der: &[u8]) -> Result<Parts, KeyError> {
    let fields = || {
        let mut key = Elements(der).sequence()?;
        let _version = key.integer()?;
        let mut algorithm = key.sequence()?;
        let name = algorithm.next(OBJECT_ID)?;
        Some((name, algorithm.next(OBJECT_ID), key.next(OCTET_STRING)?))
    };
    let (algorithm, curve, key) = fields().ok_or(KeyError::Damaged)?;
    match algorithm {
        RSA => rsa(key),
        EC => elliptic(key, curve),
        ED25519 => {
            let seed = Elements(key).next(OCTET_STRING).ok_or(KeyError::Damaged)?;
            Ok(Parts::Ed25519 {
                public: None,
                seed: seed.to_vec().into(),
            })
        }
        RSA_PSS => Err(KeyError::Kind("RSA-PSS")),
        DSA => Err(KeyError::Kind("DSA")),
        ED448 => Err(KeyError::Kind("Ed448")),
        _ => Err(KeyError::Kind("unknown")),
    }
}
