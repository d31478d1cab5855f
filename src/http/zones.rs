//! Distinguishes addresses of this machine and of its own link from all others.
//!
//! Clouds identify a machine and provide its credentials at link-local addresses and at a few fixed others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Metadata services that are not at link-local addresses: Alibaba, Oracle and Azure.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// The same in IPv6: Google, Oracle, Scaleway, Linode and Alibaba.
const METADATA_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042),
    Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 0x0001),
    Ipv6Addr::new(0xfd00, 0x0100, 0, 0, 0, 0, 0x0100, 0x0200),
];

/// Amazon's network of metadata, DNS, time and container services: `fd00:ec2::/32`.
const AMAZON_V6: [u16; 2] = [0xfd00, 0x0ec2];

/// Names of loopback in the `/etc/hosts` of common systems, in addition to `localhost` and its subdomains.
const LOOPBACK_NAMES: [&str; 6] = [
    "localhost.localdomain",
    "localhost4",
    "localhost6",
    "localhost6.localdomain6",
    "ip6-localhost",
    "ip6-loopback",
];

/// The part of the network that an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    /// Loopback, and the unspecified addresses, which are also loopback.
    ThisMachine,
    /// Link-local addresses, and the other addresses of metadata services.
    LinkLocal,
    /// Private networks and the internet.
    Elsewhere,
}

/// The zone of an address. An IPv6 address that embeds an IPv4 address is also in the zone of that address.
pub(crate) fn zone(address: IpAddr) -> Zone {
    match address {
        IpAddr::V4(address) => zone_v4(address),
        IpAddr::V6(address) => {
            let embedded = embedded(address).into_iter().flatten().map(zone_v4);
            let mut zones = std::iter::once(zone_v6(address)).chain(embedded);
            zones
                .find(|zone| *zone != Zone::Elsewhere)
                .unwrap_or(Zone::Elsewhere)
        }
    }
}

/// The zone of a host as in a reference, with or without a port. Text that is not a host is elsewhere.
pub(crate) fn host_zone(host: &str) -> Zone {
    Url::parse(&format!("https://{host}/")).map_or(Zone::Elsewhere, |url| named_zone(&url))
}

/// The zone of the host in a URL, without DNS: names other than those of loopback are elsewhere.
pub(crate) fn named_zone(url: &Url) -> Zone {
    match url.host() {
        Some(Host::Ipv4(address)) => zone(address.into()),
        Some(Host::Ipv6(address)) => zone(address.into()),
        Some(Host::Domain(name)) if is_loopback_name(name) => Zone::ThisMachine,
        Some(Host::Domain(_)) | None => Zone::Elsewhere,
    }
}

fn is_loopback_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || LOOPBACK_NAMES.contains(&name.as_str())
}

fn zone_v4(address: Ipv4Addr) -> Zone {
    // 0.0.0.0/8 is "this network" (RFC 1122); Linux connects 0.0.0.0 to loopback.
    if address.is_loopback() || address.octets()[0] == 0 {
        Zone::ThisMachine
    } else if address.is_link_local() || METADATA_V4.contains(&address) {
        Zone::LinkLocal
    } else {
        Zone::Elsewhere
    }
}

fn zone_v6(address: Ipv6Addr) -> Zone {
    let is_metadata = METADATA_V6.contains(&address) || address.segments().starts_with(&AMAZON_V6);
    if address.is_loopback() || address.is_unspecified() {
        Zone::ThisMachine
    } else if address.is_unicast_link_local() || is_metadata {
        Zone::LinkLocal
    } else {
        Zone::Elsewhere
    }
}

/// The IPv4 addresses to which an IPv6 address can be translated on its route.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let v4 =
        |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // `::` and `::1` embed no IPv4 address.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        // IPv4-compatible and IPv4-mapped (RFC 4291), IPv4-translated (RFC 2765).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => {
            [v4(high, low), None]
        }
        // NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), ISATAP (RFC 5214).
        [0x64, 0xff9b, 0 | 1, .., high, low]
        | [0x2002, high, low, ..]
        | [.., 0 | 0x0200, 0x5efe, high, low] => [v4(high, low), None],
        // Teredo (RFC 4380): the server's address, and the client's with all bits inverted.
        [0x2001, 0, server_high, server_low, .., high, low] => {
            [v4(server_high, server_low), v4(!high, !low)]
        }
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_in_its_zone() {
        for (zone, addresses) in [
            (
                Zone::ThisMachine,
                &[
                    "127.0.0.1",
                    "127.255.255.254",
                    "0.0.0.0",
                    "0.1.2.3",
                    "::",
                    "::1",
                    "::ffff:127.0.0.1",
                    "::ffff:0:127.0.0.1",
                    "::127.0.0.1",
                    "64:ff9b::127.0.0.1",
                    "64:ff9b:1::127.0.0.1",
                    "2002:7f00:1::",
                    "2002:7f00:1:2:3:4:5:6",
                    "2001:0:7f00:1::1",
                    "2001:0:102:304::80ff:fffe",
                    "2001:db8::5efe:127.0.0.1",
                    "2001:db8::200:5efe:127.0.0.1",
                ][..],
            ),
            (
                Zone::LinkLocal,
                &[
                    "169.254.169.254",
                    "169.254.170.2",
                    "169.254.0.1",
                    "100.100.100.200",
                    "192.0.0.192",
                    "168.63.129.16",
                    "fe80::1",
                    "febf::1",
                    "fd00:ec2::254",
                    "fd00:ec2::23",
                    "fd20:ce::254",
                    "fd00:c1::a9fe:a9fe",
                    "fd00:42::42",
                    "fd00:a9fe:a9fe::1",
                    "fd00:100::100:200",
                    "::ffff:169.254.169.254",
                    "::169.254.169.254",
                    "64:ff9b::a9fe:a9fe",
                    "2002:a9fe:a9fe::1",
                    "::ffff:100.100.100.200",
                ],
            ),
            (
                Zone::Elsewhere,
                &[
                    "1.1.1.1",
                    "10.0.0.1",
                    "172.17.0.1",
                    "192.168.1.1",
                    "100.64.0.1",
                    "128.0.0.1",
                    "169.253.255.255",
                    "fd00::1",
                    "fd00:ec3::254",
                    "fd20:ce::1",
                    "fd00:c1::1",
                    "fd00:42::1",
                    "fd00:a9fe::1",
                    "fd00:100::1",
                    "fec0::1",
                    "2606:4700::1111",
                    "::ffff:10.0.0.1",
                    "64:ff9b::1.1.1.1",
                    "64:ff9c::127.0.0.1",
                    "2002:101:101::7f00:1",
                    "2001:db8::7f00:1",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(self::zone(address.parse().unwrap()), zone, "{address}");
            }
        }
    }

    #[test]
    fn the_host_of_an_address_is_read_as_clients_read_it() {
        let named = |url: &str| named_zone(&Url::parse(url).unwrap());
        for url in [
            "http://localhost",
            "https://LocalHost.:5000/",
            "http://a.localhost",
            "http://ip6-localhost/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://[::ffff:7f00:1]/",
            "http://0/",
        ] {
            assert_eq!(named(url), Zone::ThisMachine, "{url}");
        }
        assert_eq!(named("http://169.254.169.254/latest"), Zone::LinkLocal);
        for url in [
            "http://localhost.example.com",
            "http://notlocalhost",
            "https://registry.example.com",
            "file:///x",
        ] {
            assert_eq!(named(url), Zone::Elsewhere, "{url}");
        }
    }
}
