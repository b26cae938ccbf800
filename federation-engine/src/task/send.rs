//! The task of a link: opens its stream when stanzas wait, and sends them in order. When there is no stream to be had, it
//! tries again as long as that may help, and bounces the stanzas with the true cause when it does not or takes too long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use super::carry::Carrier;
use super::engine::Engine;
use super::negotiate::{self, NotOpened, Opened};
use super::report::StreamReport;
use crate::leg::Leg;
use crate::reason::Failure;
use crate::route::link::Link;
use crate::route::retry::{Errand, Fate, fate};
use crate::stream::Purpose;

/// Longest pause between two attempts to reach a backend.
const LONGEST_INNER: Duration = Duration::from_secs(5);

/// Longest time for which a failure that does not pass by itself is told again without another attempt. Short, because
/// nobody's stanzas wait meanwhile.
const LONGEST_REPEATED: Duration = Duration::from_secs(30);

/// Runs until nothing waits any more.
pub(crate) async fn run(engine: Arc<Engine>, link: Arc<Link>) {
    loop {
        match wait_for_turn(&engine, &link).await {
            Turn::Attempt => {}
            Turn::Rest => return,
            Turn::Shutdown => {
                engine.bounce_all(link.drain(), link.leg, &Failure::ShuttingDown);
                if link.try_sleep() {
                    return;
                }
                continue;
            }
        }
        match attempt(&engine, &link).await {
            Ok(opened) => {
                link.established();
                let mut report = StreamReport::outbound(link.leg, &opened.reached);
                let judgement = opened.judgement(&link.pair.to);
                if let Some(how) = opened.how {
                    report.authorized(
                        &engine,
                        &link.pair,
                        how,
                        opened.connection.tls_version(),
                        judgement,
                    );
                }
                let address = Some(opened.reached.address);
                let end = Carrier::new(&engine, &link, opened).serve().await;
                match &end.failure {
                    Some(failure) => {
                        report.lost(&engine, failure);
                        link.lose();
                    }
                    None => report.ended(&engine),
                }
                if end.useful || link.is_empty() {
                    link.reconnecting();
                } else {
                    // A peer that ends every stream before it takes a stanza is as good as one that is down.
                    let lost = Failure::ConnectionLost("the first stanza was about to be sent");
                    let failure = end.failure.unwrap_or(lost);
                    give_up(&engine, &link, NotOpened { failure, address });
                }
            }
            Err(not_opened) => give_up(&engine, &link, not_opened),
        }
        if link.try_sleep() {
            return;
        }
    }
}

/// Opens a stream. Stanzas that grow too old meanwhile are bounced with the cause of the failure before; when there was
/// none, the end of this attempt will say the cause.
async fn attempt(engine: &Arc<Engine>, link: &Arc<Link>) -> Result<Opened, NotOpened> {
    let opening = negotiate::open(engine, link.leg, Purpose::Send(link.pair.clone()));
    tokio::pin!(opening);
    loop {
        let next = link.last_failure().and_then(|cause| bounce_expired(engine, link, &cause));
        tokio::select! {
            outcome = &mut opening => return outcome.map(|(opened, _)| opened),
            () = sleep_until(next.unwrap_or_else(Instant::now).into()), if next.is_some() => {}
            () = engine.shutdown.cancelled() => {
                return Err(NotOpened { failure: Failure::ShuttingDown, address: None });
            }
        }
    }
}

/// Reports a failed attempt and bounces what does not wait for the next one.
fn give_up(engine: &Arc<Engine>, link: &Arc<Link>, NotOpened { failure, address }: NotOpened) {
    tracing::info!(pair = %link.pair, leg = ?link.leg, ?address, reason = failure.label(), "no stream: {failure}");
    engine.attempt_failed(link, &failure, address);
    let fate = fate(&failure, errand(engine, link));
    let longest = match (link.leg, fate) {
        // The backend is ours, and usually back within seconds.
        (Leg::Inner, _) => LONGEST_INNER,
        (Leg::Outer, Fate::Keep) => Duration::MAX,
        (Leg::Outer, Fate::Bounce) => LONGEST_REPEATED,
    };
    let bounced = link.failed(failure.clone(), fate, Instant::now(), longest);
    engine.bounce_all(bounced, link.leg, &failure);
}

fn errand(engine: &Engine, link: &Link) -> Errand {
    let own = link.pair.from == engine.snapshot().config.probe_domain;
    if own { Errand::Probe } else { Errand::Relay }
}

/// Bounces what has waited too long, and says when to look again.
fn bounce_expired(engine: &Arc<Engine>, link: &Arc<Link>, cause: &Failure) -> Option<Instant> {
    let (expired, next) = link.take_expired(Instant::now(), &engine.queue_bounds());
    engine.bounce_all(expired, link.leg, cause);
    next
}

/// What the task of a link does next.
enum Turn {
    /// It tries to open a stream.
    Attempt,
    /// Nothing waits any more; the task is over.
    Rest,
    /// The engine ends.
    Shutdown,
}

/// Waits until the next attempt may start. What does not wait for it, or has waited too long, is bounced with the cause
/// of the last failure.
async fn wait_for_turn(engine: &Arc<Engine>, link: &Arc<Link>) -> Turn {
    loop {
        if engine.shutdown.is_cancelled() {
            return Turn::Shutdown;
        }
        let hurried = link.hurried();
        let now = Instant::now();
        let Some(turn) = link.not_before().filter(|turn| *turn > now) else {
            return Turn::Attempt;
        };
        let next = match link.last_failure() {
            Some(cause) if fate(&cause, errand(engine, link)) == Fate::Bounce => {
                engine.bounce_all(link.drain(), link.leg, &cause);
                None
            }
            Some(cause) => bounce_expired(engine, link, &cause),
            None => None,
        };
        if link.try_sleep() {
            return Turn::Rest;
        }
        let until = next.map_or(turn, |next| next.min(turn));
        tokio::select! {
            () = sleep_until(until.into()) => {}
            () = hurried => {}
            () = engine.shutdown.cancelled() => {}
        }
    }
}
