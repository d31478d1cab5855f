//! `ADD_HOSTS`: names and addresses for `/etc/hosts`.

use std::fmt;
use std::net::IpAddr;

use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::values::words;

const VARIABLE: &str = "ADD_HOSTS";

const FORM: &str = "write `NAME:IP` or `NAME=IP`, such as `db.example.com:10.0.0.5`";

/// Docker replaces it by an address of the host of its daemon.
const HOST_GATEWAY: &str = "host-gateway";

/// The longest name of the Domain Name System (RFC 1035, section 2.3.4), as text.
const NAME_LIMIT_BYTES: usize = 253;

/// A name with its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExtraHost {
    name: String,
    address: IpAddr,
}

/// As in the frontend's attribute `add-hosts`.
impl fmt::Display for ExtraHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.name, self.address)
    }
}

/// Reads all entries, and reports all faults.
pub(super) fn read(value: &str, findings: &mut Findings) -> Vec<ExtraHost> {
    let mut hosts = Vec::new();
    for word in words(value) {
        match parse(word) {
            Ok(host) if hosts.contains(&host) => {}
            Ok(host) => hosts.push(host),
            Err((problem, advice)) => {
                let problem = format!("{} {problem}", findings.shown(word));
                findings.fault(Fault::new(VARIABLE, problem, advice));
            }
        }
    }
    hosts
}

/// Reads an entry. After a name with `:`, an IPv6 address needs no brackets.
fn parse(word: &str) -> Result<ExtraHost, (&'static str, &'static str)> {
    if word.parse::<IpAddr>().is_ok() || word.starts_with(['=', ':']) {
        return Err(("has no name", FORM));
    }
    let parts = word.split_once('=').or_else(|| word.split_once(':'));
    let Some((name, written)) = parts else {
        return Err(("has no address", FORM));
    };
    if !is_name(name) {
        let advice = "write letters, digits, `.`, `-` and `_` before the `:`";
        return Err(("does not begin with the name of a host", advice));
    }
    if written.eq_ignore_ascii_case(HOST_GATEWAY) {
        return Err((
            "refers to the host of a Docker daemon, which does not exist for steps on Depot's builders",
            "write the IP address of a host that the builders can reach",
        ));
    }
    let bare = written
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(written).parse();
    let address = address.map_err(|_| ("does not end with an IP address", FORM))?;
    Ok(ExtraHost {
        name: name.to_owned(),
        address,
    })
}

fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    text.len() <= NAME_LIMIT_BYTES
        && text.bytes().all(is_allowed)
        && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && !text.starts_with(['-', '.'])
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    fn attribute(value: &str) -> Vec<String> {
        let mut findings = Findings::default();
        let hosts = read(value, &mut findings);
        assert!(findings.is_faultless(), "{value}");
        hosts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_entry_is_read_in_each_form() {
        for (value, expected) in [
            ("db:10.0.0.5", &["db=10.0.0.5"][..]),
            ("db=10.0.0.5", &["db=10.0.0.5"]),
            ("db:[10.0.0.5]", &["db=10.0.0.5"]),
            ("db:::1", &["db=::1"]),
            ("db=::1", &["db=::1"]),
            ("db:[::1]", &["db=::1"]),
            ("db=[2001:DB8:0:0::1]", &["db=2001:db8::1"]),
            (
                "My_Host.example.com:1.2.3.4",
                &["My_Host.example.com=1.2.3.4"],
            ),
            ("1.example:1.2.3.4", &["1.example=1.2.3.4"]),
            (
                "a:1.1.1.1, b=2.2.2.2\nc:::3",
                &["a=1.1.1.1", "b=2.2.2.2", "c=::3"],
            ),
            ("\0a:1.1.1.1\0b:2.2.2.2", &["a=1.1.1.1", "b=2.2.2.2"]),
            // One name can have several addresses.
            ("a:1.1.1.1 a:::1 a=1.1.1.1", &["a=1.1.1.1", "a=::1"]),
        ] {
            assert_eq!(attribute(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_address_is_read_in_each_form(name in "[a-z0-9][a-zA-Z0-9._-]{0,20}", address in any::<u128>(), is_short in any::<bool>()) {
            let address: IpAddr = if is_short {
                address.to_be_bytes()[..4].try_into().map(|bytes: [u8; 4]| bytes.into()).unwrap()
            } else {
                Ipv6Addr::from(address).into()
            };
            let expected = vec![format!("{name}={address}")];
            for form in [format!("{name}={address}"), format!("{name}:{address}"), format!("{name}:[{address}]")] {
                // `1::2` is an address and not the name `1` with an address.
                if form.parse::<IpAddr>().is_err() {
                    prop_assert_eq!(attribute(&form), expected.clone(), "{}", form);
                }
            }
        }

        #[test]
        fn an_entry_cannot_add_a_field_to_the_attribute(text in "[a-z0-9:=.,\"\\[\\]% \t\\n-]{0,40}|\\PC{0,20}") {
            let mut findings = Findings::default();
            for host in read(&text, &mut findings) {
                let field = host.to_string();
                prop_assert!(!field.contains([',', '"', '\n', '\r', ' ']), "{}", field);
                prop_assert_eq!(field.matches('=').count(), 1);
            }
        }
    }
}
