//! The pings in progress from the engine's probe domain to its backends, and the stanzas that answer them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use s2s_proto::pair::Pair;
use s2s_proto::xml::Element;
use tokio::sync::oneshot;

use super::Relay;
use crate::observe::evidence::BackendAnswer;

/// Pings in progress, by their `id`.
#[derive(Default)]
pub(crate) struct RoundTrips(Mutex<HashMap<String, oneshot::Sender<()>>>);

impl RoundTrips {
    /// Registers a ping with that `id` before it is sent; the returned receiver is notified of its answer.
    pub(crate) fn begin(&self, id: &str) -> oneshot::Receiver<()> {
        let (sender, answer) = oneshot::channel();
        self.pending().insert(id.to_owned(), sender);
        answer
    }

    /// The answer is no longer awaited.
    pub(crate) fn end(&self, id: &str) {
        self.pending().remove(id);
    }

    /// A stanza reached the probe domain over a backend's own stream. An error is as good as a result, because it took
    /// the same path. False: it answers no ping of this replica.
    fn answered(&self, id: &str) -> bool {
        let waiting = self.pending().remove(id);
        // The waiting task may have given up.
        waiting.is_some_and(|waiting| waiting.send(()).is_ok())
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    /// A stanza of a backend for the probe domain. If it answers another replica's ping, it is evidence for that
    /// replica.
    pub(crate) fn ping_answered(&self, element: &Element, pair: &Pair) {
        let answer = matches!(element.type_().as_deref(), Some("result" | "error"));
        let Some(id) = element.id().filter(|_| answer) else { return };
        if !self.round_trips.answered(&id) {
            let answer = BackendAnswer { domain: pair.from.clone(), ping: id.into_owned() };
            self.recorder.journal.backend_answer(answer, Timestamp::now());
        }
    }
}
