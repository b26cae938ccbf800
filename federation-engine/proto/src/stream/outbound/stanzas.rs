//! The pairs of a stream that we opened: which are authenticated, and which stanzas the peer may send on it (RFC 6120
//! §8.1.2.2, XEP-0288 §2.2).

use std::time::Instant;

use super::super::error::StreamError;
use super::super::{Action, Authentication, Out, Surroundings};
use super::{Outbound, Requested, State};
use crate::Domain;
use crate::pair::Pair;
use crate::reason::Refusal;
use crate::stanza::Kind;
use crate::xml::Element;

impl Outbound {
    /// The pair of a stanza from the peer, on a bidirectional stream. As
    /// [`Inbound::authorize`](super::Inbound::authorize). On other streams, the pair of an answer: some servers send an
    /// error for a stanza that they cannot parse on the very stream that it came on. There is one at most for each
    /// stanza.
    ///
    /// # Errors
    /// Why the stanza must not be relayed. Pass the element to [`Self::on_item`] then, which answers.
    pub fn authorize(&self, element: &Element) -> Result<&Pair, Refusal> {
        let is_due = || self.bidi || self.answered < self.management.given();
        self.incoming.authorize(element).or_else(|refusal| {
            if Kind::is_answer(element) && is_due() {
                self.answers.authorize(element)
            } else {
                Err(refusal)
            }
        })
    }

    /// A stanza from [`Self::authorize`] or [`Action::Deliver`] was relayed or answered, which acknowledgements report.
    pub fn handled(&mut self) {
        self.answered = self.answered.saturating_add(1);
        self.management.handled();
    }

    /// A stanza on a bidirectional stream.
    pub(super) fn on_stanza(&mut self, element: Element, around: &dyn Surroundings, out: &mut Out) {
        let refusal = match self.authorize(&element) {
            Ok(pair) => return out.act(Action::Deliver(element, pair.clone())),
            Err(refusal) => self.incoming.refusal(&element, refusal, around),
        };
        let error = StreamError::at(&element, refusal);
        out.act(Action::Refused { element, refusal });
        self.fail(&error, out);
    }

    /// Completes "it sent an element".
    pub(super) fn out_of_place(&self) -> String {
        let authenticated = self.pairs.iter().any(|requested| requested.waits.is_none());
        if self.state == State::Open && authenticated {
            "on a stream that the engine opened, which carries only answers to its stanzas"
                .to_owned()
        } else {
            format!("while {}", self.state.stage())
        }
    }

    pub(super) fn authorized(
        &mut self,
        pair: &Pair,
        how: Authentication,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        self.negotiation = None;
        self.traffic = Some(now);
        self.rejected = None;
        match self.pairs.iter_mut().find(|requested| requested.pair == *pair) {
            Some(requested) => requested.waits = None,
            None => self.pairs.push(Requested { pair: pair.clone(), waits: None }),
        }
        if self.features.management {
            self.management.enable(out);
        }
        let back = pair.reversed();
        let believed = around.admits(&back).is_ok() && self.trusts(&back.from, around);
        if believed && self.answers.is_empty() && self.incoming.is_empty() {
            out.act(Action::Bounds(self.limits.authenticated));
        }
        out.act(Action::Authorized { pair: pair.clone(), how });
        if believed {
            self.take_back(back, around, out);
        }
    }

    /// Lets the peer answer on this stream, and send as well if we requested it.
    pub(super) fn take_back(&mut self, back: Pair, around: &dyn Surroundings, out: &mut Out) {
        if around.takes_answers(&back) && !self.answers.contains(&back) {
            self.answers.push(back.clone());
        }
        if self.bidi && around.takes_bidi(&back) && !self.incoming.contains(&back) {
            self.incoming.push(back.clone());
            out.act(Action::Bidirectional { pair: back });
        }
    }

    /// Whether the peer counts as `domain`. On a stream that we opened, its certificate shows that, or that DNS led us
    /// to it. Verifying a dialback key would give the same evidence (XEP-0220 §2.3), so it counts where dialback does.
    pub(super) fn trusts(&self, domain: &Domain, around: &dyn Surroundings) -> bool {
        let rules = around.peer(domain);
        rules.allows_dialback() || (rules.accepts_external() && self.proves(domain, around))
    }
}
