//! The pings in progress, from the engine's probe domain to its backends and from local domains to peers, and the stanzas
//! that answer them.

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
pub(crate) struct RoundTrips(Mutex<HashMap<String, oneshot::Sender<Reply>>>);

/// The answer to a ping.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reply {
    Result,
    Error,
}

/// The resource of the address from which a local domain pings peers. What comes to it is for the engine.
pub(crate) const RESOURCE: &str = "xfed-probe";

impl RoundTrips {
    /// Registers a ping with that `id` before it is sent; the returned receiver is notified of its answer.
    pub(crate) fn begin(&self, id: &str) -> oneshot::Receiver<Reply> {
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
    fn answered(&self, id: &str, reply: Reply) -> bool {
        let waiting = self.pending().remove(id);
        // The waiting task may have given up.
        waiting.is_some_and(|waiting| waiting.send(reply).is_ok())
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Reply>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    /// A stanza of a backend for the probe domain, or of a configured peer for the address that pinged it. If it answers
    /// another replica's ping, it is evidence for that replica.
    pub(crate) fn ping_answered(&self, element: &Element, pair: &Pair) {
        let reply = match element.type_().as_deref() {
            Some("result") => Reply::Result,
            Some("error") => Reply::Error,
            _ => return,
        };
        let Some(id) = element.id() else { return };
        if !self.round_trips.answered(&id, reply) {
            let answer = BackendAnswer { domain: pair.from.clone(), ping: id.into_owned() };
            self.recorder.journal.backend_answer(answer, Timestamp::now());
        }
    }
}
