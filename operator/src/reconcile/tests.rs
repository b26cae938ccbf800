//! Passes against an API server that answers as the test says: failures that a real one cannot be made to show at will.

mod replacement;

use std::sync::Arc;

use crds::condition::{ConditionStatus, ConditionType, get};
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use kube::core::ApiResource;
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::apply::{Applied, apply};
use super::error::Error;
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

async fn apply_one(context: &Context) -> Result<Applied, Error> {
    apply(context, &reference(), &validated(&smallest()), &[network_policy()]).await
}

fn not_found() -> Call {
    call(Method::GET, PATH, 404, failure(404, "NotFound", "not found"))
}

#[tokio::test]
async fn a_foreign_object_of_the_same_name_is_left_alone() {
    let (client, requests) = server(vec![call(Method::GET, PATH, 200, object("somebody", "1"))]);
    let (context, _writers) = context(client);
    let foreign = Applied::Foreign { kind: "NetworkPolicy".into(), name: "example".into() };
    assert_eq!(apply_one(&context).await.unwrap(), foreign);
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
    assert_eq!(apply_one(&context).await.unwrap(), Applied::Done);
    drop(context);
    let patch = requests.await.unwrap().pop().unwrap();
    for part in ["force=true", "fieldManager=xmpp-federation-operator", "fieldValidation=Strict"] {
        assert!(patch.contains(part), "{patch}");
    }
}

#[tokio::test]
async fn a_conflict_ends_the_pass_and_is_tried_again() {
    let conflict = failure(409, "Conflict", "the object has been modified");
    let (client, requests) = server(vec![not_found(), call(Method::PATCH, PATH, 409, conflict)]);
    let (context, _writers) = context(client);
    let error = apply_one(&context).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
    assert_eq!(error.result(), crate::metrics::ReconcileResult::Conflict);
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn a_missing_permission_becomes_a_condition() {
    let forbidden = failure(403, "Forbidden", "cannot patch networkpolicies");
    let (client, requests) = server(vec![not_found(), call(Method::PATCH, PATH, 403, forbidden)]);
    let (context, _writers) = context(client);
    let applied = apply_one(&context).await.unwrap();
    assert_eq!(
        applied,
        Applied::Forbidden {
            action: "apply NetworkPolicy example".into(),
            message: "cannot patch networkpolicies".into()
        }
    );
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn what_the_api_server_refuses_becomes_a_condition() {
    let invalid = failure(422, "Invalid", "spec.podSelector: Invalid value");
    let (client, requests) = server(vec![not_found(), call(Method::PATCH, PATH, 422, invalid)]);
    let (context, _writers) = context(client);
    assert!(matches!(apply_one(&context).await.unwrap(), Applied::Refused { .. }));
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn an_api_server_that_fails_is_named_with_what_was_tried() {
    let broken = failure(500, "InternalError", "etcd is gone");
    let (client, requests) = server(vec![not_found(), call(Method::PATCH, PATH, 500, broken)]);
    let (context, _writers) = context(client);
    let text = apply_one(&context).await.unwrap_err().to_string();
    assert!(
        text.contains("apply NetworkPolicy example") && text.contains("etcd is gone"),
        "{text}"
    );
    drop(context);
    requests.await.unwrap();
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
    assert_eq!(apply_one(&context).await.unwrap(), Applied::Done);
    feed(&mut writers, "NetworkPolicy", object(UID, "7"));
    assert_eq!(apply_one(&context).await.unwrap(), Applied::Done);
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
    apply_one(&context).await.unwrap();
    feed(&mut writers, "NetworkPolicy", object(UID, "8"));
    apply_one(&context).await.unwrap();
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
    assert_eq!(apply(&context, &reference(), &federation, &[]).await.unwrap(), Applied::Done);
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
    let applied = apply(&context, &reference(), &validated(&spec), &[network_policy()]).await;
    assert_eq!(applied.unwrap(), Applied::Paused);
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
    report::status(&context, &object, &second).await.unwrap();
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
        seen.address_changed = status::address_changed(old, address.as_ref(), seen.now);
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
fn the_condition_of_a_domain_is_damped_with_that_of_the_federation() {
    use ConditionStatus::{False, True};
    let mut spec = smallest();
    spec["domains"] = json!([{"name": "example.com"}, {"name": "example.org"}]);
    let validated = validated(&spec);
    let judge = |old: &crds::XmppFederationStatus, failing: &Failing, lost: bool, seconds: i64| {
        let mut seen = evidence(&validated);
        seen.now = now() + jiff::SignedDuration::from_secs(seconds);
        if lost {
            seen.dns.services.retain(|(owner, _)| !owner.ends_with("example.org"));
            let of_org = seen.dns.looked_for.services.iter();
            let of_org = of_org.filter(|(owner, _)| owner.ends_with("example.org"));
            seen.dns.services.extend(of_org.map(|(owner, _)| (owner.clone(), reported([].into()))));
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
    // 13 rungs and `Ready` turned True, one event each.
    let mut calls = vec![call(
        Method::PATCH,
        "/namespaces/im/xmppfederations/example/status",
        200,
        serde_json::to_value(federation(&smallest())).unwrap(),
    )];
    calls.extend((0..14).map(|_| {
        let path = "/apis/events.k8s.io/v1/namespaces/im/events";
        call(Method::POST, path, 201, json!({"metadata": {"name": "e"}, "eventTime": null}))
    }));
    let (client, requests) = server(calls);
    let (context, _writers) = context(client);
    report::status(&context, &federation(&smallest()), &judged).await.unwrap();
    drop(context);
    requests.await.unwrap();
}

/// A client for which the API server has these Secrets, and a task that answers until the client is dropped.
fn secrets(found: Vec<Value>) -> (Client, JoinHandle<()>) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let task = tokio::spawn(async move {
        while let Some((request, answer)) = handle.next_request().await {
            let name = request.uri().path().rsplit('/').next().unwrap().to_owned();
            let secret = found.iter().find(|secret| secret["metadata"]["name"] == json!(name));
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
    let found = Box::pin(super::dereference::dereference(&client, &federation, now));
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
