//! The text around a key in a file (RFC 7468), and recognition of files that are not private keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::KeyError;
use super::parts::Secret;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// The first characters of `-----BEGIN ` in base64.
const BEGIN_IN_BASE64: &str = "LS0tLS1CRUdJTi";

/// A private key in a text.
pub(super) struct Block {
    /// The words between `BEGIN` and `PRIVATE KEY`; empty for PKCS#8.
    pub(super) label: String,
    /// The decoded content.
    pub(super) content: Secret,
}

/// The first private key in a text. Line breaks in it can be of any kind, or have been replaced by spaces.
pub(super) fn private_key(text: &str) -> Result<Block, KeyError> {
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once(BEGIN) {
        let (label, behind) = behind.split_once(DASHES).ok_or(KeyError::Truncated)?;
        // Such as parameters of a curve, which OpenSSL writes before the key.
        let Some(label) = label.strip_suffix("PRIVATE KEY") else {
            rest = behind;
            continue;
        };
        let end = behind.find(END).ok_or(KeyError::Truncated)?;
        let body = behind.get(..end).unwrap_or_default();
        let label = label.trim().to_owned();
        if label == "ENCRYPTED" || body.contains("ENCRYPTED") {
            return Err(KeyError::Passphrase);
        }
        let digits: Secret = body
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect::<Vec<_>>()
            .into();
        let content = STANDARD.decode(&*digits).map_err(|_| KeyError::Damaged)?;
        let content = content.into();
        return Ok(Block { label, content });
    }
    Err(other_than_private_key(text))
}

/// The kind of a text without a private key.
fn other_than_private_key(text: &str) -> KeyError {
    let text = text.trim();
    let begins = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    if text.is_empty() {
        KeyError::Empty
    } else if begins(&["ssh-", "ecdsa-", "sk-", "---- BEGIN SSH2 PUBLIC KEY"])
        || text.contains("PUBLIC KEY-----")
    {
        KeyError::PublicKey
    } else if begins(&[
        "PuTTY-User-Key-File-",
        "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY",
    ]) {
        KeyError::ForeignForm
    } else if begins(&[BEGIN_IN_BASE64]) {
        KeyError::InBase64
    } else {
        KeyError::NotAKey
    }
}

/// The texts that must be masked if they are printed: the lines of every private key in `text` between its first and its last line,
/// and the same as one line.
pub(super) fn secrets(text: &str) -> Vec<String> {
    let mut secrets = Vec::new();
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once("PRIVATE KEY-----") {
        let end = behind.find(END).unwrap_or(behind.len());
        let (body, after) = behind.split_at_checked(end).unwrap_or((behind, ""));
        // Behind `-----END `, so that the same words there do not start another key.
        rest = after
            .split_once("PRIVATE KEY-----")
            .map_or("", |(_, rest)| rest);
        let lines = body.split_whitespace();
        secrets.extend(lines.clone().map(str::to_owned));
        secrets.push(lines.collect());
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secrets_of_a_text_are_the_lines_of_its_keys() {
        let text = "# comment\n-----BEGIN PRIVATE KEY-----\r\nabc\r\ndef\r\n-----END PRIVATE KEY-----\nother\n\
                    -----BEGIN RSA PRIVATE KEY-----\nghi\n-----END RSA PRIVATE KEY-----\n-----BEGIN X PRIVATE KEY-----\nj";
        assert_eq!(
            secrets(text),
            ["abc", "def", "abcdef", "ghi", "ghi", "j", "j"]
        );
        assert!(secrets("ssh-ed25519 AAAA me@host").is_empty());
    }

    #[test]
    fn a_key_is_found_behind_other_blocks_and_without_line_breaks() {
        for text in [
            "-----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n-----BEGIN EC PRIVATE KEY-----\nAQID\n-----END EC PRIVATE KEY-----\n",
            "-----BEGIN EC PRIVATE KEY----- AQ ID -----END EC PRIVATE KEY-----",
            "-----BEGIN EC PRIVATE KEY-----\r\nAQID\r\n-----END EC PRIVATE KEY-----",
        ] {
            let block = private_key(text).ok().unwrap();
            assert_eq!((&*block.label, &**block.content), ("EC", &[1, 2, 3][..]));
        }
    }
}
