//! Upgrades, uninstalls and reinstalls the chart with helm on the real cluster while a federation runs.

use std::time::Duration;

use lab::error::{Error, Result};
use lab::federation::{self, INSTALLATION, NAME, NAMESPACE, OPERATOR, OPERATOR_NAMESPACE};
use lab::kubernetes::{get, helm, kubectl};
use lab::paths::Paths;
use lab::scenario::federated::Federated;
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
