//! Rollouts of what another version of the operator builds, one wave of federations after the other: first a single federation,
//! and several at a time once it serves. They stop at the first one whose pods do not become ready, so that a broken image
//! never reaches all federations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use crate::build::deployment::CONTAINER;
use crate::build::revision::{GENERATION, REVISION};
use crate::evidence::cluster::workload;
use crate::federation::watched::FederationRef;

/// Federations that roll out at a time once one of them serves with the new pods.
const WAVE: usize = 10;
/// Time after which the store of Deployments must show a rollout that was permitted.
const LAG: Duration = Duration::from_secs(30);

/// Permits rollouts.
#[derive(Debug, Default)]
pub struct Waves {
    /// Rollouts that were permitted, which the store of Deployments may not show yet.
    permitted: Mutex<HashMap<FederationRef, Instant>>,
}

/// The pods that all federations should have.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The image of the engine.
    pub image: &'a str,
    /// What the operator builds.
    pub revision: &'a str,
}

/// The image that a federation gets now, and why its pods are not the wanted ones.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Choice {
    /// The image.
    pub image: String,
    /// What it waits for.
    pub waits: Option<Waits>,
}

/// Why a federation keeps its pods.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waits {
    /// Whole sentences.
    pub why: String,
    /// The generation that the pods were built from; unknown if an operator before this annotation built them.
    pub generation: Option<i64>,
}

impl Waits {
    /// Whether the pods were built from the present spec, so that nothing but the operator's version differs. `judged` is
    /// the generation that the last status is about.
    pub fn is_built_from(&self, generation: Option<i64>, judged: Option<i64>) -> bool {
        generation.is_some() && self.generation.or(judged) == generation
    }
}

impl Waves {
    /// Chooses the image for a federation, given all Deployments of the operator.
    pub fn choose(
        &self,
        federation: &FederationRef,
        deployments: &[Arc<Deployment>],
        wanted: Wanted<'_>,
    ) -> Choice {
        let is_own = |deployment: &&Arc<Deployment>| {
            deployment.metadata.name.as_deref() == Some(&federation.name)
                && deployment.metadata.namespace == federation.namespace
        };
        let now = Choice { image: wanted.image.to_owned(), waits: None };
        let own =
            deployments.iter().find(is_own).filter(|own| revision(own) != Some(wanted.revision));
        let Some((own, image)) = own.and_then(|own| Some((own, image(own)?))) else { return now };
        let mut permitted = self.permitted.lock().unwrap_or_else(PoisonError::into_inner);
        permitted.retain(|_, at| at.elapsed() < LAG);
        let seen = Seen::of(deployments, wanted.revision);
        let (kept, new) = if image == wanted.image {
            ("its engine pods".to_owned(), "the engine pods of this operator".to_owned())
        } else {
            (format!("image {image}"), format!("image {}", wanted.image))
        };
        let why = if permitted.contains_key(federation) {
            None
        } else if let Some(stuck) = &seen.stuck {
            let near = stuck.split('/').next() == federation.namespace.as_deref();
            let place = if near {
                format!("federation {stuck}")
            } else {
                // Tenants do not learn the names of each other's objects.
                tracing::debug!(%stuck, image = %wanted.image, "a rollout is stuck, so the other federations keep their image");
                "a federation in another namespace".to_owned()
            };
            Some(format!(
                "This federation keeps {kept}, because the rollout of {new} is stuck at {place}."
            ))
        } else {
            let limit = if seen.complete > 0 { WAVE } else { 1 };
            let unseen = permitted.keys().filter(|known| !seen.names.contains(&name(known)));
            (seen.running + unseen.count() >= limit).then(|| {
                format!("This federation keeps {kept} until other federations serve with {new}.")
            })
        };
        let Some(why) = why else {
            permitted.insert(federation.clone(), Instant::now());
            return now;
        };
        let generation = own.annotations().get(GENERATION).and_then(|number| number.parse().ok());
        Choice { image: image.to_owned(), waits: Some(Waits { why, generation }) }
    }
}

/// The Deployments with the wanted pods.
#[derive(Default)]
struct Seen {
    complete: usize,
    running: usize,
    /// All of them.
    names: Vec<String>,
    /// One whose new pods do not become ready.
    stuck: Option<String>,
}

impl Seen {
    fn of(deployments: &[Arc<Deployment>], wanted: &str) -> Self {
        let mut seen = Self::default();
        for deployment in deployments.iter().filter(|d| revision(d) == Some(wanted)) {
            let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let state = workload(deployment);
            let name =
                format!("{}/{}", deployment.namespace().unwrap_or_default(), deployment.name_any());
            seen.names.push(name.clone());
            // A federation that did not serve before says nothing about the image.
            let serves = state.ready > 0;
            if state.observed && [state.updated, state.ready, state.total] == [replicas; 3] {
                seen.complete += 1;
            } else if serves && state.stuck {
                seen.stuck = Some(name);
            } else if serves {
                seen.running += 1;
            }
        }
        seen
    }
}

fn name(federation: &FederationRef) -> String {
    format!("{}/{}", federation.namespace.as_deref().unwrap_or_default(), federation.name)
}

fn revision(deployment: &Deployment) -> Option<&str> {
    deployment.annotations().get(REVISION).map(String::as_str)
}

fn image(deployment: &Deployment) -> Option<&str> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    pod.containers.iter().find(|container| container.name == CONTAINER)?.image.as_deref()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A Deployment with that many updated and ready pods of two.
    fn deployment(
        name: &str,
        image: &str,
        updated: i32,
        ready: i32,
        stuck: bool,
    ) -> Arc<Deployment> {
        let reason = if stuck { "ProgressDeadlineExceeded" } else { "ReplicaSetUpdated" };
        let value = json!({
            "metadata": {
                "name": name, "namespace": "im", "generation": 1,
                "annotations": {REVISION: image, GENERATION: "3"}
            },
            "spec": {
                "replicas": 2, "selector": {},
                "template": {"spec": {"containers": [{"name": CONTAINER, "image": image}]}}
            },
            "status": {
                "observedGeneration": 1, "replicas": 2, "updatedReplicas": updated,
                "readyReplicas": ready,
                "conditions": [{"type": "Progressing", "status": "True", "reason": reason}]
            }
        });
        Arc::new(serde_json::from_value(value).unwrap())
    }

    /// The revision is named after the image.
    fn wanted(image: &str) -> Wanted<'_> {
        Wanted { image, revision: image }
    }

    fn federation(name: &str) -> FederationRef {
        FederationRef::new(name).within("im")
    }

    /// The federations of twelve with the old image that get the new one.
    fn permitted(waves: &Waves, others: &[Arc<Deployment>]) -> usize {
        let old = (0..12).map(|n| deployment(&format!("old{n}"), "engine:1", 2, 2, false));
        let all: Vec<_> = old.chain(others.iter().cloned()).collect();
        let choose = |n| waves.choose(&federation(&format!("old{n}")), &all, wanted("engine:2"));
        (0..12).filter(|n| choose(*n).image == "engine:2").count()
    }

    #[test]
    fn the_first_federation_goes_alone_and_then_several_at_a_time() {
        assert_eq!(permitted(&Waves::default(), &[]), 1);
        let running = deployment("a", "engine:2", 1, 2, false);
        assert_eq!(permitted(&Waves::default(), &[running]), 0);
        let complete = deployment("a", "engine:2", 2, 2, false);
        assert_eq!(permitted(&Waves::default(), &[complete]), 10);
    }

    #[test]
    fn a_rollout_that_is_stuck_stops_the_others_until_the_image_changes() {
        let stuck = deployment("a", "engine:2", 1, 2, true);
        let complete = deployment("b", "engine:2", 2, 2, false);
        assert_eq!(permitted(&Waves::default(), &[stuck.clone(), complete]), 0);
        let own = deployment("old", "engine:1", 2, 2, false);
        let choice = Waves::default().choose(
            &federation("old"),
            &[own.clone(), stuck.clone()],
            wanted("engine:2"),
        );
        assert!(choice.waits.unwrap().why.contains("is stuck at federation im/a"));
        let repaired =
            Waves::default().choose(&federation("old"), &[own, stuck], wanted("engine:3"));
        assert_eq!(repaired, Choice { image: "engine:3".to_owned(), waits: None });
    }

    #[test]
    fn a_new_federation_does_not_wait_and_a_broken_one_stops_nobody() {
        let new = Waves::default().choose(&federation("new"), &[], wanted("engine:2"));
        assert_eq!(new.image, "engine:2");
        let broken = deployment("a", "engine:2", 1, 0, true);
        assert_eq!(permitted(&Waves::default(), &[broken]), 1);
    }

    #[test]
    fn pods_of_another_version_wait_also_with_the_same_image_unless_the_spec_has_changed() {
        let own = deployment("old", "engine:1", 2, 2, false);
        let running = deployment("a", "engine:1", 1, 2, false);
        let mut newer = Deployment::clone(&running);
        newer.annotations_mut().insert(REVISION.to_owned(), "2".to_owned());
        let wanted = Wanted { image: "engine:1", revision: "2" };
        let choice = Waves::default().choose(&federation("old"), &[own, Arc::new(newer)], wanted);
        let waits = choice.waits.unwrap();
        assert!(waits.why.contains("keeps its engine pods until"), "{}", waits.why);
        assert!(waits.is_built_from(Some(3), Some(4)));
        assert!(!waits.is_built_from(Some(4), Some(4)), "the spec has changed");
        let unknown = Waits { generation: None, ..waits };
        assert!(unknown.is_built_from(Some(4), Some(4)));
        assert!(
            !unknown.is_built_from(Some(5), Some(4)),
            "the spec has changed since the last status"
        );
    }
}
