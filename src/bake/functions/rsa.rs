//! Decryption with RSA and the padding of PKCS #1 1.5.
//!
//! The time of the computation depends on the key. That does no harm: only the owner of the key can measure it.

use dashu_int::UBig;
use dashu_int::fast_div::ConstDivisor;

use super::encoding::base64_bytes;

/// The longest modulus, in bytes.
pub(super) const MAX_MODULUS: usize = 2048;

/// Decrypts a Base64 text with a private key `RSA PRIVATE KEY` in PEM.
pub(super) fn decrypt(text: &str, key: &str) -> Result<String, &'static str> {
    let cipher = base64_bytes(text).ok_or("the text is not Base64")?;
    let key = key_bytes(key)?;
    let (modulus, exponent) = private_key(&key).ok_or("the key is not a PKCS #1 private key")?;
    let size = modulus.len();
    if cipher.len() > size || size > MAX_MODULUS {
        return Err("the text does not belong to this key");
    }
    let modulus = UBig::from_be_bytes(modulus);
    if modulus < UBig::from(3_u8) {
        return Err("the key is not a PKCS #1 private key");
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The content of a key for this test only.
    const KEY: &str = "\
        MIICXQIBAAKBgQCuSqJPjKMpHeFhvKkDBybr603eGljTLCajZR7cMiw3Lnx1eOIm\
        UmcD/LtYai1+5E0x8gq3MsXF9LPmNHYw7NINNfpp34L5cMB91g77yrbHSvOuniae\
        a1N0NawliHWS4bpPBNrH7jp29qg3URS7aOe03WHX2KppDujYlSXRuoJQCwIDAQAB\
        AoGAZv31cfqSQ+7DS2UXnpFwX4LZrcB18rupTW6o0MfZNvaCV0yKnsic1U9YScPc\
        hJpWP4he6qjXE8YpNISVvw2ChZAoCkKCt5H00uF4CDBCzNDVJ8C50n6mJbCczuJ7\
        9SwyCG7vykQIvZXbFTC8BYdN1TNo1WNbLFgEzmgwrXRQuskCQQDbZ9kdfJAuHZ9O\
        6zJeZPiN1jpPF1Ip0/uMYfdFub9AQvMmGzBjKapjMIUvEQiM5u8/sCNVPXBTJjhN\
        F1DgA2HlAkEAy1yCedHv/sBs4WDr/KF3/JF4Gp2oTw7k956Sc8OOdXCV75OyntgE\
        vY7aBxbH9SIeMYPgcdae4JlQpyV2qQyLLwJBANisgNTG29g+9sHIMdDYpEHma2UK\
        IeEe8I+de8YG/uFmfJuIREvZrOQR2aU2jBwiP+nEd9BJQXFMEFPJj9v6WyUCQEoq\
        Mdd1rf4NdWf4rffTd2vgLZofV0uF1hFMfoLDlgfUiIn4JpNxmsD7AR7GuyP2Tmam\
        fstlh0nIADcFHbJnRbcCQQCB3IGYPvrX7Etp305+ajS/WZcPjH9q6tGimxN36Gvh\
        quCjaGrwp5bkLytbqym0N9vgA3N/TQhrSxUIfv9yr3fP\
        ";

    const TEXT: &str = "k5+QwzxFBFV9a/7w7XD4KWRje0Vf4ash4pdUcKwZE8a/8a4B/37+QYFdbuflJCWSTAvqX/8v2UCCEOcrvten6S6PsBPy2GOKzxnuPf/2ESUQCUtjWH4m9rD+42F8hAslZkTJac66v4ZTovDevrgpeXEnk2iXexhHyZWRyA/F7m0=";

    fn pem() -> String {
        format!("-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n-----END RSA PRIVATE KEY-----\n")
    }

    #[test]
    fn texts_of_openssl_are_decrypted() {
        assert_eq!(decrypt(TEXT, &pem()), Ok("héllo".to_owned()));
    }

    #[test]
    fn wrong_texts_and_keys_are_errors() {
        let key = pem();
        let other = TEXT.replacen("k5", "k6", 1);
        for text in ["", "YQ==", "!", &other] {
            assert!(decrypt(text, &key).is_err(), "{text}");
        }
        for end in 0..key.len() - 1 {
            assert!(decrypt(TEXT, &key[..end]).is_err());
        }
        let der = key_bytes(&key).unwrap();
        for end in 0..der.len() {
            let _ = private_key(&der[..end]);
        }
    }
}
