//! Shutdown of the engine, in stages. It closes the streams that only bring stanzas, reads them to their end and delivers what
//! they bring. It then delivers the queued stanzas, bounces the others, and finally closes the other streams: first those that
//! others opened, and then those that carry the errors about these. A pod has 40 s for all stages.

use std::time::{Duration, Instant};

use s2s_proto::clock;
use s2s_proto::reason::Failure;
use tokio::time::{sleep, timeout};

use crate::engine::Engine;
use crate::engine::life::{PARTING_TIMEOUT, Stage};

/// Time for which the engine serves on while others have streams to it: until no load balancer sends connections here any
/// more, those whose streams close would come back.
const LINGERING_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum time until peers and backends have closed the streams that only bring stanzas.
const YIELDING_TIMEOUT: Duration = PARTING_TIMEOUT;

/// Maximum time for the delivery of queued stanzas.
const DRAINING_TIMEOUT: Duration = Duration::from_secs(22);

/// Maximum time for bouncing the other stanzas. A peer that makes progress is waited for: an error that it has not taken
/// by then is lost.
const BOUNCING_TIMEOUT: Duration = Duration::from_secs(6);

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
    // Without streams, nobody is waited for.
    let _ = timeout(LINGERING_TIMEOUT, engine.life.parted()).await;
    engine.life.reach(Stage::Yielding);
    let _ = timeout(YIELDING_TIMEOUT, engine.life.parted()).await;
    engine.life.reach(Stage::Draining);
    wait_for_empty_queues(engine, DRAINING_TIMEOUT, Duration::ZERO).await;
    engine.life.reach(Stage::Bouncing);
    for link in engine.relay.table.all() {
        // Errors that are already queued remain queued beside these.
        engine.relay.bounce_all(link.drain_relayed(), link.leg, &Failure::ShuttingDown);
    }
    wait_for_empty_queues(engine, BOUNCING_TIMEOUT, BOUNCING_SILENCE).await;
    engine.life.reach(Stage::Parting);
    // The streams that are not closed by then close in the last stage.
    let _ = timeout(PARTING_TIMEOUT, engine.life.parted()).await;
    engine.life.reach(Stage::Flushing);
    wait_for_empty_queues(engine, FLUSHING_TIMEOUT, FLUSHING_SILENCE).await;
    engine.life.reach(Stage::Leaving);
    let open = timeout(LEAVING_TIMEOUT, engine.life.ended()).await.is_err();
    let lost = engine.recorder.metrics.stanzas_queued.get();
    if open || lost > 0 {
        tracing::warn!(
            lost,
            "shutdown timed out: streams are still open, or stanzas were neither delivered nor bounced"
        );
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
