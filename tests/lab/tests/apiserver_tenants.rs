//! Several operators and several tenants on a real API server: who serves what, who gets a name, and what a tenant learns.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use lab::apiserver::{ApiServer, Program};
use lab::command::Run;
use lab::installed::{
    ACCOUNT, Release, exists, federation, install, snapshot, start_operator, until_exists,
};
use lab::parts::Part;
use lab::paths::Paths;
use lab::wait::{Seen, Wait};
use serde_json::{Value, json};

/// Maximum time for one change on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);

const TENANCY: &str = include_str!("../../../docs/tenancy.md");
const AUTOSCALING: &str = include_str!("../../../docs/autoscaling.md");

/// A second release for all namespaces.
const SECOND: &str = "second";

fn namespace(server: &ApiServer, name: &str) {
    server.kubectl().args(["create", "namespace", name]).ok().unwrap();
}

fn create(server: &ApiServer, namespace: &str, name: &str, domain: &str) {
    server.apply(&federation(namespace, name, domain).to_string()).unwrap();
}

/// Waits until `Accepted` has this reason; returns the message.
fn until_accepted(
    server: &ApiServer,
    operator: &mut Program,
    (namespace, name): (&str, &str),
    reason: &str,
) -> String {
    Wait::new(format!("Accepted with reason {reason} of {namespace}/{name}"), LIMIT)
        .log(operator.log())
        .until(|| {
            operator.must_run()?;
            let now = snapshot(server, namespace, name)?;
            let accepted = now.condition("Accepted").filter(|accepted| accepted.reason == reason);
            Ok(match accepted {
                Some(accepted) => Seen::Done(accepted.message.clone()),
                None => Seen::NotYet(now.table()),
            })
        })
        .unwrap()
}

fn until_logged(operator: &mut Program, words: &[&str]) {
    Wait::new(format!("{words:?} in the log"), LIMIT)
        .log(operator.log())
        .until(|| {
            operator.must_run()?;
            let log = fs::read_to_string(operator.log()).unwrap_or_default();
            let found = log.lines().any(|line| words.iter().all(|word| line.contains(word)));
            Ok(Seen::done_if(found, "not yet"))
        })
        .unwrap();
}

/// Deletes an object, and waits until an operator has made it again.
fn delete_and_wait(server: &ApiServer, operator: &mut Program, namespace: &str, object: &str) {
    server.kubectl().args(["delete", object, "-n", namespace]).ok().unwrap();
    until_exists(server, operator, namespace, object).unwrap();
}

/// The resources of a namespace that an account has changed since.
fn changed(server: &ApiServer, account: &str, namespace: &str, since: usize) -> BTreeSet<String> {
    let requests = server.requests_of(account).unwrap().split_off(since);
    let changes = requests.into_iter().filter(|request| {
        request.namespace == namespace && !matches!(request.verb.as_str(), "get" | "list" | "watch")
    });
    changes.map(|request| request.resource).collect()
}

#[test]
fn a_second_operator_names_the_leader_and_waits_until_it_ends() {
    let server = install(&[]).unwrap();
    namespace(&server, SECOND);
    let second = Release { namespace: SECOND, name: ACCOUNT, values: &[] };
    second.install(&server).unwrap();
    let mut first = start_operator(&server).unwrap();
    create(&server, "im", "example", "example.com");
    until_accepted(&server, &mut first, ("im", "example"), "Accepted");
    let uid = ["get", "deployment", "example", "-n", "im", "-o"];
    let uid = || {
        let columns = "jsonpath={.metadata.uid} {.metadata.generation}";
        server.kubectl().args(uid).arg(columns).stdout().unwrap()
    };
    let before = uid();

    let mut other = second.start(&server).unwrap();
    let leader = "xmpp-federation-system/operator-0";
    until_logged(&mut other, &["standing by", "another installation", leader]);
    delete_and_wait(&server, &mut first, "im", "networkpolicy/example");
    assert_eq!(changed(&server, &second.account(), "im", 0), BTreeSet::new());

    drop(first);
    until_logged(&mut other, &["acquired leadership"]);
    delete_and_wait(&server, &mut other, "im", "networkpolicy/example");
    assert_eq!(uid(), before, "the new leader changes nothing");
}

#[test]
fn operators_of_two_classes_serve_side_by_side() {
    let server = install(&[]).unwrap();
    namespace(&server, SECOND);
    let second = Release { namespace: SECOND, name: ACCOUNT, values: &["class=public"] };
    second.install(&server).unwrap();
    let mut other = second.start(&server).unwrap();
    create(&server, "im", "example", "example.com");
    let mut public = federation("im", "public", "example.net");
    public["metadata"]["annotations"] = json!({crds::CLASS: "public"});
    server.apply(&public.to_string()).unwrap();
    until_accepted(&server, &mut other, ("im", "public"), "Accepted");
    assert!(!exists(&server, "im", "deployment/example").unwrap());
    let mut first = start_operator(&server).unwrap();
    until_accepted(&server, &mut first, ("im", "example"), "Accepted");
    delete_and_wait(&server, &mut first, "im", "networkpolicy/example");
    delete_and_wait(&server, &mut other, "im", "networkpolicy/public");

    // A federation that changes its class changes its operator, and keeps its children.
    let deployment = ["get", "deployment", "example", "-n", "im", "-o", "jsonpath={.metadata.uid}"];
    let before = server.kubectl().args(deployment).stdout().unwrap();
    let account = Release::usual(&[]).account();
    let class = format!("{}=public", crds::CLASS);
    server.kubectl().args(["annotate", "xfed", "example", "-n", "im", &class]).ok().unwrap();
    Wait::new("the other operator to serve it", LIMIT)
        .log(other.log())
        .until(|| {
            let requests = server.requests_of(&second.account())?;
            let deployments =
                requests.iter().filter(|r| r.verb == "patch" && r.resource == "deployments");
            Ok(Seen::done_if(deployments.count() >= 2, "it has not applied the Deployment"))
        })
        .unwrap();
    let since = server.requests_of(&account).unwrap().len();
    delete_and_wait(&server, &mut other, "im", "networkpolicy/example");
    assert_eq!(changed(&server, &account, "im", since), BTreeSet::new());
    assert_eq!(server.kubectl().args(deployment).stdout().unwrap(), before);
}

#[test]
fn a_namespace_with_an_operator_of_its_own_is_left_to_it_while_it_runs() {
    let server = install(&[]).unwrap();
    let own = Release { namespace: "im", name: ACCOUNT, values: &["rbac.clusterWide=false"] };
    own.install(&server).unwrap();
    namespace(&server, "elsewhere");
    let mut all = start_operator(&server).unwrap();
    create(&server, "im", "example", "example.com");
    create(&server, "elsewhere", "example", "example.net");
    for namespace in ["im", "elsewhere"] {
        until_accepted(&server, &mut all, (namespace, "example"), "Accepted");
    }
    let mut one = own.start(&server).unwrap();
    until_logged(&mut one, &["acquired leadership"]);
    Wait::new("the operator of the namespace to serve it", LIMIT)
        .log(one.log())
        .until(|| {
            let applied = changed(&server, &own.account(), "im", 0).contains("deployments");
            Ok(Seen::done_if(applied, "it has not applied the Deployment"))
        })
        .unwrap();
    let account = Release::usual(&[]).account();
    let since = server.requests_of(&account).unwrap().len();
    delete_and_wait(&server, &mut one, "im", "networkpolicy/example");
    delete_and_wait(&server, &mut all, "elsewhere", "networkpolicy/example");
    assert_eq!(changed(&server, &account, "im", since), BTreeSet::new());

    // Killed, so its lease must expire.
    drop(one);
    delete_and_wait(&server, &mut all, "im", "networkpolicy/example");
}

#[test]
fn a_foreign_writer_is_named_and_the_operator_does_not_fight_it() {
    let server = install(&[]).unwrap();
    let mut operator = start_operator(&server).unwrap();
    create(&server, "im", "example", "example.com");
    until_accepted(&server, &mut operator, ("im", "example"), "Accepted");
    let replicas = |count: usize| {
        let patch = format!(r#"{{"spec": {{"replicas": {count}}}}}"#);
        let run = server.kubectl().args(["patch", "deployment", "example", "-n", "im"]);
        run.args(["--field-manager=autoscaler", "--type=merge", "-p", &patch]).ok().unwrap();
    };
    let get = ["get", "deployment", "example", "-n", "im", "-o", "jsonpath={.spec.replicas}"];
    let now = || server.kubectl().args(get).stdout().unwrap();
    // It writes again each time that the operator has restored the object.
    let mut writes = 0;
    let message = Wait::new("the foreign writer in the status", LIMIT)
        .log(operator.log())
        .until(|| {
            operator.must_run()?;
            if now() == "2" {
                replicas(7);
                writes += 1;
            }
            let now = snapshot(&server, "im", "example")?;
            let contested = now.condition("Accepted").filter(|a| a.reason == "ObjectContested");
            Ok(match contested {
                Some(contested) => Seen::Done(contested.message.clone()),
                None => Seen::NotYet(now.table()),
            })
        })
        .unwrap();
    assert!(message.contains("Deployment example") && message.contains("autoscaler"), "{message}");
    assert!(writes <= 6, "{writes} writes");
    // It gets its way, and everything else is still repaired.
    replicas(7);
    delete_and_wait(&server, &mut operator, "im", "networkpolicy/example");
    assert_eq!(now(), "7");
}

#[test]
fn the_list_of_domains_is_enforced_by_namespace() {
    let server = install(&["domains.namespaces.im={example.com}"]).unwrap();
    namespace(&server, "other");
    let mut operator = start_operator(&server).unwrap();
    create(&server, "other", "squatter", "example.com");
    let message = until_accepted(&server, &mut operator, ("other", "squatter"), "DomainNotAllowed");
    assert!(message.contains("example.com") && message.contains("amespace other"), "{message}");
    assert!(!message.contains("im/"), "{message}");
    create(&server, "im", "example", "example.com");
    until_accepted(&server, &mut operator, ("im", "example"), "Accepted");
    create(&server, "im", "more", "example.org");
    until_accepted(&server, &mut operator, ("im", "more"), "DomainNotAllowed");
    create(&server, "other", "own", "example.net");
    until_accepted(&server, &mut operator, ("other", "own"), "Accepted");
    assert!(!exists(&server, "other", "service/squatter").unwrap());
}

/// The manifest of a page that contains these words.
fn manifest<'a>(page: &'a str, words: &str) -> &'a str {
    let mut all = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    all.find(|yaml| yaml.contains(words)).unwrap()
}

#[test]
fn the_policy_of_the_page_on_tenancy_refuses_what_is_reserved() {
    let server = install(&[]).unwrap();
    namespace(&server, "trusted");
    let label = ["label", "namespace", "trusted", "xmpp-federation=trusted"];
    server.kubectl().args(label).ok().unwrap();
    server.apply(manifest(TENANCY, "kind: ValidatingAdmissionPolicy")).unwrap();
    let try_with = |namespace: &str, section: &str, value: Value| {
        let mut object = federation(namespace, "example", "example.com");
        object["spec"]["dns"] = json!({});
        object["spec"][section] = value;
        let run = server.kubectl().args(["create", "--dry-run=server", "-f", "-"]);
        let output = run.input(object.to_string()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let reserved = [
        ("dns", json!({"takeover": true})),
        ("dns", json!({"resolvers": ["127.0.0.1:1"]})),
        ("egress", json!({"allowNetworks": ["10.0.0.0/8"]})),
        ("service", json!({"annotations": {"a.example/b": "c"}})),
        ("service", json!({"loadBalancerClass": "a.example/b"})),
        ("pod", json!({"priorityClassName": "system-cluster-critical"})),
        ("pod", json!({"tolerations": [{"operator": "Exists"}]})),
    ];
    Wait::new("the policy to be in effect", LIMIT)
        .until(|| {
            let (_, text) = try_with("im", "dns", json!({"takeover": true}));
            Ok(Seen::done_if(text.contains("is reserved for the administrators"), text))
        })
        .unwrap();
    for (section, value) in reserved {
        let (accepted, text) = try_with("im", section, value.clone());
        assert!(!accepted && text.contains("reserved for the administrators"), "{value}: {text}");
        let (accepted, text) = try_with("trusted", section, value.clone());
        assert!(accepted, "{value}: {text}");
    }
    let (accepted, text) = try_with("im", "service", json!({"externalTrafficPolicy": "Local"}));
    assert!(accepted, "{text}");
}

#[test]
fn a_release_of_another_name_takes_the_definition_over_and_no_federation_is_lost() {
    let server = ApiServer::start(&Paths::from_env().unwrap()).unwrap();
    let helm = |arguments: &[&str]| {
        let helm = Part::Helm.file(&Paths::from_env().unwrap(), "helm").unwrap();
        let run = Run::new(helm).env("HOME", server.dir().as_os_str());
        run.env("KUBECONFIG", server.kubeconfig("admin")).args(arguments)
    };
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/xmpp-federation-operator");
    let first = ["install", ACCOUNT, chart, "--namespace", "first", "--create-namespace"];
    helm(&first).ok().unwrap();
    server.wait_for_resource().unwrap();
    namespace(&server, "im");
    create(&server, "im", "example", "example.com");
    let uid = ["get", "xfed", "example", "-n", "im", "-o", "jsonpath={.metadata.uid}"];
    let before = server.kubectl().args(uid).stdout().unwrap();
    helm(&["uninstall", ACCOUNT, "--namespace", "first"]).ok().unwrap();
    // The command of the page on tenancy.
    let name = "new-xmpp-federation-operator";
    let again = ["install", name, chart, "--namespace", "other-system", "--create-namespace"];
    assert!(!helm(&again).output().unwrap().status.success(), "the definition belongs to another");
    assert!(
        TENANCY.contains(&format!("helm install {name} ")) && TENANCY.contains("--take-ownership")
    );
    helm(&again).args(["--take-ownership"]).ok().unwrap();
    assert_eq!(server.kubectl().args(uid).stdout().unwrap(), before);
}

#[test]
fn a_waiting_rival_does_not_win_a_domain_while_its_owner_is_re_created() {
    let server = install(&[]).unwrap();
    namespace(&server, "other");
    let mut operator = start_operator(&server).unwrap();
    create(&server, "im", "example", "example.com");
    until_accepted(&server, &mut operator, ("im", "example"), "Accepted");
    create(&server, "other", "rival", "example.com");
    let message = until_accepted(&server, &mut operator, ("other", "rival"), "DomainConflict");
    assert!(!message.contains("im/example"), "a tenant learns nothing of another: {message}");

    // Argo CD's Replace.
    let owner = federation("im", "example", "example.com").to_string();
    let uid = ["get", "xfed", "example", "-n", "im", "-o", "jsonpath={.metadata.uid}"];
    let before = server.kubectl().args(uid).stdout().unwrap();
    let delete = ["delete", "xfed", "example", "-n", "im", "--wait"];
    server.kubectl().args(delete).ok().unwrap();
    // What the garbage collector of a cluster does.
    let kinds = "configmaps,deployments,networkpolicies,poddisruptionbudgets,secrets,services,serviceaccounts";
    let label = "app.kubernetes.io/managed-by=xmpp-federation-operator";
    server.kubectl().args(["delete", kinds, "-n", "im", "-l", label]).ok().unwrap();
    // A change makes the operator look at the rival while the owner does not exist.
    let change = r#"{"spec": {"dns": {"ttl": 60}}}"#;
    let patch = ["patch", "xfed", "rival", "-n", "other", "--type=merge", "-p", change];
    server.kubectl().args(patch).ok().unwrap();
    Wait::new("the rival to be judged again", LIMIT)
        .log(operator.log())
        .until(|| {
            let now = snapshot(&server, "other", "rival")?;
            let accepted = now.object["status"]["conditions"][0].clone();
            Ok(Seen::done_if(accepted["observedGeneration"] == json!(2), now.table()))
        })
        .unwrap();
    let rival = || snapshot(&server, "other", "rival").unwrap();
    assert!(rival().has("Accepted", "False", "DomainConflict"), "{}", rival().table());
    server.apply(&owner).unwrap();
    until_accepted(&server, &mut operator, ("im", "example"), "Accepted");
    assert_ne!(server.kubectl().args(uid).stdout().unwrap(), before);
    assert!(rival().has("Accepted", "False", "DomainConflict"), "{}", rival().table());
    assert!(!exists(&server, "other", "service/rival").unwrap());
}

#[test]
fn an_autoscaler_sets_the_replicas_by_the_scale_subresource_and_a_hung_pod_can_be_evicted() {
    let server = install(&[]).unwrap();
    let mut operator = start_operator(&server).unwrap();
    create(&server, "im", "example", "example.com");
    until_accepted(&server, &mut operator, ("im", "example"), "Accepted");
    let scale_url = "/apis/xmppfederation.dev/v1alpha1/namespaces/im/xmppfederations/example/scale";
    let scale = || -> Value { server.kubectl().args(["get", "--raw", scale_url]).json().unwrap() };
    let until = |what: &str, wanted: &dyn Fn() -> (bool, String)| {
        Wait::new(what, LIMIT)
            .log(operator.log())
            .until(|| {
                let (done, seen) = wanted();
                Ok(Seen::done_if(done, seen))
            })
            .unwrap();
    };
    until("the selector of the scale subresource", &|| {
        let now = scale();
        let selector = now["status"]["selector"].as_str().unwrap_or_default().to_owned();
        (selector.contains("xmppfederation.dev/federation=example"), now.to_string())
    });
    assert_eq!(scale()["spec"]["replicas"], json!(2));
    let recipe = manifest(AUTOSCALING, "kind: HorizontalPodAutoscaler");
    server.apply(recipe).unwrap();
    // What the controller of a HorizontalPodAutoscaler does.
    let run = server.kubectl().args(["scale", "xfed", "example", "-n", "im", "--replicas=5"]);
    run.ok().unwrap();
    let get = ["get", "deployment", "example", "-n", "im", "-o", "jsonpath={.spec.replicas}"];
    until("the Deployment to follow", &|| {
        let now = server.kubectl().args(get).stdout().unwrap();
        (now == "5", now)
    });
    let status = r#"{"status": {"observedGeneration": 2, "replicas": 5}}"#;
    let patch = ["patch", "deployment", "example", "-n", "im", "--subresource=status"];
    server.kubectl().args(patch).args(["--type=merge", "-p", status]).ok().unwrap();
    until("the number of pods in the scale subresource", &|| {
        let now = scale();
        (now["status"]["replicas"] == json!(5), now.to_string())
    });

    // A pod that runs and is not ready.
    server
        .apply(
            "apiVersion: v1
kind: Pod
metadata:
  name: example-1
  namespace: im
  labels: {xmppfederation.dev/federation: example, app.kubernetes.io/component: engine}
spec:
  automountServiceAccountToken: false
  serviceAccountName: example
  containers: [{name: engine, image: engine}]
",
        )
        .unwrap();
    let running =
        r#"{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}}"#;
    let patch = ["patch", "pod", "example-1", "-n", "im", "--subresource=status"];
    server.kubectl().args(patch).args(["--type=merge", "-p", running]).ok().unwrap();
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": "example-1", "namespace": "im"}
    });
    let raw = "/api/v1/namespaces/im/pods/example-1/eviction";
    let run =
        server.kubectl().args(["create", "--raw", raw, "-f", "-"]).input(eviction.to_string());
    run.ok().unwrap();
}
