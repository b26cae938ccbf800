//! What a federation lives through: changes by others, a pause, a broken neighbour, its deletion; an API server that is away,
//! a lease that somebody else takes; and the replacement of engine and operator under traffic.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use lab::conditions::{Condition, Snapshot};
use lab::error::{Error, Result};
use lab::federation::{self, NAME, NAMESPACE, OPERATOR, OPERATOR_NAMESPACE};
use lab::kubernetes::{apply, get, kubectl};
use lab::network::Host;
use lab::node;
use lab::paths::Paths;
use lab::public_dns::{LOCAL_ZONE, dig};
use lab::scenario::conversation;
use lab::scenario::federated::{Federated, TURN};
use lab::scenario::traffic::Traffic;
use lab::wait::{Seen, Wait, slowness};
use serde_json::Value;

/// The operator restores what others change within this time.
const DRIFT_LIMIT: Duration = Duration::from_secs(2);
/// Time for an event to be published.
const EVENT: Duration = Duration::from_mins(1);
/// Longer than the operator's lease lasts after its last renewal.
const OUTAGE: Duration = Duration::from_secs(25);
/// The lease of the operator for all namespaces.
const LEASE: [&str; 4] = ["lease", OPERATOR, "-n", "kube-system"];
/// What every object of a federation is labelled with.
const CHILDREN: &str = "xmppfederation.dev/federation=example";

fn exists(paths: &Paths, kind: &str, name: &str) -> Result<bool> {
    let list = ["get", kind, name, "-n", NAMESPACE, "--ignore-not-found", "-o", "name"];
    Ok(!kubectl(paths)?.args(list).stdout()?.trim().is_empty())
}

fn patch(paths: &Paths, kind: &str, name: &str, patch: &str) -> Result<()> {
    let run = kubectl(paths)?.args(["patch", kind, name, "-n", NAMESPACE, "--type=merge", "-p"]);
    run.arg(patch).ok()
}

fn replicas(paths: &Paths) -> Result<Option<u64>> {
    let deployment: Value = get(paths, &["deployment", NAME, "-n", NAMESPACE])?;
    Ok(deployment.pointer("/spec/replicas").and_then(Value::as_u64))
}

/// Notes of the events about drift.
fn drift_events(paths: &Paths) -> Result<Vec<String>> {
    let list: Value = get(paths, &["events.v1.events.k8s.io", "-n", NAMESPACE])?;
    let items = list.pointer("/items").and_then(Value::as_array).cloned().unwrap_or_default();
    let drift = items.iter().filter(|event| event["reason"] == "DriftCorrected");
    Ok(drift.filter_map(|event| Some(event["note"].as_str()?.to_owned())).collect())
}

/// Deletes a child, and waits until it is there again. Returns how long that took.
fn delete_and_wait(paths: &Paths, kind: &str, within: Duration) -> Result<Duration> {
    kubectl(paths)?.args(["delete", kind, NAME, "-n", NAMESPACE]).ok()?;
    let begun = Instant::now();
    Wait::new(format!("{kind} {NAME} again"), within)
        .until(|| Ok(Seen::done_if(exists(paths, kind, NAME)?, "it does not exist")))?;
    Ok(begun.elapsed())
}

fn lost(now: &Snapshot, kinds: &[&str]) -> Vec<String> {
    let off = kinds.iter().filter(|kind| !now.is_true(kind));
    off.filter_map(|kind| now.condition(kind)).map(ToString::to_string).collect()
}

#[test]
fn drift_is_corrected_a_pause_is_kept_a_broken_neighbour_harms_nobody_and_deletion_leaves_nothing()
{
    let mut federated = Federated::ready().unwrap();
    let paths = federated.paths.clone();

    let after = delete_and_wait(&paths, "networkpolicy", DRIFT_LIMIT).unwrap();
    println!("a deleted child is restored after {after:?}");
    kubectl(&paths)
        .unwrap()
        .args(["scale", "deployment", NAME, "-n", NAMESPACE, "--replicas=1"])
        .ok()
        .unwrap();
    let begun = Instant::now();
    Wait::new("two replicas again", DRIFT_LIMIT)
        .until(|| Ok(Seen::done_if(replicas(&paths)? == Some(2), "one replica")))
        .unwrap();
    println!("a changed child is restored after {:?}", begun.elapsed());
    Wait::new("an event about each", EVENT)
        .until(|| {
            let events = drift_events(&paths)?;
            let both = ["deleted NetworkPolicy", "Deployment example"]
                .iter()
                .all(|words| events.iter().any(|note| note.contains(words)));
            Ok(Seen::done_if(both, format!("{events:#?}")))
        })
        .unwrap();
    federated.until_true("Ready").unwrap();

    patch(&paths, "xfed", NAME, r#"{"spec": {"paused": true, "replicas": 1}}"#).unwrap();
    federated.until("Paused=True", |now| now.is_true("Paused")).unwrap();
    kubectl(&paths).unwrap().args(["delete", "networkpolicy", NAME, "-n", NAMESPACE]).ok().unwrap();
    // The status goes on, so the operator has looked at the federation since.
    patch(&paths, "xfed", NAME, r#"{"spec": {"dns": {"ttl": 240}}}"#).unwrap();
    federated.until("the status of the third generation", |now| observed(now, 3)).unwrap();
    assert_eq!(replicas(&paths).unwrap(), Some(2), "nothing is applied during a pause");
    assert!(!exists(&paths, "networkpolicy", NAME).unwrap(), "nothing is restored during a pause");
    patch(&paths, "xfed", NAME, r#"{"spec": {"paused": false}}"#).unwrap();
    Wait::new("what the pause has held back", TURN)
        .until(|| {
            let done = replicas(&paths)? == Some(1) && exists(&paths, "networkpolicy", NAME)?;
            Ok(Seen::done_if(done, "not yet"))
        })
        .unwrap();
    federated
        .until("Ready=True, without a pause", |now| {
            now.is_true("Ready") && now.condition("Paused").is_none()
        })
        .unwrap();

    // Its domain is taken, its certificate is missing, and its image of the world is wrong.
    apply(
        &paths,
        &format!(
            "{{apiVersion: xmppfederation.dev/v1alpha1, kind: XmppFederation, \
             metadata: {{name: broken, namespace: {NAMESPACE}}}, \
             spec: {{domains: [{{name: {LOCAL_ZONE}}}], host: broken.{LOCAL_ZONE}, \
             tls: {{certificate: {{secretRef: {{name: missing}}}}}}}}}}"
        ),
    )
    .unwrap();
    Wait::new("the broken federation to be rejected", TURN)
        .until(|| {
            let now = Snapshot::of(get(&paths, &["xfed", "broken", "-n", NAMESPACE])?);
            Ok(Seen::done_if(now.has("Accepted", "False", "DomainConflict"), now.table()))
        })
        .unwrap();
    let after = delete_and_wait(&paths, "networkpolicy", DRIFT_LIMIT).unwrap();
    println!("beside a broken federation, a child is restored after {after:?}");
    assert_eq!(lost(&federated.watch.last, &["Accepted", "Ready"]), [] as [String; 0]);

    for name in ["broken", NAME] {
        kubectl(&paths).unwrap().args(["delete", "xfed", name, "-n", NAMESPACE]).ok().unwrap();
    }
    wait_until_nothing_is_left(&paths).unwrap();
}

/// The conditions are about that generation.
fn observed(now: &Snapshot, generation: u64) -> bool {
    let conditions = now.object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.is_some_and(|all| all.iter().all(|one| one["observedGeneration"] == generation))
}

/// No object of the federation, no record and no metric.
fn wait_until_nothing_is_left(paths: &Paths) -> Result<()> {
    let kinds = "deployments,replicasets,pods,services,endpointslices,configmaps,secrets,\
                 serviceaccounts,networkpolicies,poddisruptionbudgets,dnsendpoints";
    Wait::new("the objects of the deleted federation to be gone", TURN).until(|| {
        let labelled = kubectl(paths)?
            .args(["get", kinds, "-n", NAMESPACE, "-l", CHILDREN, "-o", "name"])
            .stdout()?;
        // Also those that lack the label.
        let named = kubectl(paths)?.args(["get", kinds, "-n", NAMESPACE, "-o", "name"]).stdout()?;
        let mut left: Vec<&str> = labelled.lines().collect();
        left.extend(named.lines().filter(|line| {
            line.split('/').nth(1).is_some_and(|name| {
                name == NAME || name.starts_with(&format!("{NAME}-")) || name == "broken"
            })
        }));
        Ok(Seen::done_if(left.is_empty(), format!("{left:?}")))
    })?;
    Wait::new("the DNS records to be gone", TURN).until(|| {
        let mut found = dig(Host::Other, &format!("_xmpp-server._tcp.{LOCAL_ZONE}"), "SRV")?;
        found.extend(dig(Host::Other, &format!("xmpp.{LOCAL_ZONE}"), "A")?);
        // External-dns never deletes SRV records from a zone of rfc2136.
        found.retain(|record| !record.contains(' '));
        Ok(Seen::done_if(found.is_empty(), format!("{found:?}")))
    })?;
    Wait::new("the metrics to be gone", TURN).until(|| {
        let about = format!("name=\"{NAME}\"");
        let metrics = operator_metrics(paths)?;
        let left: Vec<&str> = metrics.lines().filter(|line| line.contains(&about)).collect();
        Ok(Seen::done_if(left.is_empty(), format!("{left:?}")))
    })
}

fn operator_metrics(paths: &Paths) -> Result<String> {
    let label = format!("app.kubernetes.io/name={OPERATOR}");
    let pods: Value = get(paths, &["pods", "-n", OPERATOR_NAMESPACE, "-l", &label])?;
    let pod = pods.pointer("/items/0/metadata/name").and_then(Value::as_str);
    let pod = pod.ok_or_else(|| Error::State("there is no operator pod".into()))?;
    let path = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod}:8080/proxy/metrics");
    kubectl(paths)?.args(["get", "--raw", &path]).stdout()
}

/// The conditions with the times of their last transitions.
fn transitions(now: &Snapshot) -> Vec<(String, String)> {
    let conditions = now.object.pointer("/status/conditions").and_then(Value::as_array);
    let one = |condition: &Value| {
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        (format!("{} {}", text("type"), text("status")), text("lastTransitionTime"))
    };
    conditions.into_iter().flatten().map(one).collect()
}

#[test]
fn an_api_server_that_is_away_and_a_lease_that_is_taken_cost_no_message() {
    let mut federated = Federated::ready().unwrap();
    let (mut ours, mut theirs) = federated.people().unwrap();
    let mut quiet = |_: &str| ();
    conversation::meet_and_chat(&mut ours, &mut theirs, &mut quiet).unwrap();
    federated.until("Ready as Federated", |now| now.has("Ready", "True", "Federated")).unwrap();
    let paths = federated.paths.clone();
    let before = transitions(&federated.watch.last);

    node::stop_api_server(&paths).unwrap();
    let away = Instant::now();
    let mut round = 0;
    let mut spoken = Ok(());
    while spoken.is_ok() && away.elapsed() < OUTAGE * slowness() {
        round += 1;
        let body = format!("without an API server {round}");
        spoken = conversation::say(&mut ours, &mut theirs, &body, &mut quiet)
            .and_then(|()| conversation::say(&mut theirs, &mut ours, &body, &mut quiet));
    }
    // Started again before the assertions, so that a failure here does not fail the tests after it.
    node::start_api_server(&paths).unwrap();
    node::wait_for_api_server(&paths).unwrap();
    node::wait_ready(&paths).unwrap();
    spoken.unwrap();
    println!("{round} messages in each direction without an API server");
    federation::wait_for_public_port(&paths, NAME).unwrap();
    conversation::say(&mut ours, &mut theirs, "and with it again", &mut quiet).unwrap();
    // The operator has passed over the federation since.
    delete_and_wait(&paths, "networkpolicy", TURN).unwrap();
    wait_until_ready(&paths).unwrap();
    assert_eq!(transitions(&federation::snapshot(&paths).unwrap()), before, "after the outage");

    // Another program takes the lease, and does not renew it.
    let now = micro_time();
    let taken = format!(
        r#"{{"spec": {{"holderIdentity": "somebody-else", "renewTime": "{now}", "acquireTime": "{now}"}}}}"#
    );
    let run = kubectl(&paths).unwrap().arg("patch").args(LEASE).args(["--type=merge", "-p"]);
    run.arg(&taken).ok().unwrap();
    Wait::new("the operator to take the lease again", TURN)
        .until(|| {
            let lease: Value = get(&paths, &LEASE)?;
            let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str);
            let holder = holder.unwrap_or_default().to_owned();
            Ok(Seen::done_if(holder.contains(OPERATOR), holder))
        })
        .unwrap();
    let after = delete_and_wait(&paths, "networkpolicy", TURN).unwrap();
    println!("with the lease again, a child is restored after {after:?}");
    assert_eq!(transitions(&federation::snapshot(&paths).unwrap()), before, "with the lease");
}

fn wait_until_ready(paths: &Paths) -> Result<()> {
    Wait::new("Ready=True", TURN).until(|| {
        let now = federation::snapshot(paths)?;
        Ok(Seen::done_if(now.is_true("Ready"), now.table()))
    })
}

/// The current time as a `MicroTime`.
fn micro_time() -> String {
    let date = lab::command::Run::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S.%6NZ"]);
    date.stdout().unwrap().trim().to_owned()
}

/// An annotation of the engine's pods, whose change replaces them.
const REPLACED: &str = "example.org/replaced";
/// What selects the engine's pods.
const ENGINES: &str = "app.kubernetes.io/component=engine";

/// The names of the engine's pods, also of those that are ending.
fn engine_pods(paths: &Paths) -> Result<Vec<String>> {
    let list: Value = get(paths, &["pods", "-n", NAMESPACE, "-l", ENGINES])?;
    let items = list.pointer("/items").and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |pod: &Value| Some(pod.pointer("/metadata/name")?.as_str()?.to_owned());
    Ok(items.iter().filter_map(name).collect())
}

/// All pods of a Deployment are ready and of its current template.
fn is_rolled_out(deployment: &Value) -> bool {
    let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_u64);
    let wanted = number("/spec/replicas");
    number("/metadata/generation") == number("/status/observedGeneration")
        && ["updatedReplicas", "readyReplicas", "availableReplicas", "replicas"]
            .iter()
            .all(|field| number(&format!("/status/{field}")) == wanted)
}

/// Waits until none of these pods is left, and two others serve.
fn wait_until_replaced(paths: &Paths, old: &[String]) -> Result<()> {
    Wait::new(format!("two pods instead of {old:?}"), TURN).until(|| {
        let deployment: Value = get(paths, &["deployment", NAME, "-n", NAMESPACE])?;
        let now = engine_pods(paths)?;
        let done = is_rolled_out(&deployment)
            && now.len() == 2
            && !now.iter().any(|name| old.contains(name));
        Ok(Seen::done_if(done, format!("{now:?}")))
    })
}

/// Requests the eviction of a pod, as a drain does. Returns the refusal.
fn evict(paths: &Paths, pod: &str) -> Result<Option<String>> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction");
    let eviction = format!(
        r#"{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {{"name": "{pod}", "namespace": "{NAMESPACE}"}}}}"#
    );
    let run = kubectl(paths)?.args(["create", "--raw", &path, "-f", "-"]).input(eviction);
    let output = run.output()?;
    let refusal = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((!output.status.success()).then_some(refusal))
}

/// A rolling update of the engine, a restart of the operator, and the eviction of a pod. Returns the refusal to evict the other
/// pod as well.
fn replace_all(paths: &Paths) -> Result<Option<String>> {
    let old = engine_pods(paths)?;
    let change = format!(r#"{{"spec": {{"pod": {{"annotations": {{"{REPLACED}": "yes"}}}}}}}}"#);
    patch(paths, "xfed", NAME, &change)?;
    wait_until_replaced(paths, &old)?;

    let restart = ["rollout", "restart", "deployment", OPERATOR, "-n", OPERATOR_NAMESPACE];
    kubectl(paths)?.args(restart).ok()?;
    Wait::new("another operator", TURN).until(|| {
        let operator: Value = get(paths, &["deployment", OPERATOR, "-n", OPERATOR_NAMESPACE])?;
        Ok(Seen::done_if(is_rolled_out(&operator), "not yet"))
    })?;

    let pods = engine_pods(paths)?;
    let [first, second] = pods.as_slice() else {
        return Err(Error::State(format!("not two pods: {pods:?}")));
    };
    if let Some(refusal) = evict(paths, first)? {
        return Err(Error::State(format!("{first} cannot be evicted: {refusal}")));
    }
    let refusal = evict(paths, second)?;
    wait_until_replaced(paths, std::slice::from_ref(first))?;
    Ok(refusal)
}

#[test]
fn engine_and_operator_are_replaced_and_a_pod_is_evicted_under_traffic_without_a_loss() {
    let mut federated = Federated::ready().unwrap();
    let paths = federated.paths.clone();
    let (mut ours, mut theirs) = federated.people().unwrap();
    conversation::meet_and_chat(&mut ours, &mut theirs, &mut |_| ()).unwrap();
    federated.until("Ready as Federated", |now| now.has("Ready", "True", "Federated")).unwrap();
    let is_true = |condition: &&Condition| condition.status == "True";
    let lasting: Vec<String> = federated
        .watch
        .last
        .conditions
        .iter()
        .filter(is_true)
        .map(|condition| condition.kind.clone())
        .collect();

    let mut traffic = Traffic::between(ours, theirs);
    let (running, stop) = channel();
    let people = &mut traffic;
    let (sent, replaced) = thread::scope(|scope| {
        let sending = scope.spawn(move || people.run(&stop));
        let replaced = replace_all(&paths);
        drop(running);
        (sending.join().unwrap(), replaced)
    });
    sent.unwrap();
    let refusal = replaced.unwrap();
    traffic.outcomes().unwrap();
    println!("there: {}", traffic.there.summary());
    println!("back: {}", traffic.back.summary());
    for account in [&traffic.there, &traffic.back] {
        assert!(account.unbalanced().is_empty(), "{:?}", account.unbalanced());
    }
    let refusal = refusal.unwrap_or_default();
    assert!(refusal.contains("disruption budget"), "the last ready pod was evicted: {refusal}");

    // The last update of the watch; a label makes no new generation.
    let label = ["label", "xfed", NAME, "-n", NAMESPACE, "replaced=yes"];
    kubectl(&paths).unwrap().args(label).ok().unwrap();
    let mut off = Vec::new();
    let note = |_: &Snapshot, now: &Snapshot| {
        let conditions = now.conditions.iter().filter(|one| lasting.contains(&one.kind));
        off.extend(conditions.filter(|one| one.status == "False").map(ToString::to_string));
    };
    federated
        .watch
        .until(Wait::new("the label", TURN), TURN, note, |now| {
            now.object["metadata"]["labels"]["replaced"] == "yes"
        })
        .unwrap();
    assert_eq!(off, [] as [String; 0], "conditions that were False");
}
