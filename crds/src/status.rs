//! The reports of the operator. No logic; the rules for conditions are in [`crate::condition`].

mod backend;
mod peer;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::federation::dns::ResolverAddress;

pub use backend::{BackendServerStatus, BackendState, BackendStatus};
pub use peer::{
    PeerAction, PeerAttempt, PeerAuthenticatedByStatus, PeerAuthenticationStatus,
    PeerDialbackStatus, PeerDnsStatus, PeerDomainStatus, PeerFlowResult, PeerFlowStatus, PeerState,
    PeerStatus, PeerSummary, PeerTlsStatus,
};

/// Most peers in the status; if there are more, failing ones are kept first.
pub const MAX_PEERS: usize = 256;

/// Observed state of the federation.
#[derive(Clone, Debug, Default, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct XmppFederationStatus {
    /// Generation of the spec that was reconciled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// First condition of the ladder that is not True; Ready if all are True.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub stage: Option<String>,
    /// Name of the address records and target of the SRV records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub host: Option<String>,
    /// Number of engine pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Label selector of the engine pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// The ladder, in order, and Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Addresses that remote servers connect to: spec.service.publicAddresses, or else those of the outer Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub addresses: Vec<Address>,
    /// Ports that remote servers connect to: spec.service.publicPorts, or else those of the outer Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<PublicPortsStatus>,
    /// When the addresses or ports last changed. Inbound evidence from before that time is stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses_changed_time: Option<Time>,
    /// Wanted DNS records, and what was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 96))]
    pub dns_records: Vec<DnsRecord>,
    /// Recursive resolvers that the operator queries: spec.dns.resolvers, which the engine queries as well, or else those of the
    /// operator's pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub resolvers: Vec<ResolverAddress>,
    /// Lines to add to the zone file; present while a DNS record differs from the wanted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub zone_snippet: Option<String>,
    /// Every local domain with its own conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub domains: Vec<DomainStatus>,
    /// Every backend: how to configure it, and whether it works.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub backends: Vec<BackendStatus>,
    /// Remote domains, configured ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["domain".into()]))]
    pub peers: Vec<PeerStatus>,
    /// Number of peers by state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_summary: Option<PeerSummary>,
    /// Last evidence that a server outside the cluster reached the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<InboundStatus>,
    /// When the result of verification last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verified_time: Option<Time>,
}

/// An address that remote servers connect to.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// Kind of the address.
    #[serde(rename = "type")]
    pub type_: AddressType,
    /// The address.
    #[schemars(length(max = 253))]
    pub value: String,
}

/// Ports that remote servers connect to.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicPortsStatus {
    /// Port with STARTTLS.
    pub s2s: u16,
    /// Port with Direct TLS; absent if it is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s2s_tls: Option<u16>,
}

/// Kind of an address.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum AddressType {
    /// IPv4 or IPv6.
    IPAddress,
    /// The load balancer's own host name.
    Hostname,
}

/// A wanted DNS record.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsRecord {
    /// Owner name, with trailing dot.
    #[schemars(length(max = 280))]
    pub name: String,
    /// Type: A, AAAA, CNAME or SRV.
    #[serde(rename = "type")]
    #[schemars(length(max = 16))]
    pub type_: String,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Wanted data in zone file form.
    #[schemars(length(max = 512))]
    pub value: String,
    /// The result.
    pub state: DnsRecordState,
    /// Found data in zone file form, records separated by commas; absent if nothing was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub found: Option<String>,
}

/// State of a wanted DNS record.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum DnsRecordState {
    /// The wanted record exists.
    Present,
    /// The record does not exist.
    Missing,
    /// A different record exists.
    Mismatch,
    /// Not queried yet, or no resolver answers.
    #[serde(other)]
    Unknown,
}

/// Conditions of one local domain.
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainStatus {
    /// The domain.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The conditions that are judged for each domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Last evidence that a server outside the cluster reached the engine.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundStatus {
    /// Kind of the evidence.
    pub evidence: InboundEvidence,
    /// Source address of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub source_address: Option<String>,
    /// Remote domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub peer: Option<String>,
    /// Local domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub domain: Option<String>,
    /// The prober; if a user reported the probe, from where and which user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub prober: Option<String>,
    /// When the evidence was observed.
    pub observed_time: Time,
}

/// Kind of evidence from outside.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum InboundEvidence {
    /// An authenticated stream from an address outside the cluster.
    Stream,
    /// A dialback verification with a key that the engine issued to that peer.
    Dialback,
    /// A prober.
    Probe,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}
