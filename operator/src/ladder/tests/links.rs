//! The links at the end of messages.

use crds::help;

use super::*;
use crate::ladder::ready::{self, Gates};

#[test]
fn every_message_that_is_not_true_ends_with_its_link_and_ready_with_that_of_its_cause() {
    let federation = validated(&with_peer());
    let mut seen = evidence(&federation);
    seen.cluster.workload = None;
    let rungs = verdicts(View { federation: &federation, seen: &seen });
    let mut links = Vec::new();
    for verdict in &rungs {
        let condition = verdict.clone().into_condition(Some(1), now());
        let link = condition.message.rsplit(' ').next().unwrap().to_owned();
        if condition.status == ConditionStatus::True {
            assert!(!link.starts_with(help::TROUBLESHOOTING), "{condition:?}");
        } else {
            assert_eq!(link, help::link(verdict.reason));
            links.push(link);
        }
        assert_eq!(Verdict::shown(&condition).unwrap().reason, verdict.reason);
        assert!(!Verdict::shown(&condition).unwrap().message.contains(help::TROUBLESHOOTING));
    }
    assert!(links.iter().any(|link| link.ends_with("#engineready-rollingout")), "{links:?}");
    assert!(links.iter().any(|link| link.ends_with("#waitingfor")), "{links:?}");
    let ready = ready::check(&rungs, &Gates::default()).into_condition(Some(1), now());
    assert!(ready.message.ends_with("#engineready-rollingout"), "{ready:?}");
    assert_eq!(ready.message.matches(help::TROUBLESHOOTING).count(), 1);
}
