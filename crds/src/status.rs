//! What the operator reports. No logic; the conditions' rules stand in [`crate::condition`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;

/// Peers in the status; of more, the failing ones are kept first.
pub const MAX_PEERS: usize = 256;

/// What the operator sees.
#[derive(Clone, Debug, Default, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct XmppFederationStatus {
    /// Generation of the spec that was reconciled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// First condition of the ladder that is not True; Ready when all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub stage: Option<String>,
    /// Name of the address records and target of the SRV records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub host: Option<String>,
    /// The ladder, in the order of reading, and Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Addresses of the outer Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub addresses: Vec<Address>,
    /// When the addresses last changed. Inbound evidence from before that time is stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses_changed_time: Option<Time>,
    /// Wanted DNS records, and what was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 96))]
    pub dns_records: Vec<DnsRecord>,
    /// Lines for the zone file, while a record is not as wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub zone_snippet: Option<String>,
    /// Every local domain with its own verdicts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub domains: Vec<DomainStatus>,
    /// Every backend: what to configure there, and whether it works.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub backends: Vec<BackendStatus>,
    /// Remote domains, configured ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["domain".into()]))]
    pub peers: Vec<PeerStatus>,
    /// Peers in figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_summary: Option<PeerSummary>,
    /// Last evidence that the outside reaches us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<InboundStatus>,
    /// When the ladder was judged last with a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verified_time: Option<Time>,
}

/// An address of the outer Service.
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

/// Kind of an address.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum AddressType {
    /// IPv4 or IPv6.
    IPAddress,
    /// A name of the load balancer's own.
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
    /// What was found.
    pub state: DnsRecordState,
    /// Found data in zone file form, records separated by commas; absent when nothing was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub found: Option<String>,
}

/// State of a wanted DNS record.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum DnsRecordState {
    /// As wanted.
    Present,
    /// Not there.
    Missing,
    /// Something else is there.
    Mismatch,
    /// Not asked, or no resolver answers.
    #[serde(other)]
    Unknown,
}

/// Verdicts of one local domain.
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainStatus {
    /// The domain.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The rungs that differ from domain to domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// A backend.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    /// Name of the backend in the spec.
    #[schemars(length(max = 40))]
    pub name: String,
    /// Address of the DNS server that the backend is to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub dns_server: Option<String>,
    /// ConfigMap with the CA (ca.crt) that the backend is to trust for server-to-server streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub ca_config_map: Option<String>,
    /// Secret with a certificate of that CA, for a backend that has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub tls_secret: Option<String>,
    /// What to configure at the backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub configure: Option<String>,
    /// Whether it works.
    pub state: BackendState,
    /// Reason of the state, a word of that condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub reason: Option<String>,
    /// What was seen and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// Whether a backend works.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum BackendState {
    /// A round trip has been seen for every domain.
    Connected,
    /// A domain fails.
    Failed,
    /// Not tried yet, or nobody knows.
    #[serde(other)]
    Unknown,
}

/// A remote domain.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// The domain.
    #[schemars(length(max = 255))]
    pub domain: String,
    /// How it stands.
    pub state: PeerState,
    /// How far the last attempt came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub step: Option<String>,
    /// Connected, or the engine's word for the failure.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// What was seen and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// Address of the last attempt, with port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub address: Option<String>,
    /// TLS of the stream; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<PeerTlsStatus>,
    /// How the domains are proven, per direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<PeerAuthenticationStatus>,
    /// What proves that the peer's domain is at the other end, per direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated_by: Option<PeerAuthenticatedByStatus>,
    /// When state or reason last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// How a peer stands.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum PeerState {
    /// A stream to it is or was up, and no later attempt failed.
    Connected,
    /// An attempt is on its way.
    Connecting,
    /// The last attempt failed.
    Failed,
    /// The policy forbids it.
    Blocked,
    /// Not tried yet, or nobody knows.
    #[serde(other)]
    Unknown,
}

/// TLS of a stream with a peer.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerTlsStatus {
    /// Version, such as TLSv1.3.
    #[schemars(length(max = 16))]
    pub version: String,
    /// Direct TLS instead of STARTTLS.
    #[serde(default)]
    pub direct: bool,
    /// Valid, `ValidByDANE` where the peer's TLSA records decided, or the engine's word for what is wrong with the certificate.
    #[schemars(length(max = 63))]
    pub verification: String,
    /// End of validity of the peer's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
}

/// How the domains are proven, in the engine's words; absent without a stream.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerAuthenticationStatus {
    /// How we prove ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub outbound: Option<String>,
    /// How the peer proves its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub inbound: Option<String>,
}

/// What proves that the peer's domain is at the other end; absent without a stream. Certificate: one that a trusted root
/// issued, or with a pinned key. DANE: one that the TLSA records of the server are about. Dialback: the server that DNS names
/// confirmed its key. DNS or Route: nothing but the records, or the route, that led there (tls.verification Preferred or None).
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerAuthenticatedByStatus {
    /// The server that we send to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub outbound: Option<String>,
    /// The server that sends to us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub inbound: Option<String>,
}

/// Peers in figures.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerSummary {
    /// "reachable/configured", for the table.
    #[schemars(length(max = 16))]
    pub display: String,
    /// Configured peers with a domain of their own.
    pub total: u32,
    /// Of these, reached.
    pub reachable: u32,
    /// Of these, failing.
    pub failing: u32,
    /// Of these, not judged.
    pub unknown: u32,
    /// Peers were left out of the list, failing ones last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// Last evidence that the outside reaches us.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundStatus {
    /// Kind of the evidence.
    pub evidence: InboundEvidence,
    /// Address that connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub source_address: Option<String>,
    /// Remote domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub peer: Option<String>,
    /// When.
    pub observed_time: Time,
}

/// Kind of evidence from outside.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum InboundEvidence {
    /// A proven stream from a non-cluster address.
    Stream,
    /// A dialback verification with a key that the engine issued to that peer.
    Dialback,
    /// A prober.
    Probe,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}
