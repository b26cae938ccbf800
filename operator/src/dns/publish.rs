//! Whether the operator writes the SRV records to a `DNSEndpoint`. Pure: builders and verdicts follow the same decision.

use crds::condition::{self, Condition, ConditionStatus, ConditionType};
use crds::federation::dns::{DnsMode, DnsPublish};

use crate::build::Address;
use crate::dns::wanted::{self, Srv};
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
    /// Records of another server exist, and the spec does not ask for a takeover.
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
    if !spec.takeover && dns.is_some_and(|dns| foreign(federation, &target, dns, "").is_some()) {
        return Publication::HeldForForeign;
    }
    Publication::Published
}

/// Owner name and an SRV record whose owner ends in `suffix` and that points to a server that the spec does not name. A
/// target "." points to no server.
pub fn foreign<'a>(
    federation: &Validated,
    target: &str,
    dns: &'a DnsEvidence,
    suffix: &str,
) -> Option<(&'a str, &'a Srv)> {
    let host = federation.host.to_ascii();
    let others: Vec<String> =
        federation.spec.dns.srv.other_targets.iter().map(|other| other.host.to_ascii()).collect();
    let is_foreign = |srv: &&Srv| {
        !srv.target.is_empty()
            && srv.target != "."
            && srv.target != host
            && srv.target != target
            && !others.contains(&srv.target)
    };
    dns.services.iter().filter(|(owner, _)| owner.ends_with(suffix)).find_map(
        |(owner, evidence)| {
            let found = evidence.best().flat_map(|(_, found)| found).find(is_foreign)?;
            Some((owner.as_str(), found))
        },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{ADDRESS, evidence, reported, smallest, validated};

    /// The decision about a federation with these DNS settings, when DNS has a record of this server.
    fn decision(dns: Value, found: &str) -> Publication {
        let mut spec = smallest();
        spec["dns"] = dns;
        spec["dns"]["publish"] = json!("Always");
        let federation = validated(&spec);
        let mut seen = evidence(&federation).dns;
        let record = Srv { priority: 0, weight: 5, port: 5269, target: found.to_owned() };
        seen.services[0].1 = reported([record].into());
        let address = Address::Ips(vec![ADDRESS.parse().unwrap()]);
        decide(&federation, Some(&address), true, false, &[], Some(&seen))
    }

    #[test]
    fn a_record_of_another_server_holds_ours_back_unless_the_spec_names_it_or_takes_over() {
        let found = |dns: Value| decision(dns, "im.other.example");
        assert_eq!(found(json!({})), Publication::HeldForForeign);
        assert_eq!(found(json!({"takeover": true})), Publication::Published);
        let named = json!({"srv": {"otherTargets": [{"host": "IM.other.example."}]}});
        assert_eq!(found(named), Publication::Published);
        let another = json!({"srv": {"otherTargets": [{"host": "dr.other.example"}]}});
        assert_eq!(found(another), Publication::HeldForForeign);
        assert_eq!(decision(json!({}), "xmpp.example.com"), Publication::Published);
    }
}
