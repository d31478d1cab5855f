//! Requests and responses of the agent.

use proptest::prelude::*;

use super::*;
use crate::ssh::key::tests::{key, verify};

fn sign_request(public: &[u8], data: &[u8], flags: u32) -> Vec<u8> {
    let mut message = vec![SIGN_REQUEST];
    put_string(&mut message, public);
    put_string(&mut message, data);
    message.extend(flags.to_be_bytes());
    message
}

#[test]
fn the_identities_are_the_public_keys() {
    let keys = [key("ed25519"), key("rsa")];
    let response = respond(&keys, &[REQUEST_IDENTITIES]);
    let mut reader = Reader::new(response.strip_prefix(&[IDENTITIES_ANSWER]).unwrap());
    assert_eq!(reader.number(), Some(2));
    for key in &keys {
        assert_eq!(reader.string(), Some(key.public()));
        assert_eq!(reader.string(), Some(&b""[..]));
    }
    assert!(reader.is_at_end());
}

#[test]
fn a_request_is_signed_with_its_key_and_hash() {
    let keys = [key("ed25519"), key("p256"), key("p384"), key("rsa")];
    for (index, flags, algorithm) in [
        (0, 0, "ssh-ed25519"),
        (0, 2, "ssh-ed25519"),
        (1, 0, "ecdsa-sha2-nistp256"),
        (2, 0, "ecdsa-sha2-nistp384"),
        (3, 2, "rsa-sha2-256"),
        (3, 4, "rsa-sha2-512"),
        (3, 6, "rsa-sha2-256"),
    ] {
        let public = keys[index].public();
        let response = respond(&keys, &sign_request(public, b"session", flags));
        let mut reader = Reader::new(response.strip_prefix(&[SIGN_RESPONSE]).unwrap());
        verify(public, b"session", reader.string().unwrap(), algorithm);
        assert!(reader.is_at_end());
    }
}

#[test]
fn every_other_request_fails() {
    let keys = [key("ed25519"), key("rsa")];
    let ed25519 = keys[0].public();
    let mut long = sign_request(ed25519, b"x", 0);
    long.push(0);
    let cut = sign_request(ed25519, b"x", 0);
    let fails = |message: &[u8]| assert_eq!(respond(&keys, message), [FAILURE], "{message:?}");
    fails(&long);
    fails(&cut[..cut.len() - 1]);
    fails(&[]);
    fails(&[REQUEST_IDENTITIES, 0]);
    // A key that the agent does not have.
    fails(&sign_request(key("p256").public(), b"x", 0));
    fails(&sign_request(b"", b"x", 0));
    // SHA-1.
    fails(&sign_request(keys[1].public(), b"x", 0));
    // To add, remove and lock keys, extensions, and requests of version 1.
    let kinds = (0..=u8::MAX).filter(|kind| ![REQUEST_IDENTITIES, SIGN_REQUEST].contains(kind));
    for kind in kinds {
        fails(&[kind]);
        fails(&[&[kind][..], &sign_request(ed25519, b"x", 0)[1..]].concat());
    }
}

proptest! {
    #[test]
    fn no_message_panics(message in prop::collection::vec(any::<u8>(), 0..200)) {
        respond(&[], &message);
    }
}
