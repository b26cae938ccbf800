//! `ServiceAccount` of the engine. It has no permissions and its token is not mounted: a process that faces the internet
//! must have no credentials for the cluster.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::federation::names;
use crate::federation::validated::Validated;

/// The `ServiceAccount`.
pub fn build(federation: &Validated) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata::child(federation, names::own(&federation.name)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
