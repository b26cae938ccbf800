//! Passes against an API server that answers as the test says: failures that a real one cannot be made to show at will.

mod replacement;

use std::sync::Arc;
use std::time::Duration;

use crds::condition::{ConditionStatus, ConditionType, get};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::core::ApiResource;
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

mod issued;
mod large;

use super::apply::{Outcome, apply};
use super::contents::Contents;
use super::problem::{Applied, Cause, Problem, Step};
use super::{report, status};
use crate::build::{self, Address, Child};
use crate::children::{Metadata, Writer};
use crate::context::{Context, FederationRef};
use crate::evidence::engine::Report;
use crate::fixtures::{
    context, evidence, federation, given, now, refusal, reported, settings, smallest, validated,
};
use crate::ladder::{View, accepted};
use crate::memory::Failing;

const UID: &str = "5f0c1d2e-0000-4000-8000-000000000001";

/// One expected request and its answer.
struct Call {
    method: Method,
    /// Method, path and query contain this.
    path: &'static str,
    status: StatusCode,
    body: Value,
}

fn call(method: Method, path: &'static str, status: u16, body: Value) -> Call {
    Call { method, path, status: StatusCode::from_u16(status).unwrap(), body }
}

fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message
    })
}

/// A client, and a task that expects exactly these requests in this order and gives back their URIs.
fn server(calls: Vec<Call>) -> (Client, JoinHandle<Vec<String>>) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let task = tokio::spawn(async move {
        let mut seen = Vec::new();
        for call in calls {
            let (request, answer) = handle.next_request().await.expect("a further request");
            let uri = request.uri().to_string();
            assert_eq!(request.method(), call.method, "{uri}");
            assert!(uri.contains(call.path), "{uri} is not {}", call.path);
            seen.push(uri);
            let body = Body::from(serde_json::to_vec(&call.body).unwrap());
            answer.send_response(Response::builder().status(call.status).body(body).unwrap());
        }
        if let Some((request, _)) = handle.next_request().await {
            panic!("one request too many: {} {}", request.method(), request.uri());
        }
        seen
    });
    (Client::new(service, "im"), task)
}

/// The same for requests of children that are applied at once: the calls come in any order.
fn server_in_any_order(mut calls: Vec<Call>) -> (Client, JoinHandle<()>) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let task = tokio::spawn(async move {
        while let Some((request, answer)) = handle.next_request().await {
            let (method, uri) = (request.method().clone(), request.uri().to_string());
            let expected = calls
                .iter()
                .position(|call| call.method == method && uri.contains(call.path))
                .unwrap_or_else(|| panic!("one request too many: {method} {uri}"));
            let call = calls.remove(expected);
            let body = Body::from(serde_json::to_vec(&call.body).unwrap());
            answer.send_response(Response::builder().status(call.status).body(body).unwrap());
        }
        let left: Vec<_> = calls.iter().map(|call| (&call.method, call.path)).collect();
        assert!(left.is_empty(), "requests that did not come: {left:?}");
    });
    (Client::new(service, "im"), task)
}

fn reference() -> FederationRef {
    FederationRef::new("example").within("im")
}

fn network_policy() -> Child {
    let all = build::children(&validated(&smallest()), &given(), &settings()).unwrap();
    all.into_iter().find(|child| child.resource.kind == "NetworkPolicy").unwrap()
}

const PATH: &str = "/apis/networking.k8s.io/v1/namespaces/im/networkpolicies/example";

fn object(owner: &str, version: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {
            "name": "example", "namespace": "im", "resourceVersion": version, "uid": "child",
            "ownerReferences": [{
                "apiVersion": "xmppfederation.dev/v1alpha1", "kind": "XmppFederation",
                "name": "example", "uid": owner, "controller": true
            }]
        }
    })
}

async fn apply_all(context: &Context, children: &[Child]) -> Outcome {
    apply(context, &reference(), &validated(&smallest()), children).await
}

async fn apply_one(context: &Context) -> Applied {
    apply_all(context, &[network_policy()]).await.applied
}

fn done() -> Applied {
    Applied::default()
}

fn refused(cause: Cause, message: &str) -> Applied {
    let problem = Problem {
        step: Step::Apply,
        kind: "NetworkPolicy".into(),
        name: "example".into(),
        cause,
        message: message.into(),
    };
    Applied { problems: vec![problem], ..Applied::default() }
}

fn not_found() -> Call {
    call(Method::GET, PATH, 404, failure(404, "NotFound", "not found"))
}

#[tokio::test]
async fn a_foreign_object_of_the_same_name_is_left_alone() {
    let (client, requests) = server(vec![call(Method::GET, PATH, 200, object("somebody", "1"))]);
    let (context, _writers) = context(client);
    let foreign = apply_one(&context).await;
    assert_eq!(foreign.problems, [Problem::foreign("NetworkPolicy", "example")]);
    drop(context);
    requests.await.unwrap();

    let federation = validated(&smallest());
    let mut seen = evidence(&federation);
    seen.applied = foreign;
    let verdict = accepted::check(View { federation: &federation, seen: &seen });
    assert_eq!(verdict.reason.to_string(), "AdoptionConflict");
    assert!(verdict.message.contains("NetworkPolicy example"));
}

#[tokio::test]
async fn children_are_applied_by_server_side_apply_strictly_and_under_one_name() {
    let (client, requests) =
        server(vec![not_found(), call(Method::PATCH, PATH, 201, object(UID, "1"))]);
    let (context, _writers) = context(client);
    assert_eq!(apply_one(&context).await, done());
    drop(context);
    let patch = requests.await.unwrap().pop().unwrap();
    for part in ["force=true", "fieldManager=xmpp-federation-operator", "fieldValidation=Strict"] {
        assert!(patch.contains(part), "{patch}");
    }
}

#[tokio::test]
async fn a_conflict_with_another_client_is_no_refusal() {
    let conflict = failure(409, "Conflict", "the object has been modified");
    let (client, requests) = server(vec![
        not_found(),
        call(Method::PATCH, PATH, 409, conflict),
        call(Method::PATCH, PATH, 201, object(UID, "1")),
    ]);
    let (context, _writers) = context(client);
    assert_eq!(apply_one(&context).await, done());
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn what_the_api_server_refuses_becomes_a_problem_in_its_own_words() {
    for (code, reason, cause, message) in [
        (
            403,
            "Forbidden",
            Cause::NotPermitted,
            "User \"system:serviceaccount:a:b\" cannot patch resource \"networkpolicies\"",
        ),
        (403, "Forbidden", Cause::Quota, "exceeded quota: small, requested: services=1"),
        (400, "", Cause::Denied, "admission webhook \"a.example\" denied the request: no"),
        (500, "InternalError", Cause::WebhookFailed, "failed calling webhook \"a.example\": EOF"),
        (422, "Invalid", Cause::Invalid, "spec.podSelector: Invalid value"),
        (404, "NotFound", Cause::KindMissing, "the server could not find the requested resource"),
        (500, "InternalError", Cause::Failed, "etcd is gone"),
    ] {
        let refusal = call(Method::PATCH, PATH, code, failure(code, reason, message));
        let (client, requests) = server(vec![not_found(), refusal]);
        let (context, _writers) = context(client);
        assert_eq!(apply_one(&context).await, refused(cause, message));
        drop(context);
        requests.await.unwrap();
    }
}

/// A client for which the API server answers every request by this function, and a task that counts them.
fn answering(answer: impl Fn(&Request<Body>) -> (u16, Value) + Send + Sync + 'static) -> Client {
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = Arc::clone(&answer);
        async move {
            let (status, body) = answer(&request);
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Response::builder().status(status).body(body)
        }
    });
    Client::new(service, "im")
}

/// What the API server answers to a patch: the object itself, with an owner and a version.
fn applied(request: &Request<Body>) -> Value {
    let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
    json!({"apiVersion": "v1", "kind": "Any", "metadata": {
        "name": name, "namespace": "im", "resourceVersion": "1", "uid": name
    }})
}

#[tokio::test]
async fn one_refused_child_does_not_stop_the_others_but_the_workload_waits_for_what_it_mounts() {
    let wanted = build::children(&validated(&smallest()), &given(), &settings()).unwrap();
    for (refused, workload) in [("services", true), ("networkpolicies", true), ("secrets", false)] {
        let sent = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = Arc::clone(&sent);
        let client = answering(move |request| {
            if request.method() == Method::GET {
                return (404, failure(404, "NotFound", "not found"));
            }
            let resource = request.uri().path().rsplit('/').nth(1).unwrap().to_owned();
            if resource == refused {
                let message = "admission webhook \"a.example\" denied the request: no";
                return (403, failure(403, "Forbidden", message));
            }
            seen.lock().unwrap().push(resource);
            (201, applied(request))
        });
        let (context, _writers) = context(client);
        let outcome = apply_all(&context, &wanted).await;
        assert!(outcome.applied.problems.iter().all(|problem| problem.cause == Cause::Denied));
        assert!(!outcome.applied.problems.is_empty());
        let sent = sent.lock().unwrap();
        assert!(sent.iter().any(|resource| resource == "configmaps"), "{refused}: {sent:?}");
        let deployed = sent.iter().any(|resource| resource == "deployments");
        assert_eq!(deployed, workload, "{refused}: {sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_ends_and_is_named() {
    let service = tower::service_fn(|request: Request<Body>| async move {
        if request.method() != Method::GET {
            std::future::pending::<()>().await;
        }
        let body = serde_json::to_vec(&failure(404, "NotFound", "not found")).unwrap();
        Response::builder().status(404).body(Body::from(body))
    });
    let (context, _writers) = context(Client::new(service, "im"));
    let applied = apply_one(&context).await;
    assert_eq!(applied, refused(Cause::Failed, "the API server did not answer within 12s"));
}

fn metadata(object: Value) -> Metadata {
    serde_json::from_value(object).unwrap()
}

fn feed(writers: &mut [(ApiResource, Writer)], kind: &str, object: Value) {
    let (_, writer) = writers.iter_mut().find(|(resource, _)| resource.kind == kind).unwrap();
    writer.apply_watcher_event(&watcher::Event::Apply(metadata(object)));
}

#[tokio::test]
async fn an_object_that_is_as_it_was_applied_is_not_asked_about() {
    let (client, requests) =
        server(vec![not_found(), call(Method::PATCH, PATH, 201, object(UID, "7"))]);
    let (context, mut writers) = context(client);
    assert_eq!(apply_one(&context).await, done());
    feed(&mut writers, "NetworkPolicy", object(UID, "7"));
    assert_eq!(apply_one(&context).await, done());
    drop(context);
    assert_eq!(requests.await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_object_that_somebody_changed_is_applied_again() {
    let (client, requests) = server(vec![
        not_found(),
        call(Method::PATCH, PATH, 201, object(UID, "7")),
        call(Method::PATCH, PATH, 200, object(UID, "9")),
    ]);
    let (context, mut writers) = context(client);
    apply_one(&context).await;
    feed(&mut writers, "NetworkPolicy", object(UID, "8"));
    let again = apply_all(&context, &[network_policy()]).await;
    assert_eq!(again.restored, ["Another client changed NetworkPolicy example"]);
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn an_object_that_somebody_deleted_is_restored_and_one_that_is_as_wanted_is_no_drift() {
    let (client, requests) = server(vec![
        not_found(),
        call(Method::PATCH, PATH, 201, object(UID, "7")),
        not_found(),
        call(Method::PATCH, PATH, 201, object(UID, "9")),
        call(Method::PATCH, PATH, 200, object(UID, "10")),
    ]);
    let (context, mut writers) = context(client);
    apply_one(&context).await;
    let again = apply_all(&context, &[network_policy()]).await;
    assert_eq!(again.restored, ["Another client deleted NetworkPolicy example"]);
    // A field that the operator does not set has changed: the object keeps the version that it got by that.
    feed(&mut writers, "NetworkPolicy", object(UID, "10"));
    let same = apply_all(&context, &[network_policy()]).await;
    assert_eq!(same.restored, [] as [&str; 0]);
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn what_is_no_longer_wanted_is_deleted_and_what_others_own_is_not() {
    let deleted = json!({"kind": "Status", "apiVersion": "v1", "status": "Success"});
    let path = "/apis/policy/v1/namespaces/im/poddisruptionbudgets/example";
    let (client, requests) = server(vec![call(Method::DELETE, path, 200, deleted)]);
    let (context, mut writers) = context(client);
    feed(&mut writers, "PodDisruptionBudget", object(UID, "1"));
    feed(&mut writers, "Service", object("somebody", "1"));
    let federation = validated(&smallest());
    assert_eq!(apply(&context, &reference(), &federation, &[]).await.applied, done());
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn a_paused_federation_is_left_as_it_is() {
    let (client, requests) = server(vec![]);
    let (context, mut writers) = context(client);
    feed(&mut writers, "PodDisruptionBudget", object(UID, "1"));
    let mut spec = smallest();
    spec["paused"] = json!(true);
    let outcome = apply(&context, &reference(), &validated(&spec), &[network_policy()]).await;
    assert_eq!(outcome.applied, Applied { paused: true, ..Applied::default() });
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn a_status_that_says_the_same_is_not_written() {
    let validated = validated(&smallest());
    let seen = evidence(&validated);
    let view = View { federation: &validated, seen: &seen };
    let mut object = federation(&smallest());
    let first =
        status::judged(&crds::XmppFederationStatus::default(), view, &Failing::new()).status;
    object.status = Some(first.clone());
    let mut later = evidence(&validated);
    later.now = now() + jiff::SignedDuration::from_mins(1);
    let view = View { federation: &validated, seen: &later };
    let second = status::judged(&first, view, &Failing::new()).status;
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

/// A client for which the API server has these Secrets, and a task that answers until the client is dropped.
fn secrets(found: Vec<Value>) -> (Client, JoinHandle<()>) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let task = tokio::spawn(async move {
        while let Some((request, answer)) = handle.next_request().await {
            let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
            let is_it = |secret: &&Value| secret["metadata"]["name"] == json!(name);
            let of_secrets = request.uri().path().contains("/secrets/");
            let secret = found.iter().find(is_it).filter(|_| of_secrets);
            let (status, body) = match secret {
                Some(secret) => (StatusCode::OK, secret.clone()),
                None => (StatusCode::NOT_FOUND, failure(404, "NotFound", "not found")),
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            answer.send_response(Response::builder().status(status).body(body).unwrap());
        }
    });
    (Client::new(service, "im"), task)
}

/// The certificate in the Secret that pods mount after a pass, with these Secrets in the cluster, and the Secrets.
async fn served(spec: &Value, found: Vec<Value>) -> (String, Vec<Value>) {
    let federation = validated(spec);
    let (client, task) = secrets(found);
    let now = jiff::Timestamp::now();
    let contents = Contents::uncached(&client, "im");
    let found = Box::pin(super::dereference::dereference(&contents, &federation, true, now));
    let found = found.await.unwrap();
    drop(client);
    task.await.unwrap();
    let material = crate::federation::material::complete(&found.existing, &federation, now);
    let mut given = given();
    given.material = material.unwrap();
    given.serving = found.serving(&federation, &given.material, now);
    let children = build::children(&federation, &given, &settings()).unwrap();
    let secrets = children.iter().filter(|child| child.resource.kind == "Secret");
    let secrets: Vec<_> =
        secrets.map(|child| serde_json::to_value(&child.object).unwrap()).collect();
    let mounted = secrets.iter().find(|s| s["metadata"]["name"] == "example-tls-serving");
    (mounted.map_or(Value::Null, |s| s["data"]["tls.crt"].clone()).to_string(), secrets)
}

#[tokio::test]
async fn no_change_of_a_reference_takes_the_served_certificate_away() {
    let own = federation_engine::tls::issue::self_signed(
        &["example.com".parse().unwrap()],
        std::time::Duration::from_hours(24 * 90),
        rustls_pki_types::UnixTime::now(),
    )
    .unwrap();
    let secret = |certificate: &str, key: &str| {
        let data = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own", "namespace": "im"},
            "data": {"tls.crt": data(certificate), "tls.key": data(key)}
        })
    };
    let mut spec = smallest();
    let (self_signed, secrets) = served(&spec, vec![]).await;
    spec["tls"] = json!({"certificate": {"secretRef": {"name": "own"}}});
    // A typo before the first good reference leaves the self-signed certificate.
    assert_eq!(served(&spec, secrets.clone()).await.0, self_signed);

    let good = secret(&own.certificate, &own.private_key);
    let (first, mut secrets) = served(&spec, [secrets, vec![good.clone()]].concat()).await;
    assert_ne!(first, self_signed);
    for source in [json!({"secretRef": {"name": "onw"}}), json!({"issuerRef": {"name": "ca"}})] {
        spec["tls"] = json!({"certificate": source});
        let again = served(&spec, [secrets.clone(), vec![good.clone()]].concat()).await;
        assert_eq!(again.0, first, "{source}");
        secrets = again.1;
    }
    spec["paused"] = json!(true);
    spec["tls"] = json!({});
    let again = served(&spec, secrets.clone()).await;
    assert_eq!(again.0, first, "a paused federation keeps the source of its certificate");
    spec["paused"] = json!(false);
    spec["tls"] = json!({"certificate": {"secretRef": {"name": "own"}}});
    for broken in [
        vec![],
        vec![secret("nonsense", "nonsense")],
        vec![secret(&own.certificate, "nonsense")],
        vec![json!({"metadata": {"name": "own"}, "data": {}})],
    ] {
        let again = served(&spec, [secrets.clone(), broken.clone()].concat()).await;
        assert_eq!(again.0, first, "{broken:?}");
        secrets = again.1;
    }
}

/// Runs one pass of a federation against an API server that has nothing yet, answers every other request by this function,
/// and returns the conditions of each status that the pass wrote, with the time since its beginning.
async fn pass<F>(
    answer: impl Fn(Request<Body>) -> F + Clone + Send + 'static,
) -> Vec<(Duration, Value)>
where
    F: Future<Output = (u16, Value)> + Send + 'static,
{
    let mut spec = smallest();
    // Nothing answers there, and nothing leaves the machine.
    spec["dns"] = json!({"resolvers": ["127.0.0.1:1"]});
    let object = federation(&spec);
    let known = serde_json::to_value(&object).unwrap();
    let written = Arc::new(std::sync::Mutex::new(Vec::new()));
    let begun = tokio::time::Instant::now();
    let statuses = Arc::clone(&written);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, statuses) = (answer.clone(), Arc::clone(&statuses));
        let known = known.clone();
        async move {
            let path = request.uri().path().to_owned();
            let (code, body) = if request.method() == Method::GET {
                let items = path.ends_with("/pods") || path.ends_with("/events");
                if items {
                    (200, json!({"items": [], "metadata": {}}))
                } else {
                    (404, failure(404, "NotFound", "not found"))
                }
            } else if path.ends_with("/status") {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let sent: Value = serde_json::from_slice(&body).unwrap();
                let conditions = sent["status"]["conditions"].clone();
                statuses.lock().unwrap().push((begun.elapsed(), conditions));
                (200, known)
            } else if path.ends_with("/events") {
                (201, json!({"metadata": {"name": "e"}, "eventTime": null}))
            } else {
                answer(request).await
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Response::builder().status(code).body(body)
        }
    });
    let (context, _writers) = context(Client::new(service, "im"));
    let object = Arc::new(kube::core::DeserializeGuard(Ok(object)));
    super::pass::reconcile(object, Arc::new(context)).await.unwrap();
    let written = written.lock().unwrap();
    written.clone()
}

/// Status and reason of a condition in a written status.
fn word(conditions: &Value, type_: ConditionType) -> String {
    let all = conditions.as_array().unwrap();
    let found = all.iter().find(|condition| condition["type"] == json!(type_.as_str())).unwrap();
    format!("{}/{}", found["status"].as_str().unwrap(), found["reason"].as_str().unwrap())
}

#[tokio::test]
async fn a_pass_that_the_api_server_refuses_still_writes_every_condition() {
    let written = pass(|request| async move {
        let resource = request.uri().path().rsplit('/').nth(1).unwrap().to_owned();
        let message = "exceeded quota: small, requested: count/services=1";
        match resource.as_str() {
            "services" => (403, failure(403, "Forbidden", message)),
            _ => (201, applied(&request)),
        }
    })
    .await;
    let (_, conditions) = written.last().unwrap();
    assert_eq!(word(conditions, ConditionType::Accepted), "False/ApplyFailed");
    assert_eq!(word(conditions, ConditionType::CertificateReady), "True/SelfSigned");
    assert_eq!(word(conditions, ConditionType::AddressAssigned), "False/AddressNotAssigned");
    assert_eq!(word(conditions, ConditionType::Ready), "False/Accepted");
    for type_ in ConditionType::LADDER {
        word(conditions, type_);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_federation_has_every_condition_within_five_seconds_even_if_every_write_hangs() {
    let written = pass(|_| std::future::pending::<(u16, Value)>()).await;
    let (first, conditions) = written.first().unwrap();
    assert!(*first <= Duration::from_secs(5), "{first:?}");
    assert_eq!(word(conditions, ConditionType::Accepted), "Unknown/Pending");
    for type_ in ConditionType::LADDER {
        word(conditions, type_);
    }
    let (_, conditions) = written.last().unwrap();
    assert_eq!(word(conditions, ConditionType::Accepted), "False/ApplyFailed");
    assert_eq!(word(conditions, ConditionType::Ready), "False/Accepted");
}

/// Gives the stores the objects that the operator has applied, as their watches would.
fn feed_all(
    writers: &mut [(ApiResource, Writer)],
    feeds: &mut crate::objects::Feeds,
    applied: &[Value],
) {
    fn all<K>(kind: &str, applied: &[Value]) -> Vec<watcher::Event<K>>
    where
        K: serde::de::DeserializeOwned,
    {
        let found = applied.iter().filter(|object| object["kind"] == json!(kind));
        let parsed = found.map(|object| serde_json::from_value(object.clone()).unwrap());
        std::iter::once(watcher::Event::Init)
            .chain(parsed.map(watcher::Event::InitApply))
            .chain(std::iter::once(watcher::Event::InitDone))
            .collect()
    }
    for (resource, writer) in writers {
        for event in all(&resource.kind, applied) {
            writer.apply_watcher_event(&event);
        }
    }
    macro_rules! feed {
        ($($feed:ident: $kind:literal),+) => {
            $(for event in all($kind, applied) {
                feeds.$feed.writer.apply_watcher_event(&event);
            })+
        };
    }
    feed!(
        deployments: "Deployment", services: "Service", pods: "Pod", service_events: "Event",
        secrets: "Secret", config_maps: "ConfigMap", dns_endpoints: "DNSEndpoint"
    );
}

#[tokio::test]
async fn a_federation_that_waits_for_the_world_sends_no_requests() {
    let mut spec = smallest();
    spec["dns"] = json!({"resolvers": ["127.0.0.1:1"]});
    let object = federation(&spec);
    let known = serde_json::to_value(&object).unwrap();
    let objects = Arc::new(std::sync::Mutex::new(Vec::<Value>::new()));
    let requests = Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let (kept, seen) = (Arc::clone(&objects), Arc::clone(&requests));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (kept, seen, known) = (Arc::clone(&kept), Arc::clone(&seen), known.clone());
        async move {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            seen.lock().unwrap().push(format!("{method} {path}"));
            let name = path.rsplit('/').next().unwrap().to_owned();
            let listing = name == "pods" || name == "events";
            let answer = if method == Method::GET && listing {
                Some(json!({"items": [], "metadata": {}}))
            } else if method == Method::GET {
                let resource = path.rsplit('/').nth(1).unwrap().to_owned();
                let kept = kept.lock().unwrap();
                let named = |object: &&Value| {
                    let kind = object["kind"].as_str().unwrap().to_lowercase();
                    object["metadata"]["name"] == json!(name) && resource.starts_with(&kind)
                };
                kept.iter().find(named).cloned()
            } else if name == "status" {
                Some(known)
            } else {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let mut object: Value = serde_json::from_slice(&body).unwrap();
                object["metadata"]["resourceVersion"] = json!("1");
                object["metadata"]["uid"] = json!(name);
                object["metadata"]["generation"] = json!(1);
                kept.lock().unwrap().push(object.clone());
                Some(object)
            };
            let (code, body) = match answer {
                Some(body) => (200, body),
                None => (404, failure(404, "NotFound", "not found")),
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Response::builder().status(code).body(body)
        }
    });
    let (context, mut writers, mut feeds) =
        crate::fixtures::context_with_feeds(Client::new(service, "im"));
    let context = Arc::new(context);
    let object = Arc::new(kube::core::DeserializeGuard(Ok(object)));
    let pass = || async {
        super::pass::reconcile(Arc::clone(&object), Arc::clone(&context)).await.unwrap();
        std::mem::take(&mut *requests.lock().unwrap())
    };
    assert!(pass().await.len() > 10);
    feed_all(&mut writers, &mut feeds, &objects.lock().unwrap());
    // The address of the backend's Service is known now, and Secrets are read once more.
    pass().await;
    let again = pass().await;
    let polled: Vec<_> = again.iter().filter(|request| !request.contains("/status")).collect();
    assert_eq!(polled, [] as [&String; 0]);
}
