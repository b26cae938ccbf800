//! The operator on a real API server that refuses what the operator needs: a policy, a webhook, a quota, a permission, a
//! kind that is removed. Every condition is judged all the same, the refusal is quoted, and it ends with its cause.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use crds::condition::ConditionType;
use lab::apiserver::{ApiServer, Program};
use lab::conditions::Snapshot;
use lab::installed::{create_example, exists, install, snapshot, start_operator, until_exists};
use lab::parts::Part;
use lab::paths::Paths;
use lab::wait::{Seen, Wait};
use lab::webhook::validating as webhook;
use serde_json::{Value, json};

/// Maximum time for one change on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);

/// A federation in a namespace of its own, with a domain and resolvers of its own: nothing answers there, and nothing
/// leaves the machine.
fn create(server: &ApiServer, namespace: &str) -> Instant {
    // The namespaces of earlier calls exist already.
    server.kubectl().args(["create", "namespace", namespace]).output().unwrap();
    let begun = Instant::now();
    create_example(server, namespace, &format!("{namespace}.example.com")).unwrap();
    begun
}

/// Waits until every condition of the ladder exists and one of them has this status and reason; returns the message.
fn until(
    server: &ApiServer,
    operator: &mut Program,
    namespace: &str,
    (kind, status, reason): (&str, &str, &str),
) -> String {
    let begun = Instant::now();
    let mut message = String::new();
    Wait::new(format!("{kind}={status}/{reason} in namespace {namespace}"), LIMIT)
        .log(operator.log())
        .until(|| {
            operator.must_run()?;
            let now = snapshot(server, namespace, "example")?;
            let whole = ConditionType::LADDER
                .iter()
                .chain([&ConditionType::Ready])
                .all(|type_| now.condition(type_.as_str()).is_some());
            message = now.condition(kind).map(|c| c.message.clone()).unwrap_or_default();
            Ok(Seen::done_if(whole && now.has(kind, status, reason), now.table()))
        })
        .unwrap();
    println!("{namespace}: {kind}={status}/{reason} after {:?}", begun.elapsed());
    message
}

#[test]
fn what_the_api_server_refuses_is_quoted_and_everything_else_is_judged() {
    let server = install(&[]).unwrap();
    let mut operator = start_operator(&server).unwrap();
    let failed = ("Accepted", "False", "ApplyFailed");
    let accepted = ("Accepted", "True", "Accepted");

    // A policy that denies Services.
    server
        .apply(
            "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-services}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: policy}}
    resourceRules:
      - {apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [services]}
  validations: [{expression: 'false', message: 'no Services on Sundays'}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-services}
spec: {policyName: no-services, validationActions: [Deny]}
",
        )
        .unwrap();
    // The API server puts a policy into effect some time after its creation.
    Wait::new("the policy to be in effect", LIMIT)
        .until(|| {
            server.kubectl().args(["create", "namespace", "policy"]).output()?;
            let probe = ["create", "service", "clusterip", "x", "--tcp=1", "-n", "policy"];
            let denied = server.kubectl().args(probe).arg("--dry-run=server").output()?;
            let text = String::from_utf8_lossy(&denied.stderr).into_owned();
            Ok(Seen::done_if(text.contains("on Sundays"), text))
        })
        .unwrap();
    create(&server, "policy");
    let message = until(&server, &mut operator, "policy", failed);
    assert!(message.contains("no Services on Sundays"), "{message}");
    assert!(!message.contains("service account"), "{message}");
    assert!(
        exists(&server, "policy", "deployment/example").unwrap(),
        "the other children are applied"
    );
    let now = snapshot(&server, "policy", "example").unwrap();
    assert!(now.is_true("CertificateReady") && now.has("Ready", "False", "Accepted"), "{now:?}");
    server
        .kubectl()
        .args(["delete", "validatingadmissionpolicybinding", "no-services"])
        .ok()
        .unwrap();
    until(&server, &mut operator, "policy", accepted);
    assert!(exists(&server, "policy", "service/example").unwrap());

    // A webhook that nothing serves, and one that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("https://{}/", silent.local_addr().unwrap());
    for (name, url) in [("refused", "https://127.0.0.1:1/"), ("silent", &silent_url)] {
        server.apply(&webhook(name, name, "", "services", url)).unwrap();
        create(&server, name);
        let message = until(&server, &mut operator, name, failed);
        assert!(message.contains("failed calling webhook"), "{name}: {message}");
        server.kubectl().args(["delete", "validatingwebhookconfiguration", name]).ok().unwrap();
        until(&server, &mut operator, name, accepted);
    }

    // A quota. No controller counts here, so the test states what is used.
    server.kubectl().args(["create", "namespace", "quota"]).ok().unwrap();
    let quota = ["create", "quota", "small", "--hard=count/services=0", "-n", "quota"];
    server.kubectl().args(quota).ok().unwrap();
    let status =
        r#"{"status": {"hard": {"count/services": "0"}, "used": {"count/services": "0"}}}"#;
    let patch = ["patch", "quota", "small", "-n", "quota", "--subresource=status", "--type=merge"];
    server.kubectl().args(patch).args(["-p", status]).ok().unwrap();
    create(&server, "quota");
    let message = until(&server, &mut operator, "quota", failed);
    assert!(message.contains("exceeded quota: small"), "{message}");
    assert!(message.contains("Raise the resource quota"), "{message}");
    server.kubectl().args(["delete", "quota", "small", "-n", "quota"]).ok().unwrap();
    until(&server, &mut operator, "quota", accepted);

    // An object of somebody else.
    server.kubectl().args(["create", "namespace", "foreign"]).ok().unwrap();
    let foreign = ["create", "service", "clusterip", "example", "--tcp=1", "-n", "foreign"];
    server.kubectl().args(foreign).ok().unwrap();
    create(&server, "foreign");
    let conflict = ("Accepted", "False", "AdoptionConflict");
    let message = until(&server, &mut operator, "foreign", conflict);
    assert!(message.contains("Service example already exists"), "{message}");
    assert!(
        exists(&server, "foreign", "deployment/example").unwrap(),
        "the other children are applied"
    );
    server.kubectl().args(["delete", "service", "example", "-n", "foreign"]).ok().unwrap();
    until(&server, &mut operator, "foreign", accepted);
}

/// Ten federations of one namespace with 32 domains each, whose resolver never answers.
fn create_slow(server: &ApiServer, resolver: &str) {
    server.kubectl().args(["create", "namespace", "slow"]).ok().unwrap();
    for number in 0..10 {
        let domains: Vec<Value> =
            (0..32).map(|n| json!({"name": format!("d{n}.s{number}.example.net")})).collect();
        let federation = json!({
            "apiVersion": "xmppfederation.dev/v1alpha1",
            "kind": "XmppFederation",
            "metadata": {"name": format!("slow{number}"), "namespace": "slow"},
            "spec": {"domains": domains, "dns": {"publish": "Always", "resolvers": [resolver]}}
        });
        server.apply(&federation.to_string()).unwrap();
    }
}

#[test]
fn federations_whose_resolvers_never_answer_delay_no_other() {
    let server = install(&[]).unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    create_slow(&server, &silent.local_addr().unwrap().to_string());
    let mut operator = start_operator(&server).unwrap();
    let accepted = ("Accepted", "True", "Accepted");
    create(&server, "im");
    until(&server, &mut operator, "im", accepted);
    let unanswered = ("DomainUncontested", "Unknown", "ResolverUnavailable");
    let get = ["get", "xfed", "slow9", "-n", "slow", "-o", "json"];
    Wait::new("the slow federations to be judged", LIMIT)
        .log(operator.log())
        .until(|| {
            let now = Snapshot::of(server.kubectl().args(get).json()?);
            let (kind, status, reason) = unanswered;
            Ok(Seen::done_if(now.has(kind, status, reason), now.table()))
        })
        .unwrap();
    // Drift is repaired meanwhile.
    let begun = Instant::now();
    let policy = "networkpolicy/example";
    server.kubectl().args(["delete", policy, "-n", "im"]).ok().unwrap();
    until_exists(&server, &mut operator, "im", policy).unwrap();
    println!("drift repaired after {:?}", begun.elapsed());
}

/// The state that the controllers of a cluster would report: one ready pod, or none.
fn report_pods(server: &ApiServer, namespace: &str, ready: bool) {
    let count = i32::from(ready);
    let status = json!({"status": {
        "observedGeneration": 1, "replicas": count, "updatedReplicas": count,
        "readyReplicas": count, "availableReplicas": count
    }});
    let patch = ["patch", "deployment", "example", "-n", namespace, "--subresource=status"];
    let patch = server.kubectl().args(patch).args(["--type=merge", "-p"]).arg(status.to_string());
    patch.ok().unwrap();
    if !ready {
        let delete = ["delete", "pod", "example-1", "-n", namespace, "--force", "--grace-period=0"];
        return server.kubectl().args(delete).ok().unwrap();
    }
    server
        .apply(&format!(
            "apiVersion: v1
kind: Pod
metadata:
  name: example-1
  namespace: {namespace}
  labels: {{xmppfederation.dev/federation: example}}
spec:
  automountServiceAccountToken: false
  serviceAccountName: example
  containers: [{{name: engine, image: engine}}]
"
        ))
        .unwrap();
    let status = r#"{"status": {"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}}"#;
    let patch = ["patch", "pod", "example-1", "-n", namespace, "--subresource=status"];
    server.kubectl().args(patch).args(["--type=merge", "-p", status]).ok().unwrap();
}

#[test]
fn pods_that_are_gone_are_noticed_although_the_deployment_cannot_be_repaired() {
    let server = install(&[]).unwrap();
    let mut operator = start_operator(&server).unwrap();
    create(&server, "im");
    until(&server, &mut operator, "im", ("EngineReady", "False", "RollingOut"));
    report_pods(&server, "im", true);
    until(&server, &mut operator, "im", ("EngineReady", "True", "EngineAvailable"));

    server.apply(&webhook("broken", "im", "apps", "deployments", "https://127.0.0.1:1/")).unwrap();
    let scale = ["scale", "deployment", "example", "-n", "im", "--replicas=0"];
    server.kubectl().args(scale).ok().unwrap();
    report_pods(&server, "im", false);
    until(&server, &mut operator, "im", ("EngineReady", "False", "ScaledDown"));
    let message = until(&server, &mut operator, "im", ("Accepted", "False", "ApplyFailed"));
    assert!(message.contains("failed calling webhook"), "{message}");
    server.kubectl().args(["delete", "validatingwebhookconfiguration", "broken"]).ok().unwrap();
    until(&server, &mut operator, "im", ("Accepted", "True", "Accepted"));
    let replicas = ["get", "deployment", "example", "-n", "im", "-o", "jsonpath={.spec.replicas}"];
    assert_eq!(server.kubectl().args(replicas).stdout().unwrap(), "2");
}

#[test]
fn a_kind_that_is_removed_while_the_operator_runs_is_unlearned() {
    let paths = Paths::from_env().unwrap();
    let server = install(&[]).unwrap();
    let endpoints = Part::ExternalDns.file(&paths, "dnsendpoints.yaml").unwrap();
    let install_kind = || server.kubectl().args(["apply", "-f"]).arg(&endpoints).ok().unwrap();
    install_kind();
    let mut operator = start_operator(&server).unwrap();
    create(&server, "im");
    let accepted = ("Accepted", "True", "Accepted");
    until(&server, &mut operator, "im", accepted);
    let address = r#"{"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}"#;
    let patch = ["patch", "service", "example", "-n", "im", "--subresource=status"];
    server.kubectl().args(patch).args(["--type=merge", "-p", address]).ok().unwrap();
    let wait_for_records = |operator: &mut Program| {
        until_exists(&server, operator, "im", "dnsendpoint/example-srv").unwrap();
    };
    wait_for_records(&mut operator);

    server.kubectl().args(["delete", "-f"]).arg(&endpoints).ok().unwrap();
    // A change of the spec needs a pass that applies every child.
    let more = r#"{"spec": {"dns": {"ttl": 60}}}"#;
    server
        .kubectl()
        .args(["patch", "xfed", "example", "-n", "im", "--type=merge", "-p", more])
        .ok()
        .unwrap();
    let log = operator.log().to_owned();
    let observed = |wanted: i64| {
        Wait::new("the new generation", LIMIT)
            .log(&log)
            .until(|| {
                let now = snapshot(&server, "im", "example")?;
                let accepted = now.object["status"]["conditions"][0].clone();
                let done = accepted["observedGeneration"] == json!(wanted)
                    && accepted["status"] == json!("True");
                Ok(Seen::done_if(done, now.table()))
            })
            .unwrap();
    };
    observed(2);
    // A new federation is served as well.
    create(&server, "new");
    until(&server, &mut operator, "new", accepted);
    install_kind();
    wait_for_records(&mut operator);
}

#[test]
fn a_permission_that_is_missing_is_named_and_the_rest_is_judged() {
    let server = install(&[]).unwrap();
    let label = "app.kubernetes.io/name=xmpp-federation-operator";
    let roles = ["get", "clusterroles", "-o", "json", "-l", label];
    let roles: Value = server.kubectl().args(roles).json().unwrap();
    let own = |role: &&Value| role.to_string().contains("networkpolicies");
    let mut role = roles["items"].as_array().unwrap().iter().find(own).unwrap().clone();
    let complete = role.clone();
    let all = role["rules"].as_array_mut().unwrap();
    all.retain(|rule| {
        let resources = rule["resources"].to_string();
        !resources.contains("networkpolicies") && !resources.contains("\"pods\"")
    });
    let replace = |role: &Value| {
        let run = server.kubectl().args(["replace", "-f", "-"]).input(role.to_string());
        run.ok().unwrap();
    };
    replace(&role);
    let mut operator = start_operator(&server).unwrap();
    create(&server, "im");
    let message = until(&server, &mut operator, "im", ("Accepted", "False", "NotPermitted"));
    assert!(message.contains("cannot"), "{message}");
    let now = snapshot(&server, "im", "example").unwrap();
    assert!(now.has("EngineReady", "Unknown", "EvidenceUnavailable"), "{now:?}");
    assert!(now.is_true("CertificateReady"), "{now:?}");
    assert!(exists(&server, "im", "deployment/example").unwrap(), "the other children are applied");

    let mut again = complete.clone();
    again["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    replace(&again);
    until(&server, &mut operator, "im", ("Accepted", "True", "Accepted"));
    until(&server, &mut operator, "im", ("EngineReady", "False", "RollingOut"));

    // The operator may write ConfigMaps, and must not read those that others wrote.
    for rule in again["rules"].as_array_mut().unwrap() {
        let resources = rule["resources"].as_array_mut().unwrap();
        resources.retain(|resource| resource != "configmaps");
    }
    let writing = json!({
        "apiGroups": [""], "resources": ["configmaps"],
        "verbs": ["list", "watch", "create", "patch", "delete"],
    });
    again["rules"].as_array_mut().unwrap().push(writing);
    replace(&again);
    server.kubectl().args(["create", "configmap", "partners", "-n", "im"]).ok().unwrap();
    let bundle = json!({"spec": {"tls": {"trust": {"bundles": [
        {"configMapRef": {"name": "partners"}},
    ]}}}});
    let patch = ["patch", "xfed", "example", "-n", "im", "--type=merge", "-p"];
    server.kubectl().args(patch).arg(bundle.to_string()).ok().unwrap();
    let message = until(&server, &mut operator, "im", ("ResolvedRefs", "False", "RefNotPermitted"));
    assert!(message.contains("not permitted to read ConfigMap partners"), "{message}");

    // It may write Secrets and Services, and must not read them. A new operator has not read them before either.
    drop(operator);
    let mut blind = complete;
    blind["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let is_read = |resource: &Value| resource == "secrets" || resource == "services";
    for rule in blind["rules"].as_array_mut().unwrap() {
        rule["resources"].as_array_mut().unwrap().retain(|resource| !is_read(resource));
    }
    blind["rules"].as_array_mut().unwrap().push(json!({
        "apiGroups": [""], "resources": ["secrets", "services"], "verbs": ["create", "patch"],
    }));
    replace(&blind);
    let mut operator = start_operator(&server).unwrap();
    for condition in ["ResolvedRefs", "CertificateReady", "AddressAssigned"] {
        until(&server, &mut operator, "im", (condition, "Unknown", "EvidenceUnavailable"));
    }
}
