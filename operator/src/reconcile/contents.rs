//! Reads Secrets, `ConfigMaps` and Certificates of one namespace, each once for each of its versions: watches of their metadata
//! report the versions, so a reconcile without changes sends no request for their content.

use std::fmt;
use std::sync::Arc;

use crds::external::certificate::Certificate;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::kept::{Kept, Kind};

/// Reads objects of one namespace.
pub struct Contents<'a> {
    client: &'a Client,
    namespace: &'a str,
    /// The stores with the versions, and what was read before.
    known: Option<(&'a Context, Kept)>,
}

impl<'a> Contents<'a> {
    /// Reads what has not been read yet in its current version.
    pub fn new(context: &'a Context, namespace: &'a str, kept: Kept) -> Self {
        Self { client: &context.client, namespace, known: Some((context, kept)) }
    }

    /// Reads everything.
    #[cfg(test)]
    pub(super) fn uncached(client: &'a Client, namespace: &'a str) -> Self {
        Self { client, namespace, known: None }
    }

    /// The client, for what is not kept.
    pub fn client(&self) -> &'a Client {
        self.client
    }

    /// A Secret.
    ///
    /// # Errors
    /// When the API server does not return it.
    pub async fn secret(&self, name: &str) -> Result<Option<Secret>, kube::Error> {
        let api = Api::<Secret>::namespaced(self.client.clone(), self.namespace);
        Ok(self.get(Kind::Secret, api, name).await?.map(Arc::unwrap_or_clone))
    }

    /// A `ConfigMap`.
    ///
    /// # Errors
    /// When the API server does not return it.
    pub async fn config_map(&self, name: &str) -> Result<Option<Arc<ConfigMap>>, kube::Error> {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), self.namespace);
        self.get(Kind::ConfigMap, api, name).await
    }

    /// A Certificate of cert-manager.
    ///
    /// # Errors
    /// When the API server does not return it.
    pub async fn certificate(&self, name: &str) -> Result<Option<DynamicObject>, kube::Error> {
        let api = Api::<DynamicObject>::namespaced_with(
            self.client.clone(),
            self.namespace,
            &ApiResource::erase::<Certificate>(&()),
        );
        Ok(self.get(Kind::Certificate, api, name).await?.map(Arc::unwrap_or_clone))
    }

    async fn get<K>(
        &self,
        kind: Kind,
        api: Api<K>,
        name: &str,
    ) -> Result<Option<Arc<K>>, kube::Error>
    where
        K: ResourceExt + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static,
    {
        if let Some((_, kept)) = &self.known
            && let Ok(version) = self.version(kind, name)
            && let Some(found) = kept.get(kind, name, version.as_deref())
        {
            return Ok(found);
        }
        let mut found = api.get_opt(name).await?;
        if let Some(object) = &mut found {
            object.managed_fields_mut().clear();
        }
        let found = found.map(Arc::new);
        if let Some((_, kept)) = &self.known {
            kept.insert(kind, name, found.as_ref());
        }
        Ok(found)
    }

    /// The current version of an object as a watch reports it; `None` if it does not exist.
    fn version(&self, kind: Kind, name: &str) -> Result<Option<String>, Unknown> {
        let (context, _) = self.known.as_ref().ok_or(Unknown)?;
        let namespace = self.namespace;
        match kind {
            Kind::Secret => {
                let store = context.objects.secrets.current().ok_or(Unknown)?;
                let found = store.get(&ObjectRef::new(name).within(namespace));
                Ok(found.and_then(|found| found.resource_version()))
            }
            Kind::ConfigMap => {
                let store = context.objects.config_maps.current().ok_or(Unknown)?;
                let found = store.get(&ObjectRef::new(name).within(namespace));
                Ok(found.and_then(|found| found.resource_version()))
            }
            Kind::Certificate => {
                let kind = ApiResource::erase::<Certificate>(&());
                let found = context.children.get(&kind, namespace, name).ok_or(Unknown)?;
                Ok(found.resource_version())
            }
        }
    }
}

/// No watch reports the version.
struct Unknown;
