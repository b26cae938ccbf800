//! The incoming side of a stream: its stanzas go to their links. Reading stops while a link has no room for a stanza,
//! or while the peer does not read the engine's answers. All other work of the stream continues.

use std::sync::Arc;
use std::time::Instant;

use s2s_proto::pair::Pair;
use s2s_proto::xml::Element;

use super::Relay;
use super::forward::{Forwarder, Held};
use crate::leg::Leg;

/// The incoming side of one stream.
pub(crate) struct Intake {
    relay: Arc<Relay>,
    forwarder: Forwarder,
    /// `xml:lang` of the peer's header (RFC 6120 §4.7.4).
    lang: Option<String>,
    held: Option<Held>,
}

impl Intake {
    pub(crate) fn new(relay: &Arc<Relay>, leg: Leg) -> Self {
        let forwarder = Forwarder::new(Arc::clone(relay), leg);
        Self { relay: Arc::clone(relay), forwarder, lang: None, held: None }
    }

    /// The peer has sent a header.
    pub(crate) fn header(&mut self, lang: Option<&str>) {
        self.lang = lang.map(str::to_owned);
    }

    /// A stanza other than an error has come from a backend.
    pub(crate) fn has_answered(&self) -> bool {
        self.forwarder.has_answered()
    }

    /// Accepts a stanza of an authenticated pair. Must not be called while [`Self::is_full`].
    pub(crate) fn take(&mut self, element: &Element, pair: &Pair, now: Instant) {
        self.held = self.forwarder.forward(element, pair, self.lang.as_deref(), now);
    }

    /// Answers a stanza of an authenticated pair that is larger than `limit` bytes, of which only the start tag was
    /// kept. Must not be called while [`Self::is_full`].
    pub(crate) fn refuse_oversized(&mut self, element: &Element, pair: &Pair, limit: usize) {
        self.held = self.forwarder.refuse_oversized(element, pair, limit);
    }

    /// Accepts a stanza of a stream that is closing. Such a stream is read to its end.
    pub(crate) async fn take_last(&mut self, element: &Element, pair: &Pair) {
        self.finish().await;
        if self.held.as_ref().is_some_and(|held| held.is_hopeless(&self.relay)) {
            self.forwarder.drop_unanswered();
        } else {
            self.take(element, pair, Instant::now());
        }
    }

    /// The engine is shutting down: every stanza from now on is bounced.
    pub(crate) fn turn_away(&mut self) {
        self.forwarder.turns_away = true;
    }

    /// The stream must not be read.
    pub(crate) fn is_full(&self) -> bool {
        self.held.is_some()
    }

    /// Waits until [`Self::retry`] may succeed; forever when nothing is held. Cancel-safe.
    pub(crate) async fn room(&self) {
        match &self.held {
            Some(held) => held.wait(&self.relay).await,
            None => std::future::pending().await,
        }
    }

    /// Tries to queue the held stanza.
    pub(crate) fn retry(&mut self) {
        self.held = self.held.take().and_then(|held| held.retry(&self.relay, Instant::now()));
    }

    /// The stream closes: the held stanza must still go to its link.
    pub(crate) async fn finish(&mut self) {
        while self.held.as_ref().is_some_and(Held::is_stanza) {
            self.room().await;
            self.retry();
        }
    }
}
