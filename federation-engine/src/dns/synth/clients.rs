//! Clients whose queries are answered. An open resolver would serve everyone, and amplify queries with forged source
//! addresses (RFC 5358). Pure.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks of the clients.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Clients(Vec<IpNet>);

impl Clients {
    /// Exactly these networks.
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.to_vec())
    }

    /// Whether a query from this address is answered.
    pub fn admit(&self, source: IpAddr) -> bool {
        // A dual-stack socket shows IPv4 clients as IPv4-mapped IPv6 addresses.
        let source = source.to_canonical();
        self.0.iter().any(|network| network.contains(&source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(networks: &[&str]) -> Clients {
        let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
        Clients::new(&networks)
    }

    #[test]
    fn rfc5358_only_named_networks_are_answered_in_both_families_and_in_mapped_form() {
        let clients = clients(&["198.18.7.0/24", "2001:db8::/64"]);
        for (source, admitted) in [
            ("198.18.7.1", true),
            ("::ffff:198.18.7.1", true),
            ("198.18.8.1", false),
            ("::ffff:198.18.8.1", false),
            ("2001:db8::7", true),
            ("2001:db8:1::7", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(clients.admit(source.parse().unwrap()), admitted, "{source}");
        }
    }

    #[test]
    fn without_networks_nobody_is_answered() {
        assert!(!Clients::default().admit("127.0.0.1".parse().unwrap()));
    }
}
