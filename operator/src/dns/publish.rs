//! Whether the operator writes the SRV records to a `DNSEndpoint`. Pure: builders and verdicts follow the same decision.

use crds::condition::{self, Condition, ConditionStatus, ConditionType};
use crds::federation::dns::{DnsMode, DnsPublish};

use crate::build::Address;
use crate::dns::wanted;
use crate::evidence::dns::DnsEvidence;
use crate::federation::validated::Validated;

/// The decision.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Publication {
    /// An administrator publishes the records.
    #[default]
    Manual,
    /// external-dns's kind does not exist in the cluster.
    KindMissing,
    /// The target of the records is not known yet, because the load balancer has assigned no address.
    NoTarget,
    /// The engine is not ready yet, and no port is advertised before it is served.
    HeldForEngine,
    /// Records of another server exist, and are not overwritten.
    HeldForForeign,
    /// The records are written.
    Published,
}

/// Decides whether to publish. Published records stay published: an engine that restarts keeps its records, and so does a
/// Service that loses its address, for example because it is deleted and created anew.
pub fn decide(
    federation: &Validated,
    address: Option<&Address>,
    kind_exists: bool,
    published: bool,
    conditions: &[Condition],
    dns: Option<&DnsEvidence>,
) -> Publication {
    let spec = &federation.spec.dns;
    if spec.mode == DnsMode::Manual {
        return Publication::Manual;
    }
    if !kind_exists {
        return Publication::KindMissing;
    }
    if published {
        return Publication::Published;
    }
    let Some(target) = wanted::srv_target(federation, address) else {
        return Publication::NoTarget;
    };
    let engine_ready = condition::get(conditions, ConditionType::EngineReady)
        .is_some_and(|condition| condition.status == ConditionStatus::True);
    if spec.publish == DnsPublish::WhenEngineReady && !engine_ready {
        return Publication::HeldForEngine;
    }
    if dns.is_some_and(|dns| foreign(federation, &target, dns, "").is_some()) {
        return Publication::HeldForForeign;
    }
    Publication::Published
}

/// Owner name and target of an SRV record whose owner ends in `suffix` and that points to another server. A target "."
/// points to no server.
pub fn foreign<'a>(
    federation: &Validated,
    target: &str,
    dns: &'a DnsEvidence,
    suffix: &str,
) -> Option<(&'a str, &'a str)> {
    let host = federation.host.to_ascii();
    dns.services.iter().filter(|(owner, _)| owner.ends_with(suffix)).find_map(
        |(owner, evidence)| {
            evidence
                .best()
                .flat_map(|(_, found)| found)
                .find(|srv| {
                    !srv.target.is_empty()
                        && srv.target != "."
                        && srv.target != host
                        && srv.target != target
                })
                .map(|srv| (owner.as_str(), srv.target.as_str()))
        },
    )
}
