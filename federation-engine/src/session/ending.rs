//! The shutdown of the engine as a stream sees it, and the other changes that the engine announces to every stream.

use std::time::{Duration, Instant};

use crds::xmpp::StreamCondition;
use s2s_proto::clock;
use s2s_proto::stream::error::StreamError;

use super::{Flow, Session};
use crate::engine::life::{PARTING_TIMEOUT, Stage};
use crate::session::machine::Machine;

/// Maximum time for which a stream stays open on shutdown for its last acknowledgements. A stanza that the peer has but
/// did not acknowledge is bounced to its sender.
const SHUTDOWN_ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(1);

/// Time without any acknowledged stanza, while errors go back to senders, after which the rest of the stream is given
/// up.
const PROGRESS_TIMEOUT: Duration = Duration::from_millis(1500);

impl Session {
    /// Whether the peer is read during shutdown: not while queued stanzas are delivered, for there would be more of
    /// them, and not when no answer could be sent. Acknowledgements of our own stanzas are needed, and an
    /// unauthenticated peer cannot send stanzas.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.stage, Stage::Serving | Stage::Yielding | Stage::Bouncing | Stage::Parting)
            || matches!(self.machine, Machine::Initiating(_))
            || self.newcomer.is_some()
            || self.outlet.awaits_answer()
    }

    pub(super) async fn on_news(&mut self) -> Flow {
        let news = *self.news.borrow_and_update();
        let before = std::mem::replace(&mut self.stage, news.stage);
        let now = Instant::now();
        if before < Stage::Yielding && self.stage == Stage::Yielding {
            if self.only_receives() && !self.intake.is_full() {
                return self.part(now).await;
            }
            self.parting = None;
        }
        if before < Stage::Draining && self.stage >= Stage::Draining && self.machine.is_theirs() {
            // It may close in a later stage.
            self.parting = Some(self.engine.life.may_part());
        }
        if before < Stage::Bouncing && self.stage >= Stage::Bouncing {
            self.intake.turn_away();
            self.watch_progress(now);
        }
        if before < Stage::Parting && self.stage >= Stage::Parting {
            if self.stage == Stage::Parting && self.only_receives() {
                return self.part(now).await;
            }
            self.parting = None;
        }
        if before < Stage::Leaving && self.stage == Stage::Leaving {
            self.closing = true;
            self.stuck = None;
            self.leave_by = Some(clock::after(now, SHUTDOWN_ACKNOWLEDGEMENT_TIMEOUT));
        }
        if std::mem::replace(&mut self.revision, news.revision) != news.revision {
            return self.on_reload().await;
        }
        Flow::Continue
    }

    /// Stanzas that the peer no longer accepts must be bounced to their senders in time.
    pub(super) fn watch_progress(&mut self, now: Instant) {
        if self.outlet.is_in_flight() {
            self.ask();
        }
        let waits = !self.outlet.is_confirmed();
        self.stuck = waits.then(|| (clock::after(now, PROGRESS_TIMEOUT), self.outlet.confirmed()));
    }

    /// The stream brings stanzas of an authenticated peer, and carries none back.
    fn only_receives(&self) -> bool {
        matches!(self.machine, Machine::Receiving(_))
            && self.newcomer.is_none()
            && !self.closing
            && !self.outlet.carries_any()
    }

    /// Announces the shutdown, and reads what the peer has sent until it closes its side (RFC 6120 §4.4). The streams that we
    /// opened carry that on, or the errors about it.
    async fn part(&mut self, now: Instant) -> Flow {
        self.closing = true;
        if let Machine::Receiving(machine) = &mut self.machine {
            let until = clock::after(now, PARTING_TIMEOUT);
            machine.fail_and_read_on(&shutting_down(), until, &mut self.out);
        }
        self.withdraw();
        self.perform().await
    }

    /// RFC 6120 §4.9.3.20
    pub(super) async fn leave(&mut self) -> Flow {
        self.machine.fail(&shutting_down(), &*self.around, &mut self.out);
        self.perform().await
    }
}

fn shutting_down() -> StreamError {
    StreamError::new(StreamCondition::SystemShutdown, "the server is shutting down")
}
