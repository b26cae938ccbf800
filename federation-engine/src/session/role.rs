//! The domain of a component's stream, and when the stream looks after it.

use std::time::Instant;

use s2s_proto::pair::Pair;

use crate::Domain;
use crate::engine::Engine;
use crate::route::components::{Claim, Heard};

/// What the stream has as a component.
pub(super) struct Role {
    /// The domain that the stream header names.
    pub(super) domain: Domain,
    /// Until the stream closes: a component that reconnects at once finds its domain free.
    pub(super) claim: Option<Claim>,
    /// Name of the backend.
    pub(super) backend: String,
    /// Time of the next sweep.
    pub(super) sweep_at: Instant,
    /// Another component wants the domain: the time at which more than this many bytes must be acknowledged.
    pub(super) contest: Option<(Instant, u64)>,
    /// What the claim knows already.
    pub(super) heard: Heard,
}

impl Role {
    /// The component has sent a stanza. Only the first answer to a ping, and the first other stanza, are news.
    pub(super) fn on_stanza(&mut self, pair: &Pair, engine: &Engine) {
        let Heard { answer, stanza } = &mut self.heard;
        if *answer && *stanza {
            return;
        }
        let is_answer = pair.to == engine.snapshot().config.probe_domain;
        let known = if is_answer { answer } else { stanza };
        if !std::mem::replace(known, true)
            && let Some(claim) = &self.claim
        {
            claim.heard(is_answer);
        }
    }

    /// When `Session::on_role_due` must be called.
    pub(super) fn deadline(&self) -> Instant {
        self.contest.map_or(self.sweep_at, |(at, _)| at.min(self.sweep_at))
    }
}
