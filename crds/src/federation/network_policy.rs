//! The NetworkPolicy around the engine.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The NetworkPolicy around the engine.
#[derive(Clone, Debug, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// Make the policy.
    #[serde(default = "crate::yes")]
    pub enabled: bool,
    /// Pods of the backends, which may reach the engine's inner ports. Default: all pods of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_selector: Option<PodPeer>,
    /// Who may read metrics. Default: everybody in the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub metrics_from: Vec<PodPeer>,
}

impl Default for NetworkPolicySpec {
    fn default() -> Self {
        Self { enabled: true, backend_selector: None, metrics_from: Vec::new() }
    }
}

/// Pods, as a peer of a NetworkPolicy names them.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodPeer {
    /// Pods by label. Absent: all pods of the chosen namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Namespaces by label. Absent: the federation's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}
