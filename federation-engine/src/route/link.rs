//! The way of one pair's stanzas to their receiver: a queue, and the state of the stream that empties it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::queue::{Bounds, Queue};
use crate::dial::backoff::Backoff;
use crate::leg::Leg;
use crate::pair::Pair;
use crate::reason::Failure;

/// What the link's task is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// No task runs; the next push starts one.
    Dormant,
    /// A stream is being set up, or the next attempt is waited for.
    Connecting,
    /// Stanzas flow.
    Established,
}

struct State {
    queue: Queue,
    phase: Phase,
    backoff: Backoff,
    /// No attempt before this.
    not_before: Option<Instant>,
    /// Why the last attempt failed; cleared by success.
    last_failure: Option<Failure>,
}

/// Result of [`Link::push`].
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Push {
    /// Queued. `start` tells the caller to start the link's task.
    Queued {
        /// No task was running; now one has to.
        start: bool,
    },
    /// No room. While stanzas flow the sender waits ([`Link::wait_for_room`]); otherwise it is told.
    Full {
        /// The stanza, given back.
        stanza: Bytes,
        /// Stanzas flow, so there will be room.
        flowing: bool,
    },
}

/// One pair's link.
pub(crate) struct Link {
    /// Whose stanzas.
    pub(crate) pair: Pair,
    /// Which side of the engine they leave by.
    pub(crate) leg: Leg,
    state: Mutex<State>,
    work: Notify,
    room: Notify,
    hurry: Notify,
    settled: Notify,
    lost: Notify,
}

impl Link {
    pub(crate) fn new(pair: Pair, leg: Leg) -> Self {
        let state = State {
            queue: Queue::default(),
            phase: Phase::Dormant,
            backoff: Backoff::default(),
            not_before: None,
            last_failure: None,
        };
        Self {
            pair,
            leg,
            state: Mutex::new(state),
            work: Notify::new(),
            room: Notify::new(),
            hurry: Notify::new(),
            settled: Notify::new(),
            lost: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock; a poisoned state would still be consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a stanza.
    pub(crate) fn push(&self, stanza: Bytes, now: Instant, bounds: &Bounds) -> Push {
        let mut state = self.state();
        if !state.queue.has_room(stanza.len(), bounds) {
            return Push::Full { stanza, flowing: state.phase == Phase::Established };
        }
        let was_empty = state.queue.is_empty();
        state.queue.push(stanza, now);
        let start = state.phase == Phase::Dormant;
        if start {
            state.phase = Phase::Connecting;
        }
        drop(state);
        if was_empty && !start {
            self.work.notify_one();
        }
        Push::Queued { start }
    }

    /// Asks for a stream now, although nothing may be queued; what failed before is forgotten. True when the caller has to start the link's task.
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

    /// The stream broke, or the peer ended it with an error: what is known about the peer is out of date.
    pub(crate) fn lose(&self) {
        self.lost.notify_waiters();
    }

    /// Waits for [`Self::lose`].
    pub(crate) async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Waits for [`Self::wake`].
    pub(crate) async fn hurried(&self) {
        self.hurry.notified().await;
    }

    /// Waits until stanzas have left the queue.
    pub(crate) async fn wait_for_room(&self, size: usize, bounds: &Bounds) {
        loop {
            let notified = self.room.notified();
            {
                let state = self.state();
                if state.phase != Phase::Established || state.queue.has_room(size, bounds) {
                    return;
                }
            }
            notified.await;
        }
    }

    /// Waits until something is queued.
    pub(crate) async fn wait_for_work(&self) {
        loop {
            let notified = self.work.notified();
            if !self.state().queue.is_empty() {
                return;
            }
            notified.await;
        }
    }

    /// Takes stanzas to send.
    pub(crate) fn take(&self, budget: usize, out: &mut Vec<Bytes>) -> usize {
        let taken = self.state().queue.take(budget, out);
        if taken > 0 {
            self.room.notify_waiters();
        }
        taken
    }

    /// Gives back what was taken and not sent.
    pub(crate) fn put_back(&self, stanzas: &mut Vec<Bytes>, now: Instant) {
        self.state().queue.put_back(stanzas, now);
    }

    /// Removes what has waited too long, and says when to look again.
    pub(crate) fn take_expired(
        &self,
        now: Instant,
        bounds: &Bounds,
    ) -> (Vec<Bytes>, Option<Instant>) {
        let mut state = self.state();
        let expired = state.queue.take_expired(now, bounds);
        (expired, state.queue.next_expiry(bounds))
    }

    /// A stream is up.
    pub(crate) fn established(&self) {
        let mut state = self.state();
        state.phase = Phase::Established;
        state.backoff.reset();
        state.not_before = None;
        state.last_failure = None;
        drop(state);
        self.settled.notify_waiters();
    }

    /// The stream is gone; another attempt follows.
    pub(crate) fn reconnecting(&self) {
        self.state().phase = Phase::Connecting;
        self.room.notify_waiters();
    }

    /// An attempt failed: remembers why, and hands out everything that waited. The next one starts after the back-off's
    /// delay, and after `longest` at the latest.
    pub(crate) fn failed(&self, failure: Failure, now: Instant, longest: Duration) -> Vec<Bytes> {
        let mut state = self.state();
        let delay = state.backoff.after_failure(&mut |n| rand::random_range(0..=n)).min(longest);
        state.not_before = now.checked_add(delay);
        state.last_failure = Some(failure);
        let waiting = state.queue.drain();
        drop(state);
        self.room.notify_waiters();
        self.settled.notify_waiters();
        waiting
    }

    /// Waits for the end of an attempt, good or bad. What has ended before the call does not count.
    pub(crate) fn settled(&self) -> impl Future<Output = ()> + '_ {
        self.settled.notified()
    }

    /// Removes everything that waits, when no further attempt will be made.
    pub(crate) fn drain(&self) -> Vec<Bytes> {
        self.state().queue.drain()
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

    /// What the link is doing.
    pub(crate) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Nothing runs, waits or is remembered: the table may forget the link.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let state = self.state();
        state.phase == Phase::Dormant
            && state.queue.is_empty()
            && state.not_before.is_none_or(|at| at <= now)
    }
}
