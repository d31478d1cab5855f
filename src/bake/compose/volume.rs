//! The short forms of volumes and ports of a service.

/// A volume of a service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    /// Empty for a volume without a name.
    pub(crate) source: String,
    pub(crate) target: String,
}

impl Volume {
    /// Whether the source is a path, not the name of a volume.
    pub(crate) fn is_bind(&self) -> bool {
        let mut characters = self.source.chars();
        self.source.starts_with(['.', '/', '~'])
            || self.source.starts_with("\\\\")
            || characters.next().is_some_and(char::is_alphabetic) && characters.next() == Some(':')
    }
}

/// Reads `[SOURCE:]TARGET[:OPTIONS]`.
pub(crate) fn parse(text: &str) -> Result<Volume, String> {
    let mut volume = Volume {
        source: String::new(),
        target: String::new(),
    };
    if text.is_empty() {
        return Err("a volume needs a path".into());
    }
    if text.len() <= 2 {
        volume.target = text.into();
        return Ok(volume);
    }
    let mut sections = Vec::new();
    let mut section = String::new();
    let mut variables = 0_usize;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_drive = character == ':'
            && section.chars().count() == 1
            && section.starts_with(char::is_alphabetic);
        match character {
            '$' if characters.peek() == Some(&'{') => variables += 1,
            '}' if variables > 0 => variables -= 1,
            ':' if variables == 0 && !is_drive => {
                sections.push(std::mem::take(&mut section));
                continue;
            }
            _ => {}
        }
        section.push(character);
    }
    sections.push(section);
    if sections.iter().any(String::is_empty) {
        return Err(format!(
            "the volume `{text}` has an empty part between colons"
        ));
    }
    match sections.as_slice() {
        [target] => volume.target.clone_from(target),
        [source, target] | [source, target, _] => {
            volume.source.clone_from(source);
            volume.target.clone_from(target);
        }
        _ => return Err(format!("the volume `{text}` has too many colons")),
    }
    Ok(volume)
}

/// Checks `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, in which a port can be a range.
pub(crate) fn check_port(text: &str) -> Result<(), String> {
    let fail = |reason: &str| Err(format!("the port `{text}` {reason}"));
    let (address, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    if !["tcp", "udp", "sctp"].contains(&protocol.to_ascii_lowercase().as_str()) {
        return fail("has an unknown protocol");
    }
    let mut parts = address.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let host = parts.next().unwrap_or_default();
    let address = parts.next().unwrap_or_default();
    let is_address = match address
        .strip_prefix('[')
        .and_then(|address| address.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => address.is_empty() || address.parse::<std::net::Ipv4Addr>().is_ok(),
    };
    if !is_address {
        return fail("has an invalid IP address");
    }
    let first = container.split('-').next().unwrap_or_default();
    if !first.is_empty() && first.bytes().all(|byte| byte == b'0') {
        return fail("has no port 0 of the container");
    }
    let Some(containers) = range(container) else {
        return fail("has an invalid port of the container");
    };
    if host.is_empty() {
        return Ok(());
    }
    match range(host) {
        None => fail("has an invalid port of the host"),
        Some(hosts) if hosts != containers && containers != 0 => {
            fail("has ranges of different lengths")
        }
        Some(_) => Ok(()),
    }
}

/// The number of ports above the first.
fn range(text: &str) -> Option<u16> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<u16>().ok())?
    };
    number(last)?.checked_sub(number(first)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_have_up_to_three_parts() {
        let shown = |text: &str| {
            parse(text)
                .map(|volume| format!("{}|{}|{}", volume.source, volume.target, volume.is_bind()))
        };
        for (text, expected) in [
            ("/data", "|/data|false"),
            ("db:/data", "db|/data|false"),
            ("./a:/b:ro", "./a|/b|true"),
            ("c:\\x:/b", "c:\\x|/b|true"),
            ("${A:-x}:/b", "${A:-x}|/b|false"),
            ("/a", "|/a|false"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "ab::cd", "ab:cd:ef:gh", ":/x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports_are_checked() {
        for text in [
            "80",
            "8080:80",
            "127.0.0.1:8080:80/udp",
            "3000-3005",
            "[::1]:80:80",
            "1-2:3-4",
            "8000-9000:80",
            "127.0.0.1::80",
        ] {
            assert_eq!(check_port(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "x",
            "80:x",
            "x:80",
            "1-3:3-4",
            "80/foo",
            "300.0.0.1:1:1",
            "70000",
            "0",
            "::1:80:80",
        ] {
            assert!(check_port(text).is_err(), "{text}");
        }
    }
}
