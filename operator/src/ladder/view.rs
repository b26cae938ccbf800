//! The input of the rungs' verdicts.

use federation_engine::observe::evidence::EngineEvidence;

use crate::build::{Address, ports};
use crate::evidence::Evidence;
use crate::evidence::engine::Report;
use crate::federation::validated::Validated;

/// The input of a rung's verdict.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The desired state.
    pub federation: &'a Validated,
    /// Kind of the observation.
    pub seen: &'a Evidence,
}

impl<'a> View<'a> {
    /// The addresses that DNS should have; see [`Validated::published_at`].
    pub fn published_at(self) -> Option<Address> {
        self.federation.published_at(self.seen.cluster.address())
    }

    /// Where a missing child's cause is, if it could not be applied; a sentence after a space.
    pub fn because(self, kind: &str, name: &str) -> String {
        let problems = &self.seen.applied.problems;
        let about = problems.iter().find(|p| p.kind == kind && p.name == name);
        match about.or(problems.first()) {
            Some(problem) => format!(" Cannot {}; see Accepted.", problem.action()),
            None => String::new(),
        }
    }

    /// What to say about an engine pod that cannot be queried.
    pub fn unqueried(self, pod: &str, why: &str) -> String {
        let why = why.trim_end_matches('.');
        format!(
            "Cannot query engine pod {pod}: {why}. Check that NetworkPolicies allow the operator's namespace to connect to TCP {} of the pod, then check the pod's log.",
            ports::CONTROL
        )
    }

    /// The evidence of each engine pod that could be queried.
    pub fn reports(self) -> impl Iterator<Item = &'a EngineEvidence> {
        self.seen.engines.iter().filter_map(|engine| match &engine.report {
            Report::Seen(evidence) => Some(evidence.as_ref()),
            Report::Waiting | Report::Unreachable(_) => None,
        })
    }
}
