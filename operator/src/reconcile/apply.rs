//! Applies the wanted children by server-side apply under one field manager, and deletes those that are no longer wanted.
//! An object that has not changed since it was last applied causes no request.

use data_encoding::HEXLOWER;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, ResourceExt};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::error::Error;
use super::replace::{self, Refusal, Replacement};
use crate::build::Child;
use crate::build::metadata::CONTENT_ANNOTATION;
use crate::children::{self, is_controlled_by};
use crate::context::{Context, FederationRef};
use crate::evidence::cluster::EnginePod;
use crate::federation::validated::Validated;
use crate::memory::AppliedChild;

/// The result of applying the children, as far as the user must know it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Applied {
    /// Every child is as wanted.
    #[default]
    Done,
    /// `spec.paused`.
    Paused,
    /// An object of that name exists and is not controlled by this federation.
    Foreign {
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
    },
    /// The operator lacks a permission.
    Forbidden {
        /// The action that is not permitted.
        action: String,
        /// The message of the API server.
        message: String,
    },
    /// The API server rejects an object that is built from the spec.
    Refused {
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
        /// The message of the API server.
        message: String,
    },
    /// A Service must be deleted and created anew.
    Replacement(Replacement),
}

/// The result of applying one child.
enum Outcome {
    /// It is as wanted; with the object if a request was sent.
    Good(Option<Box<DynamicObject>>),
    /// The user must act.
    Stopped(Applied),
}

/// Parameters of every patch: we own every field that we set, and an unknown field is an error.
pub fn patch_params() -> PatchParams {
    PatchParams::apply(crds::FIELD_MANAGER).force().validation_strict()
}

/// Applies the children in their order, then deletes orphans.
///
/// # Errors
/// When a call fails for a reason that the user cannot correct.
pub async fn apply(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    wanted: &[Child],
) -> Result<Applied, Error> {
    let paused = federation.spec.paused;
    let secrets = ApiResource::erase::<Secret>(&());
    let mut replacement = None;
    for child in wanted {
        // Certificates are renewed even while the federation is paused, because they expire all the same.
        if paused && child.resource != secrets {
            continue;
        }
        match one(context, reference, federation, child).await? {
            Outcome::Good(_) => {}
            // The other children do not depend on it.
            Outcome::Stopped(Applied::Replacement(needed)) => replacement = Some(needed),
            Outcome::Stopped(applied) => return Ok(applied),
        }
    }
    if paused {
        return Ok(Applied::Paused);
    }
    let applied = orphans(context, reference, federation, wanted).await?;
    Ok(match replacement {
        Some(needed) if applied == Applied::Done => Applied::Replacement(needed),
        _ => applied,
    })
}

/// Applies one child and returns it as the API server has it.
///
/// # Errors
/// As [`apply`].
pub async fn alone(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    child: &Child,
) -> Result<Option<Box<DynamicObject>>, Error> {
    Ok(match one(context, reference, federation, child).await? {
        Outcome::Good(object) => object,
        Outcome::Stopped(_) => None,
    })
}

async fn one(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    child: &Child,
) -> Result<Outcome, Error> {
    let Child { resource, object } = child;
    let (kind, name) = (resource.kind.clone(), object.name_any());
    let key = (kind.clone(), name.clone());
    let digest = digest(object);
    let known = context.children.get(resource, &federation.namespace, &name);
    let ours = known.as_deref().filter(|known| is_controlled_by(*known, &federation.owner.uid));
    let last = context.remember(reference, |memory| memory.applied.get(&key).cloned());
    if let (Some(known), Some(last)) = (ours, &last)
        && last.digest == digest
        && last.version == children::version(known)
    {
        return Ok(Outcome::Good(None));
    }
    let api = Api::<DynamicObject>::namespaced_with(
        context.client.clone(),
        &federation.namespace,
        resource,
    );
    if ours.is_none() {
        // The stores hold only objects with the operator's label, and lag behind; the API server has every object.
        let found = match api.get_metadata_opt(&name).await {
            Ok(found) => found,
            Err(error) => return stop(error, format!("read {kind} {name}"), &kind, &name),
        };
        if found.is_some_and(|found| !is_controlled_by(&found, &federation.owner.uid)) {
            return Ok(Outcome::Stopped(Applied::Foreign { kind, name }));
        }
    }
    match replace::apply(&api, federation, child).await {
        Ok(sent) => {
            let version = children::version(&sent);
            if last.as_ref().map(|last| &last.digest) != Some(&digest) {
                tracing::info!(%kind, %name, "applied");
            }
            context.remember(reference, |memory| {
                memory.applied.insert(key, AppliedChild { digest, version })
            });
            Ok(Outcome::Good(Some(Box::new(sent))))
        }
        Err(Refusal::Replacement(needed)) => Ok(Outcome::Stopped(Applied::Replacement(needed))),
        Err(Refusal::Api(error)) => stop(error, format!("apply {kind} {name}"), &kind, &name),
    }
}

/// Classifies a failed call: what the user must correct, what is retried immediately, and everything else.
fn stop(error: kube::Error, action: String, kind: &str, name: &str) -> Result<Outcome, Error> {
    match error {
        kube::Error::Api(status) if status.is_conflict() => {
            Err(Error::Conflict { object: format!("{kind} {name}") })
        }
        kube::Error::Api(status) if status.is_forbidden() => {
            Ok(Outcome::Stopped(Applied::Forbidden { action, message: status.message.clone() }))
        }
        // 422: a value; 400: a field that strict validation does not know.
        kube::Error::Api(status) if matches!(status.code, 400 | 422) => {
            Ok(Outcome::Stopped(Applied::Refused {
                kind: kind.to_owned(),
                name: name.to_owned(),
                message: status.message.clone(),
            }))
        }
        source => Err(Error::Api { action, source: Box::new(source) }),
    }
}

/// Deletes the objects that the federation controls and no longer wants.
async fn orphans(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    wanted: &[Child],
) -> Result<Applied, Error> {
    for (resource, orphan) in context.children.of_owner(&federation.owner.uid) {
        let name = orphan.name_any();
        let is_wanted = wanted
            .iter()
            .any(|child| child.resource == resource && child.object.name_any() == name);
        if is_wanted || orphan.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let kind = resource.kind.clone();
        let api = Api::<DynamicObject>::namespaced_with(
            context.client.clone(),
            &federation.namespace,
            &resource,
        );
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            // A new object of that name, created in the meantime, is kept.
            preconditions: Some(Preconditions { uid: orphan.uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        match api.delete(&name, &parameters).await {
            Ok(_) => {
                tracing::info!(%kind, %name, "deleted, because the federation no longer needs it");
            }
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(error) => {
                let action = format!("delete {kind} {name}");
                if let Outcome::Stopped(applied) = stop(error, action, &kind, &name)? {
                    return Ok(applied);
                }
            }
        }
        context.remember(reference, |memory| memory.applied.remove(&(kind, name)));
    }
    Ok(Applied::Done)
}

/// Makes the kubelet sync the volumes of pods whose files have changed.
///
/// # Errors
/// When a call fails. A pod that no longer exists is no error.
pub async fn refresh(
    context: &Context,
    federation: &Validated,
    pods: &[EnginePod],
    files: &str,
) -> Result<(), Error> {
    let api = Api::<Pod>::namespaced(context.client.clone(), &federation.namespace);
    for pod in pods.iter().filter(|pod| !pod.terminating && pod.content.as_deref() != Some(files)) {
        let patch = json!({"metadata": {"annotations": {CONTENT_ANNOTATION: files}}});
        match api.patch_metadata(&pod.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            // Without the permission, the kubelet notices the change itself within about a minute.
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                tracing::debug!(pod = %pod.name, message = %status.message, "the operator is not permitted to patch pods");
            }
            Err(error) => return Err(Error::api(format!("annotate Pod {}", pod.name))(error)),
        }
    }
    Ok(())
}

/// Digest of an object, or of a value that represents several objects.
pub fn digest(value: &impl serde::Serialize) -> String {
    // A value that cannot be serialized has no digest, and is sent each time.
    serde_json::to_vec(value)
        .map(|bytes| HEXLOWER.encode(&Sha256::digest(&bytes)))
        .unwrap_or_default()
}
