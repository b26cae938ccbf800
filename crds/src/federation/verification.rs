//! How the operator verifies that the federation works.

use ipnet::IpNet;
use kube::KubeSchema;
use kube::core::Duration;
use serde::{Deserialize, Serialize};

use super::reference::SecretKey;
use crate::domain::Domain;
use crate::message;

/// The evidence that the ladder requires.
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationSpec {
    /// Ready requires that a server outside the cluster has connected.
    #[serde(default)]
    pub require_outside_evidence: bool,
    /// Age at which evidence from outside becomes stale, from 5m to 720h.
    #[serde(default = "evidence_ttl")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new(r"self.matches('^([0-9]+(h|m|s))+$') && duration(self) >= duration('5m') && duration(self) <= duration('720h')").message(message::EVIDENCE_TTL))]
    pub evidence_ttl: Duration,
    /// A prober outside the cluster: federation-engine probe, at another place of the internet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prober: Option<Prober>,
    /// More probers, at other places. If two disagree, the message of `InboundReachable` quotes both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["url".into()]))]
    pub other_probers: Vec<Prober>,
    /// Query partners whether they claim one of our domains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_check: Option<ClaimCheck>,
    /// Networks of nodes, pods and Services, in addition to those that the cluster reports. Connections from them are no evidence
    /// of reachability from outside. If the cluster does not report all its networks, connections from private addresses count
    /// only with this list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), with = "Vec<String>", inner(length(max = 49)))]
    #[x_kube(validation = Rule::new(super::rule::NETWORKS).message(message::NETWORK))]
    pub cluster_networks: Vec<IpNet>,
}

fn evidence_ttl() -> Duration {
    std::time::Duration::from_hours(24).into()
}

impl Default for VerificationSpec {
    fn default() -> Self {
        Self {
            require_outside_evidence: false,
            evidence_ttl: evidence_ttl(),
            prober: None,
            other_probers: Vec::new(),
            claim_check: None,
            cluster_networks: Vec::new(),
        }
    }
}

/// A prober outside the cluster.
#[derive(Clone, Debug, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prober {
    /// URL at which the operator requests a probe, for example `https://probe.example.net:9453`.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.startsWith('https://')").message(message::PROBER_URL))]
    pub url: String,
    /// A Secret with the token that the prober reads from its --token-file. Requests and answers are signed with it; it is never
    /// sent.
    pub secret_ref: SecretKey,
}

impl VerificationSpec {
    /// All probers, each with the path of its field.
    pub fn probers(&self) -> impl Iterator<Item = (String, &Prober)> {
        let first =
            self.prober.iter().map(|prober| ("spec.verification.prober".to_owned(), prober));
        let others = self.other_probers.iter().enumerate();
        first.chain(
            others.map(|(index, prober)| {
                (format!("spec.verification.otherProbers[{index}]"), prober)
            }),
        )
    }
}

/// Partners to query whether they claim one of our domains.
#[derive(Clone, Debug, Default, Eq, KubeSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimCheck {
    /// Domains of the partners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new(super::rule::DOMAINS).message(message::DOMAIN))]
    pub peers: Vec<Domain>,
}
