//! The state of a link: its queue, the stream that empties it, and the result of the last attempt to open one. Pure.

use std::sync::Arc;
use std::time::Instant;

use s2s_proto::reason::Failure;
use tokio::sync::Notify;

use crate::budget::account::Total;
use crate::dial::backoff::Backoff;
use crate::route::queue::Queue;
use crate::route::retry::Fate;

/// State of the link's task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// No task runs; the next push starts one.
    Dormant,
    /// A stream is being opened, or the link waits for the next attempt.
    Connecting,
    /// Stanzas are being sent.
    Established,
}

/// The state of a link under its lock.
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) phase: Phase,
    /// The stream that empties the queue, to be notified when a stanza is queued again.
    pub(super) carrier: Option<Arc<Notify>>,
    pub(super) backoff: Backoff,
    /// Earliest time of the next attempt.
    pub(super) not_before: Option<Instant>,
    /// The last activity of the peer that ended a pause.
    pub(super) sign_of_life: Option<Instant>,
    /// Why the last attempt failed; cleared by success.
    pub(super) last_failure: Option<Failure>,
    /// The effect of that failure on stanzas, and its time.
    pub(super) last_fate: Option<(Fate, Instant)>,
}

impl State {
    /// An empty queue, and no running task.
    pub(super) fn new(total: &Total) -> Self {
        Self {
            queue: Queue::counted(total),
            phase: Phase::Dormant,
            carrier: None,
            backoff: Backoff::default(),
            not_before: None,
            sign_of_life: None,
            last_failure: None,
            last_fate: None,
        }
    }

    /// Queues a stanza, and notifies the stream that empties the queue. True: the caller must start a task.
    pub(super) fn append(&mut self, queue: impl FnOnce(&mut Queue)) -> bool {
        let was_empty = self.queue.is_empty();
        queue(&mut self.queue);
        if self.carrier.is_none() {
            // No stream takes it at once.
            self.queue.settle();
        }
        let start = self.phase == Phase::Dormant;
        if start {
            self.phase = Phase::Connecting;
        }
        if let Some(carrier) = self.carrier.as_ref().filter(|_| was_empty) {
            carrier.notify_one();
        }
        start
    }

    /// Whether there will soon be room in the queue, or the result that there is no stream.
    pub(super) fn flows(&self) -> bool {
        match self.phase {
            Phase::Established => true,
            Phase::Connecting => self.last_failure.is_none(),
            Phase::Dormant => false,
        }
    }

    /// While the link waits for the next attempt: the last failure and its time, if stanzas that fail fast do not wait
    /// with the others.
    pub(super) fn refuses(&self, now: Instant) -> Option<(Failure, Instant)> {
        match (&self.last_failure, self.last_fate) {
            (Some(failure), Some((Fate::FailFast, at)))
                if self.not_before.is_some_and(|not_before| not_before > now) =>
            {
                Some((failure.clone(), at))
            }
            _ => None,
        }
    }
}
