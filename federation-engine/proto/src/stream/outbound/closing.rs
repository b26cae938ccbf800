//! The end of a stream that we opened, from either side (RFC 6120 §4.4, §4.9).

use std::time::Instant;

use crds::xmpp::{SaslCondition, StreamCondition};

use super::super::error::{self, StreamError};
use super::super::inbound::CLOSING_TIME;
use super::super::redirect::NotFollowed;
use super::super::{Action, Out, Surroundings};
use super::{Outbound, State};
use crate::clock;
use crate::reason::Failure;
use crate::xml::Element;

impl Outbound {
    /// The connection closed, or the peer closed the stream without an error.
    pub fn on_closed(&mut self, out: &mut Out) {
        let authenticated = self.pairs.iter().any(|requested| requested.waits.is_none());
        let waiting = self.pairs.iter().any(|requested| requested.waits.is_some());
        let failure = match self.state {
            State::Closed => return,
            State::Closing { .. } => None,
            // A server may close an idle stream at any time; pairs that wait for dialback get the failure.
            State::Open if authenticated && !waiting => None,
            State::AwaitProceed if self.features.starttls.is_none() => {
                Some(Failure::StartTlsNotOffered)
            }
            state => {
                let lost = Failure::ConnectionLost(state.stage());
                Some(self.rejected.take().unwrap_or(lost))
            }
        };
        self.state = State::Closed;
        if let Some(failure) = failure {
            out.act(Action::Failed(failure));
        }
        out.act(Action::Close);
    }

    /// Closes the stream with an error that is decided outside of the machine (shutdown, certificate).
    pub fn fail(&mut self, error: &StreamError, out: &mut Out) {
        match self.state {
            State::Closed => return,
            State::Connected | State::Handshake | State::Closing { .. } => {}
            _ => {
                out.act(Action::Ends(error.clone()));
                self.management.farewell(out);
                error.write(&mut out.bytes);
                out.put("</stream:stream>");
            }
        }
        self.end(out);
    }

    /// Closes the stream without an error; the peer's `</stream:stream>` is awaited (RFC 6120 §4.4).
    pub fn close(&mut self, now: Instant, out: &mut Out) {
        match self.state {
            State::Closing { .. } | State::Closed => {}
            State::Connected | State::Handshake => self.end(out),
            _ => {
                self.farewell(out);
                self.negotiation = None;
                self.pairs.clear();
                self.state = State::Closing { until: clock::after(now, CLOSING_TIME) };
            }
        }
    }

    pub(super) fn farewell(&mut self, out: &mut Out) {
        self.management.farewell(out);
        out.put("</stream:stream>");
    }

    /// Ends the stream as unusable.
    pub(super) fn give_up(&mut self, failure: Failure, out: &mut Out) {
        if !matches!(self.state, State::Connected | State::Handshake | State::Closing { .. }) {
            out.put("</stream:stream>");
        }
        self.state = State::Closed;
        out.act(Action::Failed(failure));
        out.act(Action::Close);
    }

    pub(super) fn end(&mut self, out: &mut Out) {
        self.state = State::Closed;
        out.act(Action::Close);
    }

    pub(super) fn on_stream_error(
        &mut self,
        element: &Element,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        let failure = match element.tree() {
            Ok(node) => match error::read(&node) {
                // RFC 6120 §4.9.3.19: otherwise an attacker on the path could redirect us anywhere.
                Failure::SeeOtherHost(redirect) if self.tls.is_none() => {
                    Failure::SeeOtherHost(redirect.not_followed(NotFollowed::NotEncrypted))
                }
                failure => failure,
            },
            Err(error) => Failure::NotXmpp(error.to_string()),
        };
        let failure = match failure {
            // Some servers close the stream instead of sending `<failure/>`.
            Failure::StreamError { condition: StreamCondition::NotAuthorized, text }
                if self.state == State::AwaitSasl =>
            {
                let forbidden = self.against_dialback(around);
                let condition = SaslCondition::NotAuthorized;
                Failure::ExternalRejected { condition, text, forbidden }
            }
            failure => failure,
        };
        let failure = self.rejected.take().unwrap_or(failure);
        let asked_in_vain = self.state == State::AwaitProceed && self.features.starttls.is_none();
        self.give_up(if asked_in_vain { Failure::StartTlsNotOffered } else { failure }, out);
    }
}
