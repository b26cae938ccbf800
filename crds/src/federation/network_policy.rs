//! The NetworkPolicy for the engine pods.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The NetworkPolicy for the engine pods.
#[derive(Clone, Debug, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// Create the NetworkPolicy.
    #[serde(default = "crate::yes")]
    pub enabled: bool,
    /// Backend pods, which may connect to the engine's inner ports. Default: all pods of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_selector: Option<PodPeer>,
    /// Pods that may read metrics. Default: all pods in the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub metrics_from: Vec<PodPeer>,
}

impl Default for NetworkPolicySpec {
    fn default() -> Self {
        Self { enabled: true, backend_selector: None, metrics_from: Vec::new() }
    }
}

/// Pods, selected as in a NetworkPolicy peer.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodPeer {
    /// Pods by label. If absent, all pods of the selected namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Namespaces by label. If absent, the federation's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}
