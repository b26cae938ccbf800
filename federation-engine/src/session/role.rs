//! The domain of a component's stream, and when the stream looks after it.

use std::time::Instant;

use crate::Domain;
use crate::route::components::Claim;

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
}

impl Role {
    /// When `Session::on_role_due` must be called.
    pub(super) fn deadline(&self) -> Instant {
        self.contest.map_or(self.sweep_at, |(at, _)| at.min(self.sweep_at))
    }
}
