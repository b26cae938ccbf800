//! The addresses and ports at which servers reach a federation. Behind NAT or a proxy, these differ from the Service's
//! own. Pure.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use super::validated::Validated;
use crate::build::{Address, ports};

impl Validated {
    /// The addresses to which remote servers connect: the public addresses of the spec, otherwise those that the load
    /// balancer assigned.
    pub fn reached_at(&self, assigned: Option<&Address>) -> Option<Address> {
        let public = &self.spec.service.public_addresses;
        if public.is_empty() { assigned.cloned() } else { Some(Address::Ips(public.clone())) }
    }

    /// The subset of these addresses to publish in DNS. An address that the internet cannot reach is included only if
    /// the spec names it or states that peers are in its network. `None`: there is nothing to publish.
    pub fn published_at(&self, assigned: Option<&Address>) -> Option<Address> {
        match self.reached_at(assigned)? {
            Address::Ips(ips) => {
                let ips: Vec<IpAddr> =
                    ips.into_iter().filter(|ip| self.is_reachable(*ip)).collect();
                (!ips.is_empty()).then_some(Address::Ips(ips))
            }
            hostname @ Address::Hostname(_) => Some(hostname),
        }
    }

    /// Peers can reach the address, or the spec states that they can.
    fn is_reachable(&self, ip: IpAddr) -> bool {
        unreachable_kind(ip).is_none()
            || self.spec.service.public_addresses.contains(&ip)
            || self.spec.egress.allow_networks.iter().any(|network| network.contains(&ip))
    }

    /// An assigned address that the internet cannot reach, with its kind. `None` if the spec states who can reach it.
    pub fn unreachable(&self, ip: IpAddr) -> Option<(IpAddr, &'static str)> {
        if self.is_reachable(ip) { None } else { Some((ip, unreachable_kind(ip)?)) }
    }

    /// The port of the outer leg in SRV records.
    pub fn public_port(&self) -> u16 {
        self.spec.service.public_ports.s2s.map_or(ports::S2S, NonZeroU16::get)
    }

    /// The port of Direct TLS in SRV records; `None` if Direct TLS is off.
    pub fn public_tls_port(&self) -> Option<u16> {
        let service = &self.spec.service;
        let port = service.public_ports.s2s_tls.map_or(ports::S2S_TLS, NonZeroU16::get);
        service.direct_tls.then_some(port)
    }
}

/// The reason why servers on the internet cannot connect to an address; `None` if they can.
pub fn unreachable_kind(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        IpAddr::V4(v4) if v4.is_private() => Some("a private address (RFC 1918)"),
        IpAddr::V4(v4) if v4.is_loopback() => Some("a loopback address"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V4(v4) if is_shared(v4) => Some("a carrier's shared address (RFC 6598)"),
        IpAddr::V6(v6) if v6.is_loopback() => Some("a loopback address"),
        IpAddr::V6(v6) if v6.is_unique_local() => Some("a unique local address (RFC 4193)"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        _ => None,
    }
}

/// Whether the address is in 100.64.0.0/10.
fn is_shared(v4: Ipv4Addr) -> bool {
    matches!(v4.octets(), [100, second, _, _] if second & 0xc0 == 64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{smallest, validated};

    fn ips(all: &[&str]) -> Address {
        Address::Ips(all.iter().map(|ip| ip.parse().unwrap()).collect())
    }

    fn with(field: &str, value: Value) -> Validated {
        let mut spec = smallest();
        spec[field] = value;
        validated(&spec)
    }

    #[test]
    fn a_private_address_is_published_only_if_the_spec_asks_for_it() {
        let mixed = ips(&["10.1.2.3", "192.0.2.7"]);
        let plain = validated(&smallest());
        assert_eq!(plain.published_at(Some(&mixed)), Some(ips(&["192.0.2.7"])));
        assert_eq!(plain.published_at(Some(&ips(&["10.1.2.3"]))), None);
        assert_eq!(plain.reached_at(Some(&mixed)), Some(mixed.clone()));
        let peers_inside = with("egress", json!({"allowNetworks": ["10.0.0.0/8"]}));
        assert_eq!(peers_inside.published_at(Some(&mixed)), Some(mixed.clone()));
        let named = with("service", json!({"publicAddresses": ["10.9.9.9"]}));
        assert_eq!(named.published_at(Some(&mixed)), Some(ips(&["10.9.9.9"])));
    }

    #[test]
    fn public_addresses_stand_for_those_of_the_load_balancer() {
        let nat = with("service", json!({"publicAddresses": ["203.0.113.10", "2001:db8::10"]}));
        let public = Some(ips(&["203.0.113.10", "2001:db8::10"]));
        let hostname = Address::Hostname("lb.cloud.example".to_owned());
        for assigned in [None, Some(&ips(&["10.1.2.3"])), Some(&hostname)] {
            assert_eq!(nat.published_at(assigned), public);
        }
        let plain = validated(&smallest());
        assert_eq!(plain.published_at(Some(&hostname)), Some(hostname));
        assert_eq!(plain.published_at(None), None);
    }

    #[test]
    fn the_ports_of_the_records_are_the_public_ones() {
        let plain = validated(&smallest());
        assert_eq!((plain.public_port(), plain.public_tls_port()), (5269, Some(5270)));
        let service = json!({
            "publicAddresses": ["203.0.113.10"], "publicPorts": {"s2s": 15_269, "s2sTls": 443}
        });
        let nat = with("service", service);
        assert_eq!((nat.public_port(), nat.public_tls_port()), (15_269, Some(443)));
        assert_eq!(with("service", json!({"directTls": false})).public_tls_port(), None);
    }
}
