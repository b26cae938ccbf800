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
pub mod contested;
pub mod engine;
pub mod events;
pub mod fault;
pub mod fixture;
pub mod host;
pub mod inbound;
pub mod json;
pub mod peers;
pub mod record;
pub mod references;
pub mod report;
pub mod resolver;
pub mod run;
pub mod served;
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
        backend::FAULTS,
        address::FAULTS,
        host::FAULTS,
        srv::FAULTS,
        inbound::FAULTS,
        served::FAULTS,
        stream::FAULTS,
        contested::FAULTS,
        peers::FAULTS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

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
