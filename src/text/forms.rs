//! The forms in which a secret can appear in text from outside: unchanged, escaped for addresses, JSON, HTML and shells, and within
//! base64 and hexadecimal.
//!
//! Of base64 only the middle is used, which does not depend on the text before and after the secret, such as the user in
//! `user:password`. One or two of the secret's bits at each end remain readable.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded::byte_serialize;

/// The characters that RFC 3986, section 2.3, never escapes.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The characters that are escaped in the user part of an address, by the WHATWG's URL standard.
const USERINFO: &AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'=')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'|')
    .add(b'%');

/// Longer secrets are only found in the usual forms of tokens: unchanged, and base64. All other forms together would be a
/// hundred times as long.
const LONG_BYTES: usize = 8 << 10;

/// Longer secrets are not found in base64 of base64, which has three times as many forms.
const TWICE_LIMIT_BYTES: usize = 4 << 10;

/// Shorter forms would match most words.
const MIN_MASKED_BYTES: usize = 4;

/// The forms of `secret` to mask in a message: the secret itself, and all forms that are not too short.
pub(crate) fn to_mask(secret: &str) -> Vec<String> {
    let mut forms = of(secret);
    forms.retain(|form| form == secret || form.len() >= MIN_MASKED_BYTES);
    forms
}

/// Every form of `secret` once, the secret itself first. The forms of a secret of a few characters match other text by chance.
pub(crate) fn of(secret: &str) -> Vec<String> {
    if secret.len() > LONG_BYTES {
        return usual(secret);
    }
    let mut forms = vec![secret.to_owned()];
    let mut add = |form: String| {
        if !forms.contains(&form) {
            forms.push(form);
        }
    };
    for escaped in [
        utf8_percent_encode(secret, UNRESERVED).to_string(),
        utf8_percent_encode(secret, USERINFO).to_string(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        byte_serialize(secret.as_bytes()).collect(),
    ] {
        for escaped in [in_lower_case(&escaped), escaped] {
            // An address is often a parameter of another address.
            add(escaped.replace('%', "%25"));
            add(escaped);
        }
    }
    let [plain, go, ..] = json(secret);
    for text in [secret, &plain, &go] {
        for quotes in QUOTES {
            let written = html(text, quotes);
            add(written.replace('/', "&#x2F;"));
            add(written
                .replace('/', "&#x2F;")
                .replace('`', "&#x60;")
                .replace('=', "&#x3D;"));
            add(written);
        }
    }
    for written in json(secret) {
        // JSON is often a string in other JSON.
        for again in json(&written) {
            add(again);
        }
        add(written);
    }
    for written in quoted(secret) {
        add(written);
    }
    for encoded in base64(secret).chain(base64_twice(secret)) {
        add(encoded);
    }
    let mut digits = String::new();
    for byte in secret.bytes() {
        // Writing to a string never fails.
        let _infallible = write!(digits, "{byte:02x}");
    }
    add(digits.to_ascii_uppercase());
    add(digits);
    forms
}

/// The forms in which most programs print a secret: unchanged, and base64. Each once.
pub(crate) fn usual(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    for form in base64(secret) {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

/// Double and single quotes in HTML and XML.
const QUOTES: [[&str; 2]; 5] = [
    ["&#34;", "&#39;"],
    ["&quot;", "&#39;"],
    ["&quot;", "&#x27;"],
    ["&quot;", "&apos;"],
    ["&quot;", "'"],
];

/// As printed by `set -x` of a shell, by Python's `shlex.quote`, in YAML, by `printf %q`, and between a shell's double
/// quotes.
fn quoted(text: &str) -> [String; 5] {
    [
        text.replace('\'', "'\\''"),
        text.replace('\'', "'\"'\"'"),
        text.replace('\'', "''"),
        with_backslashes(text, " \t!\"$&'()*,;<>?[\\]^`{|}"),
        with_backslashes(text, "\"$`\\"),
    ]
}

/// With a backslash before each of `characters`.
fn with_backslashes(text: &str, characters: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if characters.contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The parts of base64 of base64 that depend only on the secret, as in a base64 copy of a Docker configuration. None for a
/// secret that is too long.
pub(crate) fn base64_twice(secret: &str) -> Vec<String> {
    if secret.len() > TWICE_LIMIT_BYTES {
        return Vec::new();
    }
    let mut forms: Vec<String> = Vec::new();
    for once in base64(secret) {
        for twice in base64(&once) {
            if !forms.contains(&twice) {
                forms.push(twice);
            }
        }
    }
    forms
}

/// The parts of base64 that depend only on the secret, for each of its possible offsets, in both alphabets.
pub(crate) fn base64(secret: &str) -> impl Iterator<Item = String> {
    [&[][..], &[0], &[0, 0]]
        .into_iter()
        .flat_map(move |before| {
            let bytes = [before, secret.as_bytes()].concat();
            let middle = (before.len() * 8).div_ceil(6)..bytes.len() * 8 / 6;
            [
                STANDARD_NO_PAD.encode(&bytes),
                URL_SAFE_NO_PAD.encode(&bytes),
            ]
            .map(|encoded| encoded.get(middle.clone()).unwrap_or_default().to_owned())
        })
}

/// The secret in a JSON string: escaped as little as possible, as by Go, in ASCII only, and as by PHP.
fn json(text: &str) -> [String; 6] {
    let plain = serde_json::Value::from(text).to_string();
    // Removes the quotes around it; quotes that belong to the text are escaped.
    let plain = plain.get(1..plain.len() - 1).unwrap_or_default().to_owned();
    let go = escaped(&plain, |character| {
        matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
    });
    let ascii = escaped(&plain, |character| !character.is_ascii());
    let strict = escaped(&go, |character| {
        !character.is_ascii() || matches!(character, '\'' | '+' | '`')
    });
    let upper = digits_in_upper_case(&strict);
    let slashes = plain.replace('/', "\\/");
    [plain, go, ascii, strict, upper, slashes]
}

/// With these characters as `\uXXXX`; characters beyond 16 bits become two.
fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if is_escaped(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string never fails.
                let _infallible = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// With the digits after each `\u` in upper case.
fn digits_in_upper_case(text: &str) -> String {
    let mut upper = String::new();
    for (index, part) in text.split("\\u").enumerate() {
        match part.split_at_checked(4) {
            Some((digits, rest)) if index > 0 => {
                upper.push_str("\\u");
                upper.push_str(&digits.to_ascii_uppercase());
                upper.push_str(rest);
            }
            _ => upper.push_str(part),
        }
    }
    upper
}

fn html(text: &str, [double, single]: [&str; 2]) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', double)
        .replace('\'', single)
}

/// With the digits after each percent sign in lower case.
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
    fn a_secret_is_found_in_each_form() {
        for text in [
            "pa+ss/wo=rd%:@\"é>?K",
            "pa%2Bss%2Fwo%3Drd%25%3A%40%22%C3%A9%3E%3FK",
            "pa%2bss%2fwo%3drd%25%3a%40%22%c3%a9%3e%3fK",
            "pa+ss/wo=rd%:@\\\"é>?K",
            "pa+ss/wo=rd%:@\\\"é\\u003e?K",
            "pa+ss/wo=rd%:@\\\\\\\"é>?K",
            "pa+ss/wo=rd%:@\\\"\\u00e9>?K",
            "pa\\u002Bss/wo=rd%:@\\\"\\u00E9\\u003E?K",
            "pa+ss\\/wo=rd%:@\\\"é>?K",
            "pa+ss/wo=rd%:@&#34;é&gt;?K",
            "pa+ss%2Fwo%3Drd%25%3A%40%22%C3%A9%3E%3FK",
            "70612b73732f776f3d7264253a4022c3a93e3f4b",
            "70612B73732F776F3D7264253A4022C3A93E3F4B",
        ] {
            assert!(is_found(&format!("x{text}x")), "{text}");
        }
        assert!(!is_found("pa+ss/wo=rd"));
        for form in ["a%20b-c.d", "a%20b%2dc%2ed", "a%20b%2Dc%2Ed"] {
            assert!(of("a b-c.d").contains(&form.to_owned()), "{form}");
        }
        assert!(of("a b-c.d").contains(&"a+b-c.d".to_owned()));
    }

    #[test]
    fn a_secret_with_quotes_is_found_in_each_form() {
        let secret = r#"a'b"c&d<e>f/g$h `i\j"#;
        for text in [
            // Percent-encoded twice.
            "a%2527b%2522c%2526d%253Ce%253Ef%252Fg%2524h%2520%2560i%255Cj",
            "a%2527b%2522c%2526d%253ce%253ef%252fg%2524h%2520%2560i%255cj",
            // JSON in HTML, XML, and the additional escapes of templates.
            r"a&#39;b\&#34;c&amp;d&lt;e&gt;f/g$h `i\\j",
            r"a'b\&quot;c&amp;d&lt;e&gt;f/g$h `i\\j",
            r"a&apos;b&quot;c&amp;d&lt;e&gt;f/g$h `i\j",
            r"a&#x27;b&quot;c&amp;d&lt;e&gt;f&#x2F;g$h `i\j",
            r"a&#x27;b&quot;c&amp;d&lt;e&gt;f&#x2F;g$h &#x60;i\j",
            // Python's `shlex.quote`, YAML, a shell's `printf %q` and double quotes.
            r#"a'"'"'b"c&d<e>f/g$h `i\j"#,
            r#"a''b"c&d<e>f/g$h `i\j"#,
            r#"a\'b\"c\&d\<e\>f/g\$h\ \`i\\j"#,
            r#"a'b\"c&d<e>f/g\$h \`i\\j"#,
        ] {
            assert!(of(secret).iter().any(|form| form == text), "{text}");
        }
    }

    #[test]
    fn a_secret_is_found_within_base64_of_base64() {
        for before in ["", "a", "me:", "user:"] {
            let login = STANDARD.encode(format!("{before}{SECRET}"));
            for around in ["", "x", "{\"auth\":\"", "{\"auths\":{\""] {
                let text = format!("{around}{login}\"}}");
                assert!(is_found(&STANDARD.encode(&text)), "{text}");
                assert!(is_found(&URL_SAFE.encode(&text)), "{text}");
            }
        }
    }

    #[test]
    fn a_secret_is_found_within_base64_at_each_offset() {
        for before in ["", "a", "ab", "me:", "user:", "{\"auth\":\""] {
            for behind in ["", "}", "\"}"] {
                let text = format!("{before}{SECRET}{behind}");
                assert!(is_found(&STANDARD.encode(&text)), "{text}");
                assert!(is_found(&URL_SAFE.encode(&text)), "{text}");
            }
        }
    }

    #[test]
    fn short_forms_are_not_masked_but_short_secrets_are() {
        assert_eq!(to_mask("abc")[0], "abc");
        assert!(of("abc").iter().any(|form| form != "abc" && form.len() < 4));
        assert!(to_mask("abc")[1..].iter().all(|form| form.len() >= 4));
    }

    #[test]
    fn a_form_is_listed_once() {
        let forms = of("letters0");
        let mut others = forms.clone();
        others.sort_unstable();
        others.dedup();
        assert_eq!(forms.len(), others.len(), "{forms:?}");
        assert_eq!(of("").concat(), "");
    }
}
