//! Settings for a remote domain: the name of a preset, and overrides.
//!
//! `peerDefaults` and every entry of `peers[]` use the same type, in the custom resource and in the engine's file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::target::RouteTarget;

/// Preset for a kind of partner. The other fields override the preset. Default: Standards.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum Profile {
    /// Current servers (Prosody, ejabberd, Openfire, ...): TLS required, with a valid certificate or dialback.
    #[default]
    Standards,
    /// Closed federations: TLS and a valid certificate required, no dialback.
    Strict,
    /// Cisco Unified Presence 8.x and IM and Presence: TLS optional; must match the partner's own mode.
    #[serde(rename = "CiscoIMP")]
    CiscoImp,
    /// Cisco Expressway: never uses EXTERNAL, always uses dialback, and expects our domain in our certificate.
    CiscoExpressway,
    /// `WebEx` Connect 6 and Webex Messenger: TLS optional, no client certificate.
    WebexMessenger,
    /// Webex App: one-to-one chats only, static presence.
    WebexApp,
    /// IBM Sametime gateway: connects only to the first SRV target.
    SametimeGateway,
    /// Servers like Google Talk: plain TCP, dialback only, pre-1.0 streams. Never a default.
    LegacyDialback,
}

/// Whether streams with the peer are encrypted. This is about encryption only; verification is about identity. Default: as the
/// profile sets it.
#[derive(Clone, Copy, Debug, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum TlsMode {
    /// Refuse streams without TLS.
    Required,
    /// Use TLS if the peer supports it.
    Optional,
    /// Never use TLS.
    Disabled,
}

/// How the peer's certificate is verified (chain to a trusted root or a pinned key, and the correct name). Default: as the profile
/// sets it.
#[derive(Clone, Copy, Debug, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum Verification {
    /// Refuse the stream without a valid certificate, even if dialback would succeed.
    Required,
    /// A valid certificate authenticates the peer; otherwise dialback decides.
    Preferred,
    /// The certificate is not checked; dialback decides.
    None,
}

/// When Server Dialback (XEP-0220) runs. Default: as the profile sets it.
#[derive(Clone, Copy, Debug, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum Dialback {
    /// If the certificate does not authenticate the peer.
    Allowed,
    /// Always, even if the certificate authenticates the peer.
    Required,
    /// Never.
    Disabled,
}

/// Overrides of a preset for one peer, or for all peers (`peerDefaults`). `B` is the source of a CA bundle: an
/// object reference in the custom resource, a file in the engine's configuration.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[serde(bound(deserialize = "B: Deserialize<'de>"))]
pub struct PeerSettings<B> {
    /// Preset that the other fields override. Default: `Standards`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Encryption, and verification of the peer's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<PeerTls<B>>,
    /// SASL EXTERNAL and dialback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<PeerAuthentication>,
    /// Where to connect instead of querying DNS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// Limits for this peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<PeerLimits>,
    /// `Ready` requires that this peer is reachable. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Active verification of this peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

// Written by hand: a derived one would require a default for `B`, and a reference has none.
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
    /// The same settings with another source of CA bundles.
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

/// TLS settings for a peer.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[serde(bound(deserialize = "B: Deserialize<'de>"))]
pub struct PeerTls<B> {
    /// Whether streams are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// How the peer's certificate is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// CA bundles for this peer, in addition to the federation's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub bundles: Vec<B>,
    /// Pinned keys: `sha256/` followed by the Base64 of the SHA-256 of the certificate's `SubjectPublicKeyInfo` (RFC 7469 §2.4).
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

/// How the two servers authenticate each other.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerAuthentication {
    /// SASL EXTERNAL (XEP-0178).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// Server Dialback (XEP-0220).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialback: Option<Dialback>,
    /// Confirm a dialback key immediately if the peer's certificate authenticates the key's sender, instead of querying the
    /// sender's authoritative server (XEP-0344). Default: true if dialback is Allowed and the certificate is checked, else
    /// false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_dialback_by_certificate: Option<bool>,
}

/// SASL EXTERNAL per direction.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// Offer EXTERNAL to the peer if its certificate authenticates it. Default: as the profile sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<bool>,
    /// Use EXTERNAL if the peer offers it. Default: as the profile sets it.
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
    /// Query DNS if no target answers. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fallback_to_dns: bool,
}

/// Limits for one peer. If absent, the federation's `limits` apply.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerLimits {
    /// Largest stanza in bytes; never below 10000 (RFC 6120 §13.12). Default: limits.stanzaBytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10_000, max = 16_777_216))]
    pub stanza_bytes: Option<u32>,
    /// Maximum stanzas that the peer may send per second and stream. The engine pauses reading from a faster stream. Default: no
    /// limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub stanzas_per_second: Option<u32>,
    /// Maximum open streams of the peer. A further stream is not read until another one closes; the engine closes an idle one to
    /// make room. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub streams: Option<u32>,
    /// Whether `stanzasPerSecond` and `streams` are enforced. Default: `Enforce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
}

/// Whether limits are enforced. Default: Enforce.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum Enforcement {
    /// A stream that reaches a limit waits.
    #[default]
    Enforce,
    /// Streams do not wait; the metric `xmpp_federation_peer_limit_reached_total` counts how often they would have.
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
    /// Whether the engine opens a stream to the peer to test it. Default: `Auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ProbeMode>,
    /// JID to ping at the peer, for example of an echo service. The answer shows that stanzas flow in both directions. Default: no
    /// ping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 3071))]
    pub to: Option<String>,
}

/// Whether a peer is probed. Default: Auto.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum ProbeMode {
    /// Open a stream if traffic has not already shown the peer's state.
    #[default]
    Auto,
    /// Judge only real traffic. Write it in quotes: some YAML parsers read a bare `Off` as a boolean.
    Off,
}
