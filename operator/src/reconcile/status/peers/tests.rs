//! What an administrator sees of one peer: the steps of dialback, and the ping to a real address.

use std::sync::Arc;

use federation_engine::observe::evidence::{EngineEvidence, FlowEvidence, InboundObservation};
use serde_json::json;

use super::*;
use crate::evidence::engine::Report;
use crate::fixtures::{evidence, now, smallest, validated};

/// The status of `partner.example` after a change of the engine's report.
fn partner(change: impl FnOnce(&mut EngineEvidence)) -> PeerStatus {
    let mut spec = smallest();
    spec["peers"] = json!([{"domain": "partner.example"}]);
    let federation = validated(&spec);
    let mut seen = evidence(&federation);
    let Report::Seen(report) = &mut seen.engines[0].report else { panic!("no report") };
    let report = Arc::make_mut(report);
    report.inbound.clear();
    change(report);
    let view = View { federation: &federation, seen: &seen };
    peers(&XmppFederationStatus::default(), view).0.remove(0)
}

/// The steps of dialback with this end of our stream to the partner.
fn dialback_of(
    reason: Word,
    how: Option<Authentication>,
    was_queried: bool,
) -> Option<PeerDialbackStatus> {
    partner(|report| {
        let stream = report.peers[0].outbound.as_mut().unwrap();
        stream.connected = reason == Word::Connected;
        stream.reason = reason;
        stream.authentication = how;
        if was_queried {
            report.inbound.push(InboundObservation {
                kind: InboundKind::DialbackVerified,
                peer: "partner.example".parse().unwrap(),
                local: "example.com".parse().unwrap(),
                source: "203.0.113.9".parse().unwrap(),
                at: now(),
            });
        }
    })
    .dialback
}

#[test]
fn xep0220_2_the_steps_of_dialback_are_shown_up_to_the_one_that_failed() {
    let steps = |verify_received, answer: &str| {
        Some(PeerDialbackStatus { key_sent: true, verify_received, answer: answer.to_owned() })
    };
    let dialback = Some(Authentication::DialbackWithTLS);
    assert_eq!(dialback_of(Word::Connected, dialback, true), steps(true, "valid"));
    assert_eq!(dialback_of(Word::DialbackInvalid, None, true), steps(true, "invalid"));
    // It asked somebody else: the domain is claimed there.
    assert_eq!(dialback_of(Word::DialbackInvalidUnasked, None, false), steps(false, "invalid"));
    assert_eq!(dialback_of(Word::DialbackError, None, false), steps(false, "error"));
    assert_eq!(dialback_of(Word::DialbackTimedOut, None, false), steps(false, "none"));
    let external = Some(Authentication::SaslExternal);
    assert_eq!(dialback_of(Word::Connected, external, false), None);
    assert_eq!(dialback_of(Word::ConnectRefused, None, false), None);
}

#[test]
fn the_result_of_a_ping_to_a_real_address_is_shown_and_an_error_names_the_trap_of_email_addresses()
{
    let pinged = |outcome| {
        partner(|report| {
            report.flows = vec![FlowEvidence {
                peer: "partner.example".parse().unwrap(),
                local: "example.com".parse().unwrap(),
                to: "jdoe1@partner.example".to_owned(),
                outcome,
                ping: "p1".to_owned(),
                at: now(),
            }];
        })
    };
    let flow = |status: &PeerStatus| status.flow.clone().map(|flow| (flow.to, flow.result));
    let to = || "jdoe1@partner.example".to_owned();
    let answered = pinged(FlowOutcome::Answered);
    assert_eq!(flow(&answered), Some((to(), PeerFlowResult::Answered)));
    assert_eq!(answered.message, None);
    let silent = pinged(FlowOutcome::NoAnswer);
    assert_eq!(flow(&silent), Some((to(), PeerFlowResult::NoAnswer)));
    let wrong = pinged(FlowOutcome::AnsweredWithError);
    assert_eq!(flow(&wrong), Some((to(), PeerFlowResult::AnsweredWithError)));
    let message = wrong.message.unwrap();
    for part in ["ping to jdoe1@partner.example with an error", "their email addresses"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}
