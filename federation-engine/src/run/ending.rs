//! The end of the engine, in stages: it takes nothing new and delivers the queued stanzas; it answers the others with an
//! error; then the streams end. A pod has 40 s for all of it.

use std::time::{Duration, Instant};

use s2s_proto::clock;
use s2s_proto::reason::Failure;
use tokio::time::{sleep, timeout};

use crate::engine::Engine;
use crate::engine::life::Stage;

/// How long the delivery of queued stanzas may take.
const DRAINING_TIMEOUT: Duration = Duration::from_secs(25);

/// How long the errors about the rest may take.
const BOUNCING_TIMEOUT: Duration = Duration::from_secs(4);

/// How long nothing may wait before there is nothing more to bounce: streams are still read.
const BOUNCING_SILENCE: Duration = Duration::from_millis(200);

/// How long the last of these errors may take, when nothing is read any more.
const FLUSHING_TIMEOUT: Duration = Duration::from_secs(1);

/// How long nothing may wait then. A stream answers a stanza that it has read just before.
const FLUSHING_SILENCE: Duration = Duration::from_millis(100);

/// How long the streams may take to end.
const LEAVING_TIMEOUT: Duration = Duration::from_secs(3);

/// Between two looks at what waits.
const QUEUE_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Ends everything in order.
pub(crate) async fn end(engine: &Engine) {
    engine.life.reach(Stage::Draining);
    wait_for_empty_queues(engine, DRAINING_TIMEOUT, Duration::ZERO).await;
    engine.life.reach(Stage::Bouncing);
    for link in engine.relay.table.all() {
        // Answers that wait already go on waiting beside these.
        engine.relay.bounce_all(link.drain_relayed(), link.leg, &Failure::ShuttingDown);
    }
    wait_for_empty_queues(engine, BOUNCING_TIMEOUT, BOUNCING_SILENCE).await;
    engine.life.reach(Stage::Flushing);
    wait_for_empty_queues(engine, FLUSHING_TIMEOUT, FLUSHING_SILENCE).await;
    engine.life.reach(Stage::Leaving);
    if timeout(LEAVING_TIMEOUT, engine.life.ended()).await.is_err() {
        tracing::warn!("the engine ends although some streams have not");
    }
}

/// Waits until nothing has waited for a stream or an acknowledgement for that time.
async fn wait_for_empty_queues(engine: &Engine, patience: Duration, silence: Duration) {
    let begun = Instant::now();
    let deadline = clock::after(begun, patience);
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
