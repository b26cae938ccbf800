//! The end of the engine, in stages: it takes nothing new and delivers the queued stanzas; it answers the others with an
//! error; then the streams end. A pod has 40 s for all of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use s2s_proto::clock;
use s2s_proto::reason::Failure;
use tokio::time::{sleep, timeout};

use super::engine::Engine;

/// How long the delivery of queued stanzas may take.
const DRAINING_TIME: Duration = Duration::from_secs(25);

/// How long the errors about the rest may take.
const BOUNCING_TIME: Duration = Duration::from_secs(4);

/// How long nothing may wait before there is nothing more to bounce: streams are still read.
const BOUNCING_SILENCE: Duration = Duration::from_millis(200);

/// How long the last of these errors may take, when nothing is read any more.
const FLUSHING_TIME: Duration = Duration::from_secs(1);

/// How long nothing may wait then. A stream answers a stanza that it has read just before.
const FLUSHING_SILENCE: Duration = Duration::from_millis(100);

/// How long the streams may take to end.
const LEAVING_TIME: Duration = Duration::from_secs(3);

/// Between two looks at what waits.
const PAUSE: Duration = Duration::from_millis(20);

/// How far the end has come.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    /// It has not begun.
    #[default]
    Serving,
    /// No connection is accepted, no stanza is read; queued stanzas are sent.
    Draining,
    /// Stanzas that could not be sent, and those that still come, are answered with an error.
    Bouncing,
    /// No stanza is read any more; the last errors are sent.
    Flushing,
    /// Streams end.
    Leaving,
}

impl Engine {
    /// Ends everything in order.
    pub(crate) async fn stop(self: &Arc<Self>) {
        self.reach(Stage::Draining);
        self.draining.cancel();
        self.wait_for_empty_queues(DRAINING_TIME, Duration::ZERO).await;
        self.reach(Stage::Bouncing);
        self.bouncing.cancel();
        for link in self.table.all() {
            // Answers that wait already go on waiting beside these.
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

    /// Waits until nothing has waited for a stream or an acknowledgement for that time.
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
