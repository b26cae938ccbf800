//! The path of one pair's stanzas to their receiver: a queue, and the state of the stream that empties it.

mod state;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use s2s_proto::pair::Pair;
use s2s_proto::reason::Failure;
use s2s_proto::stanza::fail_fast::fails_fast;
use s2s_proto::xml::Element;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use self::state::State;
use super::queue::{Bounds, Waiting};
use super::retry::Fate;
use crate::budget::account::Total;
use crate::leg::Leg;

pub(crate) use self::state::Phase;

/// Time for which a stanza that fails fast is answered with the last failure; after that, it causes a new attempt.
/// Short, because its sender needs the current state.
const FAILURE_REPEAT_TIME: Duration = Duration::from_secs(30);

/// Minimum time between two attempts that activity of the peer causes. Frequent activity does not make us connect more
/// often.
const SIGN_OF_LIFE_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum bytes of a presence that enters a room. The content of a larger stanza is not parsed.
const MAX_JOIN_BYTES: usize = 16 * 1024;

fn is_urgent(stanza: &Bytes) -> bool {
    let small = stanza.len() <= MAX_JOIN_BYTES;
    let element = if small { Element::parse(stanza) } else { Element::parse_start(stanza) };
    element.is_some_and(|element| fails_fast(&element))
}

/// Result of [`Link::push`].
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Push {
    /// Queued. `start`: the caller must start the link's task.
    Queued {
        /// No task was running; now one must.
        start: bool,
    },
    /// No room. While stanzas are being sent, or during the first attempt to open a stream, the sender waits
    /// ([`Link::wait_for_room`]); otherwise the stanza is bounced.
    Full {
        /// The stanza, returned.
        stanza: Bytes,
        /// The sender waits.
        flowing: bool,
    },
    /// There is no stream, and the sender waits for an answer: it gets the cause now.
    Unreachable {
        /// The stanza, returned.
        stanza: Bytes,
        /// Why the last attempt failed.
        cause: Failure,
    },
}

/// One pair's link.
pub(crate) struct Link {
    /// The pair.
    pub(crate) pair: Pair,
    /// The side of the engine by which they leave.
    pub(crate) leg: Leg,
    state: Mutex<State>,
    room: Notify,
    hurry: Notify,
    settled: Notify,
    lost: Notify,
    answered: AtomicBool,
    /// Answers may wait in the queue. False: certainly none.
    has_answers: AtomicBool,
}

impl Link {
    pub(crate) fn new(pair: Pair, leg: Leg, total: &Total) -> Self {
        Self {
            pair,
            leg,
            state: Mutex::new(State::new(total)),
            room: Notify::new(),
            hurry: Notify::new(),
            settled: Notify::new(),
            lost: Notify::new(),
            answered: AtomicBool::new(false),
            has_answers: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock; a poisoned state would still be consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a stanza.
    pub(crate) fn push(&self, stanza: Bytes, now: Instant, bounds: &Bounds) -> Push {
        let mut state = self.state();
        if let Some((cause, since)) = state.refuses(now) {
            drop(state);
            let urgent = is_urgent(&stanza);
            if urgent && now.saturating_duration_since(since) < FAILURE_REPEAT_TIME {
                return Push::Unreachable { stanza, cause };
            }
            state = self.state();
            if urgent {
                state.not_before = None;
                self.hurry.notify_waiters();
            }
        }
        if !state.queue.has_room(stanza.len(), bounds) {
            return Push::Full { stanza, flowing: state.flows() };
        }
        let start = state.append(|queue| queue.push(stanza, now));
        Push::Queued { start }
    }

    /// Queues an answer of the engine to a stanza of the reverse pair. True when the caller must start the link's task.
    pub(crate) fn push_answer(&self, answer: Bytes, now: Instant) -> bool {
        let mut state = self.state();
        self.has_answers.store(true, Ordering::Relaxed);
        state.append(|queue| queue.push_answer(answer, now))
    }

    /// Whether so many answers wait that no more stanzas of the reverse pair are read.
    pub(crate) fn is_full_of_answers(&self, bounds: impl FnOnce() -> Bounds) -> bool {
        if !self.has_answers.load(Ordering::Relaxed) {
            return false;
        }
        let state = self.state();
        self.has_answers.store(state.queue.has_answers(), Ordering::Relaxed);
        state.queue.is_full_of_answers(&bounds())
    }

    /// Waits until fewer answers wait. They leave the queue even if their receiver does not accept them, because they
    /// expire.
    pub(crate) async fn wait_for_room_for_answers(&self, bounds: &Bounds) {
        loop {
            let notified = self.room.notified();
            if !self.is_full_of_answers(|| *bounds) {
                return;
            }
            notified.await;
        }
    }

    /// The receiver has sent a stanza other than an error: it is a real participant.
    pub(crate) fn answer(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::answer`] was called.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Requests a stream now, although nothing may be queued; previous failures are discarded. True when the caller
    /// must start the link's task.
    pub(crate) fn wake(&self) -> bool {
        let mut state = self.state();
        state.not_before = None;
        if state.phase != Phase::Established {
            state.last_failure = None;
        }
        let start = state.phase == Phase::Dormant;
        if start {
            state.phase = Phase::Connecting;
        }
        drop(state);
        self.hurry.notify_waiters();
        start
    }

    /// There is a new path to the peer: the next attempt may start now.
    pub(crate) fn hurry(&self) {
        self.state().not_before = None;
        self.hurry.notify_waiters();
    }

    /// The peer is up: it was authenticated on a stream of its own, or verified a key of ours. The known failure is out
    /// of date, so the next attempt starts now instead of after the back-off.
    pub(crate) fn peer_is_back(&self, now: Instant) {
        let mut state = self.state();
        let recent = |at: Instant| now.saturating_duration_since(at) < SIGN_OF_LIFE_INTERVAL;
        if state.not_before.is_none() || state.sign_of_life.is_some_and(recent) {
            return;
        }
        state.sign_of_life = Some(now);
        state.not_before = None;
        drop(state);
        self.hurry.notify_waiters();
    }

    /// The stream broke, or the peer closed it with an error: the known state of the peer is out of date.
    pub(crate) fn lose(&self) {
        self.lost.notify_waiters();
    }

    /// Waits for [`Self::lose`].
    pub(crate) fn lost(&self) -> Notified<'_> {
        self.lost.notified()
    }

    /// Discards the failures, because the configuration has changed: the next attempt may start now.
    pub(crate) fn forgive(&self) {
        let mut state = self.state();
        state.not_before = None;
        state.last_failure = None;
        state.backoff.reset();
        drop(state);
        self.hurry.notify_waiters();
    }

    /// Waits for [`Self::wake`] or [`Self::forgive`]. What happens between this call and the first poll counts.
    pub(crate) fn hurried(&self) -> Notified<'_> {
        self.hurry.notified()
    }

    /// Waits until stanzas have left the queue.
    pub(crate) async fn wait_for_room(&self, size: usize, bounds: &Bounds) {
        loop {
            let notified = self.room.notified();
            {
                let state = self.state();
                if !state.flows() || state.queue.has_room(size, bounds) {
                    return;
                }
            }
            notified.await;
        }
    }

    /// Takes stanzas to send.
    pub(crate) fn take(
        &self,
        budget: usize,
        suspects: usize,
        out: &mut impl Extend<Waiting>,
    ) -> usize {
        let taken = self.state().queue.take(budget, suspects, out);
        if taken > 0 {
            self.room.notify_waiters();
        }
        taken
    }

    /// The memory that the queue really holds.
    pub(crate) fn held(&self) -> usize {
        self.state().queue.held()
    }

    /// Releases memory that only a longer queue needs.
    pub(crate) fn shrink(&self) {
        self.state().queue.shrink();
    }

    /// Returns stanzas that were taken and not sent.
    pub(crate) fn put_back(&self, taken: &mut Vec<Waiting>) {
        let mut state = self.state();
        state.queue.put_back(taken);
        self.has_answers.store(state.queue.has_answers(), Ordering::Relaxed);
    }

    /// Removes stanzas that have waited too long, and returns the time of the next check.
    pub(crate) fn take_expired(
        &self,
        now: Instant,
        bounds: &Bounds,
    ) -> (Vec<Bytes>, Option<Instant>) {
        let mut state = self.state();
        let expired = state.queue.take_expired(now, bounds);
        if !expired.is_empty() {
            self.room.notify_waiters();
        }
        (expired, state.queue.next_expiry(bounds))
    }

    /// A stream is open, which `carrier` notifies when a stanza is queued.
    pub(crate) fn established(&self, carrier: &Arc<Notify>) {
        let mut state = self.state();
        state.phase = Phase::Established;
        state.carrier = Some(Arc::clone(carrier));
        if !state.queue.is_empty() {
            carrier.notify_one();
        }
        state.not_before = None;
        state.last_failure = None;
        drop(state);
        self.settled.notify_waiters();
    }

    /// The stream closed after it was of use; another attempt follows at once if stanzas wait.
    pub(crate) fn reconnecting(&self) {
        let mut state = self.state();
        state.phase = Phase::Connecting;
        state.carrier = None;
        state.backoff.reset();
        drop(state);
        self.room.notify_waiters();
    }

    /// Nothing is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.state().queue.is_empty()
    }

    /// An attempt failed: stores the reason, and returns the stanzas that do not wait for the next attempt. That starts
    /// after the back-off's delay, and after `longest` at the latest.
    pub(crate) fn failed(
        &self,
        failure: Failure,
        fate: Fate,
        now: Instant,
        longest: Duration,
    ) -> Vec<Bytes> {
        let mut state = self.state();
        state.phase = Phase::Connecting;
        state.carrier = None;
        let delay = state.backoff.after_failure(&mut |n| rand::random_range(0..=n)).min(longest);
        state.not_before = now.checked_add(delay);
        state.last_failure = Some(failure);
        state.last_fate = Some((fate, now));
        let bounced = match fate {
            Fate::Keep => Vec::new(),
            Fate::FailFast => state.queue.extract(|waiting| is_urgent(&waiting.stanza)),
            Fate::Bounce => state.queue.drain(),
        };
        drop(state);
        self.room.notify_waiters();
        self.settled.notify_waiters();
        bounced
    }

    /// Waits for the end of an attempt, successful or not. An attempt that ended before the call does not count.
    pub(crate) fn settled(&self) -> Notified<'_> {
        self.settled.notified()
    }

    /// Removes relayed stanzas that came back from streams that broke, when they will not be sent again.
    pub(crate) fn drain_sent(&self) -> Vec<Bytes> {
        self.extract(|waiting| waiting.was_sent && !waiting.answer)
    }

    /// Removes relayed stanzas, when no further attempt will be made for them. Answers stay.
    pub(crate) fn drain_relayed(&self) -> Vec<Bytes> {
        self.extract(|waiting| !waiting.answer)
    }

    fn extract(&self, chosen: impl Fn(&Waiting) -> bool) -> Vec<Bytes> {
        let extracted = self.state().queue.extract(chosen);
        self.room.notify_waiters();
        extracted
    }

    /// Removes all waiting stanzas, when no further attempt will be made.
    pub(crate) fn drain(&self) -> Vec<Bytes> {
        let drained = self.state().queue.drain();
        self.room.notify_waiters();
        drained
    }

    /// Ends the task's ownership if nothing is queued. False: there is work again.
    pub(crate) fn try_sleep(&self) -> bool {
        let mut state = self.state();
        let sleeps = state.queue.is_empty();
        if sleeps {
            state.phase = Phase::Dormant;
        }
        sleeps
    }

    /// When the next attempt may start.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.state().not_before
    }

    /// Why the last attempt failed; `None` after success.
    pub(crate) fn last_failure(&self) -> Option<Failure> {
        self.state().last_failure.clone()
    }

    /// What the last failure means for stanzas that wait.
    pub(crate) fn last_fate(&self) -> Option<Fate> {
        self.state().last_fate.map(|(fate, _)| fate)
    }

    /// The state of the link.
    pub(crate) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Nothing runs, waits or is stored: the table may remove the link.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let state = self.state();
        state.phase == Phase::Dormant
            && state.queue.is_empty()
            && state.not_before.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests;
