//! Repeats the admission rules, for API servers that do not evaluate CEL, and adds the rules that CEL cannot express
//! (international domain names, quadratic comparisons). It does not repeat what the types already reject on reading.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::domain::Domain;
use crate::effective::effective;
use crate::federation::service::{ServiceSpec, ServiceType};
use crate::federation::{MAX_NAME, XmppFederationSpec};
use crate::impossible::{self, ImpossibleCombination};
use crate::message;
use crate::pattern::DomainPattern;

/// Why a resource is invalid. The text names the field, what is wrong and what to change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InvalidSpec {
    /// The children's names cannot be derived from the name.
    Name,
    /// `host`, or the name that is derived from the first domain, is not a usable host name.
    Host,
    /// Two entries name the same local domain.
    DuplicateDomain(Domain),
    /// Two entries name the same peer.
    DuplicatePeer(DomainPattern),
    /// Two backends have the same name.
    DuplicateBackend(String),
    /// A backend name is not a label.
    BackendName(String),
    /// Load balancer fields on another Service type.
    LoadBalancerFields,
    /// A public address that no server can connect to.
    PublicAddress(IpAddr),
    /// The same public address twice.
    DuplicatePublicAddress(IpAddr),
    /// Public ports of a load balancer without public addresses.
    PublicPorts,
    /// Node ports on a Service of type `ClusterIP`.
    NodePorts,
    /// One node port for two ports.
    SameNodePort,
    /// A port for Direct TLS while that is off.
    PortWithoutDirectTls,
    /// Trusted sources of the PROXY protocol that are all addresses.
    TrustedSource(IpNet),
    /// Two other targets of the SRV records have the same host.
    DuplicateSrvTarget(Domain),
    /// The federation's own host is among the other targets of its SRV records.
    OwnHostAsTarget(Domain),
    /// The maximum age of evidence is out of range.
    EvidenceTtl,
    /// The URL of a prober is not an HTTPS URL; with the path of its entry.
    ProberUrl(String),
    /// A local domain names a backend that does not exist.
    UnknownBackend(Domain),
    /// A local domain among the peers.
    LocalDomainAsPeer(Domain),
    /// Impossible settings in `peerDefaults`.
    PeerDefaults(ImpossibleCombination),
    /// Impossible settings of one peer.
    Peer(DomainPattern, ImpossibleCombination),
}

impl fmt::Display for InvalidSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(f, "metadata.name: {}", message::NAME),
            Self::Host => write!(f, "spec.host: {}", message::HOST),
            Self::DuplicateDomain(domain) => {
                write!(f, "spec.domains[{domain}]: {}", message::DUPLICATE_DOMAIN)
            }
            Self::DuplicatePeer(peer) => {
                write!(f, "spec.peers[{peer}]: {}", message::DUPLICATE_PEER)
            }
            Self::DuplicateBackend(name) => {
                write!(f, "spec.backends[{name}]: {}", message::DUPLICATE_BACKEND)
            }
            Self::BackendName(name) => {
                write!(f, "spec.backends[{name}]: {}", message::BACKEND_NAME)
            }
            Self::LoadBalancerFields => {
                write!(f, "spec.service: {}", message::LOAD_BALANCER_FIELDS)
            }
            Self::PublicAddress(address) => write!(
                f,
                "spec.service.publicAddresses[{address}]: {}",
                message::PUBLIC_ADDRESS_NOT_USABLE
            ),
            Self::DuplicatePublicAddress(address) => write!(
                f,
                "spec.service.publicAddresses[{address}]: {}",
                message::DUPLICATE_PUBLIC_ADDRESS
            ),
            Self::PublicPorts => {
                write!(f, "spec.service.publicPorts: {}", message::PUBLIC_PORTS_WITHOUT_ADDRESSES)
            }
            Self::NodePorts => {
                write!(f, "spec.service.nodePorts: {}", message::NODE_PORTS_ON_CLUSTER_IP)
            }
            Self::SameNodePort => {
                write!(f, "spec.service.nodePorts: {}", message::SAME_NODE_PORT)
            }
            Self::PortWithoutDirectTls => {
                write!(f, "spec.service: {}", message::PORT_WITHOUT_DIRECT_TLS)
            }
            Self::TrustedSource(network) => write!(
                f,
                "spec.service.proxyProtocol.trustedSources[{network}]: {}",
                message::EVERY_SOURCE_TRUSTED
            ),
            Self::DuplicateSrvTarget(host) => {
                write!(f, "spec.dns.srv.otherTargets[{host}]: {}", message::DUPLICATE_SRV_TARGET)
            }
            Self::OwnHostAsTarget(host) => {
                write!(f, "spec.dns.srv.otherTargets[{host}]: {}", message::OWN_HOST_AS_TARGET)
            }
            Self::EvidenceTtl => {
                write!(f, "spec.verification.evidenceTtl: {}", message::EVIDENCE_TTL)
            }
            Self::ProberUrl(field) => write!(f, "{field}.url: {}", message::PROBER_URL),
            Self::UnknownBackend(domain) => {
                write!(f, "spec.domains[{domain}].backend: {}", message::UNKNOWN_BACKEND)
            }
            Self::LocalDomainAsPeer(domain) => {
                write!(f, "spec.peers[{domain}]: {}", message::LOCAL_DOMAIN_AS_PEER)
            }
            Self::PeerDefaults(combination) => write!(f, "spec.peerDefaults: {combination}"),
            Self::Peer(peer, combination) => write!(f, "spec.peers[{peer}]: {combination}"),
        }
    }
}

impl std::error::Error for InvalidSpec {}

/// All errors of the resource, in the order of the spec; empty if it is valid.
pub fn validate(name: &str, spec: &XmppFederationSpec) -> Vec<InvalidSpec> {
    let mut found = Vec::new();
    if !is_name(name) {
        found.push(InvalidSpec::Name);
    }
    if spec.host().is_none_or(|host| host.to_ascii().len() > MAX_HOST) {
        found.push(InvalidSpec::Host);
    }
    let mut local = BTreeSet::new();
    for domain in &spec.domains {
        if !local.insert(&domain.name) {
            found.push(InvalidSpec::DuplicateDomain(domain.name.clone()));
        }
        if domain.backend.is_some() && spec.backend_of(domain).is_none() {
            found.push(InvalidSpec::UnknownBackend(domain.name.clone()));
        }
    }
    let mut names = BTreeSet::new();
    for backend in &spec.backends {
        if !names.insert(&backend.name) {
            found.push(InvalidSpec::DuplicateBackend(backend.name.clone()));
        }
        let edge_is_hyphen = backend.name.starts_with('-') || backend.name.ends_with('-');
        if backend.name.is_empty() || edge_is_hyphen || !is_label_text(&backend.name) {
            found.push(InvalidSpec::BackendName(backend.name.clone()));
        }
    }
    let service = &spec.service;
    if service.type_ != ServiceType::LoadBalancer
        && (service.load_balancer_class.is_some()
            || !service.load_balancer_source_ranges.is_empty())
    {
        found.push(InvalidSpec::LoadBalancerFields);
    }
    found.extend(exposure(service));
    found.extend(other_targets(spec));
    if let Err(combination) = impossible::check(&effective(&spec.peer_defaults, None)) {
        found.push(InvalidSpec::PeerDefaults(combination));
    }
    let mut patterns = BTreeSet::new();
    for peer in &spec.peers {
        if !patterns.insert(&peer.domain) {
            found.push(InvalidSpec::DuplicatePeer(peer.domain.clone()));
        }
        if let DomainPattern::Exact(domain) = &peer.domain
            && local.contains(domain)
        {
            found.push(InvalidSpec::LocalDomainAsPeer(domain.clone()));
        }
        let merged = effective(&spec.peer_defaults, Some(&peer.settings));
        if let Err(combination) = impossible::check(&merged) {
            found.push(InvalidSpec::Peer(peer.domain.clone(), combination));
        }
    }
    let age = spec.verification.evidence_ttl;
    if age < Duration::from_mins(5) || age > Duration::from_hours(720) {
        found.push(InvalidSpec::EvidenceTtl);
    }
    for (field, prober) in spec.verification.probers() {
        if !prober.url.starts_with("https://") {
            found.push(InvalidSpec::ProberUrl(field));
        }
    }
    found
}

/// Faults of the public addresses, the public ports and the node ports.
fn exposure(service: &ServiceSpec) -> Vec<InvalidSpec> {
    let mut found = Vec::new();
    let mut addresses = BTreeSet::new();
    for address in &service.public_addresses {
        if !is_connectable(*address) {
            found.push(InvalidSpec::PublicAddress(*address));
        }
        if !addresses.insert(address.to_canonical()) {
            found.push(InvalidSpec::DuplicatePublicAddress(*address));
        }
    }
    let (public, node) = (&service.public_ports, &service.node_ports);
    let type_ = service.type_;
    let has_public_ports = !crate::is_default(public);
    if has_public_ports && addresses.is_empty() && type_ == ServiceType::LoadBalancer {
        found.push(InvalidSpec::PublicPorts);
    }
    if !crate::is_default(node) && type_ == ServiceType::ClusterIp {
        found.push(InvalidSpec::NodePorts);
    }
    if node.s2s.is_some() && node.s2s == node.s2s_tls {
        found.push(InvalidSpec::SameNodePort);
    }
    if !service.direct_tls && (public.s2s_tls.is_some() || node.s2s_tls.is_some()) {
        found.push(InvalidSpec::PortWithoutDirectTls);
    }
    let sources = service.proxy_protocol.trusted_sources.iter();
    found.extend(
        sources.filter(|all| all.prefix_len() == 0).copied().map(InvalidSpec::TrustedSource),
    );
    found
}

/// Faults of the other targets of the SRV records.
fn other_targets(spec: &XmppFederationSpec) -> Vec<InvalidSpec> {
    let mut found = Vec::new();
    let own = spec.host();
    let mut hosts = BTreeSet::new();
    for target in &spec.dns.srv.other_targets {
        if !hosts.insert(&target.host) {
            found.push(InvalidSpec::DuplicateSrvTarget(target.host.clone()));
        }
        if own.as_ref() == Some(&target.host) {
            found.push(InvalidSpec::OwnHostAsTarget(target.host.clone()));
        }
    }
    found
}

/// Not unspecified, loopback, link-local, multicast or reserved. Private addresses are connectable in their networks.
fn is_connectable(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            first != 0 && first < 224 && !v4.is_loopback() && !v4.is_link_local()
        }
        IpAddr::V6(v6) => {
            let local = v6.is_unspecified() || v6.is_loopback() || v6.is_unicast_link_local();
            !local && !v6.is_multicast()
        }
    }
}

/// Longest host in A-label form: the engine's probe domain adds a label in front of it (RFC 1035 §2.3.4).
const MAX_HOST: usize = 240;

/// A label of RFC 1035 §2.3.1, short enough for the suffixes of the children's names.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && is_label_text(name)
        && !name.ends_with('-')
}

fn is_label_text(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, spec: serde_json::Value) -> Vec<String> {
        let spec = serde_json::from_value(spec).unwrap();
        validate(name, &spec).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_smallest_resource_is_valid() {
        let spec = serde_json::json!({"domains": [{"name": "example.com"}]});
        assert_eq!(found("example", spec), [] as [String; 0]);
    }

    #[test]
    fn a_network_of_all_addresses_is_no_trusted_source() {
        let sources = ["192.0.2.0/24", "0.0.0.0/0", "::/0"];
        let spec = serde_json::json!({
            "domains": [{"name": "example.com"}],
            "service": {"proxyProtocol": {"trustedSources": sources}}
        });
        let expected = ["0.0.0.0/0", "::/0"].map(|network| {
            let field = format!("spec.service.proxyProtocol.trustedSources[{network}]");
            format!("{field}: {}", message::EVERY_SOURCE_TRUSTED)
        });
        assert_eq!(found("example", spec), expected);
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_its_field() {
        let spec = serde_json::json!({
            "domains": [
                {"name": "bücher.example", "backend": "none"},
                {"name": "xn--bcher-kva.example."}
            ],
            "host": format!("{}example", "a.".repeat(119)),
            "backends": [
                {"name": "im", "server": {"host": "a.example"}},
                {"name": "im", "server": {"host": "b.example"}}
            ],
            "peerDefaults": {"profile": "Strict", "tls": {"mode": "Optional"}},
            "peers": [
                {"domain": "Bücher.example"},
                {"domain": "partner.example", "profile": "Standards"},
                {"domain": "partner.example.", "profile": "Standards"},
                {"domain": "*.legacy.example", "profile": "LegacyDialback",
                 "authentication": {"dialback": "Disabled"}}
            ]
        });
        let impossible = ImpossibleCombination::VerificationRequiredWithoutTls.sentence();
        assert_eq!(
            found("Example.com", spec),
            [
                format!("metadata.name: {}", message::NAME),
                format!("spec.host: {}", message::HOST),
                format!("spec.domains[bücher.example].backend: {}", message::UNKNOWN_BACKEND),
                format!("spec.domains[bücher.example]: {}", message::DUPLICATE_DOMAIN),
                format!("spec.backends[im]: {}", message::DUPLICATE_BACKEND),
                format!("spec.peerDefaults: {impossible}"),
                format!("spec.peers[bücher.example]: {}", message::LOCAL_DOMAIN_AS_PEER),
                format!("spec.peers[bücher.example]: {impossible}"),
                format!("spec.peers[partner.example]: {}", message::DUPLICATE_PEER),
                format!(
                    "spec.peers[*.legacy.example]: {}",
                    ImpossibleCombination::TlsDisabledWithoutDialback.sentence()
                ),
            ]
        );
    }
}
