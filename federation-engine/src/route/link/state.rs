//! What a link knows: its queue, the stream that empties it, and what came of the last attempt to open one. Pure.

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
    /// A stream is being opened, or the next attempt is waited for.
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
    /// No attempt before this.
    pub(super) not_before: Option<Instant>,
    /// The last activity of the peer that ended a pause.
    pub(super) sign_of_life: Option<Instant>,
    /// Why the last attempt failed; cleared by success.
    pub(super) last_failure: Option<Failure>,
    /// What that failure means for stanzas, and when it happened.
    pub(super) last_fate: Option<(Fate, Instant)>,
}

impl State {
    /// Nothing is queued, and nothing runs.
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

    /// Queues a stanza, and notifies the stream that empties the queue. True: a task must be started.
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

    /// There will soon be room in the queue, or the result that there is no stream.
    pub(super) fn flows(&self) -> bool {
        match self.phase {
            Phase::Established => true,
            Phase::Connecting => self.last_failure.is_none(),
            Phase::Dormant => false,
        }
    }

    /// While the next attempt is waited for: the last failure and its time, if stanzas that fail fast do not wait with
    /// the others.
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
