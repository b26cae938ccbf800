//! Faults that `Accepted` names: what the API server, or another federation, does not permit.

use std::time::Duration;

use serde_json::{Value, json};

use super::fault::{Fault, lost};
use super::fixture::Fixture;
use super::stage::{NAME, Stage};
use crate::error::Result;
use crate::federation::{OPERATOR, OPERATOR_NAMESPACE};
use crate::kubernetes::{apply, kubectl};
use crate::network::Host;
use crate::wait::{Seen, Wait};

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "a resource quota does not permit a child",
        fixture: Fixture::Plain,
        inject: |stage| {
            quota(stage, "count/networkpolicies.networking.k8s.io")?;
            stage.kubectl(&["delete", "networkpolicy", NAME])
        },
        expected: lost(
            "Accepted",
            "ApplyFailed",
            "NetworkPolicy example.*exceeded quota: catalogue",
            "Raise the resource quota of namespace <namespace>",
        ),
        consequences: &[],
        repair: |stage| stage.delete("resourcequota", "catalogue"),
    },
    Fault {
        name: "an admission policy denies a child",
        fixture: Fixture::Plain,
        inject: |stage| {
            deny(stage, "networkpolicies", "networking.k8s.io", "no policies on Sundays")?;
            stage.kubectl(&["delete", "networkpolicy", NAME])
        },
        expected: lost(
            "Accepted",
            "ApplyFailed",
            "NetworkPolicy example.*no policies on Sundays",
            "exempt namespace <namespace> from it",
        ),
        consequences: &[],
        repair: allow,
    },
    Fault {
        name: "an admission webhook is down",
        fixture: Fixture::Plain,
        inject: |stage| {
            webhook(stage, 9, 10)?;
            stage.kubectl(&["delete", "serviceaccount", NAME])
        },
        expected: lost(
            "Accepted",
            "ApplyFailed",
            "ServiceAccount example.*failed calling webhook \"webhook.catalogue.example\".*refused",
            "Repair the webhook",
        ),
        consequences: &[],
        repair: no_webhook,
    },
    Fault {
        name: "the API server is slow, because an admission webhook does not answer",
        fixture: Fixture::Plain,
        inject: |stage| {
            silence(stage)?;
            webhook(stage, 10, 20)?;
            stage.kubectl(&["delete", "serviceaccount", NAME])
        },
        expected: lost(
            "Accepted",
            "ApplyFailed",
            "ServiceAccount example: the API server did not answer within 12s",
            "check the API server",
        ),
        consequences: &[],
        repair: |stage| {
            no_webhook(stage)?;
            stage.no_filter(Host::Node)
        },
    },
    Fault {
        name: "an object with the name of a child belongs to someone else",
        fixture: Fixture::Plain,
        inject: |stage| {
            let remove = r#"[{"op": "remove", "path": "/metadata/ownerReferences"}]"#;
            stage.kubectl(&["patch", "networkpolicy", NAME, "--type=json", "-p", remove])
        },
        expected: lost(
            "Accepted",
            "AdoptionConflict",
            "NetworkPolicy example already exists and does not belong to this federation",
            "Delete or rename it",
        ),
        consequences: &[],
        repair: |stage| stage.delete("networkpolicy", NAME),
    },
    Fault {
        name: "the operator lacks a permission",
        fixture: Fixture::Plain,
        inject: |stage| {
            permit(stage, &["get", "list", "watch"])?;
            stage.kubectl(&["delete", "poddisruptionbudget", NAME, "--ignore-not-found"])?;
            stage.respec(&json!({"replicas": 2}))
        },
        expected: lost(
            "Accepted",
            "NotPermitted",
            "apply PodDisruptionBudget example.*cannot patch resource",
            "Bind the chart's role to the operator's service account",
        ),
        consequences: &[],
        repair: |stage| {
            permit(stage, &["get", "list", "watch", "create", "patch", "delete"])?;
            stage.restore_spec()
        },
    },
    Fault {
        name: "an older federation has the domain",
        fixture: Fixture::Plain,
        inject: |stage| {
            let healthy = Stage::new(&stage.paths, Fixture::Healthy, 0);
            stage.respec(&json!({"domains": [{"name": stage.domain}, {"name": healthy.domain}]}))
        },
        expected: lost("Accepted", "DomainConflict", "healthy-0\\.", "[Rr]emove"),
        consequences: &["DomainUncontested"],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "an older federation has the host",
        fixture: Fixture::Plain,
        inject: |stage| {
            let healthy = Stage::new(&stage.paths, Fixture::Healthy, 0);
            stage.respec(&json!({"host": healthy.host}))
        },
        expected: lost("Accepted", "HostConflict", "xmpp\\.healthy-0\\.", "spec\\.host"),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "a node port is taken",
        fixture: Fixture::Plain,
        inject: |stage| {
            let healthy = Stage::new(&stage.paths, Fixture::Healthy, 0).get("service", NAME)?;
            let port = healthy.pointer("/spec/ports/0/nodePort").cloned();
            stage.respec(&json!({"service": {"nodePorts": {"s2s": port}}}))
        },
        expected: lost(
            "Accepted",
            "InvalidSpec",
            "Service example.*provided port is already allocated",
            "Correct that field of the spec",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
];

/// A quota that permits no object of that kind; waits until it is in force.
pub(super) fn quota(stage: &Stage, resource: &str) -> Result<()> {
    stage.apply(json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "catalogue"},
        "spec": {"hard": {resource: "0"}},
    }))?;
    Wait::new("the quota to be in force", Duration::from_mins(1)).until(|| {
        let quota = stage.get("resourcequota", "catalogue")?;
        let hard = quota.pointer("/status/hard").and_then(Value::as_object);
        Ok(Seen::done_if(hard.is_some_and(|hard| hard.contains_key(resource)), quota.to_string()))
    })
}

/// A policy of this namespace that denies objects of one kind; waits until it is in force.
pub(super) fn deny(stage: &Stage, resources: &str, group: &str, message: &str) -> Result<()> {
    let name = &stage.namespace;
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"],
                "resources": [resources, "limitranges"],
            }, {
                "apiGroups": [""], "apiVersions": ["*"], "operations": ["CREATE"],
                "resources": ["limitranges"],
            }]},
            "validations": [{"expression": "false", "message": message}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {
                "kubernetes.io/metadata.name": name,
            }}},
        },
    });
    apply(&stage.paths, &policy.to_string())?;
    apply(&stage.paths, &binding.to_string())?;
    let canary = json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "canary", "namespace": name},
        "spec": {"limits": []},
    });
    Wait::new("the policy to be in force", Duration::from_mins(1)).until(|| {
        let tried = kubectl(&stage.paths)?
            .args(["create", "--dry-run=server", "-f", "-"])
            .input(canary.to_string())
            .output()?;
        let said = String::from_utf8_lossy(&tried.stderr).into_owned();
        Ok(Seen::done_if(said.contains(message), said))
    })
}

/// Removes the policy of this namespace.
pub(super) fn allow(stage: &Stage) -> Result<()> {
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        stage.delete(kind, &stage.namespace)?;
    }
    Ok(())
}

/// A webhook for service accounts of this namespace, at that port of the node.
fn webhook(stage: &Stage, port: u16, timeout: u8) -> Result<()> {
    let url = format!("https://{}:{port}/", Host::Node.address());
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": stage.namespace},
        "webhooks": [{
            "name": "webhook.catalogue.example",
            "clientConfig": {"url": url},
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["serviceaccounts"],
            }],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "timeoutSeconds": timeout,
            "admissionReviewVersions": ["v1"],
        }],
    });
    apply(&stage.paths, &configuration.to_string())?;
    Wait::new("the webhook to be in force", Duration::from_mins(1)).until(|| {
        let tried = kubectl(&stage.paths)?
            .args(["create", "serviceaccount", "canary", "--dry-run=server"])
            .args(["-n", &stage.namespace])
            .output()?;
        let said = String::from_utf8_lossy(&tried.stderr).into_owned();
        Ok(Seen::done_if(said.contains("failed calling webhook"), said))
    })
}

fn no_webhook(stage: &Stage) -> Result<()> {
    stage.delete("validatingwebhookconfiguration", &stage.namespace)
}

/// Packets to the webhook's port are dropped, so that nothing answers.
fn silence(stage: &Stage) -> Result<()> {
    stage.filter(Host::Node, "tcp dport 10 drop", "")
}

/// The operator's permissions on disruption budgets, which no other fault needs.
fn permit(stage: &Stage, verbs: &[&str]) -> Result<()> {
    let role = role(stage)?;
    let rules = role.pointer("/rules").and_then(Value::as_array).into_iter().flatten();
    let mut index = None;
    for (at, rule) in rules.enumerate() {
        let resources = rule.pointer("/resources").and_then(Value::as_array);
        let budgets = Value::from("poddisruptionbudgets");
        if resources.is_some_and(|resources| resources.contains(&budgets)) {
            index = Some(at);
        }
    }
    let Some(index) = index else {
        return Err(crate::error::Error::State("no rule is about PodDisruptionBudgets".into()));
    };
    let patch = json!([{"op": "replace", "path": format!("/rules/{index}/verbs"), "value": verbs}]);
    kubectl(&stage.paths)?
        .args(["patch", "clusterrole", &role_name(), "--type=json", "-p"])
        .arg(patch.to_string())
        .ok()
}

/// The chart prefixes names of the cluster with the namespace.
fn role_name() -> String {
    format!("{OPERATOR_NAMESPACE}-{OPERATOR}")
}

fn role(stage: &Stage) -> Result<Value> {
    crate::kubernetes::get(&stage.paths, &["clusterrole", &role_name()])
}
