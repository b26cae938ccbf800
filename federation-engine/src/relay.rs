//! The way of a stanza between two streams: from the stream that brought it to its link, and from the link to the stream that
//! takes it away.

mod alone;
pub(crate) mod forward;
pub(crate) mod intake;
pub(crate) mod outlet;
pub(crate) mod round_trips;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::round_trips::RoundTrips;
use crate::budget::ledger::Ledger;
use crate::in_force::{InForce, limits};
use crate::observe::recorder::Recorder;
use crate::route::link::Link;
use crate::route::queue;
use crate::route::table::Table;

/// Runs the tasks of links. They open streams, which is above what a stanza needs to know.
pub(crate) trait Starter: Send + Sync {
    /// Starts the task of a link; the link has reported that none runs.
    fn start(&self, link: &Arc<Link>);
}

/// What stanzas are relayed with.
pub(crate) struct Relay {
    pub(crate) in_force: Arc<InForce>,
    pub(crate) recorder: Arc<Recorder>,
    /// How much of the budget of the process is used.
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) table: Table,
    pub(crate) round_trips: RoundTrips,
    /// Nothing is queued any more: the engine ends.
    pub(crate) bouncing: CancellationToken,
    starter: Box<dyn Starter>,
}

impl Relay {
    /// Relays under that configuration, over links whose tasks `starter` runs, until `bouncing`.
    pub(crate) fn new(
        in_force: &Arc<InForce>,
        recorder: &Arc<Recorder>,
        bouncing: CancellationToken,
        starter: Box<dyn Starter>,
    ) -> Self {
        let ledger = Ledger::default();
        Self {
            in_force: Arc::clone(in_force),
            recorder: Arc::clone(recorder),
            table: Table::counted(&ledger.total),
            ledger: Arc::new(ledger),
            round_trips: RoundTrips::default(),
            bouncing,
            starter,
        }
    }

    /// Starts the task of a link; the link has reported that none runs.
    pub(crate) fn start(&self, link: &Arc<Link>) {
        self.starter.start(link);
    }

    /// Bounds of every queue.
    pub(crate) fn queue_bounds(&self) -> queue::Bounds {
        limits::queue(&self.in_force.load().config, self.ledger.is_tight())
    }
}
