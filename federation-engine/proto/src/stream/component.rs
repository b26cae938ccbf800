//! The accepting side of a stream with an external component (XEP-0114): header, handshake, stanzas.
//!
//! A component authenticates as one domain. It then speaks for every domain that the same backend serves, because the
//! backend has one secret. Only those exact domains: a subdomain is a domain of its own.

mod pairs;
mod secret;

use std::time::Instant;

use bytes::Bytes;
use crds::xmpp::{StanzaCondition, StreamCondition};

use self::pairs::Pairs;
use super::error::{self, StreamError};
use super::header::{check_root, write_component_response};
use super::inbound::CLOSING_TIME;
use super::rejection::{Named, Rejection};
use super::{Action, Limits, Management, Out, StreamId, Surroundings, earliest};
use crate::Domain;
use crate::clock;
use crate::pair::Pair;
use crate::reason::{Refusal, StanzaError};
use crate::stanza::{Kind, bounce, rescope};
use crate::xml::{Element, HeaderAttributes, Item, Namespace, Progress, XmlError};

pub use secret::Secret;

/// A stream that a component opened.
#[derive(Debug)]
pub struct Component {
    limits: Limits,
    state: State,
    named: Named,
    pairs: Pairs,
    /// XEP-0198 is not part of the protocol, so this never counts.
    management: Management,
    /// The negotiation timeout; none once the component is authenticated.
    negotiation: Option<Instant>,
    /// When the certificate that we presented expires.
    expiry: Option<Instant>,
}

#[derive(Debug)]
enum State {
    AwaitHeader,
    /// Both headers are exchanged.
    AwaitHandshake(Opened),
    /// The secret is right; the driver decides whether the domain is free.
    Claiming(Domain),
    /// Stanzas in both directions.
    Open(Domain),
    /// Our `</stream:stream>` is written, the component's has not arrived.
    Closing {
        until: Instant,
        domain: Option<Domain>,
    },
    /// `Action::Close` was given.
    Closed,
}

#[derive(Debug)]
struct Opened {
    domain: Domain,
    id: StreamId,
}

impl Component {
    /// A stream whose first byte has not arrived yet.
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            state: State::AwaitHeader,
            named: Named::default(),
            pairs: Pairs::default(),
            management: Management::default(),
            negotiation: Some(clock::after(now, limits.negotiation)),
            expiry: None,
        }
    }

    /// The progress of the scanner, with the elements of an authenticated component as those of a stream between
    /// servers.
    #[must_use]
    pub fn rescoped(&self, progress: Progress) -> Progress {
        if !matches!(self.state, State::Open(_) | State::Closing { .. }) {
            return progress;
        }
        match progress {
            Progress::Item(Item::Element(element)) => {
                Progress::Item(Item::Element(rescope::from_component(element)))
            }
            Progress::Item(Item::Oversized(element)) => {
                Progress::Item(Item::Oversized(rescope::from_component(element)))
            }
            other => other,
        }
    }

    /// An item of the scanner, after [`Self::rescoped`].
    pub fn on_item(&mut self, item: Item, around: &dyn Surroundings, out: &mut Out) {
        match (&self.state, item) {
            (State::Closed, _) => {}
            (State::Claiming(_), _) | (State::Closing { .. }, Item::Close) => self.end(out),
            // Stanzas in transit are still accepted (RFC 6120 §4.4).
            (State::Closing { .. }, Item::Element(element)) => {
                match self.authorize(&element, around) {
                    Ok(pair) => {
                        let pair = pair.clone();
                        out.act(Action::Deliver(element, pair));
                    }
                    Err(refusal) => out.act(Action::Refused { element, refusal }),
                }
            }
            (State::Closing { .. }, Item::Oversized(element)) => {
                out.act(Action::Refused { element, refusal: Refusal::TooLarge });
            }
            (State::AwaitHeader, Item::Header(header)) => self.on_header(&header, around, out),
            (State::AwaitHandshake(_), Item::Element(element)) => {
                self.on_handshake(element, around, out);
            }
            (State::Open(_), Item::Element(element)) => self.on_element(element, around, out),
            // The driver answers those that have a pair ([`Self::authorize`]); others cannot be answered.
            (State::Open(_) | State::AwaitHandshake(_), Item::Oversized(element)) => {
                let error = StreamError::at(&element, Refusal::TooLarge);
                out.act(Action::Refused { element, refusal: Refusal::TooLarge });
                self.fail(&error, around, out);
            }
            (_, Item::Close) => {
                farewell(out);
                self.end(out);
            }
            // The scanner returns a header first and only once.
            (_, Item::Header(_) | Item::Element(_) | Item::Oversized(_)) => self.end(out),
        }
    }

    /// The scanner rejected the input.
    pub fn on_xml_error(&mut self, error: XmlError, around: &dyn Surroundings, out: &mut Out) {
        self.fail(&error.into(), around, out);
    }

    /// The answer to [`Action::Claim`]: the stream is the one of its domain, or closes with this error.
    pub fn on_claim(
        &mut self,
        claimed: Result<(), StreamError>,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        match (&self.state, claimed) {
            (State::Claiming(domain), Ok(())) => {
                self.state = State::Open(domain.clone());
                self.negotiation = None;
                out.put("<handshake/>");
                out.act(Action::Bounds(self.limits.authenticated));
            }
            (_, Ok(())) => self.end(out),
            (_, Err(error)) => self.fail(&error, around, out),
        }
    }

    /// When [`Self::on_timeout`] must be called, unless another event happens before.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Closing { until, .. } => Some(until),
            State::Closed => None,
            State::AwaitHeader | State::AwaitHandshake(_) | State::Claiming(_) => self.negotiation,
            State::Open(_) => self.expiry,
        }
    }

    /// The certificate that we presented expires then (RFC 6120 §13.7.2.3).
    pub fn expires(&mut self, at: Instant) {
        self.expiry = earliest([self.expiry, Some(at)]);
    }

    /// Time has passed.
    pub fn on_timeout(&mut self, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        match self.state {
            State::Closing { .. } | State::Closed => self.end(out),
            State::Open(_) => self.fail(&StreamError::expired(), around, out),
            State::AwaitHeader | State::AwaitHandshake(_) | State::Claiming(_) => {
                let text = "authentication of the stream timed out";
                let error = StreamError::new(StreamCondition::ConnectionTimeout, text);
                self.fail(&error, around, out);
            }
        }
    }

    /// Closes the stream with an error.
    pub fn fail(&mut self, error: &StreamError, around: &dyn Surroundings, out: &mut Out) {
        match self.state {
            State::Closed => return,
            State::Closing { .. } => return self.end(out),
            // Even an error comes after a response header (RFC 6120 §4.9.1.2).
            State::AwaitHeader => {
                let id = around.keys().stream_id();
                write_component_response(out, "", id.as_str());
            }
            State::AwaitHandshake(_) | State::Claiming(_) | State::Open(_) => {}
        }
        if !self.is_authenticated() && error.condition != StreamCondition::SystemShutdown {
            out.act(Action::Rejected(Rejection::of_stream(&self.named, error)));
        }
        out.act(Action::Ends(error.clone()));
        error.write(&mut out.bytes);
        farewell(out);
        self.end(out);
    }

    /// Closes the stream without an error; the component's `</stream:stream>` is awaited (RFC 6120 §4.4).
    pub fn close(&mut self, now: Instant, out: &mut Out) {
        let domain = match &self.state {
            State::Open(domain) => Some(domain.clone()),
            State::AwaitHandshake(_) => None,
            State::AwaitHeader | State::Claiming(_) => return self.end(out),
            State::Closing { .. } | State::Closed => return,
        };
        farewell(out);
        self.negotiation = None;
        self.state = State::Closing { until: clock::after(now, CLOSING_TIME), domain };
    }

    /// The pair of a stanza that the component may send. The path of every stanza: no allocation for a pair that was
    /// seen lately and is spelt canonically.
    ///
    /// # Errors
    /// Why the stanza must not be relayed. Pass the element to [`Self::on_item`] then, which answers.
    pub fn authorize(
        &mut self,
        element: &Element,
        around: &dyn Surroundings,
    ) -> Result<&Pair, Refusal> {
        let (State::Open(domain) | State::Closing { domain: Some(domain), .. }) = &self.state
        else {
            return Err(Refusal::NotAuthorized);
        };
        if Kind::of(element).is_none() {
            return Err(Refusal::UnsupportedStanzaType);
        }
        let components = around.components();
        self.pairs.of(element, |from| {
            components.is_some_and(|components| components.speaks_for(domain, from))
        })
    }

    /// The configuration has changed: which pairs the component may use is determined again.
    pub fn forget_pairs(&mut self) {
        self.pairs = Pairs::default();
    }

    /// Whether stanzas of this pair, from others to the component, may go over this stream.
    pub fn carries(&self, pair: &Pair, around: &dyn Surroundings) -> bool {
        let State::Open(domain) = &self.state else { return false };
        around.components().is_some_and(|components| components.speaks_for(domain, &pair.to))
    }

    /// The acknowledgements of our stanzas: there are none.
    pub fn management(&mut self) -> &mut Management {
        &mut self.management
    }

    /// The domain in the header, served here or not.
    pub fn named(&self) -> &Named {
        &self.named
    }

    /// Whether the component is authenticated.
    pub fn is_authenticated(&self) -> bool {
        matches!(self.state, State::Open(_) | State::Closing { domain: Some(_), .. })
    }

    fn on_header(&mut self, header: &HeaderAttributes, around: &dyn Surroundings, out: &mut Out) {
        let id = around.keys().stream_id();
        let to = header.to.as_deref().and_then(|to| Domain::parse(to).ok());
        self.named = Named { from: None, to: to.clone() };
        let served = |domain: &Domain| {
            around.components().is_some_and(|components| components.hosts(domain))
        };
        let domain = to.filter(served);
        write_component_response(out, domain.as_ref().map_or("", Domain::as_str), id.as_str());
        let checked = check_namespaces(header).and_then(|()| {
            let text = "the 'to' of the stream must be a domain that a component serves here";
            domain.ok_or_else(|| StreamError::new(StreamCondition::HostUnknown, text))
        });
        match checked {
            Ok(domain) => self.state = State::AwaitHandshake(Opened { domain, id }),
            Err(error) => self.refuse(&error, out),
        }
    }

    /// Closes a stream that is not authenticated.
    fn refuse(&mut self, error: &StreamError, out: &mut Out) {
        out.act(Action::Rejected(Rejection::of_stream(&self.named, error)));
        out.act(Action::Ends(error.clone()));
        error.write(&mut out.bytes);
        farewell(out);
        self.end(out);
    }

    fn on_handshake(&mut self, element: Element, around: &dyn Surroundings, out: &mut Out) {
        let State::AwaitHandshake(Opened { domain, id }) = &self.state else { return };
        if element.is(Namespace::Stream, "error") {
            return self.on_stream_error(&element, out);
        }
        if !element.is(Namespace::ComponentAccept, "handshake") {
            let error = StreamError::at(&element, Refusal::NotAuthorized);
            out.act(Action::Refused { element, refusal: Refusal::NotAuthorized });
            return self.refuse(&error, out);
        }
        let presented = element.tree().map(|node| node.text).unwrap_or_default();
        let confirmed = around
            .components()
            .is_some_and(|components| components.confirms(domain, id.as_str(), presented.trim()));
        if confirmed {
            let domain = domain.clone();
            out.act(Action::Claim(domain.clone()));
            self.state = State::Claiming(domain);
        } else {
            let text = "the handshake does not match the secret of this component";
            self.refuse(&StreamError::new(StreamCondition::NotAuthorized, text), out);
        }
    }

    fn on_element(&mut self, element: Element, around: &dyn Surroundings, out: &mut Out) {
        if element.is(Namespace::Stream, "error") {
            return self.on_stream_error(&element, out);
        }
        if Kind::is_foreign(&element) {
            let refusal = Refusal::UnsupportedStanzaType;
            return out.act(Action::Refused { element, refusal });
        }
        let refusal = match self.authorize(&element, around) {
            Ok(pair) => {
                let pair = pair.clone();
                return out.act(Action::Deliver(element, pair));
            }
            Err(refusal) => refusal,
        };
        // A wrong `from` closes the stream, as at servers; a wrong `to` is an error of this stanza alone.
        if refusal == Refusal::ImproperAddressing {
            if let State::Open(domain) = &self.state
                && let Some(reply) = unaddressed(&element, domain)
            {
                out.bytes.extend_from_slice(&reply);
            }
            return out.act(Action::Refused { element, refusal });
        }
        let error = StreamError::at(&element, refusal);
        out.act(Action::Refused { element, refusal });
        self.fail(&error, around, out);
    }

    fn on_stream_error(&mut self, element: &Element, out: &mut Out) {
        if let Ok(node) = element.tree() {
            out.act(Action::Failed(error::read(&node)));
        }
        farewell(out);
        self.end(out);
    }

    fn end(&mut self, out: &mut Out) {
        self.state = State::Closed;
        out.act(Action::Close);
    }
}

fn farewell(out: &mut Out) {
    out.put("</stream:stream>");
}

/// The answer to a stanza without a usable `to`, from the component's own domain (RFC 6120 §8.1.1.1).
fn unaddressed(element: &Element, domain: &Domain) -> Option<Bytes> {
    let text = "the stanza has no usable 'to'";
    let error = StanzaError::new(StanzaCondition::BadRequest, text.to_owned());
    bounce::error_reply_as(element, domain.as_str(), &error)
}

/// XEP-0114 §3, RFC 6120 §4.8.
fn check_namespaces(header: &HeaderAttributes) -> Result<(), StreamError> {
    check_root(header)?;
    if header.content == Namespace::ComponentAccept {
        return Ok(());
    }
    let text = "the default namespace of a stream with a component must be jabber:component:accept";
    Err(StreamError::new(StreamCondition::InvalidNamespace, text))
}
