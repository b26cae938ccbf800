//! Publication of the federation in DNS.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

use ipnet::IpNet;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dnssec::DnssecMode;
use crate::domain::Domain;
use crate::message;

/// How the address and SRV records are published in DNS.
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsSpec {
    /// The publisher of the records.
    #[serde(default)]
    pub mode: DnsMode,
    /// Time to live of the records, in seconds.
    #[serde(default = "ttl")]
    #[schemars(range(min = 30, max = 86_400))]
    pub ttl: u32,
    /// Fields of the SRV records.
    #[serde(default)]
    pub srv: SrvSpec,
    /// Write SRV targets with a trailing dot; external-dns up to 0.20 needs false.
    #[serde(default = "crate::yes")]
    pub trailing_dot: bool,
    /// When the SRV records are first published.
    #[serde(default)]
    pub publish: DnsPublish,
    /// Publish even if SRV records of another server exist. external-dns replaces those that it owns itself; delete the others. Until
    /// they are gone, servers may connect to either.
    #[serde(default)]
    pub takeover: bool,
    /// Whether the engine validates answers with DNSSEC. Auto: if its resolver returns signatures. Off: never, for example if a
    /// private zone hides a signed public zone.
    #[serde(default)]
    pub dnssec: DnssecMode,
    /// Recursive resolvers that represent the public view of DNS. The operator verifies the records with them, and the engine finds
    /// the servers of peers with them. Default: those of the operator's pod, and those of the engine's pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new(r"self.all(r, r.matches('^([0-9.]+(:[0-9]+)?|\\[[0-9A-Fa-f:.]+\\](:[0-9]+)?|[0-9A-Fa-f:]+)$'))").message(message::RESOLVER))]
    pub resolvers: Vec<ResolverAddress>,
    /// Networks whose hosts may query the DNS server that the engine runs for its backends; queries from others are refused. The
    /// NetworkPolicy also allows the networks listed here. Default: networks that are not routed on the internet (private, shared
    /// and link-local), and the addresses and networks of nodes, pods and Services that the cluster reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), with = "Vec<String>", inner(length(max = 49)))]
    #[x_kube(validation = Rule::new(super::rule::NETWORKS).message(message::NETWORK))]
    pub clients: Vec<IpNet>,
}

fn ttl() -> u32 {
    300
}

impl Default for DnsSpec {
    fn default() -> Self {
        Self {
            mode: DnsMode::default(),
            ttl: ttl(),
            srv: SrvSpec::default(),
            trailing_dot: true,
            publish: DnsPublish::default(),
            takeover: false,
            dnssec: DnssecMode::default(),
            resolvers: Vec::new(),
            clients: Vec::new(),
        }
    }
}

/// The publisher of the records.
#[derive(Clone, Copy, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum DnsMode {
    /// external-dns, from the Service's annotations and a `DNSEndpoint`.
    #[default]
    ExternalDNS,
    /// An administrator, from status.zoneSnippet. The operator still verifies the records.
    Manual,
}

/// When the SRV records are first published.
#[derive(Clone, Copy, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum DnsPublish {
    /// After the engine has been ready once, so that no port is advertised before it is served.
    #[default]
    WhenEngineReady,
    /// Immediately.
    Always,
}

/// The SRV records (RFC 2782).
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SrvSpec {
    /// Lower values are tried first.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65_535))]
    pub priority: u16,
    /// Relative weight among records of equal priority.
    #[serde(default = "weight")]
    #[schemars(range(min = 0, max = 65_535))]
    pub weight: u16,
    /// Servers that also serve the domains: a second cluster, a site for disaster recovery, or the old server during a migration.
    /// Their records are published and verified beside those of this federation. Two federations of one cluster share a domain only
    /// if each lists the host of the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new(DISTINCT_TARGETS).message(message::DUPLICATE_SRV_TARGET))]
    pub other_targets: Vec<SrvTarget>,
}

/// True when no two targets have the same host.
const DISTINCT_TARGETS: &str = "[self.map(t, (t.host.endsWith('.') ? t.host.substring(0, size(t.host) - 1) : t.host).lowerAscii())].all(hosts, hosts.all(h, hosts.exists_one(other, other == h)))";

/// A server that also serves the domains.
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SrvTarget {
    /// Name of the server. It must have address records, and must not be an alias (RFC 2782).
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new(super::rule::IS_DOMAIN).message(message::DOMAIN))]
    #[x_kube(validation = Rule::new(super::rule::IS_NO_ADDRESS).message(message::DOMAIN_IS_ADDRESS))]
    pub host: Domain,
    /// Port for STARTTLS, in the records of `_xmpp-server`.
    #[serde(default = "s2s_port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: NonZeroU16,
    /// Port for Direct TLS (XEP-0368), in the records of `_xmpps-server`. Default: the server has none there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub direct_tls_port: Option<NonZeroU16>,
    /// Lower values are tried first. A higher value than that of this federation makes the server a standby.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65_535))]
    pub priority: u16,
    /// Relative weight among records of equal priority.
    #[serde(default = "weight")]
    #[schemars(range(min = 0, max = 65_535))]
    pub weight: u16,
}

/// The port of server-to-server streams (RFC 6120 §14.7).
fn s2s_port() -> NonZeroU16 {
    const S2S: NonZeroU16 = match NonZeroU16::new(5269) {
        Some(port) => port,
        None => NonZeroU16::MIN,
    };
    S2S
}

fn weight() -> u16 {
    5
}

impl Default for SrvSpec {
    fn default() -> Self {
        Self { priority: 0, weight: weight(), other_targets: Vec::new() }
    }
}

/// Address of a resolver: an IP address, with a port if it is not 53.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ResolverAddress(pub SocketAddr);

impl FromStr for ResolverAddress {
    type Err = ResolverAddressError;

    fn from_str(text: &str) -> Result<Self, ResolverAddressError> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        match (bare.parse::<IpAddr>(), text.parse::<SocketAddr>()) {
            (Ok(address), _) => Ok(Self(SocketAddr::new(address, 53))),
            (_, Ok(address)) if address.port() != 0 => Ok(Self(address)),
            _ => Err(ResolverAddressError),
        }
    }
}

/// The text is neither an address nor an address with a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", message::RESOLVER)]
pub struct ResolverAddressError;

impl fmt::Display for ResolverAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.port() == 53 { self.0.ip().fmt(f) } else { self.0.fmt(f) }
    }
}

crate::text::serde_as_text!(ResolverAddress, "ResolverAddress", min = 1, max = 53);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_is_an_address_with_or_without_a_port() {
        for (text, written) in [
            ("198.18.0.53", "198.18.0.53"),
            ("198.18.0.53:53", "198.18.0.53"),
            ("198.18.0.53:5353", "198.18.0.53:5353"),
            ("2001:db8::53", "2001:db8::53"),
            ("[2001:db8::53]", "2001:db8::53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            assert_eq!(text.parse::<ResolverAddress>().unwrap().to_string(), written);
        }
        for text in ["", "dns.example", "198.18.0.53:", "198.18.0.53:0", "198.18.0"] {
            assert!(text.parse::<ResolverAddress>().is_err(), "{text}");
        }
    }
}
