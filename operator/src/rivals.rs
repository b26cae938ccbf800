//! What the federations of the cluster claim, computed once for each generation: every reconcile compares its federation with
//! all others.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crds::XmppFederation;
use crds::domain::Domain;
use kube::ResourceExt;

use crate::federation::validated::Rival;
use crate::federation::watched::{Federation, FederationRef};

/// The claims of all federations.
#[derive(Debug, Default)]
pub struct Rivals {
    known: Mutex<HashMap<FederationRef, Claims>>,
}

/// The claims of one federation, and the object that they are from.
#[derive(Debug)]
struct Claims {
    uid: Option<String>,
    generation: Option<i64>,
    rival: Option<Arc<Rival>>,
}

impl Rivals {
    /// The federations that claim something that `object` claims as well.
    pub fn of(&self, object: &XmppFederation, all: &[Arc<Federation>]) -> Vec<Rival> {
        let Some(own) = Rival::of(object) else { return Vec::new() };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let claims = all.iter().filter_map(|other| {
            let object = other.0.as_ref().ok()?;
            let reference = FederationRef::from_obj(other.as_ref());
            let (uid, generation) = (object.uid(), object.metadata.generation);
            let current = |claims: &Claims| claims.uid == uid && claims.generation == generation;
            if !known.get(&reference).is_some_and(current) {
                let rival = Rival::of(object).map(Arc::new);
                known.insert(reference.clone(), Claims { uid, generation, rival });
            }
            known.get(&reference)?.rival.clone()
        });
        let shares = |rival: &Arc<Rival>| {
            rival.host == own.host || rival.domains.iter().any(|one| own.domains.contains(one))
        };
        claims.filter(shares).map(|rival| Rival::clone(&rival)).collect()
    }

    /// Which of these domains other federations of the cluster serve, as of the last call of [`Self::of`].
    pub fn serve(&self, own: &FederationRef, domains: &BTreeSet<Domain>) -> BTreeSet<Domain> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let others = known.iter().filter(|(reference, _)| *reference != own);
        let served =
            others.filter_map(|(_, claims)| claims.rival.as_ref()).flat_map(|rival| &rival.domains);
        served.filter(|domain| domains.contains(*domain)).cloned().collect()
    }

    /// Drops the claims of a deleted federation.
    pub fn forget(&self, federation: &FederationRef) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(federation);
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use serde_json::json;

    use super::*;
    use crate::fixtures::federation;

    #[test]
    fn only_federations_with_a_common_claim_are_rivals_and_a_new_generation_counts() {
        let named = |name: &str, domain: &str, generation: i64| {
            let mut object = federation(&json!({"domains": [{"name": domain}]}));
            object.metadata.name = Some(name.to_owned());
            object.metadata.generation = Some(generation);
            object
        };
        let watched = |object: XmppFederation| Arc::new(DeserializeGuard(Ok(object)));
        let object = named("own", "example.com", 1);
        let rivals = Rivals::default();
        let all = |generation, domain| {
            vec![
                watched(object.clone()),
                watched(named("a", domain, generation)),
                watched(named("b", "example.org", 1)),
            ]
        };
        let found = |all: &[Arc<Federation>]| {
            let found = rivals.of(&object, all).into_iter().map(|rival| rival.reference);
            found.collect::<Vec<_>>()
        };
        assert_eq!(found(&all(1, "example.com")), ["im/own", "im/a"]);
        let domains = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let asked = domains(&["example.org", "example.com", "outside.example"]);
        let own = FederationRef::new("own").within("im");
        let served = rivals.serve(&own, &asked);
        assert_eq!(
            served,
            domains(&["example.com", "example.org"]),
            "the own ones are not asked for"
        );
        assert_eq!(rivals.serve(&own, &domains(&[])), domains(&[]));
        assert_eq!(found(&all(2, "example.net")), ["im/own"]);
    }
}
