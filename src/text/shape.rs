//! Checks the syntax of text from outside before it becomes part of a request, a path or a file.

use std::net::Ipv6Addr;

use url::Url;

/// The longest id. Those in use have ten to forty characters.
const ID_BYTES: usize = 128;

/// The longest token. Many servers limit a header to 8 KiB.
const TOKEN_BYTES: usize = 8 << 10;

/// The longest address of a page.
const PAGE_BYTES: usize = 2048;

/// The longest name in DNS.
const HOST_BYTES: usize = 253;

/// The longest part of a platform; the longest known has ten characters.
const PLATFORM_BYTES: usize = 64;

/// Whether `text` is a digest of an algorithm that registries support, in lower case and of the algorithm's length.
pub(crate) fn is_digest(text: &str) -> bool {
    let Some((algorithm, hexadecimal)) = text.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hexadecimal.len() == length && is_lower_case_hexadecimal(hexadecimal)
}

/// Whether `text` is the id of an image in a daemon: a digest. Podman omits the algorithm.
pub(crate) fn is_image_id(text: &str) -> bool {
    is_digest(text) || (text.len() == 64 && is_lower_case_hexadecimal(text))
}

fn is_lower_case_hexadecimal(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether `text` is an id: letters, digits, `-`, `_` and `.`.
pub(crate) fn is_id(text: &str) -> bool {
    is_word(text, ID_BYTES)
}

/// Whether `text` is a part of a platform, such as `linux`, `arm64` or `v8`.
pub(crate) fn is_platform_part(text: &str) -> bool {
    is_word(text, PLATFORM_BYTES)
}

/// Not only dots, which would be a directory in a path.
fn is_word(text: &str, limit: usize) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= limit && text.bytes().all(is_safe) && text.bytes().any(|byte| byte != b'.')
}

/// Whether `text` is a token that a header can hold.
pub(crate) fn is_token(text: &str) -> bool {
    (1..=TOKEN_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether `text` is a host: a name, or an IP address without brackets.
pub(crate) fn is_host(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok() || is_word(text, HOST_BYTES)
}

/// Whether `text` is the address of a page that can be printed: `http` or `https`, without a login, in visible ASCII.
pub(crate) fn is_page(text: &str) -> bool {
    let is_plain = text.len() <= PAGE_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_http = |url: Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    };
    is_plain && Url::parse(text).is_ok_and(is_http)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that a function accepts the `good` texts, and rejects the `bad` ones and those that none may accept.
    #[track_caller]
    fn accepts(is_it: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(is_it(text), "{text:?} is rejected");
        }
        let never = [
            "",
            " ",
            "a b",
            "a\nb",
            "a\r\nX-Header: b",
            "a\0",
            "../../v2/other",
            "..",
            "a/../b",
            "é",
            "\u{202e}a",
            "$(id)",
            "`id`",
            "'; id; '",
        ];
        for text in bad.iter().chain(&never) {
            assert!(!is_it(text), "{text:?} is accepted");
        }
    }

    #[test]
    fn only_texts_of_the_right_shape_are_accepted() {
        let hex = "0123456789abcdef".repeat(8);
        let digest = |algorithm: &str, length: usize| format!("{algorithm}:{}", &hex[..length]);
        let (sha256, sha512) = (digest("sha256", 64), digest("sha512", 128));
        let bad = [
            digest("sha256", 63),
            digest("sha512", 64),
            digest("md5", 32),
            sha256.to_uppercase(),
            format!("{sha256}/../x"),
            format!("{sha256}\n"),
            "sha256:".into(),
        ];
        let bad: Vec<_> = bad.iter().map(String::as_str).collect();
        accepts(is_digest, &[&sha256, &sha512, &digest("sha384", 96)], &bad);
        accepts(is_image_id, &[&sha256, &hex[..64]], &bad);

        let long = "x".repeat(10_000);
        accepts(
            is_id,
            &["k3x9", "a-b_c.d", &long[..128]],
            &[&long, "a/b", "a:b"],
        );
        accepts(is_platform_part, &["linux", "arm64", "v8"], &[&long, "a/b"]);
        for token in ["a.b-c/d+e=", "tkn_x"] {
            assert!(is_token(token));
        }
        for other in ["", "a b", "a\r\nX-Header: b", "é", &long] {
            assert!(!is_token(other), "{other:?} is accepted");
        }
        accepts(
            is_host,
            &["builder.example", "10.1.2.3", "::1", "fe80::1", "a_b"],
            &[&long, "[::1]", "user@host", "host:1", "host/x", "::x"],
        );
        accepts(
            is_page,
            &[
                "https://a.example/orgs/a/projects/b?x=1#y",
                "http://localhost:1/",
            ],
            &[
                "javascript:alert(1)",
                "file:///etc/passwd",
                "https://",
                "a.example/x",
                "https://user:secret@a.example/",
                "https://a.example/\u{1b}[2J",
                &format!("https://a.example/{long}"),
            ],
        );
    }
}
