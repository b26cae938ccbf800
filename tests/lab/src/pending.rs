//! Engine pods that no node takes. No scheduler and no controller of Deployments runs on a standalone API server, so their
//! reports are written here.

use serde_json::{Value, json};

use crate::apiserver::ApiServer;
use crate::error::Result;
use crate::rollout;

/// What the scheduler says about the pods.
const REFUSAL: &str = "0/3 nodes are available: 3 Insufficient memory.";

/// Reports a pod of each Deployment that no node takes.
pub(crate) fn report(server: &ApiServer) -> Result<()> {
    let mut all = rollout::deployments(server)?;
    let pods: Vec<Value> = all.iter().map(pod).collect();
    rollout::create(server, &pods)?;
    rollout::replace_status(server, &pods)?;
    for deployment in &mut all {
        let status = json!({"replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1});
        rollout::set_status(deployment, status);
    }
    rollout::replace_status(server, &all)
}

fn pod(deployment: &Value) -> Value {
    let name = deployment.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{name}-1"),
            "namespace": deployment.pointer("/metadata/namespace"),
            "labels": deployment.pointer("/spec/template/metadata/labels"),
        },
        "spec": {
            "automountServiceAccountToken": false,
            "serviceAccountName": name,
            "containers": [{"name": "engine", "image": "engine"}]
        },
        "status": {
            "phase": "Pending",
            "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": REFUSAL
            }]
        }
    })
}
