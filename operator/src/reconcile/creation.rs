//! Creates Services. The API server allocates their addresses and ports one after the other, and loses those of a request that
//! is given up until it looks for them minutes later. So few are created at a time, and no request is given up.

use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::{Api, ResourceExt};
use tokio::time::timeout;

use super::patch;
use super::problem::{Problem, Step};
use crate::build::Child;
use crate::context::Context;
use crate::federation::validated::Validated;
use crate::turns::Turn;

/// Services that are created at the same time. A quarter of them is for one namespace: the two of one federation.
pub const AT_ONCE: usize = 8;
/// Longest wait for a turn.
const TURN_LIMIT: Duration = Duration::from_secs(12);

/// A turn for a child that is a Service and does not exist yet; `None` for any other child.
///
/// # Errors
/// When other federations have all turns for too long.
pub(super) async fn turn(
    context: &Context,
    federation: &Validated,
    child: &Child,
) -> Result<Option<Turn>, Problem> {
    let (namespace, name) = (&federation.namespace, child.object.name_any());
    let exists = || context.children.get(&child.resource, namespace, &name).is_some();
    if !is_service(child) || exists() {
        return Ok(None);
    }
    timeout(TURN_LIMIT, context.creating.take(namespace)).await.map_err(|_| {
        let message = "the operator creates the Services of other federations first".to_owned();
        Problem::failed(Step::Apply, "Service", &name, message)
    })
}

/// The API server allocates something for it.
pub(super) fn is_service(child: &Child) -> bool {
    child.resource == ApiResource::erase::<Service>(&())
}

/// Creates a Service. The request goes on if this future is dropped; the API server ends it after a minute.
///
/// # Errors
/// The answer of the API server.
pub(super) async fn create(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
) -> Result<DynamicObject, kube::Error> {
    let (api, object) = (api.clone(), object.clone());
    let request = async move { patch::apply(&api, &object.name_any(), &object).await };
    let answer = tokio::spawn(request).await;
    answer.unwrap_or_else(|ended| Err(kube::Error::Service(ended.into())))
}
