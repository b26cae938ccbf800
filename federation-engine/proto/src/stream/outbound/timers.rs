//! Deadlines of a stream that we opened: negotiation, dialback, acknowledgements, silence and certificates.

use std::time::Instant;

use super::super::error::StreamError;
use super::super::{Action, Out, earliest};
use super::{Outbound, State};
use crate::clock;
use crate::reason::Failure;

impl Outbound {
    /// When [`Self::on_timeout`] must be called, unless another event happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let closing = match self.state {
            State::Closing { until } => Some(until),
            State::Closed => return None,
            _ => None,
        };
        let waits = self.pairs.iter().filter_map(|requested| requested.waits).min();
        let open = self.state == State::Open;
        let expiry = self.expiry.filter(|_| open);
        let answer = self.management.deadline().filter(|_| open);
        let ping = self.silence_ends().filter(|_| open);
        earliest([closing, self.negotiation, waits, expiry, answer, ping])
    }

    /// A certificate that the stream depends on, the peer's or ours, expires then; the earliest counts (RFC 6120
    /// §13.7.2.3).
    pub fn expires(&mut self, at: Instant) {
        self.expiry = earliest([self.expiry, Some(at)]);
    }

    /// Time has passed.
    pub fn on_timeout(&mut self, now: Instant, out: &mut Out) {
        match self.state {
            State::Closing { until } if until <= now => self.end(out),
            State::Closing { .. } | State::Closed => {}
            _ if self.negotiation.is_some_and(|deadline| deadline <= now) => {
                let failure = match (&self.state, self.rejected.take()) {
                    (State::AwaitProceed, _) if self.features.starttls.is_none() => {
                        Failure::StartTlsNotOffered
                    }
                    (_, Some(rejected)) => rejected,
                    (State::Open, None) => Failure::DialbackTimedOut,
                    (state, None) => Failure::NegotiationTimedOut(state.stage()),
                };
                self.give_up(failure, out);
            }
            State::Open if self.expiry.is_some_and(|expiry| expiry <= now) => {
                self.fail(&StreamError::expired(), out);
            }
            State::Open if self.management.deadline().is_some_and(|at| at <= now) => {
                let text = "waiting for the acknowledgement of stanzas";
                out.act(Action::Failed(Failure::ConnectionLost(text)));
                self.fail(&StreamError::unanswered(), out);
            }
            State::Open if self.silence_ends().is_some_and(|at| at <= now) => {
                self.traffic = Some(now);
                if !self.management.ping(now, self.limits.acknowledgement, out) {
                    // §4.6.1: sufficient for devices on the path that keep a state of the connection.
                    out.put(" ");
                }
            }
            _ => self.expire_pairs(now, out),
        }
    }

    /// Data was received or sent.
    pub fn traffic(&mut self, now: Instant) {
        self.traffic = self.traffic.map(|_| now);
    }

    pub(super) fn silence_ends(&self) -> Option<Instant> {
        self.traffic.map(|last| clock::after(last, self.limits.silence))
    }
}
