//! Metadata of all objects that the operator created, kept current by watches, so that a reconcile without changes sends no
//! request for them.

use std::hash::{DefaultHasher, Hash, Hasher};

use crds::external::certificate::Certificate;
use crds::external::dns_endpoint::DNSEndpoint;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store};

/// Metadata of an object of any kind.
pub type Metadata = PartialObjectMeta<DynamicObject>;
/// Writer of one store.
pub type Writer = kube::runtime::reflector::store::Writer<Metadata>;

/// One store for each kind of child.
#[derive(Clone, Debug)]
pub struct Children {
    stores: Vec<(ApiResource, Store<Metadata>)>,
}

impl Children {
    /// Empty stores, and their writers.
    pub fn new() -> (Self, Vec<(ApiResource, Writer)>) {
        let (stores, writers) = kinds()
            .into_iter()
            .map(|resource| {
                let writer = Writer::new(resource.clone());
                ((resource.clone(), writer.as_reader()), (resource, writer))
            })
            .unzip();
        (Self { stores }, writers)
    }

    /// The metadata of a child, if it has the operator's label.
    pub fn get(
        &self,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
    ) -> Option<std::sync::Arc<Metadata>> {
        let (_, store) = self.stores.iter().find(|(known, _)| known == resource)?;
        store.get(&ObjectRef::new_with(name, resource.clone()).within(namespace))
    }

    /// All children that an owner controls.
    pub fn of_owner(&self, owner: &str) -> Vec<(ApiResource, std::sync::Arc<Metadata>)> {
        let mut all = Vec::new();
        for (resource, store) in &self.stores {
            let found = store.state_filter(|child| is_controlled_by(child, owner));
            all.extend(found.into_iter().map(|child| (resource.clone(), child)));
        }
        all
    }

    /// Completes when every store has received its first listing, except those of optional kinds.
    pub async fn wait_until_ready(&self) {
        for (resource, store) in &self.stores {
            if !is_optional(resource) && store.wait_until_ready().await.is_err() {
                tracing::error!(kind = %resource.kind, "the watch for a kind of child object ended");
            }
        }
    }
}

/// Kinds that the operator creates.
fn kinds() -> Vec<ApiResource> {
    vec![
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<Certificate>(&()),
        ApiResource::erase::<DNSEndpoint>(&()),
        ApiResource::erase::<Deployment>(&()),
    ]
}

/// Whether the kind is optional: it comes with another product and may not exist.
pub fn is_optional(resource: &ApiResource) -> bool {
    [ApiResource::erase::<Certificate>(&()), ApiResource::erase::<DNSEndpoint>(&())]
        .contains(resource)
}

/// An owner reference with `controller: true` and this UID.
pub fn is_controlled_by(object: &impl ResourceExt, owner: &str) -> bool {
    object
        .owner_references()
        .iter()
        .any(|reference| reference.uid == owner && reference.controller == Some(true))
}

/// A version that changes when something changes that the operator may have to restore. The generation changes only with the
/// spec, and the resource version of an object with a status all the time. So the labels and annotations that the operator
/// wants are part of it; those of others, such as a controller's, are not.
pub fn version(
    resource: &ApiResource,
    object: &impl ResourceExt,
    wanted: &impl ResourceExt,
) -> Option<Version> {
    let generation = object.meta().generation.filter(|_| !is_without_status(resource));
    let content = match generation {
        Some(generation) => format!("generation {generation}"),
        None => object.resource_version()?,
    };
    let mut hasher = DefaultHasher::new();
    for (have, want) in
        [(object.labels(), wanted.labels()), (object.annotations(), wanted.annotations())]
    {
        for key in want.keys() {
            (key, have.get(key)).hash(&mut hasher);
        }
    }
    Some(Version { content, marks: hasher.finish() })
}

/// See [`version`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    /// The generation or the resource version.
    content: String,
    /// Hash of the wanted labels and annotations.
    marks: u64,
}

/// Nobody writes a status of such an object. Its resource version changes only with its content.
fn is_without_status(resource: &ApiResource) -> bool {
    [
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
    ]
    .contains(resource)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outline(metadata: &serde_json::Value) -> Metadata {
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn a_status_is_no_new_version_and_a_label_or_annotation_of_ours_is() {
        let deployments = ApiResource::erase::<Deployment>(&());
        let policies = ApiResource::erase::<NetworkPolicy>(&());
        let wanted = outline(&json!({"labels": {"a": "1"}, "annotations": {"b": "2"}}));
        let at = |generation: i64, revision: &str, labels, annotations| {
            outline(&json!({
                "generation": generation, "resourceVersion": revision,
                "labels": labels, "annotations": annotations
            }))
        };
        let of = |resource, object: &Metadata| version(resource, object, &wanted).unwrap();
        let as_sent = at(1, "7", json!({"a": "1"}), json!({"b": "2"}));
        let sent = of(&deployments, &as_sent);
        let more = at(1, "8", json!({"a": "1", "x": "y"}), json!({"b": "2", "x": "y"}));
        assert_eq!(of(&deployments, &more), sent, "a status, and the labels of others");
        assert_ne!(of(&policies, &more), of(&policies, &as_sent));
        for other in [
            at(2, "8", json!({"a": "1"}), json!({"b": "2"})),
            at(1, "8", json!({"a": "0"}), json!({"b": "2"})),
            at(1, "8", json!({}), json!({"b": "2"})),
            at(1, "8", json!({"a": "1"}), json!({"b": ""})),
            at(1, "8", json!({"a": "1"}), json!({})),
        ] {
            assert_ne!(of(&deployments, &other), sent, "{other:?}");
        }
    }
}
