//! Metadata of all objects that the operator created, kept current by watches, so that a reconcile without changes sends no
//! request for them.

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

/// A version that changes when the wanted part of an object changes: its generation if the API server keeps one, else its
/// resource version. (Status updates of a Deployment change its resource version all the time.)
pub fn version(object: &impl ResourceExt) -> Option<String> {
    match object.meta().generation {
        Some(generation) => Some(format!("generation {generation}")),
        None => object.resource_version(),
    }
}
