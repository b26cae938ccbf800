//! The configuration file as it is written: one struct for each mapping, field names of the resource's spec.
//!
//! Nothing is checked here beyond the type of each value; [`crate::config::parse`] does the rest.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;

use crds::backend::BackendAuthentication;
use crds::contact::Contact;
use crds::dnssec::DnssecMode;
use crds::egress::Egress;
use crds::limits::{Limits, Timeouts};
use crds::pattern::DomainPattern;
use crds::peer::{PeerAuthentication, PeerLimits, PeerSettings, PeerTls, Probe, Profile, Route};
use crds::policy::Policy;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Domain;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// Name of the engine: SRV target, and parent of the probe domain. Default: `xmpp.<first domain>`.
    pub host: Option<Domain>,
    /// Domains that the engine is towards the world.
    pub domains: Vec<FileDomain>,
    /// XMPP servers behind the engine. None: the engine answers ping and disco itself and bounces the rest.
    #[serde(default)]
    pub backends: Vec<FileBackend>,
    /// Certificates that the engine presents, and whom it trusts.
    #[serde(default)]
    pub tls: FileTls,
    /// CA that signs the certificates minted for the backend.
    pub backend_ca: Option<KeyPairFiles>,
    /// Secret of the dialback keys (XEP-0185). Absent: drawn at start, for a single replica.
    pub dialback: Option<DialbackFiles>,
    /// Settings of every peer that says nothing else.
    #[serde(default)]
    pub peer_defaults: PeerSettings<PathBuf>,
    /// Settings of single peers.
    #[serde(default)]
    pub peers: Vec<FilePeer>,
    /// Which remote domains may exchange stanzas.
    #[serde(default)]
    pub policy: Policy,
    /// Bounds in size and count.
    #[serde(default)]
    pub limits: Limits,
    /// Bounds in time.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Networks that may be dialled although their kind is refused.
    #[serde(default)]
    pub egress: Egress,
    /// Where to listen.
    #[serde(default)]
    pub listen: FileListen,
    /// Resolvers of the outer leg. Empty: the system's.
    #[serde(default)]
    pub resolvers: Vec<SocketAddr>,
    /// Whether their answers are validated.
    #[serde(default)]
    pub dnssec: FileDnssec,
    /// What the backend's DNS answers. Absent: nothing is synthesised.
    pub split_horizon: Option<SplitHorizon>,
}

/// One local domain.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDomain {
    /// The domain.
    pub name: Domain,
    /// Name of its backend. Default: the first one.
    pub backend: Option<String>,
    /// Whom to write to about it, as service discovery tells; in effect without a backend.
    #[serde(default)]
    pub contact: Contact,
}

/// One backend: `server` or `component`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileBackend {
    /// Name that `domains[].backend` refers to.
    pub name: String,
    /// An XMPP server, reached over S2S.
    pub server: Option<FileServer>,
    /// An external component (XEP-0114).
    pub component: Option<FileComponent>,
}

/// A backend that speaks S2S.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileServer {
    /// Host name or address.
    pub host: String,
    /// Port. Default: 5269.
    pub port: Option<NonZeroU16>,
    /// How engine and backend prove themselves. Default: `Minted`.
    #[serde(default)]
    pub authentication: BackendAuthentication,
    /// How the backend's certificate is verified. Default: the backend CA, else the system roots.
    pub trust: Option<TrustFiles>,
}

/// A backend that connects as a component.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileComponent {
    /// File with the shared secret.
    pub secret_file: PathBuf,
}

/// `tls` of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileTls {
    /// Certificates that the engine presents; each is used for the domains that it covers.
    #[serde(default)]
    pub certificates: Vec<KeyPairFiles>,
    /// Whom the engine trusts on the outer leg.
    #[serde(default)]
    pub trust: TrustFiles,
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyPairFiles {
    /// Chain, leaf first.
    pub certificate_file: PathBuf,
    /// Private key of the leaf.
    pub private_key_file: PathBuf,
}

/// Trusted roots.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustFiles {
    /// The roots of the system, or the built-in ones where the system has none. Default: true.
    #[serde(default = "yes")]
    pub system_roots: bool,
    /// PEM files with further roots.
    #[serde(default)]
    pub bundles: Vec<PathBuf>,
}

impl Default for TrustFiles {
    fn default() -> Self {
        Self { system_roots: true, bundles: Vec::new() }
    }
}

fn yes() -> bool {
    true
}

/// Where the dialback secrets are.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DialbackFiles {
    /// The secret that new keys are made with.
    pub secret_file: PathBuf,
    /// The secret before the last rotation; keys made with it are still confirmed. The file may be absent.
    pub previous_secret_file: Option<PathBuf>,
}

/// Settings of one peer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilePeer {
    /// Exact domain, or `*.suffix`.
    pub domain: DomainPattern,
    /// See [`PeerSettings::profile`].
    pub profile: Option<Profile>,
    /// See [`PeerSettings::tls`].
    pub tls: Option<PeerTls<PathBuf>>,
    /// See [`PeerSettings::authentication`].
    pub authentication: Option<PeerAuthentication>,
    /// See [`PeerSettings::route`].
    pub route: Option<Route>,
    /// See [`PeerSettings::limits`].
    pub limits: Option<PeerLimits>,
    /// See [`PeerSettings::required`].
    pub required: Option<bool>,
    /// See [`PeerSettings::probe`].
    pub probe: Option<Probe>,
}

impl FilePeer {
    /// The pattern, and the settings without it. (Flattening would hide unknown fields and their lines.)
    pub fn split(self) -> (DomainPattern, PeerSettings<PathBuf>) {
        let Self { domain, profile, tls, authentication, route, limits, required, probe } = self;
        let settings =
            PeerSettings { profile, tls, authentication, route, limits, required, probe };
        (domain, settings)
    }
}

/// Addresses to listen on; an absent one is off.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileListen {
    /// Outer leg, STARTTLS (5269).
    pub s2s: Option<SocketAddr>,
    /// Outer leg, Direct TLS (5270). Both kinds are understood on both ports.
    pub s2s_tls: Option<SocketAddr>,
    /// Inner leg, S2S of the backend (15269).
    pub backend: Option<SocketAddr>,
    /// DNS for the backend, UDP and TCP (5353).
    pub dns: Option<SocketAddr>,
    /// `/livez`, `/readyz`, `/metrics` (9090).
    pub admin: Option<SocketAddr>,
    /// `/v1/evidence`, `/v1/probe` (9443).
    pub control: Option<ControlFiles>,
}

/// The control listener.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlFiles {
    /// Address and port.
    pub address: SocketAddr,
    /// Certificate chain, leaf first.
    pub certificate_file: PathBuf,
    /// Private key of the leaf.
    pub private_key_file: PathBuf,
    /// Bearer token that clients present.
    pub token_file: PathBuf,
}

/// DNSSEC validation on the outer leg.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDnssec {
    /// Default: `Auto`.
    #[serde(default)]
    pub mode: DnssecMode,
    /// DNSKEY records of the root in the form of zone files, for a DNS that is not the public one. Default: the public root's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_anchors: Option<PathBuf>,
}

/// What the backend's DNS is told about remote domains.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SplitHorizon {
    /// Address of the inner leg as the backend reaches it.
    pub address: IpAddr,
    /// Port of the inner leg as the backend reaches it.
    pub port: NonZeroU16,
    /// Networks whose hosts get answers. Empty: see [`crate::config::parse`].
    #[serde(default)]
    pub clients: Vec<IpNet>,
}
