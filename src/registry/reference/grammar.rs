//! The syntax of the parts of a reference.
//!
//! All valid text is ASCII, so its length in bytes is its length in characters.

/// A host name, an IPv4 address or an IPv6 address in brackets, with an optional port.
pub(super) fn is_host(text: &str) -> bool {
    let (is_name, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']').unwrap_or_default();
        (is_ipv6(address), port)
    } else {
        let name = text.split(':').next().unwrap_or_default();
        (
            name.split('.').all(is_host_label),
            text.strip_prefix(name).unwrap_or_default(),
        )
    };
    is_name && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Hexadecimal digits and colons. References cannot have zones and embedded IPv4 addresses.
fn is_ipv6(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b':')
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u16>().is_ok_and(|port| port != 0)
}

/// A repository: components of lower-case letters and digits, separated by slashes.
pub(super) fn is_path(text: &str) -> bool {
    text.split('/').all(is_path_component)
}

/// Words of letters and digits, separated by exactly one of `.`, `_`, `__`, or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = component.bytes().peekable();
    loop {
        if !bytes.next().is_some_and(is_word) {
            return false;
        }
        while bytes.next_if(|&byte| is_word(byte)).is_some() {}
        match bytes.next() {
            None => return true,
            Some(b'.') => {}
            Some(b'_') => {
                bytes.next_if_eq(&b'_');
            }
            Some(b'-') => while bytes.next_if_eq(&b'-').is_some() {},
            Some(_) => return false,
        }
    }
}

/// A tag of any length; the caller checks the limit.
pub(super) fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().next().is_some_and(is_word)
        && text
            .bytes()
            .all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

/// The id of a local image, which Docker does not accept as a name.
pub(super) fn is_identifier(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(is_lower_case_hexadecimal)
}

fn is_lower_case_hexadecimal(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
