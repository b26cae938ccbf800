//! `PeersReachable`, and the refused streams of peers.

use super::*;

#[test]
fn peers_reachable() {
    let rung = ConditionType::PeersReachable;
    let fails = |seen: &mut Evidence| {
        engine(seen, |report| {
            let stream = report.peers[0].outbound.as_mut().unwrap();
            stream.connected = false;
            stream.reason = Word::ConnectRefused;
            stream.message = "203.0.113.9:5269: connection refused".into();
        });
    };
    let failed = after(rung, fails);
    assert_eq!(failed.reason.to_string(), "SomePeersFailed", "one peer says nothing about egress");
    for part in ["partner.example", "ConnectRefused", "connection refused"] {
        assert!(failed.message.contains(part), "{failed:?}");
    }
    let mut two = with_peer();
    two["peers"] = json!([{"domain": "partner.example"}, {"domain": "good.example"}]);
    assert_eq!(of(&two, rung, fails).reason.to_string(), "SomePeersFailed");
    let idle = reason(rung, |seen| {
        engine(seen, |r| r.peers[0].outbound.as_mut().unwrap().connected = false);
    });
    assert_eq!(idle, "AllPeersReachable");
    // What one replica reached before another one failed says nothing about now.
    let replicas = |open: bool| {
        reason(rung, |seen| {
            let mut second = seen.engines[0].clone();
            second.replica.name = "example-2".into();
            seen.engines.push(second);
            engine(seen, |report| {
                let stream = report.peers[0].outbound.as_mut().unwrap();
                (stream.connected, stream.since) = (open, now() - SignedDuration::from_mins(1));
            });
            let Report::Seen(report) = &mut seen.engines[1].report else { panic!("no report") };
            let stream = Arc::make_mut(report).peers[0].outbound.as_mut().unwrap();
            (stream.connected, stream.since) = (false, now());
            stream.reason = Word::ConnectRefused;
        })
    };
    assert_eq!(replicas(false), "SomePeersFailed");
    assert_eq!(replicas(true), "AllPeersReachable", "it has a stream now");
    let untried = |seen: &mut Evidence| engine(seen, |report| report.peers.clear());
    assert_eq!(reason(rung, untried), "Probing");
    let mut suffix = smallest();
    suffix["peers"] = json!([{"domain": "*.partner.example"}]);
    assert_eq!(of(&suffix, rung, |_| {}).reason.to_string(), "NoPeersConfigured");
}

#[test]
fn a_configured_peer_that_was_refused_is_named_with_the_cause_and_changes_no_verdict() {
    let rung = ConditionType::PeersReachable;
    let refused = |refusals: &[(&str, i64)], inbound: Option<(bool, i64)>| {
        after(rung, |seen| {
            engine(seen, |report| {
                let peer = &mut report.peers[0];
                peer.refusals = refusals.iter().map(|(why, ago)| refusal(why, *ago)).collect();
                peer.inbound = inbound.map(|(connected, ago)| PeerStream {
                    connected,
                    since: now() - SignedDuration::from_secs(ago),
                    ..peer.outbound.clone().unwrap()
                });
            });
        })
    };
    let why =
        "the certificate does not authenticate partner.example: the certificate is self-signed";
    let verdict = refused(&[("an older cause", 99), (why, 5)], None);
    assert_eq!(
        (verdict.reason.to_string().as_str(), verdict.status()),
        ("AllPeersReachable", ConditionStatus::True)
    );
    assert_eq!(
        verdict.message,
        format!(
            "Every configured peer was reached. A server claiming to be partner.example was refused on its last \
             attempt: CertificateUntrusted, {why}. It must present a certificate for its domain that chains to \
             spec.tls.trust or spec.peers[].tls.bundles."
        )
    );
    assert_eq!(verdict, refused(&[(why, 1)], None), "the message is stable");
    assert_eq!(verdict, refused(&[(why, 1)], Some((false, 60))), "connected before that");
    let unreported = refused(&[], None);
    assert_eq!(unreported, refused(&[(why, 5)], Some((true, 60))), "it is connected");
    assert_eq!(unreported, refused(&[(why, 5)], Some((false, 1))), "it was connected since");

    // A stream to any replica counts.
    let elsewhere = after(rung, |seen| {
        let mut second = seen.engines[0].clone();
        second.replica.name = "example-2".into();
        let Report::Seen(report) = &mut second.report else { panic!("no report") };
        let peer = &mut Arc::make_mut(report).peers[0];
        peer.inbound.clone_from(&peer.outbound);
        seen.engines.push(second);
        engine(seen, |report| report.peers[0].refusals.push(refusal(why, 5)));
    });
    assert_eq!(unreported, elsewhere);

    // Who names a peer that is not configured, or fails otherwise, does not hide the rest.
    let failing = after(rung, |seen| {
        engine(seen, |report| {
            let peer = &mut report.peers[0];
            let stream = peer.outbound.as_mut().unwrap();
            (stream.connected, stream.reason) = (false, Word::ConnectRefused);
            peer.refusals.push(refusal(why, 5));
            report.refusals.push(refusal("a stranger", 5));
        });
    });
    assert_eq!(failing.reason.to_string(), "SomePeersFailed");
    for part in ["ConnectRefused", "See status.peers.", why] {
        assert!(failing.message.contains(part), "{failing:?}");
    }
    assert!(!failing.message.contains("a stranger"), "{failing:?}");
}

#[test]
fn every_word_for_a_refusal_leads_to_advice() {
    let reported = |reason: &str| {
        let verdict = after(ConditionType::PeersReachable, |seen| {
            let refusal = InboundRefusal { reason: reason.into(), ..refusal("why", 5) };
            engine(seen, |report| report.peers[0].refusals.push(refusal));
        });
        verdict.message.rsplit_once(". ").unwrap().1.to_owned()
    };
    for (reason, advice) in [
        ("TLSRequired", "STARTTLS"),
        ("PolicyDenied", "spec.policy"),
        ("HostUnknown", "spec.domains"),
        ("DialbackInvalid", "confirm its keys"),
        ("DialbackDisabled", "peers[].authentication"),
        ("CertificateExpired", "certificate for its domain"),
        ("PinMismatch", "peers[].tls.pins"),
        ("NegotiationTimedOut", "did not authenticate"),
        ("RestrictedXML", "/v1/evidence"),
    ] {
        assert!(reported(reason).contains(advice), "{reason}: {}", reported(reason));
    }
}
