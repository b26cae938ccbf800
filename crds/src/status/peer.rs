//! Peers, in the reports of the operator.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A remote domain.
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// The domain.
    #[schemars(length(max = 255))]
    pub domain: String,
    /// State of the peer.
    pub state: PeerState,
    /// Last step that the last attempt reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub step: Option<String>,
    /// Connected, or the engine's reason for the failure.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// The observation and the action that it calls for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// Which side must act.
    #[serde(default)]
    pub action: PeerAction,
    /// Local domains whose streams to the peer end for another reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub domains: Vec<PeerDomainStatus>,
    /// DNS records of the peer as found; absent if the peer has a route, or is not in spec.peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<PeerDnsStatus>,
    /// The last attempts to reach the peer, newest last; their times advance only with a change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub attempts: Vec<PeerAttempt>,
    /// The steps of Server Dialback (XEP-0220) in our name; absent if another method authenticates us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialback: Option<PeerDialbackStatus>,
    /// Result of the ping to spec.peers[].probe.to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<PeerFlowStatus>,
    /// Address of the last attempt, with port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub address: Option<String>,
    /// TLS of the stream; absent if there is no stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<PeerTlsStatus>,
    /// How the domains are authenticated, per direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<PeerAuthenticationStatus>,
    /// The authentication of the peer's domain, per direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated_by: Option<PeerAuthenticatedByStatus>,
    /// When state or reason last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// Which side must act for a peer.
#[derive(Clone, Copy, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum PeerAction {
    /// An administrator of this federation.
    Us,
    /// An administrator of the peer.
    Them,
    /// Nobody.
    #[default]
    #[serde(other)]
    Nobody,
}

/// State of the streams from one local domain to a peer.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerDomainStatus {
    /// The local domain.
    #[schemars(length(max = 253))]
    pub name: String,
    /// State of its streams.
    pub state: PeerState,
    /// Connected, or the engine's reason for the failure.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// The observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// DNS records of a peer.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerDnsStatus {
    /// The resolver that was queried.
    #[schemars(length(max = 64))]
    pub resolver: String,
    /// SRV records of _xmpp-server._tcp: priority, weight, port, target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 300)))]
    pub srv: Vec<String>,
    /// Address records of the targets, or of the domain itself if it has no SRV record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 320)))]
    pub addresses: Vec<String>,
    /// Why a query failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub error: Option<String>,
}

/// An attempt to reach a peer.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerAttempt {
    /// When it ended.
    pub time: Time,
    /// Last step that it reached.
    #[schemars(length(max = 63))]
    pub step: String,
    /// Connected, or the engine's reason for the failure.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// Address that was tried last, with port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub address: Option<String>,
}

/// The steps of Server Dialback in our name.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerDialbackStatus {
    /// The engine sent a key (db:result).
    pub key_sent: bool,
    /// The peer, or a server in its name, queried an engine pod about a key (db:verify).
    pub verify_received: bool,
    /// The peer's answer to the key: valid, invalid, error, or none.
    #[schemars(length(max = 16))]
    pub answer: String,
}

/// Result of a ping to an address at a peer.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerFlowStatus {
    /// The address.
    #[schemars(length(max = 3071))]
    pub to: String,
    /// The result.
    pub result: PeerFlowResult,
}

/// Result of a ping.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum PeerFlowResult {
    /// The address answered, over the peer's own stream.
    Answered,
    /// The peer answered with an error: both directions work, but not for this address.
    AnsweredWithError,
    /// The peer accepted the ping, and no answer came back.
    NoAnswer,
    /// Not known.
    #[serde(other)]
    Unknown,
}

/// State of a peer.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum PeerState {
    /// A stream to it is or was up, and no later attempt failed.
    Connected,
    /// An attempt is in progress.
    Connecting,
    /// The last attempt failed.
    Failed,
    /// spec.policy denies it.
    Blocked,
    /// Not tried yet, or not known.
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
    /// Valid, `ValidByDANE` if the peer's TLSA records decided, or the engine's reason why the certificate is not valid.
    #[schemars(length(max = 63))]
    pub verification: String,
    /// Expiry of the peer's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
}

/// How the domains are authenticated, as reported by the engine; absent if there is no stream.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerAuthenticationStatus {
    /// How the engine authenticates to the peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub outbound: Option<String>,
    /// How the peer authenticates to the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub inbound: Option<String>,
}

/// The authentication of the peer's domain; absent if there is no stream. Certificate: a certificate issued by a trusted root, or
/// with a pinned key. DANE: a certificate that matches the server's TLSA records. Dialback: the server that DNS names confirmed
/// the key. DNS or Route: only the DNS records, or the route, that led there (tls.verification Preferred or None).
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerAuthenticatedByStatus {
    /// The server that the engine sends to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub outbound: Option<String>,
    /// The server that sends to the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub inbound: Option<String>,
}

/// Number of peers by state.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerSummary {
    /// "reachable/configured", for the table.
    #[schemars(length(max = 16))]
    pub display: String,
    /// Configured peers with an exact domain (not *.suffix).
    pub total: u32,
    /// Of these, reachable.
    pub reachable: u32,
    /// Of these, failing.
    pub failing: u32,
    /// Of these, not known yet.
    pub unknown: u32,
    /// The list of peers was truncated; failing ones were kept first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}
