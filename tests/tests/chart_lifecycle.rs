//! helm on the real cluster: upgraded, uninstalled and installed again while a federation runs.

use std::time::Duration;

use serde_json::Value;
use tests::error::{Error, Result};
use tests::federation::{self, NAME, NAMESPACE, OPERATOR, OPERATOR_NAMESPACE};
use tests::kubernetes::{get, helm, kubectl};
use tests::paths::Paths;
use tests::scenario::federated::Federated;
use tests::wait::{Seen, Wait};

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
        .args(["--wait", "--timeout=90s"])
        .ok()
        .unwrap();
    assert!(!exists(&paths, &["service", "-n", OPERATOR_NAMESPACE, OPERATOR]).unwrap());

    let uninstalled = helm(&paths)
        .unwrap()
        .args(["uninstall", OPERATOR, "--namespace", OPERATOR_NAMESPACE, "--wait"])
        .stdout();
    let left = left_behind(&paths);
    // Installed again before anything is judged, so that a failure here does not fail the tests after it.
    federation::install(&paths).unwrap();
    let said = uninstalled.unwrap();
    assert!(said.contains(CRD), "helm names what it keeps: {said}");
    let left = left.unwrap();
    assert!(left.definition && left.federation && left.engines == engines, "{left:?}");
    assert!(!left.operator && !left.cluster_role, "{left:?}");

    kubectl(&paths).unwrap().args(["delete", "service", NAME, "-n", NAMESPACE]).ok().unwrap();
    let service: Result<()> =
        Wait::new("the operator to make the Service again", WAIT).until(|| {
            let there = exists(&paths, &["service", NAME, "-n", NAMESPACE])?;
            Ok(Seen::done_if(there, "no Service"))
        });
    service.unwrap();
    federated.until_true("Ready").unwrap();
    assert_eq!(engine_pods(&paths).unwrap(), engines, "no engine was replaced by any of this");
}

/// A new leader waits at most for the end of the lease that the last one held.
const WAIT: Duration = Duration::from_mins(1);

/// What there is without an operator.
#[derive(Debug)]
struct Left {
    definition: bool,
    federation: bool,
    engines: Vec<String>,
    operator: bool,
    cluster_role: bool,
}

fn left_behind(paths: &Paths) -> Result<Left> {
    Ok(Left {
        definition: exists(paths, &["crd", CRD])?,
        federation: exists(paths, &["xmppfederation", NAME, "-n", NAMESPACE])?,
        engines: engine_pods(paths)?,
        operator: exists(paths, &["deployment", OPERATOR, "-n", OPERATOR_NAMESPACE])?,
        cluster_role: exists(paths, &["clusterrole", OPERATOR])?,
    })
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
