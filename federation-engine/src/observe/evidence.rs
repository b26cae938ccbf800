//! The body of `/v1/evidence`: facts, never verdicts. The operator's ladder derives the verdicts.
//!
//! Bounded: at most [`MAX_PEERS`] peers, [`MAX_ANSWERS`] answers for each backend domain, [`MAX_CONTACTS`] contacts of
//! each kind, [`MAX_INBOUND`] inbound observations, [`MAX_ATTEMPTS`] attempts and [`MAX_PEER_REFUSALS`] refusals for each
//! peer, [`MAX_REFUSALS`] other refusals.

use std::net::{IpAddr, SocketAddr};

use crds::word::Word;
use jiff::Timestamp;
use s2s_proto::reason::Step;
use serde::{Deserialize, Serialize};

use crate::Domain;

/// Peers kept; configured ones first, then the most recent.
pub const MAX_PEERS: usize = 512;
/// Inbound observations kept: one for each combination of peer domain and kind.
pub const MAX_INBOUND: usize = 128;
/// Answers kept for each local domain: those of the last minutes, with a realistic number of replicas.
pub const MAX_ANSWERS: usize = 64;
/// Contacts of backends kept, of each kind.
pub const MAX_CONTACTS: usize = 8;
/// Attempts kept for each peer.
pub const MAX_ATTEMPTS: usize = 8;
/// Refusals kept for each peer.
pub const MAX_PEER_REFUSALS: usize = 4;
/// Local domains kept for each peer.
pub const MAX_LOCALS: usize = 32;
/// Results of pings to peers kept.
pub const MAX_FLOWS: usize = 512;
/// Answers about claims kept: 32 partners and 32 local domains.
pub const MAX_CLAIMS: usize = 1024;
/// Refusals kept of all others.
pub const MAX_REFUSALS: usize = 32;

/// Everything one engine replica knows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineEvidence {
    /// Version of the engine.
    pub version: String,
    /// SHA-256 (hex) of the configuration file in effect.
    pub config_hash: String,
    /// Files that have been unusable since the last valid state; the engine continues with the last valid ones.
    pub problems: Vec<LoadError>,
    /// Present while the engine closes connections for want of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_shortage: Option<MemoryShortage>,
    /// Certificates in use, by local domain.
    pub certificates: Vec<ServedCertificate>,
    /// Streams and dialback requests that came in on the outer leg.
    pub inbound: Vec<InboundObservation>,
    /// Last round trip through the backend for each local domain.
    pub backends: Vec<BackendRoundTrip>,
    /// Answers of backends to pings of other replicas.
    #[serde(default)]
    pub answers: Vec<BackendAnswer>,
    /// How far backends came on their way to the engine's probe domain, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<BackendContact>,
    /// The servers behind the local domains whose last round trip succeeded, by their own words.
    #[serde(default)]
    pub servers: Vec<BackendServer>,
    /// Remote domains: configured peers, and those with traffic.
    pub peers: Vec<PeerEvidence>,
    /// Refusals on the outer leg that belong to no peer of the list above, oldest first.
    #[serde(default)]
    pub refusals: Vec<InboundRefusal>,
    /// Whether the partners of `claimCheck` host a local domain themselves.
    #[serde(default)]
    pub claims: Vec<ClaimEvidence>,
    /// Whether a ping to `probe.to` of a peer comes back.
    #[serde(default)]
    pub flows: Vec<FlowEvidence>,
}

/// Result of pinging an address at a peer from a local domain. The answer comes over the peer's own stream.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowEvidence {
    /// The peer.
    pub peer: Domain,
    /// The local domain.
    pub local: Domain,
    /// The pinged address, `probe.to`.
    pub to: String,
    /// Outcome.
    pub outcome: FlowOutcome,
    /// `id` of the ping. An answer that came to another replica is among its `answers`.
    pub ping: String,
    /// When it was observed.
    pub at: Timestamp,
}

/// Outcome of a ping to an address at a peer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum FlowOutcome {
    /// The address answered.
    Answered,
    /// The peer answered that the address does not exist or does not answer pings. Both directions work.
    AnsweredWithError,
    /// The peer accepted the ping, and no answer came back to this replica.
    NoAnswer,
}

/// A partner's answers to the question whether it hosts a local domain itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimEvidence {
    /// The partner.
    pub partner: Domain,
    /// The local domain.
    pub local: Domain,
    /// What the answers mean.
    pub outcome: ClaimOutcome,
    /// The evidence, with the partner's own words.
    pub detail: String,
    /// When it was asked last.
    pub at: Timestamp,
}

/// What a partner's answers mean.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum ClaimOutcome {
    /// The partner does not host the domain.
    NotClaimed,
    /// The partner hosts the domain, or considers itself authoritative for it.
    Claimed,
    /// The partner answers about our domain as about any other one, or refuses to answer.
    Inconclusive,
    /// The partner cannot be reached.
    Unreachable,
}

/// The memory limit of an engine that closes connections for want of memory.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryShortage {
    /// The limit in bytes.
    pub limit: u64,
    /// `limits.memoryBytes` sets the limit; otherwise the system does.
    pub by_configuration: bool,
    /// Bytes that the engine needs at least to keep connections.
    pub minimum: u64,
}

/// Something that could not be loaded.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadError {
    /// File, with line and field where they are known.
    pub place: String,
    /// The error and the action.
    pub message: String,
    /// Nothing of the file is in effect; its last valid content is, if there was one. Otherwise the file is in effect and
    /// lacks something.
    #[serde(default)]
    pub unusable: bool,
}

/// A certificate that the engine presents.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServedCertificate {
    /// Local domain it is presented for.
    pub domain: Domain,
    /// SHA-256 of the leaf, hex.
    pub sha256: String,
    /// End of validity.
    pub not_after: Timestamp,
    /// Self-signed.
    pub self_signed: bool,
}

/// Evidence that a remote server reached the outer leg.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundObservation {
    /// Kind of the observation.
    pub kind: InboundKind,
    /// Remote domain that was authenticated (or that the dialback key was issued to).
    pub peer: Domain,
    /// Local domain that it addressed.
    pub local: Domain,
    /// Source address of the connection.
    pub source: IpAddr,
    /// Last time.
    pub at: Timestamp,
}

/// Kind of an inbound observation, strongest first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum InboundKind {
    /// A stream whose remote domain was authenticated.
    StreamAuthenticated,
    /// A `db:verify` with a key that the engine issued to that peer.
    DialbackVerified,
    /// A stream header for a local domain; the remote domain is not authenticated (yet).
    StreamOpened,
}

/// A refusal on the outer leg: of a stream, or of a dialback request. The sender is not authenticated, so the refusal
/// is no evidence about the peer that it names.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundRefusal {
    /// Domain that it claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Domain>,
    /// Domain that it addressed; not necessarily a local domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<Domain>,
    /// Source address of the connection.
    pub source: IpAddr,
    /// Reason.
    pub reason: Word,
    /// The true cause, as text.
    pub message: String,
    /// Number of consecutive repetitions.
    pub count: u32,
    /// Last time.
    pub at: Timestamp,
}

/// Result of pinging a local domain at its backend from the engine's probe domain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRoundTrip {
    /// Name of the backend in the configuration.
    pub backend: String,
    /// Local domain that was pinged.
    pub domain: Domain,
    /// Outcome.
    pub outcome: BackendOutcome,
    /// As text, with the peer's own words.
    pub detail: String,
    /// `id` of the ping.
    pub ping: String,
    /// When it was observed.
    pub at: Timestamp,
}

/// An answer of a backend that came to this replica although another one had sent the ping: all replicas have one Service,
/// and the backend's stream to the probe domain ends at any of them. The other replica's evidence names the ping.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendAnswer {
    /// Local domain that answered.
    pub domain: Domain,
    /// `id` of the ping.
    pub ping: String,
}

/// Something that came from a backend on its way to the engine's probe domain, or from a host that may be a backend. It shows
/// how far a backend came whose answers do not come back.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendContact {
    /// What came.
    pub kind: ContactKind,
    /// Where it came from.
    pub source: IpAddr,
    /// The local domain that a stream named as its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// Why a stream was refused or failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// When it came last.
    pub at: Timestamp,
}

/// What came from a backend, in the order of the path.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum ContactKind {
    /// The engine's DNS server refused a query, because its source is not among the clients.
    QueryRefused,
    /// The engine's DNS server answered where the probe domain is.
    QueryAnswered,
    /// A stream was refused, or its TLS handshake failed.
    StreamRefused,
}

/// The server that answers for a local domain, by its own words.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendServer {
    /// Name of the backend in the configuration.
    pub backend: String,
    /// The local domain.
    pub domain: Domain,
    /// The name that it reports: one line.
    pub name: String,
    /// The version that it reports: one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Outcome of a round trip, in the order of the path.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum BackendOutcome {
    /// The answer came back over the backend's own stream: both directions work.
    RoundTripSeen,
    /// The backend's host name has no address.
    HostNotFound,
    /// TCP refused.
    ConnectRefused,
    /// TCP without answer.
    ConnectTimedOut,
    /// The backend does not accept the certificate that the engine minted.
    BackendRejectsMintedCertificate,
    /// The engine does not accept the backend's certificate.
    BackendCertificateUntrusted,
    /// Dialback between engine and backend failed.
    BackendDialbackFailed,
    /// The backend reports that it does not host the domain.
    DomainNotHosted,
    /// The backend accepted the ping; whether its answer comes back, here or at another replica, is not known yet.
    AnswerAwaited,
    /// The backend accepted the ping, and no answer came back to this replica in time.
    NoAnswer,
    /// The backend answered earlier pings over the streams that are still open, accepted this one, and did not answer it in
    /// time.
    DoesNotAnswer,
    /// No component is connected for the domain.
    ComponentNotConnected,
    /// No component is connected for the domain, and the last one that tried was refused. The detail names its address,
    /// the number of attempts and the cause.
    ComponentRejected,
    /// The port of the backend does not speak XMPP, or expects TLS from the first byte.
    NotXmpp,
    /// A component is connected for the domain. Another one with the right secret wanted the domain and was refused with
    /// `conflict` (XEP-0114 §3). The detail names both addresses.
    ComponentConflict,
    /// Any other failure of the stream.
    StreamFailed,
}

/// The known facts about a remote domain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerEvidence {
    /// The remote domain.
    pub domain: Domain,
    /// It is named in `peers[]`.
    pub configured: bool,
    /// From us to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<PeerStream>,
    /// The local domain of `outbound`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<Domain>,
    /// From other local domains to them, where the reason is another one; of configured peers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<LocalStream>,
    /// From them to us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<PeerStream>,
    /// Last attempts to reach it, newest last.
    pub attempts: Vec<Attempt>,
    /// Refusals of servers that claimed to be it since it was last connected to us, oldest first, one for each source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<InboundRefusal>,
}

/// State of the streams from one local domain to a peer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalStream {
    /// The local domain.
    pub local: Domain,
    /// The state.
    #[serde(flatten)]
    pub stream: PeerStream,
}

/// State of one direction with a peer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStream {
    /// A verified stream exists now.
    pub connected: bool,
    /// How far the last negotiation came.
    pub step: Step,
    /// `Connected`, or why there is no stream.
    pub reason: Word,
    /// As text, with the peer's own words.
    pub message: String,
    /// Address of the peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// TLS of the stream; absent on plain TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFacts>,
    /// How the sender's domain was authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// What authenticates the peer's own domain at the other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated_by: Option<AuthenticatedBy>,
    /// Last change of this state.
    pub since: Timestamp,
}

/// TLS of a stream.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsFacts {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// Direct TLS instead of STARTTLS.
    pub direct: bool,
    /// `Valid`, `ValidByDANE` if the peer's TLSA records decided, or why the certificate is not valid.
    pub verification: Word,
    /// End of validity of the peer's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

/// How a domain was authenticated on a stream.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Authentication {
    /// SASL EXTERNAL.
    #[serde(rename = "SASLExternal")]
    SaslExternal,
    /// Dialback over TLS.
    DialbackWithTLS,
    /// Dialback over TLS, with the certificate in place of the authoritative server (XEP-0344).
    DialbackByCertificate,
    /// Dialback over plain TCP.
    Dialback,
}

/// What authenticates a peer's domain at the other end of a stream, strongest first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum AuthenticatedBy {
    /// A certificate that a trusted root issued, or with a pinned key.
    Certificate,
    /// A certificate that matches the TLSA records of the server.
    #[serde(rename = "DANE")]
    Dane,
    /// A dialback key that was confirmed by the server to which DNS points.
    Dialback,
    /// Only the `route` of the configuration, which selected the server.
    Route,
    /// Only DNS, which selected the server.
    #[serde(rename = "DNS")]
    Dns,
}

impl AuthenticatedBy {
    /// The stable word.
    pub fn label(self) -> &'static str {
        match self {
            Self::Certificate => "Certificate",
            Self::Dane => "DANE",
            Self::Dialback => "Dialback",
            Self::Route => "Route",
            Self::Dns => "DNS",
        }
    }
}

/// One attempt to reach a peer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it ended.
    pub at: Timestamp,
    /// How far it came.
    pub step: Step,
    /// `Connected`, or why no stream was established.
    pub reason: Word,
    /// As text.
    pub message: String,
    /// Address that was reached or tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// TLS version, such as `TLSv1.3`, if TLS was established.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
}
