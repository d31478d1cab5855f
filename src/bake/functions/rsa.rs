//! Decryption with RSA and the padding of PKCS #1 1.5.
//!
//! The key is in the definition or its environment, so nobody is there whom the time of a computation could tell something.

use dashu_int::UBig;
use dashu_int::fast_div::ConstDivisor;

use super::encoding::base64_bytes;

/// The longest modulus, in bytes.
const MAX_MODULUS: usize = 2048;

/// Decrypts a Base64 text with a private key `RSA PRIVATE KEY` in PEM.
pub(super) fn decrypt(text: &str, key: &str) -> Result<String, &'static str> {
    let cipher = base64_bytes(text).ok_or("the text is not Base64")?;
    let key = key_bytes(key)?;
    let (modulus, exponent) = private_key(&key).ok_or("the key is no private key of PKCS #1")?;
    let size = modulus.len();
    if cipher.len() > size || size > MAX_MODULUS {
        return Err("the text does not belong to this key");
    }
    let modulus = UBig::from_be_bytes(modulus);
    if modulus < UBig::from(3_u8) {
        return Err("the key is no private key of PKCS #1");
    }
    let ring = ConstDivisor::new(modulus);
    let message = ring.reduce(UBig::from_be_bytes(&cipher));
    let message = message.pow(&UBig::from_be_bytes(exponent)).residue();
    let message = message.to_be_bytes();
    // The zero byte before the 2 is not in the number.
    let padded = message
        .strip_prefix(&[2])
        .filter(|_| message.len() + 1 == size);
    let padded = padded.ok_or("decryption error")?;
    let end = padded.iter().position(|byte| *byte == 0);
    let end = end.filter(|end| *end >= 8).ok_or("decryption error")?;
    let plain = padded.get(end + 1..).unwrap_or_default();
    String::from_utf8(plain.to_vec()).map_err(|_| "the decrypted bytes are not UTF-8")
}

/// The content of the first PEM block.
fn key_bytes(key: &str) -> Result<Vec<u8>, &'static str> {
    let missing = "the key has no PEM block";
    let (_, block) = key.split_once("-----BEGIN ").ok_or(missing)?;
    let (label, block) = block.split_once("-----").ok_or(missing)?;
    let end = format!("-----END {label}-----");
    let (body, _) = block.split_once(end.as_str()).ok_or(missing)?;
    if body.contains("ENCRYPTED") {
        return Err("the key has a password; decrypt it before");
    }
    let body: String = body.split_ascii_whitespace().collect();
    base64_bytes(&body).ok_or(missing)
}

/// The modulus and the private exponent.
fn private_key(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, _) = element(key, 0x30)?;
    let (_version, rest) = element(content, 0x02)?;
    let (modulus, rest) = element(rest, 0x02)?;
    let (_public, rest) = element(rest, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    Some((modulus, exponent)).filter(|_| exponent.len() <= MAX_MODULUS + 1)
}

/// The content of a DER element, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, bytes) = bytes.split_first()?;
    let (length, bytes) = bytes.split_first()?;
    let (length, bytes) = match length {
        0..=0x7f => (usize::from(*length), bytes),
        0x81..=0x83 => {
            let (digits, bytes) = bytes.split_at_checked(usize::from(length & 0x7f))?;
            let length = digits
                .iter()
                .fold(0, |length, digit| length << 8 | usize::from(*digit));
            (length, bytes)
        }
        _ => return None,
    };
    (*first == tag).then(|| bytes.split_at_checked(length))?
}
