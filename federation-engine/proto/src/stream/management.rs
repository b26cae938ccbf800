//! Acknowledged stanzas (XEP-0198), without resumption: stanzas that were unacknowledged when a stream broke are sent
//! again on the next one.
//!
//! The machine counts and answers; the driver keeps the stanzas themselves until [`Action::Acknowledged`].

use std::time::{Duration, Instant};

use crds::xmpp::{StanzaCondition, StreamCondition};

use super::error::StreamError;
use super::{Action, Out};
use crate::clock;
use crate::xml::Element;

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3'/>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3'/>";
const REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// One end of a managed stream. Counters are modulo 2^32 (XEP-0198 §4).
#[derive(Debug, Default)]
pub struct Management {
    state: State,
    /// Stanzas of the peer that we have accepted since management began.
    handled: u32,
    /// Stanzas that we have sent since then, and how many of them the peer has acknowledged.
    sent: u32,
    acknowledged: u32,
    /// Deadline of the answer to our request. If stanzas wait for it, the answer must have a higher count than the last
    /// one.
    answer_by: Option<Instant>,
    /// A request is unanswered.
    asked: bool,
    /// `sent` at the last request.
    asked_at: u32,
    /// Stanzas that we have sent, managed or not.
    given: u64,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    Off,
    /// `<enable/>` is written. Later stanzas count if the peer agrees.
    Requested,
    On,
}

impl Management {
    /// As initiating entity: requests management; sent stanzas count from here on (§3).
    pub(super) fn enable(&mut self, out: &mut Out) {
        if self.state == State::Off {
            self.state = State::Requested;
            out.put(ENABLE);
        }
    }

    /// Handles an element of the peer about management. `authenticated`: a pair of the stream is authenticated.
    ///
    /// # Errors
    /// The stream error for an acknowledgement of stanzas that were not sent (§4).
    pub(super) fn on_element(
        &mut self,
        element: &Element,
        authenticated: bool,
        out: &mut Out,
    ) -> Result<(), StreamError> {
        match (element.name().local, self.state) {
            ("enable", State::Off) if authenticated => {
                self.state = State::On;
                out.put(ENABLED);
            }
            // §3: only after authentication, and only once.
            ("enable", _) => refuse(&StanzaCondition::UnexpectedRequest, out),
            // §5: nothing is kept for a resumption.
            ("resume", _) => refuse(&StanzaCondition::ItemNotFound, out),
            ("enabled", State::Requested) => {
                self.state = State::On;
                self.handled = 0;
            }
            ("failed", State::Requested) => {
                self.state = State::Off;
                self.answer_by = None;
                self.asked = false;
                out.act(Action::Unmanaged);
            }
            ("r", State::On) => self.write_answer(out),
            ("a", State::Requested | State::On) => return self.on_answer(element, out),
            // The element is late or out of place, and needs no answer.
            _ => {}
        }
        Ok(())
    }

    fn on_answer(&mut self, element: &Element, out: &mut Out) -> Result<(), StreamError> {
        let h = element.tree().ok().and_then(|node| node.attribute("h")?.parse::<u32>().ok());
        let Some(h) = h else {
            let text = "an acknowledgement has no valid h attribute";
            return Err(StreamError::new(StreamCondition::PolicyViolation, text));
        };
        let news = h.wrapping_sub(self.acknowledged);
        let open = self.unacknowledged();
        if news > open {
            let text = format!("{h} stanzas were acknowledged, but only {} were sent", self.sent);
            return Err(StreamError::new(StreamCondition::UndefinedCondition, text));
        }
        self.acknowledged = h;
        self.asked = false;
        if news > 0 || open == 0 {
            self.answer_by = None;
        }
        if news > 0 {
            out.act(Action::Acknowledged(news));
        }
        Ok(())
    }

    /// Number of our counted stanzas that are not acknowledged.
    fn unacknowledged(&self) -> u32 {
        self.sent.wrapping_sub(self.acknowledged)
    }

    /// A stanza of the peer was accepted: relayed, answered, or refused by a rule.
    pub(super) fn handled(&mut self) {
        if self.state == State::On {
            self.handled = self.handled.wrapping_add(1);
        }
    }

    /// Stanzas follow in the output. Returns true if they must be kept until they are acknowledged.
    pub fn sending(&mut self, stanzas: u32) -> bool {
        self.given = self.given.saturating_add(stanzas.into());
        if self.state == State::Off {
            return false;
        }
        self.sent = self.sent.wrapping_add(stanzas);
        true
    }

    /// Number of stanzas that we have sent.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// Whether sent stanzas are acknowledged.
    pub fn counts(&self) -> bool {
        self.state != State::Off
    }

    /// Requests an acknowledgement, unless none is due or a request is pending. If a peer's answer acknowledged
    /// nothing, the next request follows only with the next stanza, and without more time.
    pub fn request(&mut self, now: Instant, timeout: Duration, out: &mut Out) {
        let news = self.answer_by.is_none() || self.sent != self.asked_at;
        if self.counts() && self.unacknowledged() > 0 && news {
            self.ask(now, timeout, out);
        }
    }

    /// Checks whether the peer responds; returns false if management cannot be used for that.
    pub(crate) fn ping(&mut self, now: Instant, timeout: Duration, out: &mut Out) -> bool {
        let managed = self.state == State::On;
        if managed {
            self.ask(now, timeout, out);
        }
        managed
    }

    fn ask(&mut self, now: Instant, timeout: Duration, out: &mut Out) {
        if !self.asked {
            self.asked = true;
            self.asked_at = self.sent;
            self.answer_by.get_or_insert_with(|| clock::after(now, timeout));
            out.put(REQUEST);
        }
    }

    /// Sends the last count before the end of the stream (§4).
    pub(super) fn farewell(&self, out: &mut Out) {
        if self.state == State::On {
            self.write_answer(out);
        }
    }

    fn write_answer(&self, out: &mut Out) {
        out.put(&format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.handled));
    }

    /// Time at which an unanswered request shows that the peer is gone.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.answer_by
    }
}

/// Refuses a request of the peer (§3, §5).
fn refuse(condition: &StanzaCondition, out: &mut Out) {
    out.put("<failed xmlns='urn:xmpp:sm:3'><");
    out.put(condition.as_str());
    out.put(" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>");
}
