//! Replaces the engines of all federations on a standalone API server. No kubelet and no controller of Deployments runs there,
//! so their reports are written here.

use std::time::Duration;

use serde_json::{Value, json};

use crate::apiserver::ApiServer;
use crate::error::Result;
use crate::wait::{Seen, Wait};

/// An annotation of the engine's pods, whose change replaces them.
const ANNOTATION: &str = "example.org/replaced";
/// Maximum time until the operator has changed all Deployments.
const CHANGED: Duration = Duration::from_mins(20);
/// Replicas of each federation, by default.
const REPLICAS: usize = 2;
/// The field manager of the change, for the API server.
const MANAGER: &str = "--field-manager=capacity";

/// Changes the template of all engine pods, and waits until each Deployment has the change.
pub(crate) fn change(server: &ApiServer, federations: &[Value]) -> Result<()> {
    let changed: Vec<Value> = federations
        .iter()
        .map(|federation| {
            json!({
                "apiVersion": federation.get("apiVersion"),
                "kind": federation.get("kind"),
                "metadata": federation.get("metadata"),
                "spec": {"pod": {"annotations": {ANNOTATION: "yes"}}}
            })
        })
        .collect();
    let apply = ["apply", "--server-side", "--validate=false", MANAGER, "-f", "-"];
    server.kubectl().args(apply).input(list(&changed)).ok()?;
    let wanted = federations.len();
    let path = format!("/spec/template/metadata/annotations/{}", ANNOTATION.replace('/', "~1"));
    Wait::new(format!("{wanted} Deployments to change"), CHANGED).until(|| {
        let all = deployments(server)?;
        let changed = all.iter().filter(|one| one.pointer(&path).is_some()).count();
        Ok(Seen::done_if(changed == wanted, format!("{changed} are changed")))
    })
}

/// Reports that this many pods of each Deployment are of its current template, and that all are ready.
pub(crate) fn report(server: &ApiServer, updated: usize) -> Result<()> {
    let mut all = deployments(server)?;
    for deployment in &mut all {
        set_status(
            deployment,
            json!({
                "replicas": REPLICAS,
                "updatedReplicas": updated,
                "readyReplicas": REPLICAS,
                "availableReplicas": REPLICAS,
            }),
        );
    }
    replace_status(server, &all)
}

/// Gives a Deployment a status about its current generation.
pub(crate) fn set_status(deployment: &mut Value, mut status: Value) {
    if let Some(status) = status.as_object_mut() {
        let generation = deployment.pointer("/metadata/generation").cloned();
        status.insert("observedGeneration".to_owned(), generation.unwrap_or_default());
    }
    if let Some(metadata) = deployment.get_mut("metadata").and_then(Value::as_object_mut) {
        // Without it, the API server writes whatever the operator has changed meanwhile.
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    if let Some(deployment) = deployment.as_object_mut() {
        deployment.insert("status".to_owned(), status);
    }
}

/// Writes the status of these objects. It is a subresource, which other requests ignore.
pub(crate) fn replace_status(server: &ApiServer, objects: &[Value]) -> Result<()> {
    let replace = ["replace", "--subresource=status", "--validate=false", "-f", "-"];
    server.kubectl().args(replace).input(list(objects)).ok()
}

/// The Deployments of all federations.
pub fn deployments(server: &ApiServer) -> Result<Vec<Value>> {
    let engines = "-l=app.kubernetes.io/component=engine";
    let list: Value =
        server.kubectl().args(["get", "deploy", "-A", engines, "-o", "json"]).json()?;
    let items = list.get("items").and_then(Value::as_array);
    Ok(items.cloned().unwrap_or_default())
}

/// Creates objects.
pub(crate) fn create(server: &ApiServer, objects: &[Value]) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let create = ["create", "--validate=false", "-f", "-"];
    server.kubectl().args(create).input(list(objects)).ok()
}

/// Several objects as one manifest.
fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// The state of the pods of one Deployment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pods {
    /// All are of the current template.
    Current,
    /// One is of the current template and does not become ready within the progress deadline.
    Stuck,
}

/// Reports the state of one Deployment, given as the API server has it.
pub fn report_one(server: &ApiServer, deployment: &Value, pods: Pods) -> Result<()> {
    let (updated, reason) = match pods {
        Pods::Current => (REPLICAS, "NewReplicaSetAvailable"),
        Pods::Stuck => (1, "ProgressDeadlineExceeded"),
    };
    let progressing = json!({
        "type": "Progressing", "status": if pods == Pods::Current { "True" } else { "False" },
        "reason": reason, "message": "",
        "lastUpdateTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"
    });
    let status = json!({"status": {
        "observedGeneration": deployment.pointer("/metadata/generation"),
        "replicas": REPLICAS,
        "updatedReplicas": updated,
        "readyReplicas": REPLICAS,
        "availableReplicas": REPLICAS,
        "conditions": [progressing],
    }});
    let text =
        |pointer: &str| deployment.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
    let patch =
        ["patch", "deployment", name, "-n", namespace, "--subresource=status", "--type=merge"];
    server.kubectl().args(patch).args(["-p", &status.to_string()]).ok()
}
