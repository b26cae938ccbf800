//! The catalogue of faults: each is injected into a healthy federation on the cluster, must be named by one condition, and
//! must leave nothing behind after its repair.
//!
//! Several federations run side by side, each in a namespace of its own with a domain of its own, so that faults which do
//! not disturb each other are injected at the same time. One more federation is only watched: nothing that happens to the
//! others may change its status.

pub mod accepted;
pub mod address;
pub mod backend;
pub mod certificate;
pub mod claims;
pub mod component;
pub mod contested;
pub mod deviating;
pub mod engine;
pub mod events;
pub mod fault;
pub mod fixture;
pub mod host;
pub mod impostor;
pub mod inbound;
pub mod json;
pub mod memory;
pub mod peers;
pub mod platform;
pub mod probers;
pub mod proof;
pub mod protocol;
pub mod record;
pub mod references;
pub mod renewal;
pub mod report;
pub mod resolver;
pub mod run;
pub mod served;
pub mod simulated;
pub mod srv;
pub mod stage;
pub mod stream;
pub mod text;

use self::fault::Fault;

/// All faults, by rung.
pub fn all() -> impl Iterator<Item = &'static Fault> {
    [
        accepted::FAULTS,
        references::FAULTS,
        certificate::FAULTS,
        engine::FAULTS,
        memory::FAULTS,
        backend::FAULTS,
        component::FAULTS,
        address::FAULTS,
        host::FAULTS,
        srv::FAULTS,
        inbound::FAULTS,
        probers::FAULTS,
        served::FAULTS,
        renewal::FAULTS,
        stream::FAULTS,
        contested::FAULTS,
        claims::FAULTS,
        peers::FAULTS,
        protocol::FAULTS,
        platform::FAULTS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use crds::condition::ConditionType;

    use super::*;

    /// Fewer show only the commonest faults of a rung.
    const LEAST: usize = 4;

    #[test]
    fn every_rung_and_the_platform_have_at_least_four_faults() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for fault in all() {
            *counts.entry(fault.expected.condition).or_default() += 1;
        }
        for rung in ConditionType::LADDER {
            let count = counts.get(rung.as_str()).copied().unwrap_or_default();
            assert!(count >= LEAST, "{rung}: {count} faults");
        }
        // What the API server, its admission and other programs of the cluster do.
        let platform = ["quota", "admission", "API server", "CRD", "second operator", "permission"];
        let of_platform = |fault: &&Fault| platform.iter().any(|word| fault.name.contains(word));
        let count = all().filter(of_platform).count();
        assert!(count >= LEAST, "platform: {count} faults");
    }

    #[test]
    fn every_fault_has_a_name_of_its_own_and_patterns_that_compile() {
        let mut names = BTreeSet::new();
        for fault in all() {
            assert!(names.insert(fault.name), "{} occurs twice", fault.name);
            for pattern in [fault.expected.culprit, fault.expected.action] {
                assert!(regex::Regex::new(pattern).is_ok(), "{}: {pattern}", fault.name);
            }
        }
    }
}
