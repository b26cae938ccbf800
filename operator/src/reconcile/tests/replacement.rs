//! The order in which a Service is replaced.

use super::*;
use crate::reconcile::problem::Cause;
use crate::reconcile::replacement::{Replacement, ReplacementState};

const SERVICE: &str = "/api/v1/namespaces/im/services/example";
const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";

fn service() -> Child {
    let all = build::children(&validated(&smallest()), &given(), &settings()).unwrap();
    let is_outer = |child: &Child| {
        child.resource.kind == "Service" && child.object.metadata.name.as_deref() == Some("example")
    };
    all.into_iter().find(is_outer).unwrap()
}

fn existing(finalizers: &[&str], deleted: bool) -> Value {
    let mut existing = object(UID, "1");
    existing["apiVersion"] = json!("v1");
    existing["kind"] = json!("Service");
    existing["metadata"]["finalizers"] = json!(finalizers);
    if deleted {
        existing["metadata"]["deletionTimestamp"] = json!("2026-11-01T12:00:00Z");
    }
    existing["spec"] = json!({"type": "LoadBalancer", "clusterIPs": ["10.96.0.9"]});
    existing["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}});
    existing
}

/// The answer of the API server to a change of `loadBalancerClass`.
fn immutable() -> Value {
    let mut answer = failure(
        422,
        "Invalid",
        "Service \"example\" is invalid: spec.loadBalancerClass: Invalid value: null: may not change once set",
    );
    answer["details"] = json!({"causes": [{
        "reason": "FieldValueInvalid",
        "message": "Invalid value: null: may not change once set",
        "field": "spec.loadBalancerClass"
    }]});
    answer
}

/// Applies the Service of a federation with or without the annotation; the answers after the first lookup.
async fn applied(allowed: bool, answers: Vec<Call>) -> Applied {
    let mut calls = vec![call(Method::GET, SERVICE, 200, existing(&[], false))];
    calls.extend(answers);
    let (client, requests) = server(calls);
    let (context, _writers) = context(client);
    let mut federation = validated(&smallest());
    federation.replace_service = allowed;
    let outcome = apply(&context, &reference(), &federation, &[service()], false).await;
    drop(context);
    requests.await.unwrap();
    outcome.applied
}

fn replacement(state: ReplacementState) -> Applied {
    let addresses = vec!["192.0.2.7".into()];
    let replacement = Replacement { name: "example".into(), addresses, state };
    Applied { replacement: Some(replacement), ..Applied::default() }
}

fn refused() -> Vec<Call> {
    vec![
        call(Method::PATCH, SERVICE, 422, immutable()),
        call(Method::GET, SERVICE, 200, existing(&[], false)),
    ]
}

fn tried(status: u16, body: Value) -> Vec<Call> {
    let mut calls = refused();
    calls.push(call(Method::POST, "services?&dryRun=All", status, body));
    calls
}

#[tokio::test]
async fn nothing_is_deleted_without_the_annotation() {
    let needed = applied(false, tried(201, existing(&[], false))).await;
    let refusal = "spec.loadBalancerClass: Invalid value: null: may not change once set".to_owned();
    assert_eq!(needed, replacement(ReplacementState::Needed { refusal }));
}

#[tokio::test]
async fn nothing_is_deleted_if_a_new_service_would_be_refused_as_well() {
    let invalid =
        failure(422, "Invalid", "spec.ports[0].nodePort: provided port is already allocated");
    let refused = applied(true, tried(422, invalid)).await;
    let [problem] = refused.problems.as_slice() else { panic!("{refused:?}") };
    assert_eq!((problem.kind.as_str(), problem.cause), ("Service", Cause::Invalid));
    assert_eq!(refused.replacement, None);
}

#[tokio::test]
async fn with_the_annotation_the_service_is_deleted_and_then_created() {
    let mut calls = tried(201, existing(&[], false));
    calls.push(call(Method::DELETE, SERVICE, 200, existing(&[], false)));
    calls.push(call(Method::PATCH, SERVICE, 201, existing(&[], false)));
    assert_eq!(applied(true, calls).await, Applied::default());
}

#[tokio::test]
async fn a_finalizer_is_waited_for() {
    let mut calls = tried(201, existing(&[], false));
    calls.push(call(Method::DELETE, SERVICE, 200, existing(&[FINALIZER], true)));
    let deleting = replacement(ReplacementState::Deleting { finalizers: vec![FINALIZER.into()] });
    assert_eq!(applied(true, calls).await, deleting);
    // A later pass finds the same, and asks for nothing else.
    let calls = vec![
        call(Method::PATCH, SERVICE, 422, immutable()),
        call(Method::GET, SERVICE, 200, existing(&[FINALIZER], true)),
    ];
    assert_eq!(applied(true, calls).await, deleting);
}

#[tokio::test]
async fn other_children_are_applied_although_the_service_waits() {
    let mut calls = vec![call(Method::GET, SERVICE, 200, existing(&[], false))];
    calls.extend(tried(201, existing(&[], false)));
    calls.push(call(Method::GET, PATH, 404, failure(404, "NotFound", "not found")));
    calls.push(call(Method::PATCH, PATH, 201, object(UID, "1")));
    let (client, requests) = server_in_any_order(calls);
    let (context, _writers) = context(client);
    let children = [service(), network_policy()];
    let outcome = apply(&context, &reference(), &validated(&smallest()), &children, false).await;
    assert!(outcome.applied.replacement.is_some(), "{outcome:?}");
    drop(context);
    requests.await.unwrap();
}

#[tokio::test]
async fn a_service_of_somebody_else_is_never_deleted() {
    let mut foreign = existing(&[], false);
    foreign["metadata"]["ownerReferences"][0]["uid"] = json!("somebody");
    let calls = vec![
        call(Method::PATCH, SERVICE, 422, immutable()),
        call(Method::GET, SERVICE, 200, foreign),
    ];
    let refused = applied(true, calls).await;
    let [problem] = refused.problems.as_slice() else { panic!("{refused:?}") };
    assert_eq!((problem.kind.as_str(), problem.cause), ("Service", Cause::Invalid));
    assert_eq!(refused.replacement, None);
}

#[test]
fn only_the_value_true_of_the_annotation_allows_it() {
    for (value, allowed) in [("true", true), ("false", false), ("", false)] {
        let mut object = federation(&smallest());
        let annotation = (crds::ALLOW_SERVICE_REPLACEMENT.to_owned(), value.to_owned());
        object.metadata.annotations = Some([annotation].into());
        let validated = crate::federation::validated::validate(&object, &[]).unwrap();
        assert_eq!(validated.replace_service, allowed, "{value:?}");
    }
}
