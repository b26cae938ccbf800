//! The path of a stanza between two streams: from the receiving stream to its link, and from the link to the sending
//! stream.

mod alone;
pub(crate) mod forward;
pub(crate) mod intake;
pub(crate) mod outlet;
pub(crate) mod questions;
pub(crate) mod round_trips;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::questions::Questions;
use self::round_trips::RoundTrips;
use crate::budget::ledger::Ledger;
use crate::in_force::{InForce, limits};
use crate::observe::recorder::Recorder;
use crate::route::link::Link;
use crate::route::outage::Outages;
use crate::route::queue;
use crate::route::table::Table;

/// Runs the tasks of links. They open streams, which belongs to a layer above this module.
pub(crate) trait Starter: Send + Sync {
    /// Starts the task of a link. The link has reported that none is running.
    fn start(&self, link: &Arc<Link>);
}

/// The links, and the means to relay stanzas.
pub(crate) struct Relay {
    pub(crate) in_force: Arc<InForce>,
    pub(crate) recorder: Arc<Recorder>,
    /// The used part of the process budget.
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) table: Table,
    /// The backends that are down.
    pub(crate) outages: Outages,
    pub(crate) round_trips: RoundTrips,
    pub(crate) questions: Questions,
    /// No stanza is queued any more, because the engine is shutting down.
    pub(crate) bouncing: CancellationToken,
    starter: Box<dyn Starter>,
}

impl Relay {
    /// Relays under that configuration until `bouncing`, over links whose tasks `starter` runs.
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
            outages: Outages::default(),
            ledger: Arc::new(ledger),
            round_trips: RoundTrips::default(),
            questions: Questions::default(),
            bouncing,
            starter,
        }
    }

    /// Starts the task of a link. The link has reported that none is running.
    pub(crate) fn start(&self, link: &Arc<Link>) {
        self.starter.start(link);
    }

    /// Bounds of every queue.
    pub(crate) fn queue_bounds(&self) -> queue::Bounds {
        limits::queue(&self.in_force.load().config, self.ledger.is_tight())
    }
}
