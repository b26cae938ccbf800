//! How soon the status shows a fault, on a real API server, by the times at which the server received the requests and by the
//! times of the conditions.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::net::TcpListener;
use std::time::Duration;

use crds::condition::ConditionType;
use jiff::Timestamp;
use lab::apiserver::{ApiServer, Program};
use lab::conditions::Snapshot;
use lab::installed::{Release, create_example, install, snapshot, start_operator};
use lab::wait::{Seen, Wait, slowness};
use lab::webhook::validating as webhook;
use serde_json::{Value, json};

/// Maximum time for one change on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);
/// A new federation has all its conditions within this time, whatever fails.
const FIRST_STATUS: Duration = Duration::from_secs(5);
/// A cause that is gone is noticed within this time.
const RECOVERY: Duration = Duration::from_secs(10);
/// The trouble of a pod is in the status within this time.
const POD_TROUBLE: Duration = Duration::from_secs(15);

fn create(server: &ApiServer, namespace: &str) {
    server.kubectl().args(["create", "namespace", namespace]).ok().unwrap();
    create_example(server, namespace, &format!("{namespace}.example.com")).unwrap();
}

fn until(
    server: &ApiServer,
    operator: &mut Program,
    namespace: &str,
    what: &str,
    wanted: impl Fn(&Snapshot) -> bool,
) -> Snapshot {
    let mut found = Snapshot::default();
    Wait::new(format!("{what} in namespace {namespace}"), LIMIT)
        .log(operator.log())
        .until(|| {
            operator.must_run()?;
            found = snapshot(server, namespace, "example")?;
            Ok(Seen::done_if(wanted(&found), found.table()))
        })
        .unwrap();
    found
}

/// Every condition exists.
fn is_whole(now: &Snapshot) -> bool {
    ConditionType::LADDER
        .iter()
        .chain([&ConditionType::Ready])
        .all(|type_| now.condition(type_.as_str()).is_some())
}

/// When the API server received the first request of this user and kind after `from`.
fn received(
    server: &ApiServer,
    user: &str,
    (verb, resource, namespace): (&str, &str, &str),
    from: Timestamp,
) -> Timestamp {
    let all = server.timed_requests().unwrap();
    let found = all.iter().find(|one| {
        one.user == user
            && one.request.verb == verb
            && one.request.resource == resource
            && one.request.namespace == namespace
            && one.at >= from
    });
    found.unwrap_or_else(|| panic!("no {verb} {resource} of {user}")).at
}

#[test]
fn a_webhook_that_never_answers_delays_no_condition_and_its_end_is_noticed_soon() {
    let server = install(&[]).unwrap();
    let mut operator = start_operator(&server).unwrap();
    // The listings of the start are over.
    create(&server, "first");
    until(&server, &mut operator, "first", "every condition", is_whole);
    let own = Release::usual(&[]).account();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    for (namespace, group, resource) in
        [("of-services", "", "services"), ("of-deployments", "apps", "deployments")]
    {
        server.apply(&webhook(namespace, namespace, group, resource, &url)).unwrap();
        create(&server, namespace);
        until(&server, &mut operator, namespace, "every condition", is_whole);
        let begun = received(
            &server,
            "admin",
            ("patch", "xmppfederations", namespace),
            Timestamp::UNIX_EPOCH,
        );
        let status = ("patch", "xmppfederations/status", namespace);
        let first = received(&server, &own, status, begun).duration_since(begun).unsigned_abs();
        println!("{namespace}: every condition after {first:?}");
        assert!(first < FIRST_STATUS * slowness(), "{first:?}");

        let failed = until(&server, &mut operator, namespace, "Accepted=False", |now| {
            now.has("Accepted", "False", "ApplyFailed")
        });
        let message = &failed.condition("Accepted").unwrap().message;
        assert!(message.contains(&format!("{namespace}.example.com")), "{message}");

        server
            .kubectl()
            .args(["delete", "validatingwebhookconfiguration", namespace])
            .ok()
            .unwrap();
        let gone = Timestamp::now();
        let good = until(&server, &mut operator, namespace, "Accepted=True", |now| {
            now.is_true("Accepted")
        });
        // The times of conditions are whole seconds.
        let turned = transition(&good, "Accepted");
        let after = turned.duration_since(gone);
        println!("{namespace}: Accepted {after:#} after the end of the webhook");
        let after = Duration::try_from(after).unwrap_or_default();
        assert!(after < RECOVERY * slowness(), "{after:?}");
    }
}

/// When a condition changed its status.
fn transition(now: &Snapshot, kind: &str) -> Timestamp {
    let conditions = now.object["status"]["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|condition| condition["type"] == kind).unwrap();
    found["lastTransitionTime"].as_str().unwrap().parse().unwrap()
}

/// Creates a pod of the engine with this status, as the kubelet would report it. Returns when it was created.
fn pod(server: &ApiServer, name: &str, revision: &str, status: &Value) -> Timestamp {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "im",
            "labels": {
                "xmppfederation.dev/federation": "example", "pod-template-hash": revision
            }
        },
        "spec": {
            "automountServiceAccountToken": false,
            "serviceAccountName": "example",
            "containers": [{"name": "engine", "image": "engine"}]
        }
    });
    server.apply(&pod.to_string()).unwrap();
    let patch = ["patch", "pod", name, "-n", "im", "--subresource=status", "--type=merge", "-p"];
    server.kubectl().args(patch).arg(json!({"status": status}).to_string()).ok().unwrap();
    let get = ["get", "pod", name, "-n", "im", "-o", "jsonpath={.metadata.creationTimestamp}"];
    server.kubectl().args(get).stdout().unwrap().trim().parse().unwrap()
}

#[test]
fn an_image_that_cannot_be_pulled_is_named_soon_although_the_pods_before_it_serve() {
    let server = install(&[]).unwrap();
    let mut operator = start_operator(&server).unwrap();
    // `install` has created the namespace.
    create_example(&server, "im", "im.example.com").unwrap();
    until(&server, &mut operator, "im", "EngineReady=False", |now| {
        now.has("EngineReady", "False", "RollingOut")
    });
    let ready = json!({"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]});
    pod(&server, "example-1", "old", &ready);
    let status = json!({"status": {
        "observedGeneration": 1, "replicas": 2, "updatedReplicas": 1, "readyReplicas": 1,
        "availableReplicas": 1
    }});
    let patch = ["patch", "deployment", "example", "-n", "im", "--subresource=status"];
    let patch = server.kubectl().args(patch).args(["--type=merge", "-p"]).arg(status.to_string());
    patch.ok().unwrap();
    until(&server, &mut operator, "im", "EngineReady=True", |now| now.is_true("EngineReady"));
    // Nothing listens there, so nobody says what the backend does.
    until(&server, &mut operator, "im", "BackendReady=Unknown", |now| {
        now.has("BackendReady", "Unknown", "EvidenceUnavailable")
    });

    let waiting = json!({"reason": "ErrImagePull", "message": "failed to resolve engine:missing"});
    let created = pod(
        &server,
        "example-2",
        "new",
        &json!({"containerStatuses": [{
            "name": "engine", "image": "engine:missing", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"waiting": waiting}
        }]}),
    );
    let named = until(&server, &mut operator, "im", "EngineReady=False", |now| {
        now.has("EngineReady", "False", "ImagePullFailed")
    });
    let message = &named.condition("EngineReady").unwrap().message;
    assert!(message.contains("engine:missing") && message.contains("still serves"), "{message}");
    let after = transition(&named, "EngineReady").duration_since(created).unsigned_abs();
    println!("ImagePullFailed {after:?} after the creation of the pod");
    assert!(after < POD_TROUBLE * slowness(), "{after:?}");
}
