//! Keys that `ssh-keygen` and OpenSSL made. None of them is used anywhere.

use std::fs;

use proptest::prelude::*;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

use super::*;
use crate::ssh::wire::Reader;

/// A file of `samples`.
pub(in crate::ssh) fn sample(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ssh/samples");
    fs::read_to_string(format!("{folder}/{name}")).unwrap()
}

pub(in crate::ssh) fn key(name: &str) -> PrivateKey {
    PrivateKey::parse(sample(name).as_bytes()).unwrap_or_else(|error| panic!("{name} {error}"))
}

/// Checks a signature with the public key alone, as a server does.
#[track_caller]
pub(in crate::ssh) fn verify(public: &[u8], data: &[u8], signature: &[u8], algorithm: &str) {
    let mut signature = Reader::new(signature);
    assert_eq!(signature.string(), Some(algorithm.as_bytes()));
    let bytes = signature.string().unwrap();
    assert!(signature.is_at_end());
    let mut public = Reader::new(public);
    public.string().unwrap();
    let ecdsa = |public: &mut Reader<'_>,
                 verification: &'static dyn VerificationAlgorithm,
                 length: usize| {
        public.string().unwrap();
        let mut numbers = Reader::new(bytes);
        let fixed: Vec<u8> = [numbers.integer().unwrap(), numbers.integer().unwrap()]
            .iter()
            .flat_map(|number| {
                let zeros = vec![0; length - number.len()];
                [&*zeros, number].concat()
            })
            .collect();
        let point = public.string().unwrap();
        UnparsedPublicKey::new(verification, point).verify(data, &fixed)
    };
    let rsa = |public: &mut Reader<'_>, verification| {
        let (e, n) = (public.integer().unwrap(), public.integer().unwrap());
        RsaPublicKeyComponents { n, e }.verify(verification, data, bytes)
    };
    let verified = match algorithm {
        "ssh-ed25519" => {
            UnparsedPublicKey::new(&ED25519, public.string().unwrap()).verify(data, bytes)
        }
        "ecdsa-sha2-nistp256" => ecdsa(&mut public, &ECDSA_P256_SHA256_FIXED, 32),
        "ecdsa-sha2-nistp384" => ecdsa(&mut public, &ECDSA_P384_SHA384_FIXED, 48),
        "rsa-sha2-256" => rsa(&mut public, &RSA_PKCS1_2048_8192_SHA256),
        "rsa-sha2-512" => rsa(&mut public, &RSA_PKCS1_2048_8192_SHA512),
        other => panic!("{other}"),
    };
    verified.unwrap();
}

#[test]
fn keys_are_read_in_every_form_and_sign() {
    for (name, public, algorithm) in [
        ("ed25519", "ed25519", "ssh-ed25519"),
        ("ed25519_pkcs8", "", "ssh-ed25519"),
        ("p256", "p256", "ecdsa-sha2-nistp256"),
        ("p256_pem", "p256", "ecdsa-sha2-nistp256"),
        ("p256_pkcs8", "p256", "ecdsa-sha2-nistp256"),
        ("p256_parameters", "", "ecdsa-sha2-nistp256"),
        ("p384", "p384", "ecdsa-sha2-nistp384"),
        ("p384_pem", "p384", "ecdsa-sha2-nistp384"),
        ("p384_pkcs8", "p384", "ecdsa-sha2-nistp384"),
        ("rsa", "rsa", "rsa-sha2-512"),
        ("rsa_pem", "rsa", "rsa-sha2-256"),
        ("rsa_pkcs8", "rsa", "rsa-sha2-512"),
        ("rsa_swapped_primes", "rsa", "rsa-sha2-512"),
    ] {
        let key = key(name);
        if !public.is_empty() {
            let line = sample(&format!("{public}.pub"));
            let blob =
                base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key.public());
            assert_eq!(line.split(' ').nth(1), Some(&*blob), "{name}");
        }
        let hash = match algorithm {
            "rsa-sha2-256" => RsaHash::Sha256,
            _ => RsaHash::Sha512,
        };
        // Several: the numbers of an ECDSA signature have leading zeros by chance.
        for number in 0..20_u8 {
            let data = [number; 100];
            let signature = key.sign(&data, Some(hash)).unwrap();
            verify(key.public(), &data, &signature, algorithm);
        }
    }
}

#[test]
fn an_rsa_key_makes_no_signature_with_sha1() {
    assert_eq!(key("rsa").sign(b"data", None), None);
}

#[test]
fn files_that_are_not_supported_keys_are_named() {
    let p521 = KeyError::Kind("ECDSA P-521");
    for (name, error) in [
        ("ed25519.pub", KeyError::PublicKey),
        ("ed25519_passphrase", KeyError::Passphrase),
        ("rsa_pem_passphrase", KeyError::Passphrase),
        ("rsa_pkcs8_passphrase", KeyError::Passphrase),
        ("p521", p521),
        ("dsa", KeyError::Kind("DSA")),
        ("dsa_openssh", KeyError::Kind("DSA")),
        ("ed448", KeyError::Kind("Ed448")),
        ("k256", KeyError::Kind("ECDSA")),
        ("rsa_pss", KeyError::Kind("RSA-PSS")),
        ("rsa_1024", KeyError::RsaLength(1024)),
        ("rsa_exponent_3", KeyError::RsaExponent),
        ("p256_without_public", KeyError::NoPublicPart),
    ] {
        let parsed = PrivateKey::parse(sample(name).as_bytes());
        assert_eq!(parsed.err(), Some(error), "{name}");
    }
    let in_base64 = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        sample("ed25519"),
    );
    let cut = sample("rsa");
    let cut = cut.split_at(800).0;
    for (text, error) in [
        ("", KeyError::Empty),
        (" \r\n", KeyError::Empty),
        ("hello", KeyError::NotAKey),
        (&*in_base64, KeyError::InBase64),
        (cut, KeyError::Truncated),
        ("-----BEGIN OPENSSH PRIVATE", KeyError::Truncated),
        (
            "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n",
            KeyError::PublicKey,
        ),
        ("---- BEGIN SSH2 PUBLIC KEY ----\n", KeyError::PublicKey),
        ("ssh-rsa-cert-v01@openssh.com AAAA", KeyError::PublicKey),
        ("sk-ssh-ed25519@openssh.com AAAA", KeyError::PublicKey),
        ("PuTTY-User-Key-File-3: ssh-ed25519", KeyError::ForeignForm),
        (
            "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",
            KeyError::ForeignForm,
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMCow\n-----END CERTIFICATE-----\n",
            KeyError::NotAKey,
        ),
        (
            "-----BEGIN DSA PRIVATE KEY-----\nMCow\n-----END DSA PRIVATE KEY-----\n",
            KeyError::Kind("DSA"),
        ),
        (
            "-----BEGIN PRIVATE KEY-----\n????\n-----END PRIVATE KEY-----\n",
            KeyError::Damaged,
        ),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nMCow\n-----END OPENSSH PRIVATE KEY-----\n",
            KeyError::Damaged,
        ),
    ] {
        let parsed = PrivateKey::parse(text.as_bytes());
        assert_eq!(parsed.err(), Some(error), "{text}");
    }
    assert_eq!(PrivateKey::parse(b"\xff").err(), Some(KeyError::NotAKey));
}

#[test]
fn a_security_key_is_named() {
    let mut content = b"openssh-key-v1\0".to_vec();
    let mut public = Vec::new();
    crate::ssh::wire::put_string(&mut public, b"sk-ssh-ed25519@openssh.com");
    for part in [&b"none"[..], b"none", b""] {
        crate::ssh::wire::put_string(&mut content, part);
    }
    content.extend([0, 0, 0, 1]);
    crate::ssh::wire::put_string(&mut content, &public);
    crate::ssh::wire::put_string(&mut content, b"private");
    assert_eq!(openssh::parse(&content).err(), Some(KeyError::Kind("FIDO")));
}

#[test]
fn a_key_with_other_line_breaks_is_read() {
    for text in [
        sample("rsa").replace('\n', "\r\n"),
        sample("rsa").replace('\n', " "),
        sample("rsa").trim().to_owned(),
        format!("comment\n{}", sample("rsa")),
        format!("{}{}", sample("rsa"), sample("p256")),
    ] {
        let parsed = PrivateKey::parse(text.as_bytes()).unwrap();
        assert_eq!(parsed.public(), key("rsa").public());
    }
}

#[test]
fn debug_shows_no_part_of_a_key() {
    assert_eq!(format!("{:?}", key("ed25519")), "PrivateKey(ssh-ed25519)");
}

#[test]
fn a_long_number_is_rejected_before_work_is_done_with_it() {
    let long = vec![0xff_u8; 70_000];
    let mut content = b"openssh-key-v1\0".to_vec();
    let mut public = Vec::new();
    crate::ssh::wire::put_string(&mut public, b"ssh-rsa");
    for part in [&b"none"[..], b"none", b""] {
        crate::ssh::wire::put_string(&mut content, part);
    }
    content.extend([0, 0, 0, 1]);
    crate::ssh::wire::put_string(&mut content, &public);
    let mut private = vec![0; 8];
    crate::ssh::wire::put_string(&mut private, b"ssh-rsa");
    let modulus = &long[..256];
    for number in [modulus, &[1, 0, 1], &long, modulus, modulus, modulus] {
        crate::ssh::wire::put_integer(&mut private, number);
    }
    crate::ssh::wire::put_string(&mut content, &private);
    assert_eq!(openssh::parse(&content).err(), Some(KeyError::Damaged));
}

/// A sample with another public exponent, in all places or only in the last one.
fn with_exponent(name: &str, before: &[u8], is_everywhere: bool) -> String {
    let text = sample(name);
    let lines: Vec<&str> = text.lines().collect();
    let (first, last) = (lines[0], lines[lines.len() - 1]);
    let engine = &base64::engine::general_purpose::STANDARD;
    let body = lines[1..lines.len() - 1].concat();
    let mut content = base64::Engine::decode(engine, body).unwrap();
    let old = [before, &[1, 0, 1]].concat();
    let places = content.windows(old.len()).enumerate();
    let places: Vec<usize> = places
        .filter_map(|(place, bytes)| (bytes == old).then_some(place))
        .collect();
    let changed = if is_everywhere {
        &places[..]
    } else {
        &places[places.len() - 1..]
    };
    for place in changed {
        content[place + old.len() - 1] = 3;
    }
    format!(
        "{first}\n{}\n{last}\n",
        base64::Engine::encode(engine, content)
    )
}

#[test]
fn an_rsa_key_with_another_exponent_is_damaged() {
    let ssh = &[0, 0, 0, 3];
    for text in [
        with_exponent("rsa", ssh, false),
        with_exponent("rsa", ssh, true),
        with_exponent("rsa_pem", &[2, 3], true),
        with_exponent("rsa_pkcs8", &[2, 3], true),
    ] {
        let parsed = PrivateKey::parse(text.as_bytes());
        assert_eq!(parsed.err(), Some(KeyError::Damaged));
    }
}

proptest! {
    /// A changed byte is found, or changes only text that is not part of the key.
    #[test]
    fn a_changed_key_never_becomes_another_one(
        name in prop::sample::select(vec!["ed25519", "p256", "p384_pem", "rsa", "rsa_pkcs8"]),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"AZaz09+/=\n -".to_vec()),
    ) {
        let mut text = sample(name).into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(parsed) = PrivateKey::parse(&text) {
            let original = key(name);
            prop_assert_eq!(parsed.public(), original.public());
        }
    }
}
