//! Pings an address at a peer (`probe.to`): an echo service, or a person. The answer comes over the peer's own stream, so
//! it shows both directions at once, which a stream that we open does not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use s2s_proto::clock;
use s2s_proto::pair::Pair;
use s2s_proto::stanza::address::{domainpart, is_well_formed};
use s2s_proto::stanza::bounce::ping;
use s2s_proto::stream::StreamId;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout_at};

use crate::Domain;
use crate::config::Config;
use crate::engine::Engine;
use crate::leg::Leg;
use crate::observe::evidence::{FlowEvidence, FlowOutcome};
use crate::relay::round_trips::{RESOURCE, Reply};
use crate::route::link::{Link, Phase};

/// Timeout for an answer: the peer may have to open its stream first, by dialback.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Interval of the pings when the last one was answered, and when it was not.
const ANSWERED_INTERVAL: Duration = Duration::from_mins(5);
const UNANSWERED_INTERVAL: Duration = Duration::from_secs(10);

/// The address to ping at a peer; `None` if none is set, or if it is no address of the peer.
pub(crate) fn address(config: &Config, peer: &Domain) -> Option<String> {
    let address = config.peers.resolve(peer).probe.to.clone()?;
    let is_its = Domain::parse(domainpart(&address)).is_ok_and(|domain| domain == *peer);
    (is_its && is_well_formed(&address)).then_some(address)
}

/// Pings one address from one local domain, until the configuration changes.
pub(crate) async fn keep_fresh(engine: Arc<Engine>, pair: Pair, to: String) {
    let revision = engine.in_force.revision();
    let mut revisions = engine.in_force.revisions();
    let link = engine.relay.table.link(&pair, Leg::Outer);
    let mut pause = UNANSWERED_INTERVAL;
    while engine.in_force.revision() == revision {
        if let Some((outcome, ping)) = round_trip(&engine, &pair, &to, &link).await {
            tracing::debug!(%pair, to, ?outcome, "ping");
            engine.recorder.journal.flow(FlowEvidence {
                peer: pair.to.clone(),
                local: pair.from.clone(),
                to: to.clone(),
                outcome,
                ping,
                at: Timestamp::now(),
            });
            pause = match outcome {
                // The answers may go to the other replicas; then this state continues forever.
                FlowOutcome::NoAnswer => (pause * 2).min(ANSWERED_INTERVAL),
                FlowOutcome::Answered | FlowOutcome::AnsweredWithError => ANSWERED_INTERVAL,
            };
        }
        tokio::select! {
            () = sleep(pause.mul_f64(rand::random_range(0.8..1.2))) => {}
            () = link.lost() => sleep(UNANSWERED_INTERVAL).await,
            _ = revisions.changed() => {}
            () = engine.life.draining.cancelled() => return,
        }
    }
}

/// One ping, and its `id`; `None` if it could not be sent, which the state of the peer shows.
async fn round_trip(
    engine: &Arc<Engine>,
    pair: &Pair,
    to: &str,
    link: &Arc<Link>,
) -> Option<(FlowOutcome, String)> {
    let id = StreamId::new(rand::random()).to_string();
    let answer = engine.relay.round_trips.begin(&id);
    let from = format!("{}/{RESOURCE}", pair.from);
    engine.recorder.metrics.stanzas_generated.inc();
    engine.relay.queue(link, ping(&from, to, &id), Instant::now()).await;
    let outcome = wait(link, answer).await;
    engine.relay.round_trips.end(&id);
    Some((outcome?, id))
}

async fn wait(link: &Link, mut answer: oneshot::Receiver<Reply>) -> Option<FlowOutcome> {
    let deadline = clock::after(Instant::now(), ANSWER_TIMEOUT);
    loop {
        let settled = link.settled();
        if link.last_failure().is_some() {
            return None;
        }
        tokio::select! {
            biased;
            answered = timeout_at(deadline.into(), &mut answer) => return match answered {
                Ok(Ok(Reply::Result)) => Some(FlowOutcome::Answered),
                Ok(Ok(Reply::Error)) => Some(FlowOutcome::AnsweredWithError),
                Ok(Err(_)) => None,
                Err(_) => (link.phase() == Phase::Established).then_some(FlowOutcome::NoAnswer),
            },
            () = settled => {}
        }
    }
}
