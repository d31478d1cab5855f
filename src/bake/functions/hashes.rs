//! Digests, UUIDs, hashes of passwords, and decryption with RSA.

use std::fmt::Write as _;

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use uuid::{Builder, Uuid};

use super::call::{Call, Outcome, Parameter, Standard, failure, quote, wrong};
use super::rsa;

const TEXT: Parameter = Parameter::STRING;

/// The largest cost of `bcrypt`: about a second. Each step more takes twice as long.
const MAX_COST: u32 = 14;

/// The longest password of `bcrypt`.
const MAX_PASSWORD: usize = 72;

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new("bcrypt", &[TEXT], bcrypt).rest(Parameter::NUMBER),
    Standard::new("md5", &[TEXT], digest::<Md5>),
    Standard::new("rsadecrypt", &[TEXT, TEXT], |call| {
        let size = call.text(0)?.len().min(rsa::MAX_MODULUS);
        call.spend([size, size / 4])?;
        let text = rsa::decrypt(call.text(0)?, call.text(1)?);
        call.string(text.map_err(failure)?)
    }),
    Standard::new("sha1", &[TEXT], digest::<Sha1>),
    Standard::new("sha256", &[TEXT], digest::<Sha256>),
    Standard::new("sha512", &[TEXT], digest::<Sha512>),
    Standard::new("uuidv4", &[], |call| {
        call.string(Uuid::new_v4().to_string())
    }),
    Standard::new("uuidv5", &[TEXT, TEXT], uuid_v5),
];

fn digest<D: Digest>(call: &Call<'_>) -> Outcome {
    let mut text = String::new();
    for byte in D::digest(call.text(0)?) {
        let _ = write!(text, "{byte:02x}");
    }
    call.string(text)
}

fn bcrypt(call: &Call<'_>) -> Outcome {
    let cost = match call.arguments.len() {
        1 => i64::from(bcrypt::DEFAULT_COST),
        2 => call.integer(1)?,
        _ => return Err(failure("a string and a cost are required")),
    };
    let password = call.text(0)?;
    if password.len() > MAX_PASSWORD {
        return Err(wrong(
            0,
            format!("the password has more than {MAX_PASSWORD} bytes"),
        ));
    }
    let cost = match u32::try_from(cost) {
        Ok(cost @ 4..=MAX_COST) => cost,
        Ok(cost) if cost > MAX_COST => {
            return Err(wrong(1, format!("the cost must not exceed {MAX_COST}")));
        }
        _ => 10,
    };
    call.spend([1 << cost, 64])?;
    let hash = bcrypt::hash_with_result(password, cost);
    let hash = hash.map_err(|error| failure(error.to_string()))?;
    call.string(hash.format_for_version(bcrypt::Version::TwoA))
}

fn uuid_v5(call: &Call<'_>) -> Outcome {
    let namespace = match call.text(0)? {
        "dns" => Uuid::NAMESPACE_DNS,
        "url" => Uuid::NAMESPACE_URL,
        "oid" => Uuid::NAMESPACE_OID,
        "x500" => Uuid::NAMESPACE_X500,
        text => Uuid::parse_str(text).map_err(|_| {
            wrong(
                0,
                format!(
                    "the namespace is a UUID, dns, url, oid or x500, not {}",
                    quote(text)
                ),
            )
        })?,
    };
    let mut hash = Sha1::new();
    hash.update(namespace.as_bytes());
    hash.update(call.text(1)?);
    let mut bytes = [0; 16];
    for (byte, digest) in bytes.iter_mut().zip(hash.finalize()) {
        *byte = digest;
    }
    call.string(Builder::from_sha1_bytes(bytes).into_uuid().to_string())
}
