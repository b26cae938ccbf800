//! What a stream brings: its stanzas go to their links. While one of them finds no room, or the peer leaves the engine's answers
//! lying, the stream is not read on, and everything else of it goes on.

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

    /// Something that is no error has come from a backend.
    pub(crate) fn has_answered(&self) -> bool {
        self.forwarder.has_answered()
    }

    /// Takes over a stanza of a proven pair. Not to be called while [`Self::is_full`].
    pub(crate) fn take(&mut self, element: &Element, pair: &Pair, now: Instant) {
        self.held = self.forwarder.forward(element, pair, self.lang.as_deref(), now);
    }

    /// Answers a stanza of a proven pair that is larger than `limit` bytes, and of which only the start tag was kept.
    /// Not to be called while [`Self::is_full`].
    pub(crate) fn refuse_oversized(&mut self, element: &Element, pair: &Pair, limit: usize) {
        self.held = self.forwarder.refuse_oversized(element, pair, limit);
    }

    /// Takes over a stanza of a stream that is closing, which is read to its end.
    pub(crate) async fn take_last(&mut self, element: &Element, pair: &Pair) {
        self.finish().await;
        if self.held.as_ref().is_some_and(|held| held.is_hopeless(&self.relay)) {
            self.forwarder.drop_unanswered();
        } else {
            self.take(element, pair, Instant::now());
        }
    }

    /// The engine ends: every stanza from now on is answered with an error.
    pub(crate) fn turn_away(&mut self) {
        self.forwarder.turns_away = true;
    }

    /// The stream is not to be read on.
    pub(crate) fn is_full(&self) -> bool {
        self.held.is_some()
    }

    /// Waits until [`Self::retry`] may help; for ever when nothing is held. Cancel-safe.
    pub(crate) async fn room(&self) {
        match &self.held {
            Some(held) => held.wait(&self.relay).await,
            None => std::future::pending().await,
        }
    }

    /// Tries to place what is held.
    pub(crate) fn retry(&mut self) {
        self.held = self.held.take().and_then(|held| held.retry(&self.relay, Instant::now()));
    }

    /// The stream ends: what is held still has to go to its link.
    pub(crate) async fn finish(&mut self) {
        while self.held.as_ref().is_some_and(Held::is_stanza) {
            self.room().await;
            self.retry();
        }
    }
}
