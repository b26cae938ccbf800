//! The input of the rungs' verdicts.

use federation_engine::observe::evidence::EngineEvidence;

use crate::build::Address;
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

    /// The evidence of each engine pod that could be queried.
    pub fn reports(self) -> impl Iterator<Item = &'a EngineEvidence> {
        self.seen.engines.iter().filter_map(|engine| match &engine.report {
            Report::Seen(evidence) => Some(evidence.as_ref()),
            Report::Waiting | Report::Unreachable(_) => None,
        })
    }
}
