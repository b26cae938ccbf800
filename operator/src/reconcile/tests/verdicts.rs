//! The status: what it remembers, damps and writes.

use super::*;

#[tokio::test]
async fn a_status_that_says_the_same_is_not_written() {
    let validated = validated(&smallest());
    let mut seen = evidence(&validated);
    let mut object = federation(&smallest());
    // Times of the operator's own have fractions of a second, which the API server does not store.
    let fraction = jiff::SignedDuration::from_millis(120);
    seen.references.ca_renewal = Some(now() + fraction);
    seen.now = now() + fraction;
    let view = View { federation: &validated, seen: &seen };
    let first =
        status::judged(&crds::XmppFederationStatus::default(), view, &Failing::new()).status;
    let stored = serde_json::to_value(&first).and_then(serde_json::from_value).unwrap();
    object.status = Some(first.clone());
    seen.now += jiff::SignedDuration::from_mins(1);
    let view = View { federation: &validated, seen: &seen };
    let second = status::judged(&stored, view, &Failing::new()).status;
    assert_eq!(first, second);

    let (client, requests) = server(vec![]);
    let (context, _writers) = context(client);
    report::status(&context, &object, &first, &second).await.unwrap();
    drop(context);
    requests.await.unwrap();
}

#[test]
fn inbound_evidence_from_before_a_change_of_the_addresses_is_not_taken_again() {
    let shown = |old: &crds::XmppFederationStatus, address: Option<&str>, minutes: i64| {
        let validated = validated(&smallest());
        let mut seen = evidence(&validated);
        seen.now = now() + jiff::SignedDuration::from_mins(minutes);
        let address = address.map(|ip| Address::Ips(vec![ip.parse().unwrap()]));
        seen.cluster.service.as_mut().unwrap().address = address.clone();
        seen.address_changed = status::address_changed(old, &validated, address.as_ref(), seen.now);
        let view = View { federation: &validated, seen: &seen };
        status::judged(old, view, &Failing::new()).status
    };
    let reason = |status: &crds::XmppFederationStatus| {
        get(&status.conditions, ConditionType::InboundReachable).unwrap().reason.clone()
    };
    let first = shown(&crds::XmppFederationStatus::default(), Some("192.0.2.1"), 0);
    assert_eq!(
        (reason(&first).as_str(), &first.addresses_changed_time),
        ("InboundObserved", &None)
    );
    let moved = shown(&first, Some("192.0.2.2"), 1);
    assert_eq!(reason(&moved), "EvidenceStale");
    let later = shown(&moved, Some("192.0.2.2"), 2);
    assert_eq!(later.addresses_changed_time, moved.addresses_changed_time);
    // An address that went and came back led nowhere in between.
    let gone = shown(&first, None, 1);
    let back = shown(&gone, Some("192.0.2.1"), 2);
    assert_eq!(reason(&back), "EvidenceStale");
    assert_eq!(back.addresses_changed_time, gone.addresses_changed_time);
}

#[test]
fn a_change_of_the_public_ports_is_one_of_the_addresses() {
    let behind = |port: u16| {
        let mut spec = smallest();
        spec["service"] = json!({"publicAddresses": ["192.0.2.1"], "publicPorts": {"s2s": port}});
        validated(&spec)
    };
    let address = Address::Ips(vec!["192.0.2.1".parse().unwrap()]);
    let seen = evidence(&behind(5269));
    let view_of = behind(5269);
    let view = View { federation: &view_of, seen: &seen };
    let first =
        status::judged(&crds::XmppFederationStatus::default(), view, &Failing::new()).status;
    let changed = |port| status::address_changed(&first, &behind(port), Some(&address), now());
    assert_eq!((changed(5269), changed(5299)), (None, Some(now())));
}

#[test]
fn a_failure_of_a_prober_counts_when_the_next_probe_confirms_it() {
    use federation_engine::prober::message::{OutsideMode, OutsideOutcome, OutsideResult};

    let validated = validated(&smallest());
    let mut old = crds::XmppFederationStatus::default();
    let mut failing = Failing::new();
    let mut shown = |refused: bool, seconds: i64| {
        let mut seen = evidence(&validated);
        seen.now = now() + jiff::SignedDuration::from_secs(seconds);
        let results = vec![OutsideResult {
            address: Some(format!("{}:5269", crate::fixtures::ADDRESS).parse().unwrap()),
            domain: "example.com".parse().unwrap(),
            mode: OutsideMode::StartTls,
            outcome: OutsideOutcome::Refused,
        }];
        seen.outside.at = seen.now;
        seen.outside.reports = refused
            .then(|| crate::evidence::prober::OutsideReport {
                prober: "probe.example".to_owned(),
                at: seen.now,
                since: seen.now,
                found: Ok(results),
            })
            .into_iter()
            .collect();
        let judged = status::judged(&old, View { federation: &validated, seen: &seen }, &failing);
        (old, failing) = (judged.status, judged.failing);
        get(&old.conditions, ConditionType::InboundReachable).unwrap().reason.clone()
    };
    let reasons = [shown(false, 0), shown(true, 10), shown(true, 12), shown(false, 14)];
    assert_eq!(reasons, ["InboundObserved", "InboundObserved", "ProbeRefused", "InboundObserved"]);
}

#[test]
fn the_condition_of_a_domain_is_damped_with_that_of_the_federation() {
    use ConditionStatus::{False, True};
    let mut spec = smallest();
    spec["domains"] = json!([{"name": "example.com"}, {"name": "example.org"}]);
    let validated = validated(&spec);
    let judge = |old: &crds::XmppFederationStatus, failing: &Failing, lost: bool, seconds: i64| {
        let mut seen = evidence(&validated);
        seen.now = now() + jiff::SignedDuration::from_secs(seconds);
        seen.dns.at = seen.now;
        if lost {
            seen.dns.services.retain(|(owner, _)| !owner.ends_with("example.org"));
            let of_org = seen.dns.looked_for.services.iter();
            let of_org = of_org.filter(|wanted| wanted.owner.ends_with("example.org"));
            seen.dns
                .services
                .extend(of_org.map(|wanted| (wanted.owner.clone(), reported([].into()))));
        }
        status::judged(old, View { federation: &validated, seen: &seen }, failing)
    };
    let shown = |status: &crds::XmppFederationStatus| {
        let of = |conditions: &[crds::condition::Condition]| {
            get(conditions, ConditionType::SRVResolves).unwrap().status
        };
        let domains = status.domains.iter().map(|domain| of(&domain.conditions));
        std::iter::once(of(&status.conditions)).chain(domains).collect::<Vec<_>>()
    };
    let good = judge(&crds::XmppFederationStatus::default(), &Failing::new(), false, 0);
    assert_eq!(shown(&good.status), [True, True, True]);
    let once = judge(&good.status, &good.failing, true, 10);
    assert_eq!(shown(&once.status), [True, True, True], "one failure is no outage");
    let twice = judge(&once.status, &once.failing, true, 12);
    assert_eq!(shown(&twice.status), [False, True, False]);
    let again = judge(&twice.status, &twice.failing, false, 14);
    assert_eq!((shown(&again.status), again.failing.len()), (vec![True, True, True], 0));
}

#[test]
fn a_restart_of_the_operator_changes_no_condition() {
    let mut spec = smallest();
    spec["peers"] = json!([{"domain": "partner.example"}]);
    let validated = validated(&spec);
    let judge = |old: &crds::XmppFederationStatus, failing: &Failing, ago: i64, blank: bool| {
        let mut seen = evidence(&validated);
        seen.now = now() + jiff::SignedDuration::from_secs(ago);
        seen.remembered = status::remembered(old);
        if blank {
            // A new process has asked nobody yet.
            seen.engines[0].report = Report::Waiting;
            seen.dns = crate::evidence::dns::DnsEvidence::default();
            seen.probes = crate::evidence::probe::ProbeEvidence::default();
        }
        status::judged(old, View { federation: &validated, seen: &seen }, failing)
    };
    let nothing = crds::XmppFederationStatus::default();
    let before = judge(&nothing, &Failing::new(), 0, false).status;
    let blank = judge(&before, &Failing::new(), 10, true);
    assert_eq!(blank.status.conditions, before.conditions);
    let seen = judge(&blank.status, &blank.failing, 12, false);
    assert_eq!(seen.status.conditions, before.conditions);
    // Without any evidence, nothing stays True for long.
    let later = judge(&blank.status, &blank.failing, 60, true);
    let ready = get(&later.status.conditions, ConditionType::Ready).unwrap();
    assert_eq!(ready.status, ConditionStatus::Unknown, "{ready:?}");
    // A new spec has no verdict to keep.
    let mut changed = before;
    for condition in &mut changed.conditions {
        condition.observed_generation = Some(0);
    }
    let other = judge(&changed, &Failing::new(), 10, true);
    let ready = get(&other.status.conditions, ConditionType::Ready).unwrap();
    assert_eq!(ready.status, ConditionStatus::Unknown, "{ready:?}");
}

#[test]
fn what_was_refused_of_a_configured_peer_is_in_its_message_without_time_or_source() {
    let mut spec = smallest();
    spec["peers"] = json!([{"domain": "partner.example"}]);
    let validated = validated(&spec);
    let status = |refused_ago: &[i64], old: &crds::XmppFederationStatus| {
        let mut seen = evidence(&validated);
        let Report::Seen(report) = &mut seen.engines[0].report else { panic!("no report") };
        let report = Arc::make_mut(report);
        let refusals = refused_ago.iter().map(|ago| refusal("no way to prove it", *ago));
        report.peers[0].refusals = refusals.collect();
        // A stranger's name is no peer.
        report.refusals.push(refusal("a stranger", 1));
        let view = View { federation: &validated, seen: &seen };
        status::judged(old, view, &Failing::new()).status
    };
    let quiet = status(&[], &crds::XmppFederationStatus::default());
    assert_eq!((quiet.peers.len(), &quiet.peers[0].message), (1, &None));
    let refused = status(&[9], &quiet);
    let message = refused.peers[0].message.as_deref().unwrap();
    let reported = "A server claiming to be partner.example was refused on its last attempt: \
                CertificateUntrusted, no way to prove it. ";
    assert!(message.starts_with(reported) && !message.contains("198.51.100.7"), "{message}");
    assert_eq!(refused.peers[0].state, quiet.peers[0].state);
    assert_eq!(refused, status(&[300, 2], &refused), "another attempt writes no status");
}

#[test]
fn the_status_of_a_peer_says_what_authenticates_it_in_each_direction() {
    use federation_engine::observe::evidence::{AuthenticatedBy, PeerStream};
    let mut spec = smallest();
    spec["peers"] = json!([{"domain": "partner.example"}]);
    let validated = validated(&spec);
    let shown = |outbound: Option<AuthenticatedBy>, inbound: Option<AuthenticatedBy>| {
        let mut seen = evidence(&validated);
        let Report::Seen(report) = &mut seen.engines[0].report else { panic!("no report") };
        let peer = &mut Arc::make_mut(report).peers[0];
        let stream = peer.outbound.clone().unwrap();
        peer.inbound = Some(PeerStream { authenticated_by: inbound, ..stream.clone() });
        peer.outbound = Some(PeerStream { authenticated_by: outbound, ..stream });
        let view = View { federation: &validated, seen: &seen };
        let old = crds::XmppFederationStatus::default();
        let status = status::judged(&old, view, &Failing::new()).status;
        serde_json::to_value(&status.peers[0]).unwrap()["authenticatedBy"].clone()
    };
    assert_eq!(
        shown(Some(AuthenticatedBy::Dns), Some(AuthenticatedBy::Dialback)),
        json!({"outbound": "DNS", "inbound": "Dialback"})
    );
    assert_eq!(shown(Some(AuthenticatedBy::Dane), None), json!({"outbound": "DANE"}));
    assert_eq!(shown(None, None), json!(null));
}

#[tokio::test]
async fn a_status_that_says_something_new_is_applied_and_reported() {
    let validated = validated(&smallest());
    let seen = evidence(&validated);
    let view = View { federation: &validated, seen: &seen };
    let judged =
        status::judged(&crds::XmppFederationStatus::default(), view, &Failing::new()).status;
    // Only `Ready` is news on a new object.
    let mut calls = vec![call(
        Method::PATCH,
        "/namespaces/im/xmppfederations/example/status",
        200,
        serde_json::to_value(federation(&smallest())).unwrap(),
    )];
    calls.extend((0..1).map(|_| {
        let path = "/apis/events.k8s.io/v1/namespaces/im/events";
        call(Method::POST, path, 201, json!({"metadata": {"name": "e"}, "eventTime": null}))
    }));
    let (client, requests) = server(calls);
    let (context, _writers) = context(client);
    let nothing = crds::XmppFederationStatus::default();
    report::status(&context, &federation(&smallest()), &nothing, &judged).await.unwrap();
    drop(context);
    requests.await.unwrap();
}
