//! An API server that is away for a while.

use std::sync::Mutex;

use jiff::SignedDuration;

use super::*;
use crate::federation::names;
use crate::reconcile::{away, observe};

fn unread(kind: &str, name: &str, cause: Cause) -> Problem {
    Problem {
        step: Step::Read,
        kind: kind.into(),
        name: name.into(),
        cause,
        message: "error trying to connect: Connection refused".into(),
    }
}

/// What a pass finds that began while nothing could be read.
fn nothing_read() -> Vec<Problem> {
    ["Deployment", "Pod", "Service"]
        .map(|kind| unread(kind, &names::own("example"), Cause::Failed))
        .into()
}

/// The status of a federation whose conditions are all as they should be.
fn healthy() -> crds::XmppFederationStatus {
    let validated = validated(&smallest());
    let seen = evidence(&validated);
    let view = View { federation: &validated, seen: &seen };
    status::judged(&crds::XmppFederationStatus::default(), view, &Failing::new()).status
}

#[test]
fn the_api_server_is_away_only_if_nothing_can_be_read_and_it_states_no_reason() {
    assert!(away::is_away(&nothing_read()));
    for (index, cause) in [(0, Cause::NotPermitted), (1, Cause::Terminating)] {
        let mut problems = nothing_read();
        problems[index].cause = cause;
        assert!(!away::is_away(&problems), "{cause:?} is a verdict");
        problems.remove(index);
        assert!(!away::is_away(&problems));
    }
    assert!(!away::is_away(&[]));
}

#[tokio::test]
async fn a_pass_that_begins_while_the_api_server_is_away_writes_no_status() {
    let mut object = federation(&smallest());
    object.status = Some(healthy());
    let known = serde_json::to_value(&object).unwrap();
    let written = Arc::new(Mutex::new(Vec::new()));
    let statuses = Arc::clone(&written);
    let client = answering(move |request| {
        if request.uri().path().ends_with("/status") {
            // It is back when the status would be written.
            statuses.lock().unwrap().push(request.uri().to_string());
            (200, known.clone())
        } else {
            (503, failure(503, "ServiceUnavailable", "the server is currently unable"))
        }
    });
    let (context, _writers) = context(client);
    let object = Arc::new(kube::core::DeserializeGuard(Ok(object)));
    crate::reconcile::pass::reconcile(object, Arc::new(context)).await.unwrap();
    assert_eq!(*written.lock().unwrap(), [] as [String; 0]);
}

#[test]
fn what_waits_for_a_held_condition_is_held_with_it() {
    let mut spec = smallest();
    spec["peers"] = json!([{"domain": "partner.example"}]);
    let validated = validated(&spec);
    let judge = |old: &crds::XmppFederationStatus, failing: &Failing, unread_for: Option<i64>| {
        let mut seen = evidence(&validated);
        seen.now = now() + SignedDuration::from_secs(unread_for.unwrap_or_default());
        if unread_for.is_some() {
            seen.applied.problems = nothing_read();
        }
        status::judged(old, View { federation: &validated, seen: &seen }, failing)
    };
    let nothing = crds::XmppFederationStatus::default();
    let before = judge(&nothing, &Failing::new(), None).status;
    let unread = judge(&before, &Failing::new(), Some(1));
    assert_eq!(unread.status.conditions, before.conditions);
    assert_eq!(unread.status.domains, before.domains);
    // The failures of the rungs above are not counted from the time of that one.
    let held: Vec<ConditionType> = unread.failing.keys().map(|(type_, _)| *type_).collect();
    assert!(!held.contains(&ConditionType::BackendReady), "{held:?}");
    let later = judge(&unread.status, &unread.failing, Some(30)).status;
    for (type_, reason) in [
        (ConditionType::EngineReady, "EvidenceUnavailable"),
        (ConditionType::BackendReady, "WaitingForEngineReady"),
        (ConditionType::InboundReachable, "WaitingForEngineReady"),
    ] {
        assert_eq!(get(&later.conditions, type_).unwrap().reason, reason);
    }
}

#[test]
fn a_service_that_cannot_be_read_keeps_its_address() {
    let validated = validated(&smallest());
    let before = healthy();
    let mut seen = evidence(&validated);
    seen.applied.problems = vec![unread("Service", &names::own("example"), Cause::Failed)];
    // A new process has not seen it yet.
    seen.cluster.service = None;
    let view = View { federation: &validated, seen: &seen };
    let judged = status::judged(&before, view, &Failing::new()).status;
    assert!(!before.addresses.is_empty());
    assert_eq!(judged.addresses, before.addresses);
    assert_eq!(judged.conditions, before.conditions);
}

#[tokio::test]
async fn what_cannot_be_read_is_as_it_was() {
    let validated = validated(&smallest());
    let client = answering(|_| (503, failure(503, "ServiceUnavailable", "unable")));
    let (context, _writers, mut feeds) = crate::fixtures::context_with_feeds(client);
    let service = json!({
        "metadata": {
            "name": names::own("example"), "namespace": "im",
            "ownerReferences": [{
                "apiVersion": "xmppfederation.dev/v1alpha1", "kind": "XmppFederation",
                "name": "example", "uid": validated.owner.uid, "controller": true
            }]
        },
        "status": {"loadBalancer": {"ingress": [{"ip": crate::fixtures::ADDRESS}]}}
    });
    let service = serde_json::from_value(service).unwrap();
    for event in
        [watcher::Event::Init, watcher::Event::InitApply(service), watcher::Event::InitDone]
    {
        feeds.services.writer.apply_watcher_event(&event);
    }
    feeds.services.health.fails();
    let (cluster, problems) = observe::cluster(&context, &reference(), &validated).await;
    let address = Address::Ips(vec![crate::fixtures::ADDRESS.parse().unwrap()]);
    assert_eq!(cluster.address(), Some(&address));
    assert!(away::is_away(&problems), "{problems:?}");
}
