//! The sets of reasons, and the reason of any condition.

use super::*;

#[test]
fn words_fit_the_pattern_of_a_reason_and_explain_one_status() {
    fn check<R: Reason>(all: &[R]) {
        let mut words: Vec<_> = all.iter().map(|reason| reason.as_str()).collect();
        for word in &words {
            assert!(word.starts_with(|c: char| c.is_ascii_uppercase()), "{word}");
            assert!(word.chars().all(|c| c.is_ascii_alphanumeric()), "{word}");
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all.len(), "{}: a word twice", R::TYPE);
        assert!(all.iter().any(|r| r.status() == ConditionStatus::True), "{}", R::TYPE);
    }
    check(AcceptedReason::ALL);
    check(ResolvedRefsReason::ALL);
    check(CertificateReadyReason::ALL);
    check(EngineReadyReason::ALL);
    check(BackendReadyReason::ALL);
    check(AddressAssignedReason::ALL);
    check(HostResolvesReason::ALL);
    check(SRVResolvesReason::ALL);
    check(InboundReachableReason::ALL);
    check(TLSVerifiedReason::ALL);
    check(StreamVerifiedReason::ALL);
    check(DomainUncontestedReason::ALL);
    check(PeersReachableReason::ALL);
    check(ReconcilingReason::ALL);
    check(StalledReason::ALL);
    check(PausedReason::ALL);
    assert_eq!(ReadyReason::Failing(ConditionType::SRVResolves).as_str(), "SRVResolves");
    assert_eq!(ReadyReason::FederatedUnverified.status(), ConditionStatus::True);
}

#[test]
fn a_reason_is_found_again_by_its_condition_and_name() {
    for rung in ConditionType::LADDER {
        for on in ConditionType::LADDER {
            let waiting = ConditionReason::WaitingFor { rung, on };
            assert_eq!(waiting.condition(), rung);
            assert_eq!(waiting.status(), ConditionStatus::Unknown);
            assert_eq!(ConditionReason::from_name(rung, &waiting.to_string()), Some(waiting));
        }
        let failing = ConditionReason::from(ReadyReason::Failing(rung));
        let found = ConditionReason::from_name(ConditionType::Ready, rung.as_str());
        assert_eq!(found, Some(failing));
    }
    for reason in EngineReadyReason::ALL {
        let reason = ConditionReason::from(*reason);
        let found = ConditionReason::from_name(ConditionType::EngineReady, &reason.to_string());
        assert_eq!(found, Some(reason));
    }
    // The same name, of two conditions.
    let names = [ConditionType::HostResolves, ConditionType::SRVResolves]
        .map(|rung| ConditionReason::from_name(rung, "RecordsMatch"));
    assert_ne!(names[0], names[1]);
    assert_eq!(ConditionReason::from_name(ConditionType::Ready, "RecordsMatch"), None);
    assert_eq!(ConditionReason::from_name(ConditionType::Ready, "WaitingForGodot"), None);
}
