//! Peers by local domain, the way out, and the way back.

use federation_engine::observe::evidence::{FlowEvidence, FlowOutcome, LocalStream, PeerEvidence};

use super::*;

const RUNG: ConditionType = ConditionType::PeersReachable;

fn two_peers() -> Value {
    let mut spec = smallest();
    spec["peers"] = json!([{"domain": "partner.example"}, {"domain": "other.example"}]);
    spec
}

fn fail(peer: &mut PeerEvidence, reason: Word) {
    let stream = peer.outbound.as_mut().unwrap();
    (stream.connected, stream.reason) = (false, reason);
}

#[test]
fn a_peer_that_refuses_one_local_domain_fails_and_the_domain_is_named() {
    let verdict = after(RUNG, |seen| {
        engine(seen, |report| {
            let peer = &mut report.peers[0];
            let mut stream = peer.outbound.clone().unwrap();
            (stream.connected, stream.reason) = (false, Word::PolicyViolation);
            stream.message = "the peer closed the stream".to_owned();
            peer.others = vec![LocalStream { local: "chat.example.com".parse().unwrap(), stream }];
        });
    });
    assert_eq!(verdict.reason.to_string(), "SomePeersFailed");
    let words = "from chat.example.com only: PolicyViolation, the peer closed the stream";
    assert!(verdict.message.contains(words), "{verdict:?}");
}

#[test]
fn all_peers_failing_point_at_egress_only_if_nothing_else_can_be_reached() {
    let all = |reasons: [Word; 2], control: bool| {
        of(&two_peers(), RUNG, |seen| {
            engine(seen, |report| {
                for (peer, reason) in report.peers.iter_mut().zip(reasons) {
                    fail(peer, reason);
                }
                let mut stranger = report.peers[0].clone();
                stranger.domain = "stranger.example".parse().unwrap();
                stranger.configured = false;
                stranger.outbound.as_mut().unwrap().connected = true;
                report.peers.extend(control.then_some(stranger));
            });
        })
    };
    let egress = "No other server can be reached either";
    for (reasons, control, hint) in [
        ([Word::ConnectTimedOut, Word::NoRoute], false, true),
        ([Word::ConnectTimedOut, Word::NoRoute], true, false),
        ([Word::ConnectTimedOut, Word::ConnectRefused], false, false),
        ([Word::ConnectTimedOut, Word::HostUnknown], false, false),
    ] {
        let verdict = all(reasons, control);
        assert_eq!(verdict.reason.to_string(), "AllPeersFailed");
        assert_eq!(verdict.message.contains(egress), hint, "{verdict:?}");
    }
}

#[test]
fn a_ping_without_answer_at_any_replica_is_one_way() {
    let pinged = |outcome: FlowOutcome, elsewhere: bool| {
        reason(RUNG, |seen| {
            let mut second = seen.engines[0].clone();
            second.replica.name = "example-2".into();
            engine(seen, |report| {
                report.flows = vec![FlowEvidence {
                    peer: "partner.example".parse().unwrap(),
                    local: "example.com".parse().unwrap(),
                    to: "echo@partner.example".to_owned(),
                    outcome,
                    ping: "p1".to_owned(),
                    at: now(),
                }];
            });
            if let (Report::Seen(report), true) = (&mut second.report, elsewhere) {
                let domain = "partner.example".parse().unwrap();
                Arc::make_mut(report).answers = vec![BackendAnswer { domain, ping: "p1".into() }];
            }
            seen.engines.push(second);
        })
    };
    assert_eq!(pinged(FlowOutcome::Answered, false), "AllPeersReachable");
    assert_eq!(pinged(FlowOutcome::AnsweredWithError, false), "AllPeersReachable");
    let wrong = after(RUNG, |seen| {
        engine(seen, |report| {
            report.flows = vec![FlowEvidence {
                peer: "partner.example".parse().unwrap(),
                local: "example.com".parse().unwrap(),
                to: "jdoe1@partner.example".to_owned(),
                outcome: FlowOutcome::AnsweredWithError,
                ping: "p1".to_owned(),
                at: now(),
            }];
            // The replica notes each answer to its ping.
            report.answers = vec![BackendAnswer {
                domain: "partner.example".parse().unwrap(),
                ping: "p1".into(),
            }];
        });
    });
    assert!(wrong.message.contains("for example their email addresses"), "{wrong:?}");
    assert_eq!(pinged(FlowOutcome::NoAnswer, false), "OneWay");
    assert_eq!(pinged(FlowOutcome::NoAnswer, true), "AllPeersReachable");

    // A stream without a result of the ping shows one direction only.
    let mut pinged = with_peer();
    pinged["peers"][0]["probe"] = json!({"to": "echo@partner.example"});
    assert_eq!(of(&pinged, RUNG, |_| {}).reason.to_string(), "Probing");
    pinged["peers"][0]["probe"] = json!({"to": "echo@other.example"});
    assert_eq!(of(&pinged, RUNG, |_| {}).reason.to_string(), "AllPeersReachable");

    let mut spec = smallest();
    spec["peers"] = json!([{"domain": "partner.example", "required": true}]);
    let federation = validated(&spec);
    let mut seen = evidence(&federation);
    engine(&mut seen, |report| {
        report.flows = vec![FlowEvidence {
            peer: "partner.example".parse().unwrap(),
            local: "example.com".parse().unwrap(),
            to: "echo@partner.example".to_owned(),
            outcome: FlowOutcome::NoAnswer,
            ping: "p1".to_owned(),
            at: now(),
        }];
    });
    let gate =
        crate::ladder::peers::required_failing(View { federation: &federation, seen: &seen });
    assert!(gate.unwrap().contains("no answer to the ping to echo@partner.example"));
}
