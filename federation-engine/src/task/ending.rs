//! Shutdown of the engine, in stages. It accepts nothing new and delivers the queued stanzas; it bounces the others;
//! then it closes the streams. A pod has 40 s for all of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use s2s_proto::clock;
use s2s_proto::reason::Failure;
use tokio::time::{sleep, timeout};

use super::engine::Engine;

/// Maximum time for the delivery of queued stanzas.
const DRAINING_TIME: Duration = Duration::from_secs(25);

/// Maximum time for bouncing the other stanzas.
const BOUNCING_TIME: Duration = Duration::from_secs(4);

/// Time for which the queues must be empty before bouncing ends: streams are still read.
const BOUNCING_SILENCE: Duration = Duration::from_millis(200);

/// Maximum time for sending the last of these errors, while nothing is read any more.
const FLUSHING_TIME: Duration = Duration::from_secs(1);

/// Time for which the queues must be empty then. A stream may still answer a stanza that it has just read.
const FLUSHING_SILENCE: Duration = Duration::from_millis(100);

/// Maximum time for closing the streams.
const LEAVING_TIME: Duration = Duration::from_secs(3);

/// Interval at which the queues are checked.
const PAUSE: Duration = Duration::from_millis(20);

/// Stage of the shutdown.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    /// The shutdown has not begun.
    #[default]
    Serving,
    /// No connection is accepted, no stanza is read; queued stanzas are sent.
    Draining,
    /// Stanzas that could not be sent, and those that still arrive, are bounced.
    Bouncing,
    /// No stanza is read any more; the last errors are sent.
    Flushing,
    /// Streams close.
    Leaving,
}

impl Engine {
    /// Shuts everything down in order.
    pub(crate) async fn stop(self: &Arc<Self>) {
        self.reach(Stage::Draining);
        self.draining.cancel();
        self.wait_for_empty_queues(DRAINING_TIME, Duration::ZERO).await;
        self.reach(Stage::Bouncing);
        self.bouncing.cancel();
        for link in self.table.all() {
            // Errors that are already queued remain queued beside these.
            self.bounce_all(link.drain_relayed(), link.leg, &Failure::ShuttingDown);
        }
        self.wait_for_empty_queues(BOUNCING_TIME, BOUNCING_SILENCE).await;
        self.reach(Stage::Flushing);
        self.wait_for_empty_queues(FLUSHING_TIME, FLUSHING_SILENCE).await;
        self.reach(Stage::Leaving);
        self.shutdown.cancel();
        if timeout(LEAVING_TIME, self.ended()).await.is_err() {
            tracing::warn!("shutdown timed out: exiting although some streams are still open");
        }
    }

    /// Waits until no stanza has waited for a stream or an acknowledgement for that time.
    async fn wait_for_empty_queues(&self, patience: Duration, silence: Duration) {
        let begun = Instant::now();
        let deadline = clock::after(begun, patience);
        let mut busy = begun;
        loop {
            let now = Instant::now();
            if self.metrics.stanzas_queued.get() > 0 {
                busy = now;
            } else if now.saturating_duration_since(busy) >= silence {
                return;
            }
            if now >= deadline {
                return;
            }
            sleep(PAUSE).await;
        }
    }
}
