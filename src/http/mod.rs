//! What all HTTP clients of the program share: proxies, trusted authorities, retries, bounded bodies, values that are
//! requested once, and the log of requests.
//!
//! Each caller decides what it sends where, and which failures are transient.

pub(crate) mod body;
pub mod proxies;
pub(crate) mod retry;
pub mod roots;
pub(crate) mod single_flight;
pub(crate) mod trace;
pub mod tunnel;
pub(crate) mod zones;

/// `host:port`, for requests and messages. `host` is a name or an address; an IPv6 address without brackets.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_ipv6_address_is_in_brackets_before_a_port() {
        for (host, authority) in [
            ("a.example", "a.example:1"),
            ("10.1.2.3", "10.1.2.3:1"),
            ("::1", "[::1]:1"),
        ] {
            assert_eq!(super::authority(host, 1), authority);
        }
    }
}
