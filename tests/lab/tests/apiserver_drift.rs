//! Children that another field manager changes on a real API server. Each kind is restored, whatever of it was changed, and an
//! event names it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crds::FIELD_MANAGER;
use lab::apiserver::{ApiServer, Program};
use lab::error::Result;
use lab::installed::{Release, create_example, install, start_operator, until_exists};
use lab::parts::Part;
use lab::paths::Paths;
use lab::wait::{Seen, Wait, slowness};
use serde_json::{Value, json};

/// Maximum time for one change on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);
/// Time between the change and the request that restores it, as the API server received both: the median, and the longest on a
/// machine that is busy with other tests.
const RESTORED: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));
/// A label that every child has, and that selects nothing.
const LABEL: &str = "app.kubernetes.io/part-of";
/// What the other client sets.
const FOREIGN: &str = "somebody-else";
/// The Secret with the certificate that the pods serve, which is a copy of another one.
const SERVED: &str = "example-tls-serving";
/// The resources of the children, and a field of each that the operator sets, with the value of the other client.
const KINDS: &[(&str, &str, &str)] = &[
    ("serviceaccounts", "/automountServiceAccountToken", "true"),
    ("services", "/spec/selector/app.kubernetes.io~1component", "\"other\""),
    ("secrets", "", ""),
    ("configmaps", "", ""),
    ("networkpolicies", "/spec/policyTypes", "[\"Ingress\"]"),
    ("poddisruptionbudgets", "/spec/unhealthyPodEvictionPolicy", "\"IfHealthyBudget\""),
    ("dnsendpoints", "/spec/endpoints/0/recordTTL", "7"),
    ("deployments", "/spec/replicas", "7"),
];

/// One child.
#[derive(Clone, Debug)]
struct Child {
    resource: &'static str,
    kind: String,
    name: String,
    /// The field that is changed, if the operator builds its content anew.
    field: Option<String>,
    value: Value,
    /// An annotation that the operator sets.
    annotation: Option<String>,
}

impl Child {
    fn get(&self, server: &ApiServer) -> Result<Value> {
        server.kubectl().args(["get", self.resource, &self.name, "-n", "im", "-o", "json"]).json()
    }

    /// Changes it as another field manager.
    fn patch(&self, server: &ApiServer, patch: &Value) {
        let run = server.kubectl().args(["patch", self.resource, &self.name, "-n", "im"]);
        let run = run.args(["--field-manager", FOREIGN, "--type=json", "-p"]);
        run.arg(patch.to_string()).ok().unwrap();
    }
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The name of an entry of `data`, as a pointer.
fn entry(object: &Value) -> String {
    let data = object["data"].as_object().unwrap();
    format!("/data/{}", escaped(data.keys().next().unwrap()))
}

/// Every child of the federation.
fn children(server: &ApiServer) -> Result<Vec<Child>> {
    let mut all = Vec::new();
    let label = "xmppfederation.dev/federation=example";
    for (resource, field, value) in KINDS {
        let list = ["get", resource, "-n", "im", "-l", label, "-o", "json"];
        let list: Value = server.kubectl().args(list).json()?;
        for object in list["items"].as_array().unwrap() {
            let annotations = object["metadata"]["annotations"].as_object();
            let own = annotations.into_iter().flatten().map(|(key, _)| key);
            // Those of controllers and of kubectl are not the operator's.
            let mut own =
                own.filter(|key| !key.contains("kubernetes.io/") || key.contains("-dns."));
            let data = field.is_empty();
            let name = text(object, "/metadata/name");
            // The other Secrets are where the operator keeps what it has issued: another content is another key.
            let is_kept = *resource == "secrets" && name != SERVED;
            let field = if data { entry(object) } else { (*field).to_owned() };
            all.push(Child {
                resource,
                kind: text(object, "/kind"),
                name,
                field: Some(field).filter(|_| !is_kept),
                value: if data {
                    json!("Y2hhbmdlZA==")
                } else {
                    serde_json::from_str(value).unwrap()
                },
                annotation: own.next().cloned().filter(|_| *resource != "secrets"),
            });
        }
    }
    Ok(all)
}

/// A federation with every kind of child that needs no other product than external-dns.
fn start() -> (ApiServer, Program, Vec<Child>) {
    let paths = Paths::from_env().unwrap();
    let server = install(&[]).unwrap();
    let endpoints = Part::ExternalDns.file(&paths, "dnsendpoints.yaml").unwrap();
    server.kubectl().args(["apply", "-f"]).arg(&endpoints).ok().unwrap();
    let mut operator = start_operator(&server).unwrap();
    create_example(&server, "im", "example.com").unwrap();
    until_exists(&server, &mut operator, "im", "deployment/example").unwrap();
    let address = r#"{"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}"#;
    let patch = ["patch", "service", "example", "-n", "im", "--subresource=status"];
    server.kubectl().args(patch).args(["--type=merge", "-p", address]).ok().unwrap();
    until_exists(&server, &mut operator, "im", "dnsendpoint/example-srv").unwrap();
    until_quiet(&server);
    let children = children(&server).unwrap();
    let kinds: BTreeSet<_> = children.iter().map(|child| child.resource).collect();
    assert_eq!(kinds.len(), KINDS.len(), "{children:?}");
    (server, operator, children)
}

/// Waits until the operator has applied all that follows from the address.
fn until_quiet(server: &ApiServer) {
    let account = Release::usual(&[]).account();
    let mut known = 0;
    Wait::new("the operator to be done", LIMIT)
        .until(|| {
            let own = server.requests_of(&account)?;
            let applied = own.iter().filter(|one| one.verb == "patch").count();
            std::thread::sleep(Duration::from_secs(3));
            let done = std::mem::replace(&mut known, applied) == applied;
            Ok(Seen::done_if(done, format!("{applied} patches")))
        })
        .unwrap();
}

/// How often events report that this child was restored.
fn reported(server: &ApiServer, child: &Child) -> Result<u64> {
    let list = ["get", "events.v1.events.k8s.io", "-n", "im", "-o", "json"];
    let list: Value = server.kubectl().args(list).json()?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let about = items.iter().filter(|event| {
        event["reason"] == "DriftCorrected" && event["action"] == format!("Restore{}", child.kind)
    });
    // The first of a series has no count.
    Ok(about.map(|event| event["series"]["count"].as_u64().unwrap_or(1)).sum())
}

/// Changes a child, and returns after which time it was restored.
fn restored(server: &ApiServer, operator: &mut Program, child: &Child, patch: &Value) -> Duration {
    let pointer = text(&patch[0], "/path");
    let before = child.get(server).unwrap().pointer(&pointer).cloned();
    assert!(before.is_some(), "{child:?} has no {pointer}");
    child.patch(server, patch);
    Wait::new(format!("{} {} with its own {pointer} again", child.kind, child.name), LIMIT)
        .log(operator.log())
        .until(|| {
            operator.must_run()?;
            let now = child.get(server)?.pointer(&pointer).cloned();
            Ok(Seen::done_if(now == before, format!("{now:?}")))
        })
        .unwrap();
    let all = server.timed_requests().unwrap();
    let about = all.iter().filter(|one| {
        one.request.verb == "patch"
            && one.request.resource == child.resource
            && one.name == child.name
    });
    let own = Release::usual(&[]).account();
    let mut changed = None;
    let mut repaired = None;
    for one in about {
        if one.user != own {
            (changed, repaired) = (Some(one.at), None);
        } else if repaired.is_none() {
            repaired = Some(one.at);
        }
    }
    repaired.unwrap().duration_since(changed.unwrap()).unsigned_abs()
}

#[test]
fn whatever_another_client_changes_of_a_child_is_restored_with_one_event() {
    let (server, mut operator, children) = start();
    let mut restorations: BTreeMap<String, u64> = BTreeMap::new();
    let mut times = Vec::new();
    for child in &children {
        let label = format!("/metadata/labels/{}", escaped(LABEL));
        let mut patches = vec![
            ("label changed", json!([{"op": "replace", "path": label, "value": FOREIGN}])),
            ("label removed", json!([{"op": "remove", "path": label}])),
        ];
        if let Some(field) = &child.field {
            let changed = json!([{"op": "replace", "path": field, "value": child.value}]);
            patches.push(("field changed", changed));
        }
        if let Some(annotation) = &child.annotation {
            let path = format!("/metadata/annotations/{}", escaped(annotation));
            let changed = json!([{"op": "replace", "path": path, "value": FOREIGN}]);
            patches.push(("annotation changed", changed));
        }
        for (what, patch) in patches {
            let after = restored(&server, &mut operator, child, &patch);
            println!("{} {}: {what}: restored after {after:?}", child.kind, child.name);
            times.push(after);
            *restorations.entry(child.kind.clone()).or_default() += 1;
        }
        let expected = restorations[&child.kind];
        Wait::new(format!("{expected} events about {}", child.kind), LIMIT)
            .log(operator.log())
            .until(|| {
                let events = reported(&server, child)?;
                Ok(Seen::done_if(events == expected, format!("{events} events")))
            })
            .unwrap();
    }
    times.sort_unstable();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    println!("restored after {median:?} in the median, {longest:?} at most");
    let (usual, busy) = RESTORED;
    assert!(median < usual * slowness() && longest < busy * slowness(), "{times:?}");
    assert!(
        children.iter().any(|child| child.annotation.is_some() && child.kind == "Service"),
        "{FIELD_MANAGER} sets annotations of the Service: {children:?}"
    );
}

#[test]
fn what_others_add_to_a_child_stays_and_is_no_drift() {
    let (server, mut operator, children) = start();
    for child in &children {
        let more = r#"{"metadata": {"labels": {"team": "chat"}, "annotations": {"team": "chat"}}}"#;
        let patch = ["patch", child.resource, &child.name, "-n", "im", "--type=merge", "-p", more];
        server.kubectl().args(patch).ok().unwrap();
    }
    // Restored after all of them, so the operator has seen them.
    let policy = children.iter().find(|child| child.kind == "NetworkPolicy").unwrap();
    let remove = json!([{"op": "remove", "path": format!("/metadata/labels/{}", escaped(LABEL))}]);
    restored(&server, &mut operator, policy, &remove);
    until_quiet(&server);
    for child in &children {
        let now = child.get(&server).unwrap();
        assert_eq!(now["metadata"]["labels"]["team"], "chat", "{child:?}");
        assert_eq!(now["metadata"]["annotations"]["team"], "chat", "{child:?}");
        let expected = u64::from(child.kind == policy.kind);
        assert_eq!(reported(&server, child).unwrap(), expected, "{child:?}");
    }
}
