//! Addresses to which the engine never connects. Remote administrators write SRV and address records; without this
//! guard they could point the engine at the cluster, at cloud metadata or at itself. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::reason::ConnectReason;

/// Exceptions, and the engine's own addresses.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// `egress.allowNetworks`.
    pub allow_networks: Vec<IpNet>,
    /// Addresses on which the engine itself listens or is reached from outside: a domain whose records point here would
    /// connect it to itself. No exception applies.
    pub own: Vec<SocketAddr>,
}

/// IANA IPv4 Special-Purpose Address Registry (RFC 6890), and multicast. The first match names the kind.
const V4: [(Ipv4Net, &str); 18] = [
    (v4([0, 0, 0, 0], 8), "an unspecified address"),
    (v4([127, 0, 0, 0], 8), "a loopback address"),
    (v4([10, 0, 0, 0], 8), PRIVATE),
    (v4([172, 16, 0, 0], 12), PRIVATE),
    (v4([192, 168, 0, 0], 16), PRIVATE),
    (v4([100, 64, 0, 0], 10), "a shared address of a carrier (RFC 6598)"),
    (v4([169, 254, 169, 254], 32), METADATA),
    // Azure's wire server: a public address that only its own virtual machines reach.
    (v4([168, 63, 129, 16], 32), METADATA),
    (v4([169, 254, 0, 0], 16), "a link-local address"),
    (v4([192, 0, 0, 0], 24), RESERVED),
    (v4([192, 0, 2, 0], 24), DOCUMENTATION),
    (v4([198, 51, 100, 0], 24), DOCUMENTATION),
    (v4([203, 0, 113, 0], 24), DOCUMENTATION),
    (v4([192, 88, 99, 0], 24), RESERVED),
    (v4([198, 18, 0, 0], 15), "a benchmarking address (RFC 2544)"),
    (v4([224, 0, 0, 0], 4), "a multicast address"),
    (v4([255, 255, 255, 255], 32), "the broadcast address"),
    (v4([240, 0, 0, 0], 4), RESERVED),
];

/// IANA IPv6 Special-Purpose Address Registry (RFC 6890), and multicast.
const V6: [(Ipv6Net, &str); 16] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "the unspecified address"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "the loopback address"),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "a unique local address"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "a site-local address"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), DOCUMENTATION),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), DOCUMENTATION),
    // Teredo, ORCHID and benchmarking: IETF protocol assignments.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), RESERVED),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), RESERVED),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), RESERVED),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "a discard-only address"),
    (v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), RESERVED),
    // Segment identifiers (RFC 9602).
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), RESERVED),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 8), RESERVED),
];

const PRIVATE: &str = "a private address";
const METADATA: &str = "the address of a cloud metadata service";
const RESERVED: &str = "a reserved address";
const DOCUMENTATION: &str = "a documentation address";

const fn v4(octets: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), length)
}

const fn v6(groups: [u16; 8], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(groups), length)
}

/// The networks to which the engine never connects without an exception, for a packet filter that enforces the same.
pub fn refused_networks() -> impl Iterator<Item = IpNet> {
    let v4 = V4.iter().map(|(network, _)| IpNet::V4(*network));
    v4.chain(V6.iter().map(|(network, _)| IpNet::V6(*network)))
}

/// Whether the engine may connect to a target from DNS. Static routes are not checked.
///
/// # Errors
/// [`ConnectReason::AddressNotAllowed`] with the kind of address.
pub fn check(target: SocketAddr, guard: &Guard) -> Result<(), ConnectReason> {
    let refused = |kind| Err(ConnectReason::AddressNotAllowed { address: target.ip(), kind });
    let effective = effective(target.ip());
    let is_own =
        |own: &SocketAddr| own.port() == target.port() && self::effective(own.ip()) == effective;
    if guard.own.iter().any(is_own) {
        return refused("an address of this engine");
    }
    if guard.allow_networks.iter().any(|net| net.contains(&effective) || net.contains(&target.ip()))
    {
        return Ok(());
    }
    let kind = match effective {
        IpAddr::V4(address) => {
            V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind)
        }
        IpAddr::V6(address) => {
            V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind)
        }
    };
    kind.map_or(Ok(()), refused)
}

/// The IPv4 address that an IPv6 address represents: IPv4-mapped (RFC 4291 §2.5.5.2) and the well-known prefix of NAT64
/// (RFC 6052 §2.1).
fn effective(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
            _ => IpAddr::V6(v6),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 5269)
    }

    fn kind(text: &str, guard: &Guard) -> Option<&'static str> {
        match check(target(text), guard) {
            Ok(()) => None,
            Err(ConnectReason::AddressNotAllowed { kind, address }) => {
                assert_eq!(address, target(text).ip());
                Some(kind)
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn special_addresses_are_refused_by_kind() {
        let guard = Guard::default();
        for (address, expected) in [
            ("127.0.0.1", "loopback"),
            ("127.255.0.9", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("10.96.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "carrier"),
            ("169.254.169.254", "metadata"),
            ("169.254.1.1", "link-local"),
            ("192.0.2.1", "documentation"),
            ("198.51.100.1", "documentation"),
            ("203.0.113.1", "documentation"),
            ("198.19.255.255", "benchmarking"),
            ("224.0.0.1", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::1", "loopback"),
            ("::", "unspecified"),
            ("fe80::1", "link-local"),
            ("fd00:ec2::254", "metadata"),
            ("fd12::1", "unique local"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "documentation"),
            ("3fff::1", "documentation"),
            ("2001::1", "reserved"),
            ("2002:7f00:1::", "reserved"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.0.0.1", "private"),
            ("::127.0.0.1", "reserved"),
            ("64:ff9b::a9fe:a9fe", "metadata"),
            ("64:ff9b:1::1", "reserved"),
        ] {
            let kind = kind(address, &guard);
            assert!(kind.is_some_and(|kind| kind.contains(expected)), "{address}: {kind:?}");
        }
    }

    /// IANA IPv4 Special-Purpose Address Registry: networks that are not globally reachable, and multicast.
    const REGISTRY_V4: [&str; 20] = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.0.0/29",
        "192.0.0.8/32",
        "192.0.0.170/31",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "255.255.255.255/32",
        // Not in the registry: addresses of services that clouds offer to their own machines.
        "168.63.129.16/32",
    ];

    /// IANA IPv6 Special-Purpose Address Registry: networks that are not globally reachable or are translated, and
    /// multicast.
    const REGISTRY_V6: [&str; 18] = [
        "::/128",
        "::1/128",
        "64:ff9b:1::/48",
        "100::/64",
        "100:0:0:1::/64",
        "2001::/23",
        "2001::/32",
        "2001:2::/48",
        "2001:10::/28",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
        "fd00:ec2::254/128",
    ];

    #[test]
    fn rfc6890_no_address_of_the_special_purpose_registries_is_dialled_in_any_form() {
        let guard = Guard::default();
        let refused = |address: IpAddr, of: &str| {
            let verdict = check(SocketAddr::new(address, 5269), &guard);
            assert!(verdict.is_err(), "{address} of {of}");
        };
        for text in REGISTRY_V4 {
            let net: Ipv4Net = text.parse().unwrap();
            for address in [net.network(), net.broadcast()] {
                refused(address.into(), text);
                let [a, b, c, d] = address.octets();
                let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                for segments in [
                    // IPv4-mapped, IPv4-compatible (RFC 4291 §2.5.5), IPv4-translated (RFC 2765 §2.1).
                    [0, 0, 0, 0, 0, 0xffff, high, low],
                    [0, 0, 0, 0, 0, 0, high, low],
                    [0, 0, 0, 0, 0xffff, 0, high, low],
                    // NAT64, well-known and local (RFC 6052 §2.1, RFC 8215).
                    [0x64, 0xff9b, 0, 0, 0, 0, high, low],
                    [0x64, 0xff9b, 1, 0, 0, 0, high, low],
                    // 6to4 (RFC 3056 §2), and Teredo, whose client address is inverted (RFC 4380 §4).
                    [0x2002, high, low, 0, 0, 0, 0, 1],
                    [0x2001, 0, 0xcb00, 0x71ff, 0, 0, !high, !low],
                ] {
                    refused(Ipv6Addr::from_segments(segments).into(), text);
                }
            }
        }
        for text in REGISTRY_V6 {
            let net: Ipv6Net = text.parse().unwrap();
            refused(net.network().into(), text);
            refused(net.broadcast().into(), text);
        }
    }

    #[test]
    fn ordinary_addresses_pass() {
        let guard = Guard::default();
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2a00::1",
            "2600::1",
            "64:ff9b::101:101",
        ] {
            assert_eq!(kind(address, &guard), None, "{address}");
        }
    }

    #[test]
    fn allowed_networks_are_exceptions_and_own_addresses_never_are() {
        let guard = Guard {
            allow_networks: vec!["198.18.0.0/15".parse().unwrap(), "fd00::/8".parse().unwrap()],
            own: vec!["198.18.0.7:5269".parse().unwrap(), "[2a00::7]:5269".parse().unwrap()],
        };
        assert_eq!(kind("198.18.0.8", &guard), None);
        assert_eq!(kind("::ffff:198.18.0.8", &guard), None);
        assert_eq!(kind("fd00::1", &guard), None);
        assert_eq!(kind("10.0.0.1", &guard), Some(PRIVATE));
        for own in ["198.18.0.7", "::ffff:198.18.0.7", "2a00::7"] {
            assert_eq!(kind(own, &guard), Some("an address of this engine"), "{own}");
        }
        assert_eq!(check("198.18.0.7:5299".parse().unwrap(), &guard), Ok(()), "another port");
    }
}
