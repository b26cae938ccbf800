//! Passes against an API server that answers as the test says: failures that a real one cannot be made to show at will.

mod applying;
mod away;
mod drift;
mod issued;
mod large;
mod passes;
mod replacement;
mod serving;
mod verdicts;

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

use super::apply::{Outcome, alone, apply};
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
    apply(context, &reference(), &validated(&smallest()), children, false).await
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

fn metadata(object: Value) -> Metadata {
    serde_json::from_value(object).unwrap()
}

fn feed(writers: &mut [(ApiResource, Writer)], kind: &str, object: Value) {
    let (_, writer) = writers.iter_mut().find(|(resource, _)| resource.kind == kind).unwrap();
    writer.apply_watcher_event(&watcher::Event::Apply(metadata(object)));
}
