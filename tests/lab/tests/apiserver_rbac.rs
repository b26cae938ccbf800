//! Tests the chart's roles on a real API server. They permit the operator's actions and nothing else, and the operator
//! works within them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use crds::condition::ConditionType;
use lab::apiserver::{ApiServer, Program};
use lab::error::Result;
use lab::installed::{ACCOUNT, NAMESPACE, create_example, install, start_operator};
use lab::parts::Part;
use lab::paths::Paths;
use lab::wait::{Seen, Wait};
use serde_json::{Value, json};

/// Waits until the operator has exactly the expected permissions in a namespace. The API server's authorizer reads
/// roles and bindings some time after their creation, including those of every account. Earlier requests are refused.
fn wait_for_permissions(server: &ApiServer, namespace: &str, wanted: &BTreeSet<String>) {
    Wait::new(format!("the operator's permissions in namespace {namespace}"), PERMISSIONS)
        .until(|| {
            let found = match permissions(server, namespace) {
                Ok(found) => found,
                Err(error) => return Ok(Seen::NotYet(error.to_string())),
            };
            let missing: Vec<_> = wanted.difference(&found).collect();
            let superfluous: Vec<_> = found.difference(wanted).collect();
            let seen = format!("missing {missing:?}, superfluous {superfluous:?}");
            Ok(Seen::done_if(found == *wanted, seen))
        })
        .unwrap();
}

/// Maximum time for the authorizer to load the roles.
const PERMISSIONS: Duration = Duration::from_mins(3);

/// All permissions of the operator in a namespace, as `verb group/resource`.
fn permissions(server: &ApiServer, namespace: &str) -> Result<BTreeSet<String>> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace}
    });
    let run =
        server.kubectl_as(ACCOUNT).args(["create", "--validate=false", "-f", "-", "-o", "json"]);
    let review: Value = run.input(review.to_string()).json()?;
    assert_eq!(review["status"]["incomplete"], json!(false), "{review}");
    let words = |rule: &Value, key: &str| -> Vec<String> {
        let list = rule[key].as_array().cloned().unwrap_or_default();
        list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut found = BTreeSet::new();
    for rule in review["status"]["resourceRules"].as_array().unwrap() {
        for (group, resource, verb) in words(rule, "apiGroups").iter().flat_map(|group| {
            words(rule, "resources").into_iter().flat_map(move |resource| {
                words(rule, "verbs")
                    .into_iter()
                    .map(move |verb| (group.clone(), resource.clone(), verb))
            })
        }) {
            // Every account is allowed to query its own permissions.
            if group != "authorization.k8s.io" && group != "authentication.k8s.io" {
                found.insert(format!("{verb} {group}/{resource}"));
            }
        }
    }
    Ok(found)
}

const NODES: (&str, &str) = ("/nodes", "list watch");
const NETWORKS: (&str, &str) = ("networking.k8s.io/servicecidrs", "list");
/// The operator's own lease.
const LEASE: (&str, &str) = ("coordination.k8s.io/leases", "get create patch");
/// The leases of operators that serve one namespace.
const LEASES: (&str, &str) = ("coordination.k8s.io/leases", "list watch");
/// The lease of earlier versions.
const EARLIER: (&str, &str) = ("coordination.k8s.io/leases", "get");
/// The namespace of the operator's own lease.
const OF_LEASE: &str = "kube-system";

/// The list from the operator's documentation of its context, written out.
fn expected(extra: &[(&str, &str)]) -> BTreeSet<String> {
    const CHILD: &str = "get list watch create patch delete";
    [
        ("xmppfederation.dev/xmppfederations", "get list watch"),
        ("xmppfederation.dev/xmppfederations/status", "patch"),
        ("xmppfederation.dev/xmppfederations/finalizers", "update"),
        ("xmppfederation.dev/xmppprobereports", "list watch delete"),
        ("/services", CHILD),
        ("/configmaps", CHILD),
        ("/secrets", CHILD),
        ("/serviceaccounts", CHILD),
        ("apps/deployments", CHILD),
        ("networking.k8s.io/networkpolicies", CHILD),
        ("policy/poddisruptionbudgets", CHILD),
        ("externaldns.k8s.io/dnsendpoints", CHILD),
        ("cert-manager.io/certificates", CHILD),
        ("cert-manager.io/certificaterequests", "get list watch"),
        ("acme.cert-manager.io/orders", "get list watch"),
        ("acme.cert-manager.io/challenges", "get list watch"),
        ("/pods", "get list watch"),
        ("/events", "list watch"),
        ("events.k8s.io/events", "create patch"),
    ]
    .iter()
    .chain(extra)
    .flat_map(|(resource, verbs)| verbs.split(' ').map(move |verb| format!("{verb} {resource}")))
    .collect()
}

#[test]
fn cluster_wide_the_roles_permit_what_the_operator_does_and_nothing_else() {
    let server = install(&[]).unwrap();
    wait_for_permissions(&server, "im", &expected(&[NODES, NETWORKS, LEASES]));
    wait_for_permissions(&server, NAMESPACE, &expected(&[NODES, NETWORKS, LEASES, EARLIER]));
    wait_for_permissions(&server, OF_LEASE, &expected(&[NODES, NETWORKS, LEASES, LEASE]));
    let may = |question: &[&str]| {
        let run = server.kubectl_as(ACCOUNT).args(["auth", "can-i"]).args(question);
        run.output().unwrap().status.success()
    };
    assert!(may(&["watch", "secrets", "-A"]));
    for never in [
        &["create", "clusterrolebindings"][..],
        &["create", "pods", "--subresource=exec"],
        &["create", "serviceaccounts", "--subresource=token"],
        &["update", "xmppfederations"],
        &["delete", "nodes"],
        &["patch", "pods"],
        // The lease of another program in that namespace.
        &["patch", "leases/kube-scheduler", "-n", OF_LEASE],
        &["impersonate", "users"],
    ] {
        assert!(!may(never), "{never:?}");
    }
}

#[test]
fn in_one_namespace_the_operator_may_do_nothing_in_others() {
    let server = install(&["rbac.clusterWide=false"]).unwrap();
    wait_for_permissions(&server, NAMESPACE, &expected(&[LEASE]));
    assert_eq!(permissions(&server, "im").unwrap(), BTreeSet::new());
}

#[test]
fn the_operator_lives_within_its_roles() {
    let paths = Paths::from_env().unwrap();
    let server = install(&[]).unwrap();
    let endpoints = Part::ExternalDns.file(&paths, "dnsendpoints.yaml").unwrap();
    server.kubectl().args(["apply", "-f"]).arg(endpoints).ok().unwrap();
    wait_for_permissions(&server, "im", &expected(&[NODES, NETWORKS, LEASES]));
    wait_for_permissions(&server, NAMESPACE, &expected(&[NODES, NETWORKS, LEASES, EARLIER]));
    wait_for_permissions(&server, OF_LEASE, &expected(&[NODES, NETWORKS, LEASES, LEASE]));
    // The requests of the review above, which may have been refused.
    let user = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    let before = server.requests_of(&user).unwrap().len();
    let mut operator = start_operator(&server).unwrap();
    create_example(&server, "im", "example.com").unwrap();
    // More reports than stay.
    server.apply(&reports(40).to_string()).unwrap();
    let mut children: BTreeSet<String> = [
        "configmap/example-backend-ca",
        "configmap/example-engine",
        "deployment.apps/example",
        "networkpolicy.networking.k8s.io/example",
        "poddisruptionbudget.policy/example",
        "secret/example-backend-ca",
        "secret/example-backend-tls",
        "secret/example-control",
        "secret/example-dialback",
        "secret/example-tls-self-signed",
        "secret/example-tls-serving",
        "service/example",
        "service/example-backend",
        "serviceaccount/example",
    ]
    .map(str::to_owned)
    .into();
    wait_for_children(&server, &mut operator, &children);
    // The status that the load balancer's controller would write. The target of the DNS records is known only after
    // that.
    let address = r#"{"status": {"loadBalancer": {"ingress": [{"ip": "198.18.80.1"}]}}}"#;
    let patch = ["patch", "service", "example", "-n", "im", "--subresource=status"];
    server.kubectl().args(patch).args(["--type=merge", "-p", address]).ok().unwrap();
    children.insert("dnsendpoint.externaldns.k8s.io/example-srv".into());
    wait_for_children(&server, &mut operator, &children);
    wait_for_ladder(&server, &mut operator);
    // The specification is reduced: the operator must delete objects that are no longer needed.
    let less = r#"{"spec": {"replicas": 1, "dns": {"mode": "Manual"}}}"#;
    let patch = ["patch", "xfed", "example", "-n", "im", "--type=merge", "-p", less];
    server.kubectl().args(patch).ok().unwrap();
    let fewer = children
        .into_iter()
        .filter(|child| !child.starts_with("poddisruption") && !child.starts_with("dnsendpoint"))
        .collect();
    wait_for_children(&server, &mut operator, &fewer);

    // The audit log contains requests of the operator in every way that the roles are intended for. A request is logged
    // after it is answered, so shortly after its effect is visible.
    let wanted = [
        ("watch", "xmppfederations"),
        ("patch", "xmppfederations/status"),
        ("patch", "deployments"),
        ("delete", "poddisruptionbudgets"),
        ("delete", "dnsendpoints"),
        ("watch", "xmppprobereports"),
        ("delete", "xmppprobereports"),
        ("watch", "nodes"),
        ("watch", "leases"),
    ];
    let requests = Wait::new("the operator's requests in the audit log", Duration::from_mins(3))
        .log(operator.log())
        .until(|| {
            let requests = server.requests_of(&user)?.split_off(before);
            let made = |(verb, resource): &(&str, &str)| {
                requests.iter().any(|made| made.verb == *verb && made.resource == *resource)
            };
            let missing: Vec<_> = wanted.iter().filter(|request| !made(request)).collect();
            if missing.is_empty() {
                return Ok(Seen::Done(requests));
            }
            Ok(Seen::NotYet(format!("no {missing:?} among {} requests", requests.len())))
        })
        .unwrap();
    let denied: BTreeSet<_> = requests.iter().filter(|request| request.code == 403).collect();
    assert_eq!(denied, BTreeSet::new());
}

/// Probes that the administrator reports.
fn reports(number: usize) -> Value {
    let report = |n: usize| {
        json!({
            "apiVersion": "xmppfederation.dev/v1alpha1", "kind": "XmppProbeReport",
            "metadata": {"name": format!("report-{n}"), "namespace": "im"},
            "spec": {
                "federation": "example", "reporter": "admin", "vantage": "laptop",
                "results": [{"address": "198.18.80.1:5269", "domain": "example.com",
                             "mode": "STARTTLS", "outcome": "TimedOut"}]
            }
        })
    };
    json!({"apiVersion": "v1", "kind": "List", "items": (0..number).map(report).collect::<Vec<_>>()})
}

fn wait_for_children(server: &ApiServer, operator: &mut Program, wanted: &BTreeSet<String>) {
    let kinds = "configmaps,deployments,dnsendpoints,networkpolicies,poddisruptionbudgets,secrets,services,serviceaccounts";
    let list = ["get", kinds, "-n", "im", "-l", "app.kubernetes.io/managed-by", "-o", "name"];
    Wait::new("the children", Duration::from_mins(3))
        .log(operator.log())
        .until(|| {
            operator.must_run()?;
            let listed = server.kubectl().args(list).stdout()?;
            let found: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
            let missing: Vec<_> = wanted.difference(&found).collect();
            let superfluous: Vec<_> = found.difference(wanted).collect();
            let seen = format!("missing {missing:?}, superfluous {superfluous:?}");
            Ok(Seen::done_if(found == *wanted, seen))
        })
        .unwrap();
}

/// Waits until all rungs exist, in order, and the first two are True: no request was forbidden on the way.
fn wait_for_ladder(server: &ApiServer, operator: &mut Program) {
    Wait::new("the ladder", Duration::from_mins(3))
        .log(operator.log())
        .until(|| {
            operator.must_run()?;
            let get = ["get", "xfed", "example", "-n", "im", "-o", "json"];
            let federation: Value = server.kubectl().args(get).json()?;
            let conditions = federation["status"]["conditions"].as_array().cloned();
            let seen: Vec<String> = conditions
                .unwrap_or_default()
                .iter()
                .map(|condition| {
                    let word = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
                    format!("{}={}/{}", word("type"), word("status"), word("reason"))
                })
                .collect();
            let types: Vec<&str> = seen.iter().filter_map(|s| s.split('=').next()).collect();
            let ladder = ConditionType::LADDER.map(ConditionType::as_str);
            let whole = types.starts_with(&ladder) && types.contains(&"Ready");
            let held = seen.starts_with(&[
                "Accepted=True/Accepted".to_owned(),
                "ResolvedRefs=True/ResolvedRefs".to_owned(),
                "CertificateReady=True/SelfSigned".to_owned(),
            ]);
            Ok(Seen::done_if(whole && held, seen.join(" ")))
        })
        .unwrap();
}

#[test]
fn a_service_that_cannot_change_is_replaced_with_the_annotation_and_keeps_its_siblings() {
    const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
    let paths = Paths::from_env().unwrap();
    let server = install(&[]).unwrap();
    let endpoints = Part::ExternalDns.file(&paths, "dnsendpoints.yaml").unwrap();
    server.kubectl().args(["apply", "-f"]).arg(endpoints).ok().unwrap();
    wait_for_permissions(&server, "im", &expected(&[NODES, NETWORKS, LEASES]));
    let mut operator = start_operator(&server).unwrap();
    create_example(&server, "im", "example.com").unwrap();
    let log = operator.log().to_owned();
    let mut until = |what: &str, wanted: &dyn Fn(&Value, &Value) -> bool| -> Value {
        Wait::new(what, Duration::from_mins(3))
            .log(&log)
            .until(|| {
                operator.must_run()?;
                let get = |kind: &str| -> Result<Value> {
                    let object = ["get", kind, "example", "-n", "im", "-o", "json"];
                    let found = server.kubectl().args(object).arg("--ignore-not-found").stdout()?;
                    Ok(serde_json::from_str(&found).unwrap_or_default())
                };
                let (service, federation) = (get("service")?, get("xfed")?);
                if wanted(&service, &federation) {
                    return Ok(Seen::Done(service));
                }
                Ok(Seen::NotYet(format!("{service} {}", address_assigned(&federation))))
            })
            .unwrap()
    };
    let patch = |kind: &str, more: &[&str], patch: &Value| {
        let object = ["patch", kind, "example", "-n", "im", "--type=merge"];
        let patch = patch.to_string();
        server.kubectl().args(object).args(more).args(["-p", patch.as_str()]).ok().unwrap();
    };
    // What the controller of a load balancer would write.
    let assign = |address: &str| {
        let ingress = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
        patch("service", &["--subresource=status"], &ingress);
    };
    let class = |class: &Value| {
        patch("xfed", &[], &json!({"spec": {"service": {"loadBalancerClass": class}}}));
    };
    let old = until("the Service", &|service, _| service["spec"].is_object());
    assign("198.18.80.1");
    patch("service", &[], &json!({"metadata": {"finalizers": [FINALIZER]}}));
    until("the address in the status", &|_, federation| {
        address_assigned(federation).contains("198.18.80.1")
    });
    let records = ["get", "dnsendpoint", "example-srv", "-n", "im", "--ignore-not-found"];
    until("the records", &|_, _| !server.kubectl().args(records).stdout().unwrap().is_empty());
    let before = siblings(&server);

    // The API server refuses the change, and nothing is deleted.
    class(&json!("lb.example/one"));
    let kept = until("the refusal in the status", &|_, federation| {
        let shown = address_assigned(federation);
        shown.starts_with("ReplacementNeeded")
            && ["spec.loadBalancerClass", "198.18.80.1", crds::ALLOW_SERVICE_REPLACEMENT]
                .iter()
                .all(|part| shown.contains(part))
    });
    assert_eq!(kept["metadata"]["uid"], old["metadata"]["uid"]);
    assert_eq!(kept["metadata"]["deletionTimestamp"], Value::Null);

    // With the annotation, the operator deletes it and waits for the finalizer.
    let allow = json!({"metadata": {"annotations": {crds::ALLOW_SERVICE_REPLACEMENT: "true"}}});
    patch("xfed", &[], &allow);
    let deleting = until("the deletion in the status", &|_, federation| {
        let shown = address_assigned(federation);
        shown.starts_with("ReplacementInProgress") && shown.contains(FINALIZER)
    });
    assert_eq!(deleting["metadata"]["uid"], old["metadata"]["uid"]);
    patch("service", &[], &json!({"metadata": {"finalizers": null}}));
    let mut last = until("the new Service", &|service, _| {
        service["spec"]["loadBalancerClass"] == json!("lb.example/one")
    });
    assert_ne!(last["metadata"]["uid"], old["metadata"]["uid"]);

    // Without a finalizer, it is replaced at once.
    for wanted in [json!("lb.example/two"), Value::Null] {
        class(&wanted);
        let next = until("the next Service", &|service, _| {
            service["spec"].is_object() && service["spec"]["loadBalancerClass"] == wanted
        });
        assert_ne!(next["metadata"]["uid"], last["metadata"]["uid"], "{wanted}");
        last = next;
    }
    // The API server accepts another type in place.
    class(&json!("lb.example/one"));
    let last = until("the Service with a class", &|service, _| {
        service["spec"]["loadBalancerClass"] == json!("lb.example/one")
    });
    for kind in ["NodePort", "ClusterIP"] {
        let service = json!({"type": kind, "loadBalancerClass": null});
        patch("xfed", &[], &json!({"spec": {"service": service}}));
        let same = until("another type", &|service, _| service["spec"]["type"] == json!(kind));
        assert_eq!(same["metadata"]["uid"], last["metadata"]["uid"]);
        until("no need for an address", &|_, federation| {
            let shown = address_assigned(federation);
            let (reason, message) = shown.split_once(' ').unwrap_or_default();
            reason == "NotNeeded" && message.contains("Set spec.service.publicAddresses")
        });
    }
    assert_eq!(siblings(&server), before);
}

/// Reason and message of `AddressAssigned`.
fn address_assigned(federation: &Value) -> String {
    let conditions = federation["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == json!("AddressAssigned"));
    let word = |key: &str| found.and_then(|found| found[key].as_str()).unwrap_or_default();
    format!("{} {}", word("reason"), word("message"))
}

/// Identities of the children that a new Service must not cost.
fn siblings(server: &ApiServer) -> BTreeSet<String> {
    let kinds = "configmaps,deployments,dnsendpoints,networkpolicies,secrets,serviceaccounts";
    let columns = "-o=custom-columns=KIND:.kind,NAME:.metadata.name,UID:.metadata.uid";
    let list = ["get", kinds, "-n", "im", "-l", "app.kubernetes.io/managed-by", columns];
    server.kubectl().args(list).stdout().unwrap().lines().map(str::to_owned).collect()
}
