//! Keeps the evidence of configured peers fresh: opens a stream to each of them if traffic has not shown its state.

use std::sync::Arc;
use std::time::Duration;

use s2s_proto::pair::Pair;
use tokio::time::sleep;

use super::engine::Engine;
use crate::Domain;
use crate::leg::Leg;
use crate::route::link::{Link, Phase};

/// Interval of the checks of a peer that was reached, and of one that was not.
const CALM: Duration = Duration::from_mins(5);
const EAGER: Duration = Duration::from_secs(20);

/// Delay after the loss of a stream.
const SOON: Duration = Duration::from_secs(2);

/// Monitors one peer until the configuration changes.
pub(crate) async fn keep_fresh(engine: Arc<Engine>, local: Domain, peer: Domain) {
    let revision = engine.revision();
    let mut revisions = engine.revisions();
    let link = engine.table.link(&Pair { from: local, to: peer }, Leg::Outer);
    while engine.revision() == revision {
        visit(&engine, &link);
        loop {
            let settled = link.settled();
            // After a failure the link may continue by itself; this check has ended.
            if link.phase() != Phase::Connecting || link.last_failure().is_some() {
                break;
            }
            tokio::select! {
                () = settled => {}
                () = engine.draining.cancelled() => return,
            }
        }
        let pause = if link.last_failure().is_some() { EAGER } else { CALM };
        tokio::select! {
            // The check follows soon after the loss, but not at the same moment in all replicas.
            () = link.lost() => sleep(SOON.mul_f64(rand::random_range(0.5..1.5))).await,
            () = sleep(pause.mul_f64(rand::random_range(0.8..1.2))) => {}
            _ = revisions.changed() => {}
            () = engine.draining.cancelled() => return,
        }
    }
}

/// Opens a stream to the peer now, unless one is open.
pub(crate) fn visit(engine: &Arc<Engine>, link: &Arc<Link>) {
    if link.wake() {
        engine.start(link);
    }
}
