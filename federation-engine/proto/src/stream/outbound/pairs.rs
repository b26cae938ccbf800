//! Dialback as initiating server and as receiving server that sends db:verify (XEP-0220 §2.1), and several pairs on one
//! stream (§2.6).

use std::time::Instant;

use crds::peer::Verification;
use crds::xmpp::StanzaCondition;

use super::{Outbound, Purpose, Requested, State};
use crate::clock;
use crate::dialback::KeyVerdict;
use crate::dialback::authority::{self, Question};
use crate::dialback::steps::DialbackElement;
use crate::pair::Pair;
use crate::reason::{Failure, NoMethod, Refusal};
use crate::stream::{Action, Authentication, Out, Surroundings};
use crate::xml::Element;

impl Outbound {
    /// Whether this pair can be requested on the stream as well: the same target, or another one if the peer advertised
    /// dialback errors (XEP-0220 §2.6; the caller knows whether address and port of the other target are the same).
    pub fn can_add(&self, pair: &Pair, around: &dyn Surroundings) -> bool {
        let errors = self.features.dialback.is_some_and(|dialback| dialback.errors);
        let rules = around.peer(&pair.to);
        self.state == State::Open
            && matches!(self.purpose, Purpose::Send(_))
            && self.pairs.len() < self.limits.pairs
            && self.id.is_some()
            && self.knows_dialback()
            && rules == around.peer(&self.remote)
            && rules.allows_dialback()
            && (pair.to == self.remote || errors)
            && (rules.verification != Verification::Required || self.proves(&pair.to, around))
    }

    /// Requests another pair; `Authorized` or `PairFailed` follows.
    pub fn add_pair(&mut self, pair: Pair, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        if self.pairs.iter().any(|requested| requested.pair == pair) {
            return;
        }
        if !self.can_add(&pair, around) {
            let failure = NoMethod::SharedStream.into();
            return out.act(Action::PairFailed { pair, failure });
        }
        self.request(pair, now, around, out);
    }

    /// Whether this pair may send now. A driver knows it by [`Action::Authorized`].
    #[cfg(test)]
    pub(crate) fn carries(&self, pair: &Pair) -> bool {
        self.state == State::Open
            && self.pairs.iter().any(|known| known.waits.is_none() && known.pair == *pair)
    }

    /// Step 1: our key for this pair on this stream.
    pub(super) fn request(
        &mut self,
        pair: Pair,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        let Some(id) = &self.id else { return };
        let key = around.keys().dialback_key(&pair.to, &pair.from, id).as_str().to_owned();
        let waits = Some(clock::after(now, self.limits.dialback));
        self.negotiation = None;
        self.pairs.push(Requested { pair: pair.clone(), waits });
        DialbackElement::Result { pair, key }.write(out);
    }

    /// Step 2: the request to the authoritative server.
    pub(super) fn ask(&mut self, now: Instant, out: &mut Out) {
        let Purpose::Verify { pair, id, key } = &self.purpose else { return };
        let (id, key) = (id.to_string(), key.clone());
        DialbackElement::Verify { pair: pair.reversed(), id, key }.write(out);
        self.state = State::Open;
        self.negotiation = Some(clock::after(now, self.limits.dialback));
    }

    pub(super) fn on_dialback(
        &mut self,
        element: Element,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        match DialbackElement::read(&element) {
            Ok(DialbackElement::ResultAnswer { pair, answer }) if self.awaits(&pair.reversed()) => {
                self.on_result_answer(&pair.reversed(), answer, now, around, out);
            }
            // On a bidirectional stream the peer may verify a key that it received on another one.
            Ok(DialbackElement::Verify { pair, id, key }) if self.bidi => {
                let encrypted = self.is_encrypted();
                let question = Question { pair: &pair, id: &id, key: &key, encrypted };
                authority::reply(&question, around, out);
            }
            // XEP-0288 §2.2 lets the peer request further pairs; it can open another stream for them.
            Ok(DialbackElement::Result { pair, .. }) if self.bidi => {
                let text = "this stream is bidirectional only for its own pairs; open another stream for this pair";
                let answer = KeyVerdict::error(StanzaCondition::PolicyViolation, text);
                DialbackElement::ResultAnswer { pair: pair.reversed(), answer }.write(out);
            }
            Ok(DialbackElement::VerifyAnswer { pair, id, answer }) if self.asked(&pair, &id) => {
                out.act(Action::VerifyAnswered(answer.relayed()));
                // Such a stream has no other purpose (§2.1.2).
                out.put("</stream:stream>");
                self.end(out);
            }
            // Answers without a request on this very stream are forged or late (§2.1.1, §2.1.2, §3.1); requests are not
            // allowed on a stream that we opened. Neither has an effect.
            Ok(_) | Err(_) => {
                out.act(Action::Refused { element, refusal: Refusal::NotAuthorized });
            }
        }
    }

    fn awaits(&self, pair: &Pair) -> bool {
        self.pairs.iter().any(|requested| requested.waits.is_some() && requested.pair == *pair)
    }

    fn asked(&self, answered: &Pair, answered_id: &str) -> bool {
        match &self.purpose {
            Purpose::Verify { pair, id, .. } => pair == answered && id.as_str() == answered_id,
            Purpose::Send(_) => false,
        }
    }

    fn on_result_answer(
        &mut self,
        pair: &Pair,
        answer: KeyVerdict,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        let failure = match answer {
            KeyVerdict::Valid => {
                return self.authorized(pair, Authentication::Dialback, now, around, out);
            }
            KeyVerdict::Invalid => {
                let id = self.id.as_deref().unwrap_or_default();
                Failure::DialbackInvalid(around.keys().key_inquiry(pair, id))
            }
            KeyVerdict::Error { condition, text, .. } => Failure::DialbackError { condition, text },
        };
        self.pair_failed(pair, failure, out);
        self.close_if_useless(now, out);
    }

    pub(super) fn expire_pairs(&mut self, now: Instant, out: &mut Out) {
        let late = |requested: &Requested| requested.waits.is_some_and(|until| until <= now);
        while let Some(pair) = self.pairs.iter().find(|r| late(r)).map(|r| r.pair.clone()) {
            self.pair_failed(&pair, Failure::DialbackTimedOut, out);
        }
        self.close_if_useless(now, out);
    }

    /// If dialback was only used because the peer had rejected our certificate, the local administrator must see that
    /// cause.
    fn pair_failed(&mut self, pair: &Pair, failure: Failure, out: &mut Out) {
        self.pairs.retain(|requested| requested.pair != *pair);
        let failure = self.rejected.take().unwrap_or(failure);
        out.act(Action::PairFailed { pair: pair.clone(), failure });
    }

    fn close_if_useless(&mut self, now: Instant, out: &mut Out) {
        let verifying = matches!(self.purpose, Purpose::Verify { .. });
        if self.state == State::Open && self.pairs.is_empty() && !verifying {
            self.close(now, out);
        }
    }
}
