//! SHA-256 digests as text.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

/// How much of an invalid digest is shown in an error.
const MAX_SHOWN_CHARS: usize = 100;

/// The digest of `bytes`: `sha256:` and 64 hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    of_hash(digest(&SHA256, bytes).as_ref())
}

/// A SHA-256 hash as a digest.
pub(crate) fn of_hash(hash: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in hash {
        // Writing to a string never fails.
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

/// An invalid digest for an error: escaped and shortened.
pub(crate) fn shown(invalid: &str) -> String {
    invalid.escape_debug().take(MAX_SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::shape::is_digest;

    #[test]
    fn a_digest_is_the_sha256_in_lower_case() {
        // RFC 6234, section 8.5: the hash of "abc".
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), abc);
        assert!(is_digest(&sha256(b"")));
        assert_eq!(of_hash(&[0, 0xab]), "sha256:00ab");
    }

    #[test]
    fn an_invalid_digest_is_shown_escaped_and_short() {
        assert_eq!(shown("sha256:0\nA=1"), r"sha256:0\nA=1");
        assert_eq!(shown(&"\n".repeat(1000)).len(), MAX_SHOWN_CHARS);
    }
}
