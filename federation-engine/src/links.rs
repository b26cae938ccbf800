//! The task of a link: opens its stream when stanzas wait, and sends them in order. If no stream can be opened, it
//! retries as long as that may succeed. It bounces the stanzas with the true cause if retrying cannot help or takes too
//! long.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use s2s_proto::clock;
use s2s_proto::direction::Direction;
use s2s_proto::reason::Failure;
use s2s_proto::stream::Purpose;
use tokio::time::sleep_until;

use crate::engine::Engine;
use crate::engine::life::Life;
use crate::leg::Leg;
use crate::relay::Relay;
use crate::route::link::Link;
use crate::route::retry::{Errand, Fate, Stage, fate};
use crate::route::streams::End;
use crate::route::streams::Far;
use crate::session::negotiate::{self, NotOpened, Opening};

/// Maximum pause between two attempts to reach a backend.
const MAX_BACKEND_RETRY_DELAY: Duration = Duration::from_secs(5);

/// Maximum time for which a permanent failure is reported again without another attempt. Short, because no stanzas wait
/// meanwhile.
const MAX_FAILURE_REPEAT_TIME: Duration = Duration::from_secs(30);

/// Maximum pause between two attempts during shutdown: answers to accepted stanzas wait, and have only seconds.
const MAX_DRAINING_RETRY_DELAY: Duration = Duration::from_millis(250);

/// Starts the task of a link; the link has reported that none runs.
pub(crate) fn start(engine: &Arc<Engine>, link: &Arc<Link>) {
    engine.life.spawn(run(Arc::clone(engine), Arc::clone(link)));
}

/// Runs until no stanza waits any more.
async fn run(engine: Arc<Engine>, link: Arc<Link>) {
    loop {
        match wait_for_turn(&engine.life, &engine.relay, &link).await {
            Turn::Attempt => {}
            Turn::Rest => return,
            Turn::Shutdown => {
                engine.relay.bounce_all(link.drain(), link.leg, &Failure::ShuttingDown);
                if link.try_sleep() {
                    return;
                }
                continue;
            }
        }
        // On the heap for as long as it takes: the task of a link lives as long as its stream.
        match Box::pin(attempt(&engine, &link)).await {
            Ok(stream) => {
                if link.leg == Leg::Inner {
                    engine.relay.outages.ended(&link.pair.to);
                }
                let revision = engine.in_force.revision();
                let (address, end) = carry(&link, stream).await;
                // A stream that a new configuration closes has no failure, and tells nothing about the peer under it.
                if end.failure.is_some() || engine.in_force.revision() != revision {
                    link.lose();
                }
                if end.useful || link.is_empty() {
                    link.reconnecting();
                } else {
                    // A peer that closes every stream before it accepts a stanza is as good as unreachable.
                    let lost = Failure::ConnectionLost("sending the first stanza");
                    let failure = end.failure.unwrap_or(lost);
                    let lost = NotOpened { failure, address, tls: None };
                    let stage = if end.at_stanza { Stage::Stanza } else { Stage::Stream };
                    give_up(&engine.relay, &link, lost, stage);
                }
            }
            Err(not_opened) => give_up(&engine.relay, &link, not_opened, Stage::Attempt),
        }
        if link.try_sleep() {
            return;
        }
    }
}

/// Sends the link's stanzas until the stream ends; returns its target and how it ended.
async fn carry(link: &Arc<Link>, stream: Opening) -> (Option<SocketAddr>, End) {
    let (address, end) = match stream {
        Opening::Own(opened) => {
            let address = opened.address();
            (Some(address), Box::pin(opened.carrying(link).serve()).await)
        }
        Opening::Shared(end) => (None, end.await.ok()),
        Opening::Verified(..) => (None, None),
    };
    // A stream that sends no notification was dropped together with the engine.
    let end = end.unwrap_or(End {
        failure: Some(Failure::ShuttingDown),
        useful: false,
        at_stanza: false,
    });
    (address, end)
}

/// Finds a stream that can carry the link, or opens one: the span `outbound stream` of traces. Stanzas that become too old meanwhile are bounced with the
/// cause of the previous failure. If there was none, they are bounced with the cause of this attempt when it fails.
#[tracing::instrument(name = "outbound stream", level = "debug", skip_all, fields(otel.kind = "client", peer = %link.leg.peer(&link.pair, Direction::Outbound), pair = %link.pair, leg = ?link.leg, reason, otel.status_code))]
async fn attempt(engine: &Arc<Engine>, link: &Arc<Link>) -> Result<Opening, NotOpened> {
    let opening = async {
        let is_ours = engine.snapshot().config.local(&link.pair.from).is_some();
        if link.leg == Leg::Outer && !is_ours {
            // It is no longer in the configuration.
            return Err(Failure::NoBackend.into());
        }
        let peer = Far::Domain(link.pair.to.clone());
        if link.leg == Leg::Inner
            && let Some(component) = engine.snapshot_owned().component_of(&link.pair.to)
        {
            return adopt_component(engine, link, &component.name).await;
        }
        if let Some(end) = engine.streams.adopt(peer, link).await {
            return Ok(Opening::Shared(end));
        }
        let purpose = Purpose::Send(link.pair.clone());
        negotiate::open(engine, link.leg, purpose, Some(link)).await
    };
    tokio::pin!(opening);
    loop {
        let next =
            link.last_failure().and_then(|cause| bounce_expired(&engine.relay, link, &cause));
        tokio::select! {
            outcome = &mut opening => return outcome.inspect_err(record),
            () = sleep_until(next.unwrap_or_else(Instant::now).into()), if next.is_some() => {}
            () = engine.life.shutdown.cancelled() => {
                return Err(Failure::ShuttingDown.into());
            }
        }
    }
}

/// Records in the span of an attempt why it failed.
fn record(not_opened: &NotOpened) {
    let span = tracing::Span::current();
    span.record("reason", not_opened.failure.word().as_str()).record("otel.status_code", "ERROR");
}

/// Finds the stream of a component that can carry the link: that of the domain, or another one of its backend.
async fn adopt_component(
    engine: &Arc<Engine>,
    link: &Arc<Link>,
    backend: &str,
) -> Result<Opening, NotOpened> {
    let domain = &link.pair.to;
    if let Some(end) = engine.streams.adopt(Far::Domain(domain.clone()), link).await {
        return Ok(Opening::Shared(end));
    }
    let reservation = engine.snapshot().config.timeouts.queue;
    if !engine.components.is_reserved(domain, Instant::now(), reservation)
        && let Some(end) = engine.streams.adopt(Far::Backend(backend.to_owned()), link).await
    {
        return Ok(Opening::Shared(end));
    }
    Err(Failure::ComponentNotConnected.into())
}

/// Reports a failure and bounces the stanzas that do not wait for the next attempt.
fn give_up(relay: &Relay, link: &Link, not_opened: NotOpened, stage: Stage) {
    let NotOpened { failure, address, tls } = &not_opened;
    if let Some(omitted) = relay.recorder.may_log_pair(link.leg, &link.pair) {
        let peer = link.leg.peer(&link.pair, Direction::Outbound);
        tracing::info!(%peer, pair = %link.pair, leg = ?link.leg, address = address.map(tracing::field::display), reason = failure.word().as_str(), omitted, "no stream: {failure}");
    }
    if link.leg == Leg::Inner && stage == Stage::Attempt {
        relay.outages.failed(&link.pair.to, failure);
    }
    relay.recorder.attempt_failed(link.leg, &link.pair, failure, *address, *tls);
    let failure = not_opened.failure;
    let fate = fate(&failure, errand(relay, link), stage);
    let longest = match (link.leg, fate) {
        // The backend is ours, and usually back within seconds.
        (Leg::Inner, _) => MAX_BACKEND_RETRY_DELAY,
        (Leg::Outer, Fate::Keep | Fate::FailFast) => Duration::MAX,
        (Leg::Outer, Fate::Bounce) => MAX_FAILURE_REPEAT_TIME,
    };
    let bounced = link.failed(failure.clone(), fate, Instant::now(), longest);
    relay.bounce_all(bounced, link.leg, &failure);
}

fn errand(relay: &Relay, link: &Link) -> Errand {
    let own = link.pair.from == relay.in_force.load().config.probe_domain;
    if own { Errand::Probe } else { Errand::Relay }
}

/// Bounces stanzas that have waited too long, and returns the time of the next check.
fn bounce_expired(relay: &Relay, link: &Link, cause: &Failure) -> Option<Instant> {
    let (expired, next) = link.take_expired(Instant::now(), &relay.queue_bounds());
    relay.bounce_all(expired, link.leg, cause);
    next
}

/// The next step of the task of a link.
enum Turn {
    /// It tries to open a stream.
    Attempt,
    /// No stanza waits any more; the task is over.
    Rest,
    /// The engine is shutting down.
    Shutdown,
}

/// Waits until the next attempt may start. Stanzas that do not wait for it, or have waited too long, are bounced with
/// the cause of the last failure.
async fn wait_for_turn(life: &Life, relay: &Relay, link: &Link) -> Turn {
    let begun = Instant::now();
    loop {
        if life.shutdown.is_cancelled() {
            return Turn::Shutdown;
        }
        let draining = life.draining.is_cancelled();
        if life.bouncing.is_cancelled() {
            relay.bounce_all(link.drain_sent(), link.leg, &Failure::ShuttingDown);
        }
        if let Some(cause) = link.last_failure().filter(|_| draining) {
            // There is no time for another attempt; the remaining time is reserved for answers.
            relay.bounce_all(link.drain_relayed(), link.leg, &cause);
        }
        if draining && link.try_sleep() {
            return Turn::Rest;
        }
        let hurried = link.hurried();
        let now = Instant::now();
        let longest = if draining { MAX_DRAINING_RETRY_DELAY } else { Duration::MAX };
        let turn = link.not_before().map(|turn| turn.min(clock::after(begun, longest)));
        let Some(turn) = turn.filter(|turn| *turn > now) else {
            return Turn::Attempt;
        };
        let next = match link.last_failure() {
            Some(cause) if link.last_fate() == Some(Fate::Bounce) => {
                relay.bounce_all(link.drain(), link.leg, &cause);
                None
            }
            Some(cause) => bounce_expired(relay, link, &cause),
            None => None,
        };
        if link.try_sleep() {
            return Turn::Rest;
        }
        let until = next.map_or(turn, |next| next.min(turn));
        tokio::select! {
            () = sleep_until(until.into()) => {}
            () = hurried => {}
            () = life.draining.cancelled(), if !draining => {}
            () = life.shutdown.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests;
