//! How a remote domain is spoken to: one preset name, and overrides on top of it.
//!
//! The same type serves `peerDefaults` and every entry of `peers[]`, in the custom resource and in the engine's file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::target::RouteTarget;

/// Preset for a kind of partner: Standards when absent. The other fields override what the preset says.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum Profile {
    /// Today's servers (Prosody, ejabberd, Openfire, ...): TLS required, a valid certificate or dialback.
    #[default]
    Standards,
    /// Closed federations: TLS and a valid certificate required, no dialback.
    Strict,
    /// Cisco Unified Presence 8.x and IM and Presence: TLS optional; must equal the partner's own mode.
    #[serde(rename = "CiscoIMP")]
    CiscoImp,
    /// Cisco Expressway: never uses EXTERNAL, always dialback, wants our domain in our certificate.
    CiscoExpressway,
    /// `WebEx` Connect 6 and Webex Messenger: TLS optional, no client certificate.
    WebexMessenger,
    /// Webex App: one-to-one chats only, static presence.
    WebexApp,
    /// IBM Sametime gateway: dials only the first SRV target.
    SametimeGateway,
    /// Google Talk's kind: plain TCP, dialback only, pre-1.0 streams. Never a default.
    LegacyDialback,
}

/// Whether a stream with the peer is encrypted. About encryption only; verification is about identity.
#[derive(Clone, Copy, Debug, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum TlsMode {
    /// No stream without TLS.
    Required,
    /// TLS when the peer can.
    Optional,
    /// Never TLS.
    Disabled,
}

/// What the peer's certificate decides (chain to a trusted root or a pinned key, and the right name).
#[derive(Clone, Copy, Debug, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum Verification {
    /// Without a valid certificate the stream is refused, dialback or not.
    Required,
    /// A valid certificate proves the peer, otherwise dialback decides.
    Preferred,
    /// The certificate is not looked at, dialback decides.
    None,
}

/// When Server Dialback (XEP-0220) runs.
#[derive(Clone, Copy, Debug, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum Dialback {
    /// When the certificate does not prove the peer.
    Allowed,
    /// Always, even when the certificate proves the peer.
    Required,
    /// Never.
    Disabled,
}

/// Overrides of a preset for one peer, or for all peers (`peerDefaults`). `B` is where a CA bundle comes from: an
/// object reference in the custom resource, a file in the engine's configuration.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[serde(bound(deserialize = "B: Deserialize<'de>"))]
pub struct PeerSettings<B> {
    /// Preset that the other fields override. Default: `Standards`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Encryption and the peer's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<PeerTls<B>>,
    /// SASL EXTERNAL and dialback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<PeerAuthentication>,
    /// Where to dial instead of asking DNS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// Bounds for this peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<PeerLimits>,
    /// The peer gates the `Ready` condition. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Active verification of this peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

// Written by hand: a derived one would demand that `B` has a default, which a reference has not.
impl<B> Default for PeerSettings<B> {
    fn default() -> Self {
        Self {
            profile: None,
            tls: None,
            authentication: None,
            route: None,
            limits: None,
            required: None,
            probe: None,
        }
    }
}

impl<B> PeerSettings<B> {
    /// The same settings with CA bundles from elsewhere.
    pub fn map_bundles<C>(&self, of: impl Fn(&B) -> C) -> PeerSettings<C> {
        let Self { profile, tls, authentication, route, limits, required, probe } = self;
        PeerSettings {
            profile: *profile,
            tls: tls.as_ref().map(|PeerTls { mode, verification, bundles, pins }| PeerTls {
                mode: *mode,
                verification: *verification,
                bundles: bundles.iter().map(of).collect(),
                pins: pins.clone(),
            }),
            authentication: authentication.clone(),
            route: route.clone(),
            limits: limits.clone(),
            required: *required,
            probe: probe.clone(),
        }
    }
}

/// TLS towards a peer.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[serde(bound(deserialize = "B: Deserialize<'de>"))]
pub struct PeerTls<B> {
    /// Whether streams are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// What the peer's certificate decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// CA bundles for this peer, in addition to the federation's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub bundles: Vec<B>,
    /// Pinned keys: `sha256/` and the Base64 of the SHA-256 of the certificate's `SubjectPublicKeyInfo` (RFC 7469 §2.4).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(length(max = 64), regex(pattern = "^sha256/[A-Za-z0-9+/]{43}=$"))
    )]
    pub pins: Vec<String>,
}

impl<B> Default for PeerTls<B> {
    fn default() -> Self {
        Self { mode: None, verification: None, bundles: Vec::new(), pins: Vec::new() }
    }
}

/// How the two servers prove who they are.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerAuthentication {
    /// SASL EXTERNAL (XEP-0178).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// Server Dialback (XEP-0220).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialback: Option<Dialback>,
    /// Confirm a dialback key of the peer at once when its certificate proves the key's sender, instead of asking the sender's
    /// authoritative server (XEP-0344). Default: true when dialback is Allowed and the certificate is looked at, else false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_dialback_by_certificate: Option<bool>,
}

/// SASL EXTERNAL per direction.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// Offer EXTERNAL to the peer when its certificate proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<bool>,
    /// Use EXTERNAL when the peer offers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<bool>,
}

/// Static route of a peer.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// `host:port` or `[IPv6]:port`, tried in order.
    #[schemars(length(min = 1, max = 8))]
    pub targets: Vec<RouteTarget>,
    /// Ask DNS when no target answers. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fallback_to_dns: bool,
}

/// Bounds for one peer. Absent: the federation's `limits`.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerLimits {
    /// Largest stanza in bytes; never below 10000 (RFC 6120 §13.12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10_000, max = 16_777_216))]
    pub stanza_bytes: Option<u32>,
    /// Stanzas that the peer sends per second and stream. A stream that is faster is not read on for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub stanzas_per_second: Option<u32>,
    /// Streams that the peer has open at once. One more is not read until another one ends; an idle one is closed for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub streams: Option<u32>,
    /// Whether `stanzasPerSecond` and `streams` are enforced. Default: `Enforce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
}

/// Whether limits are enforced.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum Enforcement {
    /// A stream that reaches a limit waits.
    #[default]
    Enforce,
    /// It does not; metric `xmpp_federation_peer_limit_reached_total` counts how often it would have.
    DryRun,
}

impl Enforcement {
    /// The value in the resource and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "Enforce",
            Self::DryRun => "DryRun",
        }
    }
}

/// Active verification of a peer.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Whether the engine opens a stream to the peer to see whether it can. Default: `Auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ProbeMode>,
    /// JID that is pinged. Default: the peer's domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 3071))]
    pub to: Option<String>,
}

/// Whether a peer is probed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum ProbeMode {
    /// A stream is opened when traffic has not shown the peer's state already.
    #[default]
    Auto,
    /// Only real traffic is judged. Write it in quotes: a bare `Off` is a boolean to some YAML readers.
    Off,
}
