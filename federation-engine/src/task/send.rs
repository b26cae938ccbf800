//! The task of a link: opens its stream when stanzas wait, sends them in order, and bounces them with the true cause when
//! there is no stream to be had.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::sleep_until;

use super::engine::Engine;
use super::negotiate::{self, CLOSING, NotOpened, Opened};
use super::report::StreamReport;
use crate::leg::Leg;
use crate::reason::Failure;
use crate::route::link::Link;
use crate::stream::error::{StreamCondition, StreamError};
use crate::stream::{Action, Purpose};

/// Bytes that one write to the transport gathers.
const BATCH: usize = 64 * 1024;
/// Longest pause between two attempts to reach a backend.
const LONGEST_INNER: Duration = Duration::from_secs(5);

/// Runs until nothing waits any more.
pub(crate) async fn run(engine: Arc<Engine>, link: Arc<Link>) {
    loop {
        if engine.shutdown.is_cancelled() {
            engine.bounce_all(link.drain(), link.leg, &Failure::ShuttingDown);
            return;
        }
        if !wait_for_turn(&engine, &link).await {
            return;
        }
        match negotiate::open(&engine, link.leg, Purpose::Send(link.pair.clone())).await {
            Ok((opened, _)) => {
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
                let end = Sender { engine: &engine, link: &link, opened, batch: Vec::new() }
                    .serve()
                    .await;
                match end {
                    Some(failure) => {
                        report.lost(&engine, &failure);
                        link.lose();
                    }
                    None => report.ended(&engine),
                }
                link.reconnecting();
            }
            Err(not_opened) => give_up(&engine, &link, not_opened),
        }
        if link.try_sleep() {
            return;
        }
    }
}

/// Reports a failed attempt and bounces what waited for it.
fn give_up(engine: &Arc<Engine>, link: &Arc<Link>, NotOpened { failure, address }: NotOpened) {
    tracing::info!(pair = %link.pair, leg = ?link.leg, ?address, reason = failure.label(), "no stream: {failure}");
    engine.attempt_failed(link, &failure, address);
    let longest = match link.leg {
        Leg::Outer => Duration::MAX,
        // The backend is ours, and usually back within seconds.
        Leg::Inner => LONGEST_INNER,
    };
    let waiting = link.failed(failure.clone(), Instant::now(), longest);
    engine.bounce_all(waiting, link.leg, &failure);
}

/// Waits until the next attempt may start. Stanzas that grow too old meanwhile are bounced with the cause of the last
/// failure. False: nothing waits any more, and the task is over.
async fn wait_for_turn(engine: &Arc<Engine>, link: &Arc<Link>) -> bool {
    loop {
        let now = Instant::now();
        let Some(turn) = link.not_before().filter(|turn| *turn > now) else { return true };
        let bounds = engine.queue_bounds();
        let (expired, next) = link.take_expired(now, &bounds);
        if !expired.is_empty() {
            let cause = link
                .last_failure()
                .unwrap_or(Failure::NegotiationTimedOut("waiting for the next attempt"));
            engine.bounce_all(expired, link.leg, &cause);
        }
        if next.is_none() && link.try_sleep() {
            return false;
        }
        let until = next.map_or(turn, |next| next.min(turn));
        tokio::select! {
            () = sleep_until(until.into()) => {}
            () = link.hurried() => {}
            () = engine.shutdown.cancelled() => return true,
        }
    }
}

/// An established stream and the link it serves.
struct Sender<'a> {
    engine: &'a Arc<Engine>,
    link: &'a Arc<Link>,
    opened: Opened,
    /// Taken from the queue, not yet sent.
    batch: Vec<Bytes>,
}

impl Sender<'_> {
    /// Sends until the stream ends. `None`: it was closed in order.
    async fn serve(&mut self) -> Option<Failure> {
        let timeouts = self.engine.snapshot().config.timeouts;
        let mut last_stanza = Instant::now();
        let mut closing = false;
        loop {
            if !closing && self.link.take(BATCH, &mut self.batch) > 0 {
                for stanza in &self.batch {
                    self.opened.connection.output.extend_from_slice(stanza);
                }
                let sent = self.batch.len();
                if let Err(error) = self.opened.connection.flush(timeouts.user_timeout).await {
                    // What was taken is sent again on the next stream: nothing tells whether the peer has it.
                    self.link.put_back(&mut self.batch, Instant::now());
                    tracing::info!(pair = %self.link.pair, %error, "the stream broke while sending");
                    return Some(Failure::ConnectionLost("sending"));
                }
                self.batch.clear();
                self.engine.metrics.stanzas_relayed.inc_by(self.link.leg, sent as u64);
                self.engine.metrics.stanzas_queued.dec_by(i64::try_from(sent).unwrap_or(i64::MAX));
                last_stanza = Instant::now();
                continue;
            }
            let idle_at = timeouts.idle.map(|idle| last_stanza + idle).filter(|_| !closing);
            let wake_at = [idle_at, self.opened.machine.deadline()].into_iter().flatten().min();
            tokio::select! {
                () = self.link.wait_for_work(), if !closing => continue,
                received = self.opened.connection.fill() => match received {
                    Ok(0) | Err(_) => {
                        return (!closing).then_some(Failure::ConnectionLost("idle"));
                    }
                    Ok(_) => self.read(),
                },
                () = sleep_until(wake_at.unwrap_or(last_stanza).into()), if wake_at.is_some() => {
                    let now = Instant::now();
                    if idle_at.is_some_and(|at| at <= now) {
                        closing = true;
                        self.opened.machine.close(now, &mut self.opened.out);
                    } else {
                        self.opened.machine.on_timeout(now, &mut self.opened.out);
                    }
                }
                () = self.engine.shutdown.cancelled(), if !closing => {
                    closing = true;
                    // RFC 6120 §4.9.3.20
                    let error = StreamError::new(StreamCondition::SystemShutdown, "the server is shutting down");
                    self.opened.machine.fail(&error, &mut self.opened.out);
                }
            }
            match self.perform().await {
                Step::GoOn => {}
                Step::End(failure) => return failure,
            }
        }
    }

    /// Hands received items to the machine.
    fn read(&mut self) {
        let opened = &mut self.opened;
        loop {
            match opened.scanner.next(&mut opened.connection.input) {
                Ok(Some(item)) => {
                    opened.machine.on_item(item, Instant::now(), &*opened.around, &mut opened.out);
                }
                Ok(None) => return,
                Err(error) => return opened.machine.on_xml_error(error, &mut opened.out),
            }
        }
    }

    async fn perform(&mut self) -> Step {
        let opened = &mut self.opened;
        let mut failed = None;
        opened.connection.output.unsplit(opened.out.bytes.split());
        for action in std::mem::take(&mut opened.out.actions) {
            match action {
                Action::Failed(failure) | Action::PairFailed { failure, .. } => {
                    failed = Some(failure);
                }
                Action::Refused { refusal, .. } => {
                    self.engine.metrics.stanzas_received.inc(self.link.leg);
                    self.engine.metrics.stanzas_refused.inc(refusal);
                }
                Action::Close => {
                    opened.connection.close(CLOSING).await;
                    return Step::End(failed);
                }
                _ => {}
            }
        }
        if let Some(failure) = failed {
            opened.connection.close(CLOSING).await;
            return Step::End(Some(failure));
        }
        match opened.connection.flush(CLOSING).await {
            Ok(()) => Step::GoOn,
            Err(_) => Step::End(Some(Failure::ConnectionLost("closing"))),
        }
    }
}

enum Step {
    GoOn,
    End(Option<Failure>),
}
