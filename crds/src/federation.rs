//! `XmppFederation`: the spec that the user writes. Every admission rule is next to the field that it checks.

pub mod backend;
mod combination;
mod contact;
pub mod dns;
pub mod network_policy;
pub mod pod;
pub mod reference;
mod rule;
pub mod service;
pub mod tls;
pub mod verification;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::backend::Backend;
use self::combination::Scope;
use self::dns::DnsSpec;
use self::network_policy::NetworkPolicySpec;
use self::pod::PodSpec;
use self::reference::{BundleRef, SecretKey};
use self::rule::{IS_DOMAIN, IS_NO_ADDRESS, label};
use self::service::ServiceSpec;
use self::tls::TlsSpec;
use self::verification::VerificationSpec;
use crate::contact::Contact;
use crate::domain::Domain;
use crate::effective::{self, EffectivePeer};
use crate::egress::Egress;
use crate::impossible::ImpossibleCombination;
use crate::limits::{Limits, Timeouts};
use crate::message;
use crate::observability::Observability;
use crate::pattern::DomainPattern;
use crate::peer::PeerSettings;
use crate::policy::Policy;
use crate::status::XmppFederationStatus;
use crate::target::RouteTargetError;

/// True for an exact domain or `*.suffix`.
const IS_PATTERN: &str =
    concat!(r"self.matches('^(\\*\\.)?", label!(), r"(\\.", label!(), r")*\\.?$')");
/// True for a policy whose rules name patterns. Its own, simpler expression: the cost that an API server estimates for
/// 256 rules of 32 domains would be beyond its budget with the precise one.
const POLICY_PATTERNS: &str = r"!has(self.rules) || self.rules.all(r, r.domains.all(d, d.matches('^(\\*\\.)?[^\\s!-,/:-@\\[-`{-~]+$')))";
/// True for peer settings whose route targets end in a port.
const ROUTE_PORTS: &str = concat!(
    r"!has(self.route) || self.route.targets.all(t, t.matches('",
    r"^(\\[[0-9A-Fa-f:.]+\\]|[^\\s:/@\\[\\]]+):",
    r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$'))"
);
/// True when the collector of traces has a port.
const COLLECTOR_PORT: &str = concat!(
    r"!has(self.traces) || self.traces.collector.matches('",
    r"^(\\[[0-9A-Fa-f:.]+\\]|[^\\s:/@\\[\\]]+):",
    r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$')"
);
/// True when the networks of the egress section are networks.
const EGRESS_NETWORKS: &str = r"!has(self.allowNetworks) || self.allowNetworks.all(n, n.matches('^[0-9A-Fa-f.:]+/[0-9]{1,3}$'))";
/// The local domains in lower case and without trailing dot, as the list `names` of what follows.
macro_rules! local_names {
    ($rest:literal) => {
        concat!(
            "[self.domains.map(d, (d.name.endsWith('.') ? d.name.substring(0, size(d.name) - 1) : d.name).lowerAscii())].all(names, ",
            $rest,
            ")"
        )
    };
}
/// True when no local domain is listed twice.
const DISTINCT_DOMAINS: &str = local_names!("names.all(n, names.exists_one(m, m == n))");
/// True when no local domain is a peer.
const LOCAL_ARE_NO_PEERS: &str = local_names!(
    "!has(self.peers) || self.peers.all(p, !((p.domain.endsWith('.') ? p.domain.substring(0, size(p.domain) - 1) : p.domain).lowerAscii() in names))"
);
/// True when every domain's backend exists.
const KNOWN_BACKENDS: &str = "self.domains.all(d, !has(d.backend) || (has(self.backends) && self.backends.exists(b, b.name == d.backend)))";
/// True when the federation's own host is no other target of its SRV records.
const OWN_HOST_IS_NO_OTHER_TARGET: &str = "!has(self.dns) || !has(self.dns.srv) || !has(self.dns.srv.otherTargets) || [has(self.host) ? self.host : 'xmpp.' + self.domains[0].name].all(own, self.dns.srv.otherTargets.all(t, (t.host.endsWith('.') ? t.host.substring(0, size(t.host) - 1) : t.host).lowerAscii() != (own.endsWith('.') ? own.substring(0, size(own) - 1) : own).lowerAscii()))";
/// True for a name that the children's names can be derived from (RFC 1035 labels, at most 63 octets).
const IS_NAME: &str =
    "size(self.metadata.name) <= 52 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')";

/// Longest name of the resource.
pub const MAX_NAME: usize = 52;

/// XMPP domains that federate with other servers: an edge in front of existing servers, its address, its DNS records,
/// its certificate, and the verification that it works.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "xmppfederation.dev",
    version = "v1alpha1",
    kind = "XmppFederation",
    plural = "xmppfederations",
    shortname = "xfed",
    category = "xmpp",
    namespaced,
    doc = "XMPP domains that federate with other servers.",
    status = "XmppFederationStatus",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    derive = "PartialEq",
    validation = Rule::new(IS_NAME).message(message::NAME),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage", description = "First rung of the ladder that is not True"),
    printcolumn(name = "Host", type_ = "string", json_path = ".status.host"),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.addresses[*].value"),
    printcolumn(name = "Peers", type_ = "string", json_path = ".status.peerSummary.display", description = "Reachable peers out of all configured peers"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Domains", type_ = "string", json_path = ".spec.domains[*].name", priority = 1),
    printcolumn(name = "Inbound", type_ = "string", json_path = ".status.inbound.evidence", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1)
)]
#[x_kube(
    validation = Rule::new(DISTINCT_DOMAINS).message(message::DUPLICATE_DOMAIN).field_path(".domains"),
    validation = Rule::new(KNOWN_BACKENDS).message(message::UNKNOWN_BACKEND).field_path(".domains"),
    validation = Rule::new(LOCAL_ARE_NO_PEERS).message(message::LOCAL_DOMAIN_AS_PEER).field_path(".peers"),
    validation = Rule::new(OWN_HOST_IS_NO_OTHER_TARGET).message(message::OWN_HOST_AS_TARGET).field_path(".dns.srv.otherTargets"),
    validation = Scope::InheritedProfile.refuse(ImpossibleCombination::TlsDisabledWithExternal),
    validation = Scope::InheritedProfile.refuse(ImpossibleCombination::TlsDisabledWithoutDialback),
    validation = Scope::InheritedProfile.refuse(ImpossibleCombination::UnverifiedWithoutDialback),
    validation = Scope::InheritedProfile.refuse(ImpossibleCombination::VerificationRequiredWithoutTls),
    validation = Scope::InheritedProfile.refuse(ImpossibleCombination::CertificateConfirmsOtherThanAllowed),
    validation = Scope::InheritedProfile.refuse(ImpossibleCombination::UnseenCertificateConfirms)
)]
#[serde(rename_all = "camelCase")]
pub struct XmppFederationSpec {
    /// Local domains. List each subdomain, for example for chat rooms or uploads, as a separate domain.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub domains: Vec<LocalDomain>,
    /// Servers and components that host the domains. Without any, the engine answers ping and disco itself, and bounces
    /// everything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub backends: Vec<Backend>,
    /// Name of the address records and target of the SRV records. Default: xmpp.<first domain>.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 240))]
    #[x_kube(validation = Rule::new(IS_DOMAIN).message(message::DOMAIN))]
    #[x_kube(validation = Rule::new(IS_NO_ADDRESS).message(message::DOMAIN_IS_ADDRESS))]
    pub host: Option<Domain>,
    /// Number of engine pods. The scale subresource sets it, for example for a horizontal pod autoscaler.
    #[serde(default = "replicas")]
    #[schemars(range(min = 1, max = 32))]
    pub replicas: u16,
    /// The Service that remote servers connect to.
    #[serde(default)]
    pub service: ServiceSpec,
    /// Publication in DNS.
    #[serde(default)]
    pub dns: DnsSpec,
    /// The federation's certificate, and which certificates of peers it trusts.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub tls: TlsSpec,
    /// Settings for every peer that is not listed in peers, and defaults for the listed ones.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    #[x_kube(validation = Scope::Defaults.refuse(ImpossibleCombination::TlsDisabledWithExternal))]
    #[x_kube(validation = Scope::Defaults.refuse(ImpossibleCombination::TlsDisabledWithoutDialback))]
    #[x_kube(validation = Scope::Defaults.refuse(ImpossibleCombination::UnverifiedWithoutDialback))]
    #[x_kube(validation = Scope::Defaults.refuse(ImpossibleCombination::VerificationRequiredWithoutTls))]
    #[x_kube(validation = Scope::Defaults.refuse(ImpossibleCombination::CertificateConfirmsOtherThanAllowed))]
    #[x_kube(validation = Scope::Defaults.refuse(ImpossibleCombination::UnseenCertificateConfirms))]
    #[x_kube(validation = Rule::new(ROUTE_PORTS).message(RouteTargetError::PORT).field_path(".route.targets"))]
    pub peer_defaults: PeerSettings<BundleRef>,
    /// Remote domains with their own settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["domain".into()]))]
    pub peers: Vec<Peer>,
    /// Which remote domains may exchange stanzas with the local domains.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    #[x_kube(validation = Rule::new(POLICY_PATTERNS).message(message::PEER_DOMAIN))]
    pub policy: Policy,
    /// Secret that dialback keys are generated from (XEP-0185). If absent, the operator generates one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialback: Option<DialbackSpec>,
    /// Limits of size and count.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub limits: Limits,
    /// Timeouts.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub timeouts: Timeouts,
    /// How the operator verifies that the federation works.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub verification: VerificationSpec,
    /// The NetworkPolicy for the engine pods.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub network_policy: NetworkPolicySpec,
    /// Exceptions from the engine's address guard, which blocks connections to non-public addresses.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    #[x_kube(validation = Rule::new(EGRESS_NETWORKS).message(message::NETWORK).field_path(".allowNetworks"))]
    pub egress: Egress,
    /// Log level and traces of the engine. Changes take effect without a restart.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    #[x_kube(validation = Rule::new(COLLECTOR_PORT).message(message::COLLECTOR_PORT).field_path(".traces.collector"))]
    pub observability: Observability,
    /// Additional settings for the engine pods.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub pod: PodSpec,
    /// Stop applying changes. Certificate renewal, verification and status updates continue.
    #[serde(default)]
    pub paused: bool,
}

/// A domain that this federation serves.
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalDomain {
    /// The domain.
    #[x_kube(validation = Rule::new(IS_DOMAIN).message(message::DOMAIN))]
    #[x_kube(validation = Rule::new(IS_NO_ADDRESS).message(message::DOMAIN_IS_ADDRESS))]
    pub name: Domain,
    /// Name of the backend that hosts the domain. Default: the first backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub backend: Option<String>,
    /// Contact addresses for the domain (XEP-0157). The engine publishes them only for a domain without a backend; a backend
    /// answers service discovery itself, so they have no effect there.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    #[x_kube(validation = contact::addresses())]
    pub contact: Contact,
    /// Whether the engine reports its name and version to other servers that ask for them (XEP-0092). In effect only for a domain
    /// without a backend. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub show_version: bool,
}

/// A remote domain, or all domains below a suffix, with its own settings.
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[x_kube(
    validation = Scope::OwnProfile.refuse(ImpossibleCombination::TlsDisabledWithExternal),
    validation = Scope::OwnProfile.refuse(ImpossibleCombination::TlsDisabledWithoutDialback),
    validation = Scope::OwnProfile.refuse(ImpossibleCombination::UnverifiedWithoutDialback),
    validation = Scope::OwnProfile.refuse(ImpossibleCombination::VerificationRequiredWithoutTls),
    validation = Scope::OwnProfile.refuse(ImpossibleCombination::CertificateConfirmsOtherThanAllowed),
    validation = Scope::OwnProfile.refuse(ImpossibleCombination::UnseenCertificateConfirms),
    validation = Rule::new(ROUTE_PORTS).message(RouteTargetError::PORT).field_path(".route.targets")
)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// The domain, or *.suffix for every domain below the suffix, but not the suffix itself.
    #[x_kube(validation = Rule::new(IS_PATTERN).message(message::PEER_DOMAIN))]
    pub domain: DomainPattern,
    /// Settings that differ from the defaults.
    #[serde(flatten)]
    pub settings: PeerSettings<BundleRef>,
}

/// Source of the dialback secret.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DialbackSpec {
    /// A Secret with at least 32 random bytes.
    pub secret_ref: SecretKey,
}

fn replicas() -> u16 {
    2
}

impl XmppFederationSpec {
    /// Name of the address records and target of the SRV records: `host`, or `xmpp.<first domain>`. `None` if no
    /// domain is given or its name is too long, which [`crate::validate::validate`] reports.
    pub fn host(&self) -> Option<Domain> {
        match &self.host {
            Some(host) => Some(host.clone()),
            None => Domain::parse(&format!("xmpp.{}", self.domains.first()?.name)).ok(),
        }
    }

    /// The backend that hosts a local domain: the one that it names, else the first. `None`: the engine answers itself.
    pub fn backend_of(&self, domain: &LocalDomain) -> Option<&Backend> {
        match &domain.backend {
            Some(name) => self.backends.iter().find(|backend| backend.name == *name),
            None => self.backends.first(),
        }
    }

    /// The entry of `peers` that applies to a remote domain: the exact one, else the one with the longest suffix.
    pub fn peer(&self, domain: &Domain) -> Option<&Peer> {
        self.peers
            .iter()
            .filter(|peer| peer.domain.covers(domain))
            .max_by_key(|peer| peer.domain.specificity())
    }

    /// The effective settings for a remote domain.
    pub fn effective_peer(&self, domain: &Domain) -> EffectivePeer<BundleRef> {
        effective::effective(&self.peer_defaults, self.peer(domain).map(|peer| &peer.settings))
    }
}
