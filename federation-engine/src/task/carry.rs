//! An established stream that carries the stanzas of its link, in their order, until it ends.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::sleep_until;

use super::engine::Engine;
use super::negotiate::{CLOSING, Opened};
use crate::reason::Failure;
use crate::route::link::Link;
use crate::route::queue::Waiting;
use crate::stream::Action;
use crate::stream::error::{StreamCondition, StreamError};

/// Bytes that one write to the transport gathers.
const BATCH: usize = 64 * 1024;

/// How a stream ended.
#[derive(Debug)]
pub(crate) struct End {
    /// What broke it; `None`: it was closed in order.
    pub(crate) failure: Option<Failure>,
    /// It took stanzas, or it was we who closed it.
    pub(crate) useful: bool,
}

/// What follows a step.
enum Step {
    GoOn,
    End(Option<Failure>),
}

/// The stream and the link it serves.
pub(crate) struct Carrier<'a> {
    engine: &'a Arc<Engine>,
    link: &'a Arc<Link>,
    opened: Opened,
    /// Taken from the queue, not yet sent.
    batch: Vec<Waiting>,
    last_stanza: Instant,
    carried: bool,
    /// Our end of the stream is closed.
    closing: bool,
}

impl<'a> Carrier<'a> {
    pub(crate) fn new(engine: &'a Arc<Engine>, link: &'a Arc<Link>, opened: Opened) -> Self {
        Self {
            engine,
            link,
            opened,
            batch: Vec::new(),
            last_stanza: Instant::now(),
            carried: false,
            closing: false,
        }
    }

    /// Sends until the stream ends.
    pub(crate) async fn serve(mut self) -> End {
        // What came together with the end of the negotiation.
        self.read();
        loop {
            match self.perform().await {
                Step::GoOn => {}
                Step::End(failure) => return self.end(failure),
            }
            match self.step().await {
                Step::GoOn => {}
                Step::End(failure) => return self.end(failure),
            }
        }
    }

    fn end(&self, failure: Option<Failure>) -> End {
        End { failure, useful: self.carried || self.closing }
    }

    /// Waits for one event.
    async fn step(&mut self) -> Step {
        let timeouts = self.engine.snapshot().config.timeouts;
        let idle = self.opened.machine.peer_limits().idle_time(timeouts.idle);
        let is_idle = !self.closing && self.link.is_empty();
        let idle_at = idle.map(|idle| self.last_stanza + idle).filter(|_| is_idle);
        let wake_at = [idle_at, self.opened.machine.deadline()].into_iter().flatten().min();
        tokio::select! {
            // What the peer has said comes first: a stanza written behind its farewell would be lost.
            biased;
            received = self.opened.connection.fill() => match received {
                Ok(0) | Err(_) => {
                    let lost = (!self.closing).then_some(Failure::ConnectionLost("waiting for stanzas"));
                    return Step::End(lost);
                }
                Ok(_) => self.read(),
            },
            () = self.engine.shutdown.cancelled(), if !self.closing => {
                self.closing = true;
                // RFC 6120 §4.9.3.20
                let error = StreamError::new(StreamCondition::SystemShutdown, "the server is shutting down");
                self.opened.machine.fail(&error, &mut self.opened.out);
            }
            () = sleep_until(wake_at.unwrap_or(self.last_stanza).into()), if wake_at.is_some() => {
                let now = Instant::now();
                let idle = idle_at.is_some_and(|at| at <= now);
                self.closing |= wake_at.is_some_and(|at| at <= now);
                if idle {
                    self.opened.machine.close(now, &mut self.opened.out);
                } else {
                    self.opened.machine.on_timeout(now, &mut self.opened.out);
                }
            }
            () = self.link.wait_for_work(), if !self.closing => return self.send().await,
        }
        Step::GoOn
    }

    /// Sends what waits, as much as one write takes.
    async fn send(&mut self) -> Step {
        self.link.take(BATCH, &mut self.batch);
        let limits = self.opened.machine.peer_limits();
        for waiting in self.batch.extract_if(.., |w| limits.exceeded_by(w.stanza.len()).is_some()) {
            self.engine.too_large(&waiting.stanza, self.link.leg, &limits);
        }
        for Waiting { stanza, .. } in &self.batch {
            self.opened.connection.output.extend_from_slice(stanza);
        }
        let patience = self.engine.snapshot().config.timeouts.user_timeout;
        if let Err(error) = self.opened.connection.flush(patience).await {
            // Nothing tells how much of this write the peer has; all of it is sent again on the next stream. Stanzas of
            // earlier writes are TCP's, and lost with it: knowing more takes acknowledgements (XEP-0198).
            self.link.put_back(&mut self.batch);
            tracing::info!(pair = %self.link.pair, %error, "the stream broke while sending");
            return Step::End(Some(Failure::ConnectionLost("sending")));
        }
        let sent = self.batch.len();
        self.batch.clear();
        self.carried |= sent > 0;
        self.engine.metrics.stanzas_relayed.inc_by(self.link.leg, sent as u64);
        self.engine.metrics.stanzas_queued.dec_by(i64::try_from(sent).unwrap_or(i64::MAX));
        self.last_stanza = Instant::now();
        Step::GoOn
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

    /// Writes what the machine wrote and does what it asked for.
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
