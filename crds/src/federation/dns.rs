//! Publication of the federation in DNS.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dnssec::DnssecMode;
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
    /// Publish even if SRV records of another server exist.
    #[serde(default)]
    pub takeover: bool,
    /// Whether the engine validates answers with DNSSEC. Auto: if its resolver returns signatures. Off: never, for example if a
    /// private zone hides a signed public zone.
    #[serde(default)]
    pub dnssec: DnssecMode,
    /// Recursive resolvers that represent the public view of DNS. Default: those of the operator's pod.
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

/// Priority and weight of the SRV records (RFC 2782).
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
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
}

fn weight() -> u16 {
    5
}

impl Default for SrvSpec {
    fn default() -> Self {
        Self { priority: 0, weight: weight() }
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
