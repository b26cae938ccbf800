//! `PodDisruptionBudget`: a drained node takes one replica at a time.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata;
use crate::federation::names;
use crate::federation::validated::Validated;

/// The budget; `None` for a single replica, because it would prevent draining the node.
pub fn build(federation: &Validated) -> Option<PodDisruptionBudget> {
    (federation.spec.replicas > 1).then(|| PodDisruptionBudget {
        metadata: metadata::child(federation, names::own(&federation.name)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(metadata::selector(&federation.name)),
            // A pod that hangs is not ready, so it serves nobody and must not keep its node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}
