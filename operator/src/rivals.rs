//! What the federations of the cluster claim, computed once for each generation: every reconcile compares its federation with
//! all others. A name that a deleted federation had stays reserved for a while, because the federation may be re-created, as by
//! `kubectl replace --force` or Argo CD.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::XmppFederation;
use crds::domain::Domain;
use jiff::Timestamp;
use kube::ResourceExt;

use crate::federation::validated::{Rival, held};
use crate::federation::watched::{Federation, FederationRef};

/// Time for which the names of a deleted federation are reserved for one of the same namespace and name.
const RESERVED: Duration = Duration::from_mins(5);
/// Most names that are reserved at a time.
const MAX_RESERVED: usize = 65_536;

/// The claims of all federations.
#[derive(Debug, Default)]
pub struct Rivals {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    claims: HashMap<FederationRef, Claims>,
    /// Names of deleted federations.
    reserved: HashMap<Domain, Reservation>,
}

/// The claims of one federation, and the object that they are from.
#[derive(Debug)]
struct Claims {
    uid: Option<String>,
    generation: Option<i64>,
    rival: Option<Arc<Rival>>,
    /// The names that it has.
    holds: Vec<Domain>,
}

#[derive(Debug)]
struct Reservation {
    by: FederationRef,
    since: Instant,
}

impl Rivals {
    /// The federations that claim something that `object` claims as well, and itself. `counts`: whether a federation may claim
    /// anything.
    pub fn of(
        &self,
        object: &XmppFederation,
        all: &[Arc<Federation>],
        counts: impl Fn(&XmppFederation) -> bool,
    ) -> Vec<Rival> {
        let Some(own) = Rival::of(object) else { return Vec::new() };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { claims, reserved } = &mut *known;
        reserved.retain(|_, reservation| reservation.since.elapsed() < RESERVED);
        let shares = |rival: &Rival| {
            rival.host == own.host || rival.domains.iter().any(|one| own.domains.contains(one))
        };
        let mut found = Vec::new();
        for other in all {
            let Ok(object) = &other.0 else { continue };
            let reference = FederationRef::from_obj(other.as_ref());
            let (uid, generation) = (object.uid(), object.metadata.generation);
            let current = |claims: &Claims| claims.uid == uid && claims.generation == generation;
            if !claims.get(&reference).is_some_and(current) {
                let rival = Rival::of(object).map(Arc::new);
                let new = Claims { uid, generation, rival, holds: Vec::new() };
                claims.insert(reference.clone(), new);
            }
            let Some(known) = claims.get_mut(&reference) else { continue };
            let Some(rival) = known.rival.as_deref().filter(|rival| shares(rival)) else {
                continue;
            };
            known.holds = held(object);
            if counts(object) {
                let mut rival = rival.clone();
                rival.holds.clone_from(&known.holds);
                found.push(rival);
            }
        }
        reserve(&own, reserved, &mut found);
        found
    }

    /// Which of these domains other federations of the cluster serve, as of the last call of [`Self::of`].
    pub fn serve(&self, own: &FederationRef, domains: &BTreeSet<Domain>) -> BTreeSet<Domain> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let others = known.claims.iter().filter(|(reference, _)| *reference != own);
        let served =
            others.filter_map(|(_, claims)| claims.rival.as_ref()).flat_map(|rival| &rival.domains);
        served.filter(|domain| domains.contains(*domain)).cloned().collect()
    }

    /// A federation was deleted. The names that it had are reserved for a while.
    pub fn release(&self, federation: &FederationRef) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(claims) = known.claims.remove(federation) else { return };
        for name in claims.holds {
            if known.reserved.len() < MAX_RESERVED {
                let reservation = Reservation { by: federation.clone(), since: Instant::now() };
                known.reserved.insert(name, reservation);
            }
        }
    }
}

/// Adds the reservations: the federation of that namespace and name has the name already, and for all others somebody else
/// has it.
fn reserve(own: &Rival, reserved: &HashMap<Domain, Reservation>, found: &mut Vec<Rival>) {
    for name in own.domains.iter().chain([&own.host]) {
        let Some(reservation) = reserved.get(name) else { continue };
        let by = &reservation.by;
        let reference = format!("{}/{}", by.namespace.as_deref().unwrap_or_default(), by.name);
        if let Some(again) = found.iter_mut().find(|rival| rival.reference == reference) {
            again.holds.push(name.clone());
            continue;
        }
        found.push(Rival {
            reference,
            created: Some(Timestamp::MIN),
            host: name.clone(),
            domains: vec![name.clone()],
            others: Vec::new(),
            holds: vec![name.clone()],
        });
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use serde_json::json;

    use super::*;
    use crate::federation::validated::validate;
    use crate::fixtures::federation;

    fn named(namespace: &str, name: &str, domain: &str, generation: i64) -> XmppFederation {
        let mut object = federation(&json!({"domains": [{"name": domain}]}));
        object.metadata.namespace = Some(namespace.to_owned());
        object.metadata.name = Some(name.to_owned());
        object.metadata.generation = Some(generation);
        object
    }

    fn watched(object: &XmppFederation) -> Arc<Federation> {
        Arc::new(DeserializeGuard(Ok(object.clone())))
    }

    #[test]
    fn only_federations_with_a_common_claim_are_rivals_and_a_new_generation_counts() {
        let object = named("im", "own", "example.com", 1);
        let rivals = Rivals::default();
        let all = |generation, domain| {
            [
                watched(&object),
                watched(&named("im", "a", domain, generation)),
                watched(&named("im", "b", "example.org", 1)),
            ]
        };
        let found = |all: &[Arc<Federation>], counts: bool| {
            let counts = |other: &XmppFederation| counts || other.name_any() == "own";
            let found = rivals.of(&object, all, counts).into_iter().map(|rival| rival.reference);
            found.collect::<Vec<_>>()
        };
        assert_eq!(found(&all(1, "example.com"), true), ["im/own", "im/a"]);
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
        assert_eq!(found(&all(1, "example.com"), false), ["im/own"]);
        assert_eq!(found(&all(2, "example.net"), true), ["im/own"]);
    }

    #[test]
    fn a_waiting_rival_does_not_win_a_name_while_its_owner_is_re_created() {
        let rivals = Rivals::default();
        let mut owner = named("im", "own", "example.com", 1);
        let mut waiting = named("other", "waiting", "example.com", 1);
        waiting.metadata.creation_timestamp =
            serde_json::from_value(json!("2026-06-02T00:00:00Z")).unwrap();
        let status = json!({
            "host": "xmpp.example.com", "domains": [{"name": "example.com", "conditions": []}]
        });
        owner.status = Some(serde_json::from_value(status).unwrap());
        let judge = |object: &XmppFederation, all: &[Arc<Federation>]| {
            validate(object, &rivals.of(object, all, |_| true)).map(|_| ())
        };
        let both = [watched(&owner), watched(&waiting)];
        assert!(judge(&owner, &both).is_ok() && judge(&waiting, &both).is_err());

        rivals.release(&FederationRef::new("own").within("im"));
        assert!(judge(&waiting, &[watched(&waiting)]).is_err(), "the name is reserved");
        let mut again = named("im", "own", "example.com", 1);
        again.metadata.uid = Some("2".to_owned());
        again.metadata.creation_timestamp =
            serde_json::from_value(json!("2026-06-03T00:00:00Z")).unwrap();
        let both = [watched(&again), watched(&waiting)];
        assert!(judge(&again, &both).is_ok(), "although it is younger");
        assert!(judge(&waiting, &both).is_err());
    }

    #[test]
    fn a_federation_that_had_no_name_leaves_none() {
        let rivals = Rivals::default();
        let first = named("im", "first", "example.com", 1);
        let next = named("other", "next", "example.com", 1);
        rivals.of(&first, &[watched(&first)], |_| true);
        rivals.release(&FederationRef::new("first").within("im"));
        let found = rivals.of(&next, &[watched(&next)], |_| true);
        assert!(validate(&next, &found).is_ok());
    }
}
