//! `InboundReachable`: what counts as evidence from outside.

use super::*;

#[test]
fn evidence_from_outside_survives_new_pods() {
    let rung = ConditionType::InboundReachable;
    let with = |change: fn(&mut InboundObservation)| {
        reason(rung, |seen| {
            let Report::Seen(report) = &mut seen.engines[0].report else { panic!("no report") };
            let mut known = Arc::make_mut(report).inbound.remove(0);
            change(&mut known);
            seen.remembered = Some(known);
        })
    };
    assert_eq!(with(|_| {}), "InboundObserved");
    assert_eq!(with(|known| known.source = "10.1.0.9".parse().unwrap()), "NoOutsideEvidence");
    assert_eq!(with(|known| known.at = now() - SignedDuration::from_hours(25)), "EvidenceStale");
}

#[test]
fn a_federation_of_the_same_cluster_is_not_outside_whatever_it_shows() {
    use InboundKind::{DialbackVerified, StreamAuthenticated, StreamOpened};
    for kind in [DialbackVerified, StreamAuthenticated, StreamOpened] {
        let with = |is_neighbour: bool| {
            after(ConditionType::InboundReachable, |seen| {
                engine(seen, |report| {
                    let observation = &mut report.inbound[0];
                    observation.kind = kind;
                    // The address of the load balancer's or of a NAT.
                    observation.source = "203.0.113.9".parse().unwrap();
                });
                let Report::Seen(report) = &seen.engines[0].report else { panic!("no report") };
                let peer = report.inbound[0].peer.clone();
                seen.neighbours = is_neighbour.then_some(peer).into_iter().collect();
            })
        };
        assert_ne!(with(false).reason.to_string(), "NoOutsideEvidence", "{kind:?}");
        let inside = with(true);
        assert_eq!(inside.reason.to_string(), "NoOutsideEvidence", "{kind:?}");
        assert!(
            inside.message.contains("another federation of this cluster"),
            "{}",
            inside.message
        );
    }
}

#[test]
fn the_setting_that_stops_the_connections_of_a_proxy_is_named() {
    let mut spec = smallest();
    spec["service"] = json!({"proxyProtocol": {"trustedSources": ["192.0.2.0/24"]}});
    let after = |reason: Word, source: &str, minutes: i64| {
        of(&spec, ConditionType::InboundReachable, |seen| {
            let at = seen.now - SignedDuration::from_mins(minutes);
            engine(seen, |report| {
                report.inbound.clear();
                report.refusals = vec![InboundRefusal {
                    peer: None,
                    local: None,
                    source: source.parse().unwrap(),
                    reason,
                    message: String::new(),
                    count: 1,
                    at,
                }];
            });
        })
    };
    let advice = "Enable the PROXY protocol on the load balancer";
    for (reason, source, minutes, expected) in [
        (Word::ProxyHeaderMissing, "192.0.2.7", 1, advice),
        (Word::ProxyHeaderInvalid, "192.0.2.7", 1, "that the engine cannot read"),
        (Word::ProxyHeaderUntrusted, "198.51.100.7", 1, "does not contain that address"),
        (Word::ProxyHeaderMissing, "192.0.2.7", 60, "Ask someone"),
        // The setting has changed since.
        (Word::ProxyHeaderMissing, "198.51.100.7", 1, "Ask someone"),
        (Word::ProxyHeaderUntrusted, "192.0.2.7", 1, "Ask someone"),
    ] {
        let verdict = after(reason.clone(), source, minutes);
        assert_eq!(verdict.reason.to_string(), "NoOutsideEvidence");
        assert!(verdict.message.contains(expected), "{reason} {source}: {}", verdict.message);
    }
}

#[test]
fn an_address_of_a_trusted_proxy_is_no_evidence() {
    let mut spec = smallest();
    spec["service"] = json!({"proxyProtocol": {"trustedSources": ["203.0.113.0/28"]}});
    let inbound = |source: &str| {
        let verdict = of(&spec, ConditionType::InboundReachable, |seen| {
            engine(seen, |report| report.inbound[0].source = source.parse().unwrap());
        });
        verdict.reason.to_string()
    };
    assert_eq!(inbound("203.0.113.9"), "NoOutsideEvidence");
    assert_eq!(inbound("203.0.113.19"), "InboundObserved");
}

#[test]
fn inbound_reachable() {
    let rung = ConditionType::InboundReachable;
    let inbound = |kind: InboundKind, source: &str| {
        reason(rung, |seen| {
            engine(seen, |report| {
                report.inbound[0].kind = kind;
                report.inbound[0].source = source.parse().unwrap();
            });
        })
    };
    assert_eq!(inbound(InboundKind::StreamAuthenticated, "203.0.113.9"), "InboundObserved");
    assert_eq!(inbound(InboundKind::StreamOpened, "203.0.113.9"), "InboundObserved");
    assert_eq!(inbound(InboundKind::StreamAuthenticated, "10.1.0.9"), "NoOutsideEvidence");
    assert_eq!(inbound(InboundKind::StreamAuthenticated, "::ffff:10.1.0.9"), "NoOutsideEvidence");
    assert_eq!(inbound(InboundKind::DialbackVerified, "10.1.0.9"), "DialbackObserved");
    let stale = reason(rung, |seen| {
        engine(seen, |r| r.inbound[0].at = now() - SignedDuration::from_hours(25));
    });
    assert_eq!(stale, "EvidenceStale");
    let changed = |after: SignedDuration| {
        reason(rung, |seen| {
            let at = seen.now - SignedDuration::from_mins(10);
            seen.address_changed = Some(at);
            engine(seen, |r| r.inbound[0].at = at + after);
        })
    };
    assert_eq!(changed(SignedDuration::from_secs(-1)), "EvidenceStale");
    assert_eq!(changed(SignedDuration::from_secs(1)), "InboundObserved");
    let unreachable = reason(rung, |seen| seen.engines[0].report = Report::Unreachable("x".into()));
    assert_eq!(unreachable, "EvidenceUnavailable");
}

#[test]
fn private_sources_do_not_count_while_networks_of_the_cluster_are_unknown() {
    use InboundKind::{DialbackVerified, StreamAuthenticated, StreamOpened};
    let no_pod_cidrs = || Gap::PodCidrs { node: "worker-1".into() };
    let listed = json!({"clusterNetworks": ["10.0.0.0/8"]});
    for (gap, verification, kind, source, expected) in [
        (None, json!({}), StreamAuthenticated, "192.168.7.9", "InboundObserved"),
        (Some(no_pod_cidrs()), json!({}), StreamAuthenticated, "192.168.7.9", "NoOutsideEvidence"),
        (Some(no_pod_cidrs()), json!({}), StreamOpened, "::ffff:100.64.3.1", "NoOutsideEvidence"),
        (Some(no_pod_cidrs()), json!({}), StreamAuthenticated, "fd00:7::9", "NoOutsideEvidence"),
        (Some(no_pod_cidrs()), json!({}), StreamAuthenticated, "203.0.113.9", "InboundObserved"),
        (Some(no_pod_cidrs()), json!({}), DialbackVerified, "192.168.7.9", "DialbackObserved"),
        (
            Some(no_pod_cidrs()),
            listed.clone(),
            StreamAuthenticated,
            "192.168.7.9",
            "InboundObserved",
        ),
        (
            Some(no_pod_cidrs()),
            listed.clone(),
            StreamAuthenticated,
            "10.1.0.9",
            "NoOutsideEvidence",
        ),
        (Some(Gap::Nodes), json!({}), StreamAuthenticated, "192.168.7.9", "NoOutsideEvidence"),
        (
            Some(Gap::ServiceCidrs),
            json!({}),
            StreamAuthenticated,
            "192.168.7.9",
            "NoOutsideEvidence",
        ),
    ] {
        let mut spec = with_peer();
        spec["verification"] = verification.clone();
        let case = format!("{gap:?} {verification} {kind:?} {source}");
        let verdict = of(&spec, ConditionType::InboundReachable, |seen| {
            seen.networks.gap = gap.clone();
            engine(seen, |report| {
                report.inbound[0].kind = kind;
                report.inbound[0].source = source.parse().unwrap();
            });
        });
        assert_eq!(verdict.reason.to_string(), expected, "{case}");
        if expected == "NoOutsideEvidence" {
            let named = verdict.message.contains("spec.verification.clusterNetworks");
            assert_eq!(named, verification == json!({}), "{case}: {verdict:?}");
            let why = gap.filter(|_| named).map(|gap| gap.to_string()).unwrap_or_default();
            assert!(verdict.message.contains(&why), "{case}: {verdict:?}");
        }
    }
}
