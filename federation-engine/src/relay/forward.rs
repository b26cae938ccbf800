//! Passes stanzas that a stream may send to the link of their pair.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use crds::xmpp::StanzaCondition;
use s2s_proto::direction::Direction;
use s2s_proto::pair::Pair;
use s2s_proto::policy::decide::allows;
use s2s_proto::reason::{Failure, Refusal, StanzaError};
use s2s_proto::stanza::relay::{self, StreamContext};
use s2s_proto::stanza::{address, bounce, preparation};
use s2s_proto::stream::{StreamLimits, header};
use s2s_proto::xml::Element;

use super::Relay;
use super::alone;
use super::round_trips::RESOURCE;
use crate::leg::Leg;
use crate::route::link::{Link, Push};
use crate::route::poison;
use crate::route::queue::Bounds;

/// Pairs that one stream caches. A stream usually carries one or two.
const MAX_CACHED_PAIRS: usize = 8;

/// The destination of the stanzas of a pair.
#[derive(Clone)]
enum Way {
    /// To a stream.
    Link(Arc<Link>),
    /// No destination: the policy forbids it.
    Denied,
    /// No destination: our domain is no longer in the configuration.
    Gone,
    /// No destination: the receiver would interpret one of the domains as another one.
    Confused,
    /// The domain has no backend; the engine itself answers.
    Alone,
    /// To the engine's own probe domain.
    Probe,
}

/// The destinations of one stream's pairs.
pub(crate) struct Forwarder {
    relay: Arc<Relay>,
    leg: Leg,
    /// Snapshot from which the destinations were computed.
    revision: u64,
    ways: Vec<Known>,
    /// The engine is shutting down: nothing is queued any more.
    pub(crate) turns_away: bool,
    /// A stanza other than an error has come from a backend.
    answered: bool,
}

/// A pair of the stream.
struct Known {
    pair: Pair,
    way: Way,
    /// The link that carries the engine's answers to this sender.
    answers: Arc<Link>,
    /// The link that carries stanzas to this sender has been notified that there are answers, or needs no notification.
    answered: bool,
}

impl Forwarder {
    pub(crate) fn new(relay: Arc<Relay>, leg: Leg) -> Self {
        Self { relay, leg, revision: 0, ways: Vec::new(), turns_away: false, answered: false }
    }

    /// A stanza other than an error has come from a backend.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered
    }

    /// Handles one stanza: queues it, answers it, or refuses and counts it. A returned value pauses the stream that
    /// brought it.
    ///
    /// `lang` is the `xml:lang` of the peer's stream header.
    pub(crate) fn forward(
        &mut self,
        element: &Element,
        pair: &Pair,
        lang: Option<&str>,
        now: Instant,
    ) -> Option<Held> {
        self.relay.recorder.metrics.stanzas_received.inc(self.leg);
        let well_formed = |address: Option<Cow<'_, str>>| {
            address.is_some_and(|address| address::is_well_formed(&address))
        };
        let well_formed = well_formed(element.from()) && well_formed(element.to());
        let (way, unread) = self.way(pair, well_formed && is_answer(element));
        if !well_formed {
            self.refuse_malformed(element, pair);
            return unread;
        }
        if self.leg == Leg::Outer && answers_a_probe(element) {
            return self.take_answer(element, pair).or(unread);
        }
        self.place(element, pair, way, lang, now).or(unread)
    }

    fn place(
        &self,
        element: &Element,
        pair: &Pair,
        way: Way,
        lang: Option<&str>,
        now: Instant,
    ) -> Option<Held> {
        match way {
            Way::Link(link) => {
                let context = StreamContext { pair, lang, outgoing_lang: Some(header::LANG) };
                let stanza = relay::outgoing(element, &context);
                if self.turns_away {
                    self.relay.turn_away(&stanza, link.leg);
                    return None;
                }
                return self.relay.try_queue(&link, stanza, now);
            }
            Way::Confused => self.refuse_malformed(element, pair),
            Way::Denied => {
                let text = match self.leg {
                    Leg::Outer => Refusal::PolicyDenied.to_string(),
                    Leg::Inner => {
                        "the policy of this server forbids federation between these domains"
                            .to_owned()
                    }
                };
                let error = StanzaError::new(StanzaCondition::NotAllowed, text);
                self.relay.refuse(element, pair, self.leg, Refusal::PolicyDenied, &error);
            }
            Way::Gone => {
                let refusal = Refusal::HostUnknown;
                let text = refusal.to_string();
                let error = StanzaError::new(StanzaCondition::ItemNotFound, text);
                self.relay.refuse(element, pair, self.leg, refusal, &error);
            }
            Way::Alone => {
                let snapshot = self.relay.in_force.load();
                match alone::answer(element, snapshot.config.local(&pair.to)) {
                    Some(answer) => {
                        self.relay.recorder.metrics.stanzas_answered.inc();
                        self.relay.reply(answer, pair, self.leg);
                    }
                    None => {
                        self.relay
                            .recorder
                            .metrics
                            .stanzas_refused
                            .inc(Refusal::UndeliverableError);
                    }
                }
            }
            Way::Probe => {
                self.relay.recorder.metrics.stanzas_answered.inc();
                if !self.relay.questions.answered(element, pair) {
                    self.relay.ping_answered(element, pair);
                }
            }
        }
        None
    }

    /// The answer of a peer to the engine's own ping. Only configured peers are pinged.
    fn take_answer(&self, element: &Element, pair: &Pair) -> Option<Held> {
        self.relay.recorder.metrics.stanzas_answered.inc();
        if self.relay.in_force.load().config.peers.is_named(&pair.from) {
            self.relay.ping_answered(element, pair);
        }
        None
    }

    fn refuse_malformed(&self, element: &Element, pair: &Pair) {
        let refusal = Refusal::MalformedAddress;
        let text = refusal.to_string();
        let error = StanzaError::new(StanzaCondition::JidMalformed, text);
        self.relay.refuse(element, pair, self.leg, refusal, &error);
    }

    /// Answers a stanza of which only the start tag was kept (RFC 6120 §13.12). A returned value pauses its stream.
    pub(crate) fn refuse_oversized(
        &mut self,
        element: &Element,
        pair: &Pair,
        limit: usize,
    ) -> Option<Held> {
        self.relay.recorder.metrics.stanzas_received.inc(self.leg);
        let text = format!("the stanza has more than {limit} bytes");
        let error = StanzaError::new(StanzaCondition::PolicyViolation, text);
        self.relay.refuse(element, pair, self.leg, Refusal::TooLarge, &error);
        self.way(pair, false).1
    }

    /// Refuses a stanza without an answer, because its sender is closing the stream and has not accepted its answers.
    pub(crate) fn drop_unanswered(&self) {
        self.relay.recorder.metrics.stanzas_received.inc(self.leg);
        self.relay.recorder.metrics.stanzas_refused.inc(Refusal::UndeliverableError);
    }

    /// The destination of the stanzas of a pair, and the reason to pause their stream. `is_answer`: the stanza is not
    /// an error.
    fn way(&mut self, pair: &Pair, is_answer: bool) -> (Way, Option<Held>) {
        let revision = self.relay.in_force.revision();
        if self.revision != revision {
            self.ways.clear();
            self.revision = revision;
        }
        if let Some(known) = self.ways.iter_mut().find(|known| known.pair == *pair) {
            if is_answer && !known.answered {
                known.answered = true;
                self.answered = true;
                // The stanza shows that this sender has been answered.
                self.relay.table.link(&pair.reversed(), Leg::Inner).answer();
            }
            let unread = known.answers.is_full_of_answers(|| self.relay.queue_bounds());
            let unread = unread.then(|| Held::Answers(Arc::clone(&known.answers)));
            return (known.way.clone(), unread);
        }
        let way = self.find(pair);
        if self.ways.len() >= MAX_CACHED_PAIRS {
            self.ways.remove(0);
        }
        let answered = self.leg == Leg::Outer;
        let answers = self.relay.table.link(&pair.reversed(), self.leg);
        self.ways.push(Known { pair: pair.clone(), way, answers, answered });
        self.way(pair, is_answer)
    }

    fn find(&self, pair: &Pair) -> Way {
        let snapshot = self.relay.in_force.load();
        let config = &snapshot.config;
        if pair.to == config.probe_domain {
            return Way::Probe;
        }
        if !preparation::keeps(&pair.from) || !preparation::keeps(&pair.to) {
            return Way::Confused;
        }
        let (own, remote, direction) = match self.leg {
            Leg::Outer => (&pair.to, &pair.from, Direction::Inbound),
            Leg::Inner => (&pair.from, &pair.to, Direction::Outbound),
        };
        if config.local(own).is_none() {
            return Way::Gone;
        }
        if config.local(&pair.to).is_some_and(|domain| domain.backend.is_none()) {
            return Way::Alone;
        }
        // The policy is about remote domains.
        if config.local(remote).is_none() && !allows(&config.policy, remote, direction) {
            return Way::Denied;
        }
        let leg = if config.local(&pair.to).is_some() { Leg::Inner } else { Leg::Outer };
        Way::Link(self.relay.table.link(pair, leg))
    }
}

/// It answers a ping of the engine itself.
fn answers_a_probe(element: &Element) -> bool {
    element.to().is_some_and(|to| is_probe_address(&to))
        && matches!(element.type_().as_deref(), Some("result" | "error"))
}

/// The address from which a local domain pings peers.
fn is_probe_address(address: &str) -> bool {
    let bare = address.strip_suffix(RESOURCE);
    bare.is_some_and(|bare| bare.ends_with('/') && !bare.contains('@'))
}

/// Every stanza except an error: addresses that do not exist return errors as well.
fn is_answer(element: &Element) -> bool {
    element.type_().is_none_or(|kind| kind != "error")
}

/// The reason why a stream is not read.
pub(crate) enum Held {
    /// One of its stanzas waits for room: its link is full and is sending.
    Stanza(Arc<Link>, Bytes),
    /// Its peer does not accept the engine's answers, which fill the queue of this link. No stanza of a user waits.
    ///
    /// This cannot cause a deadlock, even if both directions of a pair are full. There is always room for an answer.
    /// The answers in a queue leave it without an answer of their own, at the latest when they expire.
    Answers(Arc<Link>),
}

impl Held {
    /// Waits until another attempt may have another result. Cancel-safe.
    pub(crate) async fn wait(&self, relay: &Relay) {
        let bounds = relay.queue_bounds();
        match self {
            Self::Stanza(link, stanza) => tokio::select! {
                () = link.wait_for_room(stanza.len(), &bounds) => {}
                () = relay.bouncing.cancelled() => {}
            },
            Self::Answers(link) => link.wait_for_room_for_answers(&bounds).await,
        }
    }

    /// Tries again.
    pub(crate) fn retry(self, relay: &Relay, now: Instant) -> Option<Self> {
        let Self::Stanza(link, stanza) = self else { return None };
        relay.recorder.metrics.stanzas_queued.dec();
        if !relay.bouncing.is_cancelled() {
            return relay.try_queue(&link, stanza, now);
        }
        relay.turn_away(&stanza, link.leg);
        None
    }

    /// There are too many answers, even for the last stanzas of a stream that is read to its end.
    pub(crate) fn is_hopeless(&self, relay: &Relay) -> bool {
        let Self::Answers(link) = self else { return false };
        let bounds = relay.queue_bounds();
        let bytes = bounds.bytes.saturating_mul(2);
        link.is_full_of_answers(|| Bounds { stanzas: usize::MAX, bytes, ..bounds })
    }

    /// A stanza waits.
    pub(crate) fn is_stanza(&self) -> bool {
        matches!(self, Self::Stanza(..))
    }
}

impl Relay {
    /// Queues a stanza on its link, or returns it while the link is full and sends. Refuses a stanza if there will be
    /// no room for it soon.
    fn try_queue(&self, link: &Arc<Link>, stanza: Bytes, now: Instant) -> Option<Held> {
        match link.push(stanza, now, &self.queue_bounds()) {
            Push::Queued { start } => {
                self.recorder.metrics.stanzas_queued.inc();
                if start {
                    self.start(link);
                }
                None
            }
            Push::Unreachable { stanza, cause } => {
                self.recorder.metrics.bounced(&cause, 1);
                let (error, outside) = (cause.stanza_error(), cause.stanza_error_outside());
                self.bounce(&stanza, link.leg, &error, &outside);
                None
            }
            Push::Full { stanza, flowing: true } => {
                self.recorder.metrics.stanzas_queued.inc();
                Some(Held::Stanza(Arc::clone(link), stanza))
            }
            Push::Full { stanza, flowing: false } => {
                self.recorder.metrics.stanzas_refused.inc(Refusal::QueueFull);
                let error = StanzaError::new(
                    StanzaCondition::ResourceConstraint,
                    Refusal::QueueFull.to_string(),
                );
                self.bounce(&stanza, link.leg, &error, &error);
                None
            }
        }
    }

    /// Bounces a stanza that the engine no longer accepts because it is shutting down.
    fn turn_away(&self, stanza: &Bytes, leg: Leg) {
        let cause = Failure::ShuttingDown;
        self.recorder.metrics.bounced(&cause, 1);
        self.bounce(stanza, leg, &cause.stanza_error(), &cause.stanza_error_outside());
    }

    /// Queues a stanza on its link, and waits for room while the link sends.
    pub(crate) async fn queue(&self, link: &Arc<Link>, stanza: Bytes, now: Instant) {
        let mut held = self.try_queue(link, stanza, now);
        while let Some(waiting) = held {
            waiting.wait(self).await;
            held = waiting.retry(self, Instant::now());
        }
    }

    /// Refuses a stanza that came in by `leg`, notifies its sender, and counts it.
    fn refuse(
        &self,
        element: &Element,
        pair: &Pair,
        leg: Leg,
        refusal: Refusal,
        error: &StanzaError,
    ) {
        self.recorder.metrics.stanzas_refused.inc(refusal);
        if let Some(reply) = bounce::error_reply(element, error) {
            self.reply(reply, pair, leg);
        }
    }

    /// Sends an answer of the engine itself to the sender of a stanza of `pair` that came in by `leg`.
    fn reply(&self, answer: Bytes, pair: &Pair, leg: Leg) {
        let link = self.table.link(&pair.reversed(), leg);
        self.recorder.metrics.stanzas_generated.inc();
        self.recorder.metrics.stanzas_queued.inc();
        if link.push_answer(answer, Instant::now()) {
            self.start(&link);
        }
    }

    /// Bounces stanzas that were queued and could not leave by `leg`.
    pub(crate) fn bounce_all(&self, stanzas: Vec<Bytes>, leg: Leg, cause: &Failure) {
        let (error, outside) = (cause.stanza_error(), cause.stanza_error_outside());
        self.recorder.metrics.bounced(cause, stanzas.len() as u64);
        for stanza in stanzas {
            self.recorder.metrics.stanzas_queued.dec();
            self.bounce(&stanza, leg, &error, &outside);
        }
    }

    /// Refuses a queued stanza that is larger than what the receiver of its stream accepts (XEP-0478 §4).
    pub(crate) fn too_large(&self, stanza: &Bytes, leg: Leg, limits: &StreamLimits) {
        self.recorder.metrics.stanzas_queued.dec();
        self.recorder.metrics.stanzas_refused.inc(Refusal::TooLarge);
        let limit = limits.exceeded_by(stanza.len()).unwrap_or_default();
        let text = format!(
            "the outgoing stanza has {} bytes; the receiver accepts at most {limit} bytes",
            stanza.len()
        );
        let error = StanzaError::new(StanzaCondition::PolicyViolation, text);
        self.bounce(stanza, leg, &error, &error);
    }

    /// Refuses a queued stanza on which its receiver has closed two streams.
    pub(crate) fn not_accepted(
        &self,
        stanza: &Bytes,
        leg: Leg,
        pair: Option<&Pair>,
        failure: &Failure,
    ) {
        self.recorder.metrics.stanzas_queued.dec();
        self.recorder.metrics.stanzas_refused.inc(Refusal::EndsStreams);
        let (error, outside) = poison::errors(failure);
        if let Some(pair) = pair
            && let Some(omitted) = self.recorder.may_log_pair(leg, pair)
        {
            let peer = leg.peer(pair, Direction::Outbound);
            tracing::info!(%peer, %pair, ?leg, bytes = stanza.len(), reason = failure.word().as_str(), omitted, "a stanza is bounced because its receiver closed two streams on it: {failure}");
        }
        self.bounce(stanza, leg, &error, &outside);
    }

    /// Notifies the sender of a stanza, which is already counted, that it could not leave by `leg`. Errors are never
    /// answered (RFC 6120 §8.3.1). A remote sender gets no information about this side (`outside`).
    pub(crate) fn bounce(
        &self,
        stanza: &Bytes,
        leg: Leg,
        error: &StanzaError,
        outside: &StanzaError,
    ) {
        let reply = Element::parse_start(stanza).and_then(|element| {
            let pair = Pair::of(&element)?;
            if leg == Leg::Outer && element.from().is_some_and(|from| is_probe_address(&from)) {
                // The engine's own ping; its round trip reads the cause from the link.
                return None;
            }
            let is_ours = self.in_force.load().config.local(&pair.from).is_some();
            let error = if is_ours { error } else { outside };
            Some((bounce::error_reply(&element, error)?, pair))
        });
        let Some((reply, pair)) = reply else { return };
        if pair.from == self.in_force.load().config.probe_domain {
            // The stanza is the engine's own ping. The link keeps the cause, and the round trip reads it there.
            return;
        }
        let is_ours = self.in_force.load().config.local(&pair.from).is_some();
        if !is_ours && leg == Leg::Outer {
            // The domain was ours and is no longer in the configuration, so there is no sender to notify.
            return;
        }
        let from_leg = if is_ours { Leg::Inner } else { Leg::Outer };
        debug_assert!(
            from_leg != leg || leg == Leg::Inner,
            "stanzas between two remote domains are not relayed"
        );
        self.reply(reply, &pair, from_leg);
    }
}

#[cfg(test)]
mod tests;
