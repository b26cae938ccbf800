//! Shutdown of the engine, in stages. It accepts nothing new and delivers the queued stanzas. It then bounces the other
//! stanzas, and finally closes the streams. A pod has 40 s for all stages.

use std::time::{Duration, Instant};

use s2s_proto::clock;
use s2s_proto::reason::Failure;
use tokio::time::{sleep, timeout};

use crate::engine::Engine;
use crate::engine::life::Stage;

/// Maximum time for the delivery of queued stanzas.
const DRAINING_TIMEOUT: Duration = Duration::from_secs(25);

/// Maximum time for bouncing the other stanzas.
const BOUNCING_TIMEOUT: Duration = Duration::from_secs(4);

/// Time for which the queues must be empty before bouncing ends: streams are still read.
const BOUNCING_SILENCE: Duration = Duration::from_millis(200);

/// Maximum time for sending the last of these errors, after reading has stopped.
const FLUSHING_TIMEOUT: Duration = Duration::from_secs(1);

/// Time for which the queues must be empty in that stage. A stream may still answer a stanza that it has just read.
const FLUSHING_SILENCE: Duration = Duration::from_millis(100);

/// Maximum time for closing the streams.
const LEAVING_TIMEOUT: Duration = Duration::from_secs(3);

/// Interval at which the queues are checked.
const QUEUE_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Shuts everything down in order.
pub(crate) async fn end(engine: &Engine) {
    engine.life.reach(Stage::Draining);
    wait_for_empty_queues(engine, DRAINING_TIMEOUT, Duration::ZERO).await;
    engine.life.reach(Stage::Bouncing);
    for link in engine.relay.table.all() {
        // Errors that are already queued remain queued beside these.
        engine.relay.bounce_all(link.drain_relayed(), link.leg, &Failure::ShuttingDown);
    }
    wait_for_empty_queues(engine, BOUNCING_TIMEOUT, BOUNCING_SILENCE).await;
    engine.life.reach(Stage::Flushing);
    wait_for_empty_queues(engine, FLUSHING_TIMEOUT, FLUSHING_SILENCE).await;
    engine.life.reach(Stage::Leaving);
    if timeout(LEAVING_TIMEOUT, engine.life.ended()).await.is_err() {
        tracing::warn!("shutdown timed out: exiting although some streams are still open");
    }
}

/// Waits until no stanza has waited for a stream or an acknowledgement for the time `silence`, at most for `limit`.
async fn wait_for_empty_queues(engine: &Engine, limit: Duration, silence: Duration) {
    let begun = Instant::now();
    let deadline = clock::after(begun, limit);
    let mut busy = begun;
    loop {
        let now = Instant::now();
        if engine.recorder.metrics.stanzas_queued.get() > 0 {
            busy = now;
        } else if now.saturating_duration_since(busy) >= silence {
            return;
        }
        if now >= deadline {
            return;
        }
        sleep(QUEUE_CHECK_INTERVAL).await;
    }
}
