//! Reads Secrets, `ConfigMaps` and Certificates of one namespace, each once for each of its versions: watches of their metadata
//! report the versions, so a reconcile without changes sends no request for their content.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crds::external::certificate::Certificate;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;

use crate::context::Context;

/// Content that was read, by kind and name. Clones share it.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<HashMap<(Kind, String), Entry>>>);

/// Kind of an object with content.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Secret.
    Secret,
    /// `ConfigMap`.
    ConfigMap,
    /// Certificate of cert-manager.
    Certificate,
}

struct Entry {
    /// Its resource version; `None` if it did not exist.
    version: Option<String>,
    object: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Kept {
    // Keys never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl Kept {
    /// Drops an object that is about to be written: the stores do not show the new version at once.
    pub fn forget(&self, kind: &str, name: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(known, known_name), _| known.as_str() != kind || known_name != name);
    }

    fn get<K: Send + Sync + 'static>(
        &self,
        kind: Kind,
        name: &str,
        version: Option<&str>,
    ) -> Option<Option<Arc<K>>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.get(&(kind, name.to_owned()))?;
        if entry.version.as_deref() != version {
            return None;
        }
        match &entry.object {
            None => Some(None),
            Some(object) => Arc::clone(object).downcast().ok().map(Some),
        }
    }

    fn insert<K: ResourceExt + Send + Sync + 'static>(
        &self,
        kind: Kind,
        name: &str,
        found: Option<&Arc<K>>,
    ) {
        let entry = Entry {
            version: found.and_then(|found| found.resource_version()),
            object: found.map(|found| Arc::clone(found) as Arc<dyn Any + Send + Sync>),
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((kind, name.to_owned()), entry);
    }
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Certificate => "Certificate",
        }
    }
}

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
            && let Some(version) = self.version(kind, name)
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

    /// The current version of an object as a watch reports it, `Some(None)` if it does not exist; `None` if that is unknown.
    fn version(&self, kind: Kind, name: &str) -> Option<Option<String>> {
        let (context, _) = self.known.as_ref()?;
        let namespace = self.namespace;
        match kind {
            Kind::Secret => {
                let store = context.objects.secrets.current()?;
                let found = store.get(&ObjectRef::new(name).within(namespace));
                Some(found.and_then(|found| found.resource_version()))
            }
            Kind::ConfigMap => {
                let store = context.objects.config_maps.current()?;
                let found = store.get(&ObjectRef::new(name).within(namespace));
                Some(found.and_then(|found| found.resource_version()))
            }
            Kind::Certificate => {
                let kind = ApiResource::erase::<Certificate>(&());
                let found = context.children.get(&kind, namespace, name)?;
                Some(found.resource_version())
            }
        }
    }
}
