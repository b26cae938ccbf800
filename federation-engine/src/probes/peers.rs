//! Keeps the evidence of configured peers fresh: opens a stream to each of them if traffic has not shown its state.

use std::sync::Arc;
use std::time::Duration;

use crds::peer::ProbeMode;
use s2s_proto::pair::Pair;
use tokio::time::sleep;

use crate::Domain;
use crate::config::Config;
use crate::engine::Engine;
use crate::leg::Leg;
use crate::route::link::{Link, Phase};

/// Interval of the checks of a peer that was reached, and of one that was not.
const REACHED_INTERVAL: Duration = Duration::from_mins(5);
const UNREACHED_INTERVAL: Duration = Duration::from_secs(20);

/// Delay of the check after a stream is lost.
const LOSS_RECHECK_DELAY: Duration = Duration::from_secs(2);

/// Most pairs that are checked. Beyond it, peers are checked from the first local domain only.
const MAX_PAIRS: usize = 256;

/// The pairs to check: every local domain with every configured peer, because a peer may refuse one of them only.
pub(crate) fn pairs(config: &Config) -> Vec<Pair> {
    let checked = config.peers.named().filter(|(_, peer)| peer.probe.mode == ProbeMode::Auto);
    let peers: Vec<&Domain> = checked.map(|(peer, _)| peer).collect();
    let all = config.domains.len().saturating_mul(peers.len());
    let locals = if all > MAX_PAIRS { 1 } else { config.domains.len() };
    let from = |local: &Domain| {
        let pair = |peer: &&Domain| Pair { from: local.clone(), to: (*peer).clone() };
        peers.iter().map(pair).collect::<Vec<_>>()
    };
    config.local_names().take(locals).flat_map(from).collect()
}

/// Monitors one peer, from one local domain, until the configuration changes.
pub(crate) async fn keep_fresh(engine: Arc<Engine>, local: Domain, peer: Domain) {
    let revision = engine.in_force.revision();
    let mut revisions = engine.in_force.revisions();
    let link = engine.relay.table.link(&Pair { from: local, to: peer }, Leg::Outer);
    while engine.in_force.revision() == revision {
        // From here on: the stream may be lost while this check sees it as open, as after a change of the configuration.
        let lost = link.lost();
        visit(&engine, &link);
        loop {
            let settled = link.settled();
            // After a failure the link may continue by itself; this check has ended.
            if link.phase() != Phase::Connecting || link.last_failure().is_some() {
                break;
            }
            tokio::select! {
                () = settled => {}
                () = engine.life.draining.cancelled() => return,
            }
        }
        let pause =
            if link.last_failure().is_some() { UNREACHED_INTERVAL } else { REACHED_INTERVAL };
        tokio::select! {
            // The check starts soon after the stream is lost, but not at the same moment in all replicas.
            () = lost => sleep(LOSS_RECHECK_DELAY.mul_f64(rand::random_range(0.5..1.5))).await,
            () = sleep(pause.mul_f64(rand::random_range(0.8..1.2))) => {}
            _ = revisions.changed() => {}
            () = engine.life.draining.cancelled() => return,
        }
    }
}

/// Opens a stream to the peer now, unless one is open.
pub(crate) fn visit(engine: &Arc<Engine>, link: &Arc<Link>) {
    if link.wake() {
        engine.relay.start(link);
    }
}
