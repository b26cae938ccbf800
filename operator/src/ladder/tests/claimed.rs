//! A partner hosts a local domain itself.

use federation_engine::observe::evidence::{ClaimEvidence, ClaimOutcome};

use super::*;

const RUNG: ConditionType = ConditionType::DomainUncontested;

/// The verdict after the partner ended our stream for this reason, with these words, without a question about a key, or
/// with one that long before.
fn ended(reason: Word, words: &str, asked_before: Option<SignedDuration>) -> Verdict {
    after(RUNG, |seen| {
        engine(seen, |report| {
            let outbound = report.peers[0].outbound.as_mut().unwrap();
            (outbound.connected, outbound.since) = (false, now());
            (outbound.reason, outbound.message) = (reason, words.to_owned());
            report.inbound.clear();
            report.inbound.extend(asked_before.map(|before| InboundObservation {
                kind: InboundKind::DialbackVerified,
                peer: "partner.example".parse().unwrap(),
                local: "example.com".parse().unwrap(),
                source: [198, 18, 0, 1].into(),
                at: now() - before,
            }));
        });
    })
}

#[test]
fn a_peer_that_rejects_as_only_the_owner_of_the_domain_does_claims_it() {
    let google = "the peer closed the stream with undefined-condition (\"example.com is a Google Apps Domain\")";
    for (reason, words) in [
        (Word::DialbackInvalidUnasked, "the peer reports that our dialback key is invalid"),
        (Word::StreamError, google),
        (Word::DialbackError, "the peer answered our dialback key with the error forbidden"),
    ] {
        let verdict = ended(reason, words, Some(SignedDuration::from_hours(1)));
        assert_eq!(verdict.reason.to_string(), "DomainClaimedElsewhere", "{verdict:?}");
        let expected = format!(
            "partner.example appears to host example.com itself: {words}. Ask the administrator of partner.example"
        );
        assert!(verdict.message.starts_with(&expected), "{verdict:?}");
    }
}

#[test]
fn other_failures_of_a_peer_are_no_claim() {
    let soon = Some(SignedDuration::from_secs(2));
    for (reason, words, asked) in [
        // A replica was asked, so the trouble is another one.
        (Word::DialbackInvalidUnasked, "invalid", soon),
        (Word::DialbackError, "the error forbidden", soon),
        (Word::DialbackError, "the error remote-connection-failed", None),
        (Word::StreamError, "undefined-condition (\"sub.example.com.au is busy\")", None),
        (Word::StreamError, "system-shutdown (\"example.com\")", None),
        (Word::HostUnknown, "host-unknown", None),
    ] {
        let verdict = ended(reason, words, asked);
        assert_eq!(verdict.reason.to_string(), "Uncontested", "{words}");
        assert!(!verdict.message.contains("partner.example"), "{verdict:?}");
    }
}

#[test]
fn a_stranger_cannot_contest_a_domain() {
    let verdict = of(&smallest(), RUNG, |seen| {
        engine(seen, |report| {
            report.peers = crate::fixtures::engine(&validated(&with_peer())).peers;
            let outbound = report.peers[0].outbound.as_mut().unwrap();
            (outbound.connected, outbound.reason) = (false, Word::DialbackInvalidUnasked);
        });
    });
    assert_eq!(verdict.reason.to_string(), "Uncontested");
}

fn checked(partner: &str, outcomes: &[(ClaimOutcome, i64)]) -> Verdict {
    let mut spec = smallest();
    spec["verification"] = json!({"claimCheck": {"peers": ["hoster.example"]}});
    of(&spec, RUNG, |seen| {
        engine(seen, |report| {
            let one = |(outcome, ago): &(ClaimOutcome, i64)| ClaimEvidence {
                partner: partner.parse().unwrap(),
                local: "example.com".parse().unwrap(),
                outcome: *outcome,
                detail: "its own words".to_owned(),
                at: now() - SignedDuration::from_secs(*ago),
            };
            report.claims = outcomes.iter().map(one).collect();
        });
    })
}

#[test]
fn the_claim_check_decides_by_the_latest_answer_of_a_partner_of_the_spec() {
    use ClaimOutcome::{Claimed, Inconclusive, NotClaimed, Unreachable};
    for (outcomes, reason, words) in [
        (vec![(Claimed, 1)], "DomainClaimedElsewhere", "hoster.example appears to host"),
        (vec![(NotClaimed, 1), (Claimed, 9)], "Uncontested", "hoster.example answered that"),
        (vec![(NotClaimed, 9), (Claimed, 1)], "DomainClaimedElsewhere", "its own words"),
        (vec![(Inconclusive, 1)], "ControlProbeInconclusive", "its own words"),
        (vec![(Unreachable, 1)], "Uncontested", "claimCheck asks partners"),
    ] {
        let verdict = checked("hoster.example", &outcomes);
        assert_eq!(verdict.reason.to_string(), reason, "{outcomes:?}");
        assert!(verdict.message.contains(words), "{verdict:?}");
    }
    assert_eq!(checked("other.example", &[(Claimed, 1)]).reason.to_string(), "Uncontested");
}

#[test]
fn a_younger_federation_with_the_same_domain_is_contested() {
    let conflict = crds::reason::AcceptedReason::DomainConflict;
    let judged = rejected(Verdict::new(conflict, "The domain belongs to im/other."));
    let verdict = judged.into_iter().find(|verdict| verdict.type_() == RUNG).unwrap();
    assert_eq!(verdict.reason.to_string(), "DomainConflict");
    assert_eq!(verdict.status(), ConditionStatus::False);
    assert!(verdict.message.contains("im/other"));
}
