//! Server-side apply of one object, under one field manager.

use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;

/// Attempts to write an object that another client changes at the same time.
const CONFLICT_ATTEMPTS: usize = 3;

/// Parameters of every patch: we own every field that we set, and an unknown field is an error.
pub(super) fn patch_params() -> PatchParams {
    PatchParams::apply(crds::FIELD_MANAGER).force().validation_strict()
}

/// Sends an object. A conflict with another client is no refusal, so the request is repeated.
pub(super) async fn apply(
    api: &Api<DynamicObject>,
    name: &str,
    object: &DynamicObject,
) -> Result<DynamicObject, kube::Error> {
    let mut attempts = 1;
    loop {
        match api.patch(name, &patch_params(), &Patch::Apply(object)).await {
            Err(kube::Error::Api(status))
                if status.is_conflict() && attempts < CONFLICT_ATTEMPTS =>
            {
                attempts += 1;
            }
            result => return result,
        }
    }
}
