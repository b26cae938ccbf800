//! Content of Secrets, `ConfigMaps` and Certificates, kept by version.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kube::ResourceExt;

/// Most objects that are kept for one federation. A spec refers to fewer, but it may change often.
const MAX_KEPT: usize = 1024;

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

    /// The object of this version, `Some(None)` if it is known not to exist; `None` if it must be read.
    pub fn get<K: Send + Sync + 'static>(
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

    /// Keeps what was read.
    pub fn insert<K: ResourceExt + Send + Sync + 'static>(
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
        if all.len() >= MAX_KEPT {
            all.clear();
        }
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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;

    use super::*;

    #[test]
    fn content_is_used_for_its_own_version_alone_and_not_after_a_write() {
        let kept = Kept::default();
        let mut secret = Secret::default();
        secret.metadata.resource_version = Some("1".to_owned());
        kept.insert(Kind::Secret, "a", Some(&Arc::new(secret)));
        kept.insert::<Secret>(Kind::Secret, "b", None);
        let get =
            |name: &str, version: Option<&str>| kept.get::<Secret>(Kind::Secret, name, version);
        assert!(get("a", Some("1")).is_some_and(|found| found.is_some()));
        assert!(get("a", Some("2")).is_none() && get("a", None).is_none());
        assert_eq!(get("b", None), Some(None), "it does not exist");
        assert!(get("b", Some("1")).is_none());
        // The stores do not show at once what was written, and a Secret that seems to be missing would be issued again.
        for name in ["a", "b"] {
            kept.forget("ConfigMap", name);
            kept.forget("Secret", name);
        }
        assert!(get("a", Some("1")).is_none() && get("b", None).is_none());
    }
}
