//! The receiving entity: the stream that a remote server opened to us.
//!
//! [`opening`] has headers and features, [`authentication`] SASL and dialback; this file has the events and the end of the
//! stream.

mod authentication;
mod opening;

use std::time::{Duration, Instant};

use crds::xmpp::{StanzaCondition, StreamCondition};

use super::authenticated_pairs::AuthenticatedPairs;
use super::error::{self, StreamError};
use super::features::Features;
use super::header::{Response, write_response};
use super::rejection::{Named, Rejection};
use super::starttls::{self, Negotiation};
use super::{
    Action, Authentication, Limits, Management, Out, PeerChain, StreamId, StreamLimits,
    Surroundings, Transport, earliest,
};
use crate::Domain;
use crate::clock;
use crate::dialback::KeyVerdict;
use crate::dialback::receiving::Pending;
use crate::pair::Pair;
use crate::reason::Refusal;
use crate::stanza::Kind;
use crate::xml::{Element, Item, Namespace, XmlError};

/// Timeout of the peer's `</stream:stream>` after ours (RFC 6120 §4.4 does not specify it).
pub(super) const CLOSING_TIME: Duration = Duration::from_secs(5);

/// A stream in the role of the receiving entity and, in dialback, of the receiving and of the authoritative server.
#[derive(Debug)]
pub struct Inbound {
    limits: Limits,
    state: State,
    /// The peer's chain, when the stream is encrypted.
    tls: Option<PeerChain>,
    /// The current header.
    opened: Option<Opened>,
    /// The domains in earlier headers of this connection. Not trusted, but they must not change either.
    claimed: Claimed,
    /// The domains in the last header, served here or not; for the evidence.
    named: Named,
    /// We answered a `db:verify` request: such a stream needs no authentication.
    questioned: bool,
    /// The last refused dialback request: the cause, if the stream ends without another one.
    refused: Option<Rejection>,
    /// EXTERNAL has succeeded and the header after it is awaited.
    external: Option<Pair>,
    /// Failed SASL attempts.
    failures: u8,
    /// Dialback requests before the first authenticated pair.
    requests: u8,
    pending: Pending,
    authenticated: AuthenticatedPairs,
    /// The peer supports stanzas in both directions on this stream (XEP-0288 §2.2), and accepts these sizes.
    bidi: Option<StreamLimits>,
    management: Management,
    /// The negotiation timeout; none once a pair is authenticated.
    negotiation: Option<Instant>,
    /// When the first certificate that the stream depends on expires.
    expiry: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    AwaitHeader,
    /// `<proceed/>` is written.
    StartingTls,
    /// Both headers are exchanged, and features if the peer supports them.
    Open,
    /// Our `</stream:stream>` is written, the peer's has not arrived.
    Closing {
        until: Instant,
    },
    /// `Action::Close` was given.
    Closed,
}

#[derive(Debug)]
struct Opened {
    from: Option<Domain>,
    /// None: a server from before version 1.0, which names it only in dialback.
    to: Option<Domain>,
    id: StreamId,
    /// The peer supports version 1.0.
    versioned: bool,
    /// The features that we offered; none to a peer that does not support features.
    offered: Features,
}

#[derive(Debug, Default)]
struct Claimed {
    from: Option<Domain>,
    to: Option<Domain>,
}

impl Inbound {
    /// A stream whose first byte has not arrived yet.
    pub fn new(transport: Transport, limits: Limits, now: Instant) -> Self {
        let tls = match transport {
            Transport::Tcp => None,
            Transport::DirectTls(chain) => Some(chain),
        };
        Self {
            limits,
            state: State::AwaitHeader,
            tls,
            opened: None,
            claimed: Claimed::default(),
            named: Named::default(),
            questioned: false,
            refused: None,
            external: None,
            failures: 0,
            requests: 0,
            pending: Pending::default(),
            authenticated: AuthenticatedPairs::default(),
            bidi: None,
            management: Management::default(),
            negotiation: Some(clock::after(now, limits.negotiation)),
            expiry: None,
        }
    }

    /// An item of the scanner.
    pub fn on_item(&mut self, item: Item, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        match (self.state, item) {
            (State::Closed, _) => {}
            // Data after `<starttls/>` that is unencrypted must not be read (RFC 6120 §5.4.3.3).
            (State::StartingTls, _) | (State::Closing { .. }, Item::Close) => self.end(out),
            // Stanzas in transit are still accepted (§4.4); nothing else is negotiated any more.
            (State::Closing { .. }, Item::Element(element)) => match self.authorize(&element) {
                Ok(pair) => out.act(Action::Deliver(element, pair.clone())),
                // Stanzas that the peer had acknowledged before it noticed the end are not sent again.
                Err(_) if element.name().namespace == Namespace::StreamManagement => {
                    let _ = self.management.on_element(&element, true, out);
                }
                Err(refusal) => out.act(Action::Refused { element, refusal }),
            },
            (State::AwaitHeader, Item::Header(header)) => self.on_header(&header, around, out),
            // The driver answers those of an authenticated pair ([`Self::authorize`]); others cannot be answered.
            (State::Open, Item::Oversized(element)) => {
                let error = StreamError::at(&element, Refusal::TooLarge);
                out.act(Action::Refused { element, refusal: Refusal::TooLarge });
                self.fail(&error, around, out);
            }
            (State::Closing { .. }, Item::Oversized(element)) => {
                out.act(Action::Refused { element, refusal: Refusal::TooLarge });
            }
            (State::Open, Item::Element(element)) => self.on_element(element, now, around, out),
            (_, Item::Close) => {
                self.farewell(out);
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

    /// The handshake after [`Action::StartTls`] succeeded. When it fails, the driver closes TCP without another byte (RFC
    /// 6120 §5.4.3.2) and drops the machine.
    pub fn on_tls(&mut self, chain: PeerChain, out: &mut Out) {
        if self.state != State::StartingTls {
            return self.end(out);
        }
        self.tls = Some(chain);
        // Requests that were sent unencrypted are void (XEP-0288 §2.1, RFC 6120 §5.4.3.3).
        self.bidi = None;
        self.restart(out);
    }

    /// When [`Self::on_timeout`] must be called, unless another event happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let closing = match self.state {
            State::Closing { until } => Some(until),
            State::Closed => return None,
            State::AwaitHeader | State::StartingTls | State::Open => None,
        };
        let open = self.state == State::Open;
        let expiry = self.expiry.filter(|_| open);
        let answer = self.management.deadline().filter(|_| open);
        earliest([closing, self.negotiation, self.pending.deadline(), expiry, answer])
    }

    /// A certificate that the stream depends on, the peer's or ours, expires then; the earliest counts (RFC 6120
    /// §13.7.2.3).
    pub fn expires(&mut self, at: Instant) {
        self.expiry = earliest([self.expiry, Some(at)]);
    }

    /// Time has passed.
    pub fn on_timeout(&mut self, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        if matches!(self.state, State::Closing { until } if until <= now) {
            return self.end(out);
        }
        while let Some(pair) = self.pending.expired(now) {
            let timeout = "the authoritative server did not answer in time";
            let answer = KeyVerdict::error(StanzaCondition::RemoteServerTimeout, timeout);
            self.answer_result(&pair, answer, None, out);
        }
        if self.negotiation.is_some_and(|deadline| deadline <= now) {
            let text = "authentication of the stream timed out";
            self.fail(&StreamError::new(StreamCondition::ConnectionTimeout, text), around, out);
        } else if self.state == State::Open && self.expiry.is_some_and(|expiry| expiry <= now) {
            self.fail(&StreamError::expired(), around, out);
        } else if self.state == State::Open
            && self.management.deadline().is_some_and(|at| at <= now)
        {
            self.fail(&StreamError::unanswered(), around, out);
        }
    }

    /// Closes the stream with an error that is decided outside of the machine (shutdown, rate, certificate).
    pub fn fail(&mut self, error: &StreamError, around: &dyn Surroundings, out: &mut Out) {
        match self.state {
            State::Closed => return,
            // No XMPP follows `<proceed/>` or our closing tag.
            State::StartingTls | State::Closing { .. } => return self.end(out),
            // Even an error comes after a response header (§4.9.1.2).
            State::AwaitHeader => {
                let id = around.keys().stream_id();
                let response = Response { from: "", to: None, id: id.as_str(), versioned: true };
                write_response(out, &response);
            }
            State::Open => {}
        }
        let rejection = match error.condition {
            // A stream that closes for our own reasons, or that was opened only for db:verify, was not refused.
            StreamCondition::SystemShutdown => None,
            StreamCondition::ConnectionTimeout if self.questioned => None,
            // The cause of a failed verification is more informative than the timeout.
            StreamCondition::ConnectionTimeout if self.refused.is_some() => {
                self.refused.take().map(|refused| Rejection { ends: true, ..refused })
            }
            _ => Some(Rejection::of_stream(&self.named, error)),
        };
        if let Some(rejection) = rejection.filter(|_| self.authenticated.is_empty()) {
            out.act(Action::Rejected(rejection));
        }
        out.act(Action::Ends(error.clone()));
        self.management.farewell(out);
        error.write(&mut out.bytes);
        out.put("</stream:stream>");
        self.end(out);
    }

    /// The same, but the peer's `</stream:stream>` is awaited until then: the stanzas that it sends before it notices the end
    /// are accepted, like those of [`Self::close`].
    pub fn fail_and_read_on(&mut self, error: &StreamError, until: Instant, out: &mut Out) {
        if self.state != State::Open {
            return self.end(out);
        }
        out.act(Action::Ends(error.clone()));
        self.management.farewell(out);
        error.write(&mut out.bytes);
        out.put("</stream:stream>");
        self.negotiation = None;
        self.pending.clear();
        self.state = State::Closing { until };
    }

    /// Closes the stream without an error; the peer's `</stream:stream>` is awaited (RFC 6120 §4.4).
    pub fn close(&mut self, now: Instant, out: &mut Out) {
        match self.state {
            State::Open => {
                self.farewell(out);
                self.negotiation = None;
                self.pending.clear();
                self.state = State::Closing { until: clock::after(now, CLOSING_TIME) };
            }
            State::AwaitHeader | State::StartingTls => self.end(out),
            State::Closing { .. } | State::Closed => {}
        }
    }

    /// The pair of a stanza, if it is authenticated on the stream. The path of every stanza: no allocation as long as
    /// addresses are spelt canonically.
    ///
    /// # Errors
    /// Why the stanza must not be relayed. Pass the element to [`Self::on_item`] then, which answers.
    pub fn authorize(&self, element: &Element) -> Result<&Pair, Refusal> {
        self.authenticated.authorize(element)
    }

    /// A stanza from [`Self::authorize`] or [`Action::Deliver`] was relayed or answered, which acknowledgements report.
    pub fn handled(&mut self) {
        self.management.handled();
    }

    /// The acknowledgements of our stanzas.
    pub fn management(&mut self) -> &mut Management {
        &mut self.management
    }

    /// Whether stanzas of this pair, from us to the peer, may go over this stream (XEP-0288 §2.2).
    pub fn carries(&self, pair: &Pair, around: &dyn Surroundings) -> bool {
        self.state == State::Open
            && self.bidi.is_some()
            && self.authenticated.contains(&pair.reversed())
            && around.takes_bidi(pair)
    }

    /// The sizes that the peer accepts on a bidirectional stream (XEP-0478 §3).
    pub fn peer_limits(&self) -> StreamLimits {
        self.bidi.unwrap_or_default()
    }

    /// The domains in the last header, for the evidence.
    pub fn named(&self) -> &Named {
        &self.named
    }

    /// Whether at least one pair is authenticated.
    pub fn is_authenticated(&self) -> bool {
        !self.authenticated.is_empty()
    }

    /// Whether the stream is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    fn on_element(
        &mut self,
        element: Element,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        match element.name().namespace {
            Namespace::Tls => self.on_starttls(&element, around, out),
            Namespace::Sasl => self.on_sasl(&element, around, out),
            Namespace::Dialback => self.on_dialback(element, now, around, out),
            Namespace::Bidi => self.on_bidi(element, out),
            Namespace::StreamManagement => {
                let authenticated = self.is_authenticated();
                if let Err(error) = self.management.on_element(&element, authenticated, out) {
                    self.fail(&error, around, out);
                }
            }
            Namespace::Stream if element.is(Namespace::Stream, "error") => {
                if let Ok(node) = element.tree() {
                    out.act(Action::Failed(error::read(&node)));
                }
                self.farewell(out);
                self.end(out);
            }
            _ if Kind::is_foreign(&element) => {
                out.act(Action::Refused { element, refusal: Refusal::UnsupportedStanzaType });
            }
            _ => self.on_stanza(element, around, out),
        }
    }

    fn on_starttls(&mut self, element: &Element, around: &dyn Surroundings, out: &mut Out) {
        let asked = Negotiation::read(element) == Some(Negotiation::StartTls);
        match &self.opened {
            Some(Opened { to: Some(to), offered: Features { starttls: Some(_), .. }, .. })
                if asked && self.authenticated.is_empty() =>
            {
                out.put(starttls::PROCEED);
                out.act(Action::StartTls { certificate_for: to.clone() });
                self.state = State::StartingTls;
            }
            // §5.4.2.2: after a failure the stream closes.
            Some(_) if asked => {
                out.put(starttls::FAILURE);
                out.put("</stream:stream>");
                self.end(out);
            }
            _ => {
                let error = StreamError::at(element, Refusal::UnsupportedStanzaType);
                self.fail(&error, around, out);
            }
        }
    }

    fn on_stanza(&mut self, element: Element, around: &dyn Surroundings, out: &mut Out) {
        let refusal = match self.authorize(&element) {
            Ok(pair) => return out.act(Action::Deliver(element, pair.clone())),
            Err(refusal) => self.authenticated.refusal(&element, refusal, around),
        };
        let error = StreamError::at(&element, refusal);
        out.act(Action::Refused { element, refusal });
        self.fail(&error, around, out);
    }

    /// XEP-0288 §2.2: before authentication, if it was offered. Otherwise it has no effect: the stream stays
    /// unidirectional.
    fn on_bidi(&mut self, element: Element, out: &mut Out) {
        let offered = self.opened.as_ref().is_some_and(|opened| opened.offered.bidi);
        match element.tree() {
            Ok(node) if offered && self.authenticated.is_empty() && node.local == "bidi" => {
                self.bidi = Some(StreamLimits::read_in_request(&node));
            }
            _ => out.act(Action::Refused { element, refusal: Refusal::UnsupportedStanzaType }),
        }
    }

    fn farewell(&mut self, out: &mut Out) {
        self.management.farewell(out);
        out.put("</stream:stream>");
    }

    /// All earlier negotiation on the stream is void (§4.3.3, §5.4.3.3).
    fn restart(&mut self, out: &mut Out) {
        self.opened = None;
        self.pending.clear();
        self.state = State::AwaitHeader;
        out.act(Action::Restart);
    }

    fn authorized(&mut self, pair: &Pair, how: Authentication, out: &mut Out) {
        if self.authenticated.is_empty() {
            out.act(Action::Bounds(self.limits.authenticated));
        }
        self.negotiation = None;
        self.authenticated.push(pair.clone());
        out.act(Action::Authorized { pair: pair.clone(), how });
        if self.bidi.is_some() {
            out.act(Action::Bidirectional { pair: pair.reversed() });
        }
    }

    fn end(&mut self, out: &mut Out) {
        self.state = State::Closed;
        self.pending.clear();
        out.act(Action::Close);
    }
}
