//! The forms in which a secret may come back to us: as it is, as addresses and JSON have it, and within base64.
//!
//! Of base64 only the middle counts, which is the same whatever stands before and behind the secret, such as the user in `user:password`.
//! One or two of the secret's bits at either end stay readable beside it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded::byte_serialize;

/// What the standard for addresses leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Every form of `secret`, each once, the secret itself first. It should have a few characters: each form is as easily found by chance.
pub(crate) fn of(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    let mut add = |form: String| {
        if !forms.contains(&form) {
            forms.push(form);
        }
    };
    for escaped in [
        utf8_percent_encode(secret, UNRESERVED).to_string(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        byte_serialize(secret.as_bytes()).collect(),
    ] {
        add(in_lower_case(&escaped));
        add(escaped);
    }
    let quoted = serde_json::Value::from(secret).to_string();
    add(quoted.trim_matches('"').to_owned());
    for before in [&[][..], &[0], &[0, 0]] {
        let bytes = [before, secret.as_bytes()].concat();
        let middle = (before.len() * 8).div_ceil(6)..bytes.len() * 8 / 6;
        for encoded in [
            STANDARD_NO_PAD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
        ] {
            add(encoded.get(middle.clone()).unwrap_or_default().to_owned());
        }
    }
    forms
}

/// With the digits behind each percent sign in lower case.
fn in_lower_case(escaped: &str) -> String {
    let mut left = 0;
    let lower = escaped.chars().map(|character| {
        left = if character == '%' { 3 } else { left };
        let is_digit = left > 0;
        left -= usize::from(is_digit);
        if is_digit {
            character.to_ascii_lowercase()
        } else {
            character
        }
    });
    lower.collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const SECRET: &str = "pa+ss/wo=rd%:@\"é>?K";

    fn is_found(text: &str) -> bool {
        of(SECRET).iter().any(|form| text.contains(form))
    }

    #[test]
    fn a_secret_is_known_in_each_form() {
        for text in [
            "pa+ss/wo=rd%:@\"é>?K",
            "pa%2Bss%2Fwo%3Drd%25%3A%40%22%C3%A9%3E%3FK",
            "pa%2bss%2fwo%3drd%25%3a%40%22%c3%a9%3e%3fK",
            "pa+ss/wo=rd%:@\\\"é>?K",
        ] {
            assert!(is_found(&format!("x{text}x")), "{text}");
        }
        assert!(!is_found("pa+ss/wo=rd"));
        assert_eq!(
            of("a b-c.d")[1..4],
            ["a%20b-c.d", "a%20b%2dc%2ed", "a%20b%2Dc%2Ed"]
        );
        assert!(of("a b-c.d").contains(&"a+b-c.d".to_owned()));
    }

    #[test]
    fn a_secret_is_known_within_base64_wherever_it_stands() {
        for before in ["", "a", "ab", "me:", "user:", "{\"auth\":\""] {
            for behind in ["", "}", "\"}"] {
                let text = format!("{before}{SECRET}{behind}");
                assert!(is_found(&STANDARD.encode(&text)), "{text}");
                assert!(is_found(&URL_SAFE.encode(&text)), "{text}");
            }
        }
    }

    #[test]
    fn nothing_is_said_of_a_secret_twice() {
        let forms = of("letters0");
        assert_eq!(forms.len(), 4, "{forms:?}");
        assert_eq!(of("").concat(), "");
    }
}
