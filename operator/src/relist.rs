//! Finds the objects that were deleted while a watch was broken: they are missing from the next listing, and no event names
//! them. Pure.

use std::collections::HashMap;

use kube::Resource;
use kube::runtime::watcher::Event;

use crate::federation::watched::FederationRef;

/// Namespace and name of an object.
type Key = (Option<String>, Option<String>);

/// The objects that a watch knows, each with the federations that it affected last.
#[derive(Debug, Default)]
pub struct Relist {
    known: HashMap<Key, Vec<FederationRef>>,
    /// The listing in progress.
    listed: Option<HashMap<Key, Vec<FederationRef>>>,
}

impl Relist {
    /// The federations that an event affects.
    pub fn affected<K: Resource>(
        &mut self,
        event: &Event<K>,
        concerned: &impl Fn(&K) -> Vec<FederationRef>,
    ) -> Vec<FederationRef> {
        let key = |object: &K| (object.meta().namespace.clone(), object.meta().name.clone());
        match event {
            Event::Apply(object) => {
                let federations = concerned(object);
                self.known.insert(key(object), federations.clone());
                federations
            }
            Event::Delete(object) => {
                self.known.remove(&key(object));
                concerned(object)
            }
            Event::Init => {
                self.listed = Some(HashMap::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let federations = concerned(object);
                if let Some(listed) = &mut self.listed {
                    listed.insert(key(object), federations.clone());
                }
                federations
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let before = std::mem::replace(&mut self.known, listed);
                before
                    .into_iter()
                    .filter(|(object, _)| !self.known.contains_key(object))
                    .flat_map(|(_, federations)| federations)
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;

    use super::*;

    fn service(name: &str) -> Service {
        let mut service = Service::default();
        service.metadata.name = Some(name.to_owned());
        service.metadata.namespace = Some("im".to_owned());
        service
    }

    #[test]
    fn what_is_missing_from_a_new_listing_wakes_its_federation() {
        let mut relist = Relist::default();
        let concerned = |service: &Service| {
            vec![FederationRef::new(service.metadata.name.as_deref().unwrap()).within("im")]
        };
        let mut reported = |event| {
            let federations = relist.affected(&event, &concerned);
            federations.iter().map(|federation| federation.name.clone()).collect::<Vec<_>>()
        };
        reported(Event::Init);
        assert_eq!(reported(Event::InitApply(service("a"))), ["a"]);
        assert_eq!(reported(Event::InitApply(service("b"))), ["b"]);
        assert_eq!(reported(Event::InitDone), [] as [&str; 0]);
        assert_eq!(reported(Event::Apply(service("c"))), ["c"]);
        reported(Event::Init);
        reported(Event::InitApply(service("b")));
        let mut gone = reported(Event::InitDone);
        gone.sort();
        assert_eq!(gone, ["a", "c"]);
        reported(Event::Init);
        assert_eq!(reported(Event::InitDone), ["b"]);
    }
}
