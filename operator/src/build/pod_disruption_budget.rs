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
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}
