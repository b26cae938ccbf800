//! Upgrades, uninstalls and reinstalls the chart with helm on the real cluster while a federation runs.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use lab::conditions::Snapshot;
use lab::error::{Error, Result};
use lab::federation::{self, INSTALLATION, NAME, NAMESPACE, OPERATOR, OPERATOR_NAMESPACE};
use lab::installed::PREVIOUS_CHART;
use lab::kubernetes::{get, helm, kubectl};
use lab::paths::Paths;
use lab::scenario::conversation;
use lab::scenario::federated::Federated;
use lab::scenario::traffic::Traffic;
use lab::wait::{Seen, Wait};
use serde_json::Value;

const CRD: &str = "xmppfederations.xmppfederation.dev";

#[test]
fn federations_outlive_an_upgrade_and_an_uninstalled_operator() {
    let mut federated = Federated::ready().unwrap();
    let paths = federated.paths.clone();
    let engines = engine_pods(&paths).unwrap();
    assert_eq!(engines.len(), 2, "{engines:?}");

    helm(&paths)
        .unwrap()
        .args(["upgrade", OPERATOR])
        .arg(paths.tree().join("charts").join(OPERATOR))
        .args(["--namespace", OPERATOR_NAMESPACE, "--reuse-values"])
        .args(["--set=log.filter=debug", "--set=metrics.service.enabled=false"])
        // If this test fails half-way, the remaining installation must not be mistaken for the normal one.
        .arg(format!("--set-string=podAnnotations.{INSTALLATION}=changed"))
        .args(["--wait", "--timeout=3m"])
        .ok()
        .unwrap();
    assert!(!exists(&paths, &["service", "-n", OPERATOR_NAMESPACE, OPERATOR]).unwrap());

    let uninstalled = helm(&paths)
        .unwrap()
        .args(["uninstall", OPERATOR, "--namespace", OPERATOR_NAMESPACE, "--wait"])
        .stdout();
    let left = left_behind(&paths);
    // Reinstalled before the first assertion, so that a failure here does not fail the tests after it.
    federation::install(&paths).unwrap();
    let said = uninstalled.unwrap();
    assert!(said.contains(CRD), "helm names what it keeps: {said}");
    let (left, engines_left) = left.unwrap();
    assert_eq!(left, ["crd", "xmppfederation"], "what stays without the operator");
    assert_eq!(engines_left, engines);

    kubectl(&paths).unwrap().args(["delete", "service", NAME, "-n", NAMESPACE]).ok().unwrap();
    let service: Result<()> =
        Wait::new("the operator to make the Service again", WAIT).until(|| {
            let there = exists(&paths, &["service", NAME, "-n", NAMESPACE])?;
            Ok(Seen::done_if(there, "no Service"))
        });
    service.unwrap();
    // The last observed status may be outdated.
    federation::wait_for_public_port(&paths, NAME).unwrap();
    federated.until_true("Ready").unwrap();
    assert_eq!(engine_pods(&paths).unwrap(), engines, "no engine was replaced by any of this");
}

/// The page on upgrades.
const PAGE: &str = include_str!("../../../docs/upgrading.md");

/// What every object of a federation is labelled with.
const CHILDREN: &str = "xmppfederation.dev/federation=example";

#[test]
fn a_release_of_the_previous_chart_is_upgraded_and_rolled_back_under_traffic_without_a_loss() {
    let mut federated = Federated::ready().unwrap();
    let paths = federated.paths.clone();
    let (mut ours, mut theirs) = federated.people().unwrap();
    conversation::meet_and_chat(&mut ours, &mut theirs, &mut |_| ()).unwrap();
    federated.until("Ready as Federated", |now| now.has("Ready", "True", "Federated")).unwrap();
    let objects = children(&paths).unwrap();
    assert!(objects.len() > 10, "{objects:?}");
    let before = transitions(&federated.watch.last);

    let mut traffic = Traffic::between(ours, theirs);
    let (running, stop) = channel();
    let people = &mut traffic;
    let (sent, outcome) = thread::scope(|scope| {
        let sending = scope.spawn(move || people.run(&stop));
        let outcome = there_and_back(&paths);
        drop(running);
        (sending.join().unwrap(), outcome)
    });
    // Reinstalled before the first assertion, so that a failure here does not fail the tests after it.
    federation::install(&paths).unwrap();
    outcome.unwrap();
    sent.unwrap();
    traffic.outcomes().unwrap();
    for (direction, account) in [("there", &traffic.there), ("back", &traffic.back)] {
        println!("{direction}: {}", account.summary());
        assert!(account.unbalanced().is_empty(), "{:?}", account.unbalanced());
        assert_eq!(account.arrived(), account.total(), "{direction}: {}", account.summary());
    }
    // The API server ends a watch when the schema of the resource changes.
    let mut federated = Federated { watch: federation::watch(&paths).unwrap(), ..federated };
    federated.until_true("Ready").unwrap();
    // A condition that was False for a moment would have another time.
    assert_eq!(transitions(&federated.watch.last), before);
    assert_eq!(children(&paths).unwrap(), objects, "no object was created anew by any of this");
}

/// Kind, name and UID of every object of the federation, and of its pods.
fn children(paths: &Paths) -> Result<Vec<String>> {
    let kinds = "deployments,replicasets,pods,services,configmaps,secrets,serviceaccounts,\
                 networkpolicies,poddisruptionbudgets,dnsendpoints";
    let list: Value = get(paths, &[kinds, "-n", NAMESPACE, "-l", CHILDREN])?;
    let items = list.pointer("/items").and_then(Value::as_array).cloned().unwrap_or_default();
    let fields = ["/kind", "/metadata/name", "/metadata/uid"];
    let text = |item: &Value, field: &str| item.pointer(field).map(Value::to_string);
    let mut all: Vec<String> = items
        .iter()
        .map(|item| fields.map(|field| text(item, field).unwrap_or_default()).join(" "))
        .collect();
    all.sort();
    Ok(all)
}

/// Type, status and time of the last transition of each condition.
fn transitions(snapshot: &Snapshot) -> Vec<String> {
    let conditions = snapshot.object.pointer("/status/conditions").and_then(Value::as_array);
    let mut found: Vec<_> = conditions
        .into_iter()
        .flatten()
        .map(|condition| {
            ["type", "status", "lastTransitionTime"]
                .map(|field| condition.get(field).map(ToString::to_string).unwrap_or_default())
        })
        .filter(|[kind, ..]| !kind.contains("Reconciling"))
        .map(|fields| fields.join(" "))
        .collect();
    found.sort();
    found
}

/// The arguments of a command of the page, with this chart.
fn printed(command: &str, chart: &str) -> Result<Vec<String>> {
    let line = PAGE.lines().find(|line| line.starts_with(command));
    let line = line.ok_or_else(|| Error::State(format!("the page has no {command}")))?;
    let own = format!("charts/{OPERATOR}");
    let argument = |word: &str| if word == own { chart.to_owned() } else { word.to_owned() };
    Ok(line.split_whitespace().skip(1).map(argument).collect())
}

/// From this chart to the previous one with the same values, to this one, and back, with the images of this tree.
fn there_and_back(paths: &Paths) -> Result<()> {
    let tree = paths.tree();
    let own = tree.join("charts").join(OPERATOR);
    for (chart, installation) in [(tree.join(PREVIOUS_CHART), "previous"), (own, "upgraded")] {
        helm(paths)?
            .args(printed("helm upgrade", &chart.to_string_lossy())?)
            .arg(format!("--set-string=podAnnotations.{INSTALLATION}={installation}"))
            .args(["--timeout=3m"])
            .ok()?;
    }
    helm(paths)?.args(printed("helm rollback", "")?).args(["--timeout=3m"]).ok()
}

/// A new leader waits at most for the expiry of the previous leader's lease.
const WAIT: Duration = Duration::from_mins(2);

/// Kinds that still exist without an operator, and the engine's pods.
fn left_behind(paths: &Paths) -> Result<(Vec<&'static str>, Vec<String>)> {
    let mut left = Vec::new();
    for (kind, name, namespace) in [
        ("crd", CRD, ""),
        ("xmppfederation", NAME, NAMESPACE),
        ("deployment", OPERATOR, OPERATOR_NAMESPACE),
        ("clusterrole", OPERATOR, ""),
    ] {
        if exists(paths, &[kind, name, "-n", namespace])? {
            left.push(kind);
        }
    }
    Ok((left, engine_pods(paths)?))
}

fn exists(paths: &Paths, object: &[&str]) -> Result<bool> {
    let found = kubectl(paths)?.arg("get").args(object).args(["--ignore-not-found", "-o", "name"]);
    Ok(!found.stdout()?.trim().is_empty())
}

/// UIDs of the engine's pods.
fn engine_pods(paths: &Paths) -> Result<Vec<String>> {
    let selector = format!("app.kubernetes.io/instance={NAME}");
    let pods: Value = get(paths, &["pods", "-n", NAMESPACE, "-l", &selector])?;
    let items = pods.pointer("/items").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut uids = Vec::new();
    for pod in &items {
        let uid = pod.pointer("/metadata/uid").and_then(Value::as_str);
        uids.push(uid.ok_or_else(|| Error::State("a pod without UID".into()))?.to_owned());
    }
    uids.sort();
    Ok(uids)
}
