//! The initiating entity: a stream that we open to a remote server.
//!
//! [`negotiation`] leads from the header to authentication, [`pairs`] has the dialback requests, [`stanzas`] the
//! authenticated pairs, [`timers`] the deadlines, and [`closing`] the end of the stream. This file has the events.

mod closing;
mod negotiation;
mod pairs;
mod stanzas;
mod timers;

use std::time::Instant;

use super::authenticated_pairs::AuthenticatedPairs;
use super::error::StreamError;
use super::features::Features;
use super::starttls::Negotiation;
use super::{
    Action, Limits, Management, Out, PeerChain, StreamId, StreamLimits, Surroundings, Transport,
};
use crate::Domain;
use crate::clock;
use crate::pair::Pair;
use crate::reason::{Failure, Refusal};
use crate::stanza::Kind;
use crate::xml::{Element, Item, Namespace, XmlError};

/// The purpose of a stream.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// To send the stanzas of this pair, and of others that [`Outbound::add_pair`] adds.
    Send(Pair),
    /// To verify a key at the authoritative server (XEP-0220 §2.1.2), then to close.
    Verify {
        /// The pair to authenticate, as in [`Action::Verify`]: `from` is a domain of the queried server, `to` is ours.
        pair: Pair,
        /// Our ID of the stream on which the key came.
        id: StreamId,
        /// The key.
        key: String,
    },
}

/// A stream in the role of the initiating entity and, in dialback, of the initiating server or of the receiving server
/// that queries the authoritative one.
#[derive(Debug)]
pub struct Outbound {
    purpose: Purpose,
    local: Domain,
    remote: Domain,
    limits: Limits,
    state: State,
    /// The peer's chain, when the stream is encrypted.
    tls: Option<PeerChain>,
    /// The ID of the peer's current header.
    id: Option<String>,
    /// The peer's header declares the namespace of dialback.
    declares_dialback: bool,
    features: Features,
    /// The peer accepted EXTERNAL.
    external: bool,
    /// The peer rejected EXTERNAL, here or on the previous stream. Dialback continues, but if it fails, this is the
    /// cause.
    rejected: Option<Failure>,
    pairs: Vec<Requested>,
    /// We requested stanzas in both directions on this stream (XEP-0288 §2.2).
    bidi: bool,
    /// Pairs whose stanzas the peer may send on it.
    incoming: AuthenticatedPairs,
    /// Pairs of which the peer may send answers to our stanzas.
    answers: AuthenticatedPairs,
    /// Number of received answers.
    answered: u64,
    /// `xml:lang` of the peer's header.
    lang: Option<String>,
    management: Management,
    /// Last activity in either direction, once a pair is authenticated.
    traffic: Option<Instant>,
    negotiation: Option<Instant>,
    /// When the first certificate that the stream depends on expires.
    expiry: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Before [`Outbound::begin`].
    Connected,
    AwaitHeader,
    AwaitFeatures,
    AwaitProceed,
    Handshake,
    AwaitSasl,
    /// Negotiated as far as dialback needs it.
    Open,
    /// Our `</stream:stream>` is written, the peer's has not arrived.
    Closing {
        until: Instant,
    },
    /// `Action::Close` was given.
    Closed,
}

impl State {
    /// Completes "stream negotiation timed out while" and "the connection broke while".
    fn stage(self) -> &'static str {
        match self {
            Self::Connected | Self::AwaitHeader => "waiting for the peer's stream header",
            Self::AwaitFeatures => "waiting for the peer's stream features",
            Self::AwaitProceed => "waiting for the answer to STARTTLS",
            Self::Handshake => "performing the TLS handshake",
            Self::AwaitSasl => "waiting for the answer to SASL EXTERNAL",
            Self::Open => "waiting for the answer to dialback",
            Self::Closing { .. } | Self::Closed => "closing the stream",
        }
    }
}

/// A pair that the stream carries or is to carry.
#[derive(Debug)]
struct Requested {
    pair: Pair,
    /// Deadline of the answer to the dialback request; none once the pair is authenticated.
    waits: Option<Instant>,
}

/// An element without a meaning here, which may be ignored.
fn is_extension(element: &Element) -> bool {
    let negotiates =
        [Namespace::Tls, Namespace::Sasl, Namespace::Dialback, Namespace::StreamManagement];
    Kind::is_foreign(element) && !negotiates.contains(&element.name().namespace)
}

impl Outbound {
    /// A connected stream; [`Self::begin`] opens it.
    pub fn new(purpose: Purpose, transport: Transport, limits: Limits, now: Instant) -> Self {
        let (local, remote) = match &purpose {
            Purpose::Send(pair) => (pair.from.clone(), pair.to.clone()),
            Purpose::Verify { pair, .. } => (pair.to.clone(), pair.from.clone()),
        };
        let tls = match transport {
            Transport::Tcp => None,
            Transport::DirectTls(chain) => Some(chain),
        };
        Self {
            purpose,
            local,
            remote,
            limits,
            state: State::Connected,
            tls,
            id: None,
            declares_dialback: false,
            features: Features::default(),
            external: false,
            rejected: None,
            pairs: Vec::new(),
            bidi: false,
            incoming: AuthenticatedPairs::default(),
            answers: AuthenticatedPairs::default(),
            answered: 0,
            lang: None,
            management: Management::default(),
            traffic: None,
            negotiation: Some(clock::after(now, limits.negotiation)),
            expiry: None,
        }
    }

    /// The peer rejected EXTERNAL on the previous stream, and closed that instead of continuing with dialback (RFC 6120
    /// §6.4.5 permits it): on this one EXTERNAL is not tried. Must be called before [`Self::begin`].
    pub fn after_rejection(&mut self, rejected: Failure) {
        self.rejected = Some(rejected);
    }

    /// An item of the scanner.
    pub fn on_item(&mut self, item: Item, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        match (self.state, item) {
            (State::Closed, _) => {}
            (State::Closing { .. }, Item::Close) => self.end(out),
            // Stanzas in transit are still accepted (RFC 6120 §4.4), and so are the last acknowledgements.
            (State::Closing { .. }, Item::Element(element)) => match self.authorize(&element) {
                Ok(pair) => out.act(Action::Deliver(element, pair.clone())),
                Err(_) if element.name().namespace == Namespace::StreamManagement => {
                    let _ = self.management.on_element(&element, true, out);
                }
                Err(_) => {
                    out.act(Action::Refused { element, refusal: Refusal::NotAuthorized });
                }
            },
            (State::AwaitHeader, Item::Header(header)) => self.on_header(&header, now, around, out),
            (_, Item::Close) => {
                self.farewell(out);
                self.on_closed(out);
            }
            (State::Closing { .. }, Item::Oversized(element)) => {
                out.act(Action::Refused { element, refusal: Refusal::TooLarge });
            }
            // The driver answers those of an authenticated pair ([`Self::authorize`]); others cannot be answered.
            (_, Item::Oversized(element)) => {
                let error = StreamError::at(&element, Refusal::TooLarge);
                out.act(Action::Refused { element, refusal: Refusal::TooLarge });
                self.fail(&error, out);
            }
            (_, Item::Element(element)) => self.on_element(element, now, around, out),
            // The scanner returns a header first and only once.
            (_, Item::Header(_)) => {
                self.give_up(Failure::NotXmpp("it sent a second stream header".to_owned()), out);
            }
        }
    }

    /// The scanner rejected the input.
    pub fn on_xml_error(&mut self, error: XmlError, out: &mut Out) {
        if self.state == State::Closed {
            return;
        }
        if !matches!(self.state, State::Handshake | State::Closing { .. }) {
            StreamError::from(error).write(&mut out.bytes);
        }
        self.give_up(Failure::NotXmpp(error.to_string()), out);
    }

    /// The handshake after [`Action::ConnectTls`] succeeded.
    pub fn on_tls(&mut self, chain: PeerChain, around: &dyn Surroundings, out: &mut Out) {
        if self.state != State::Handshake {
            return self.end(out);
        }
        self.tls = Some(chain);
        out.act(Action::Restart);
        self.open_stream(around, out);
    }

    /// The handshake failed; `detail` is the TLS library's text. TCP is closed without another byte (§5.4.3.2).
    pub fn on_tls_failure(&mut self, detail: String, out: &mut Out) {
        self.state = State::Closed;
        out.act(Action::Failed(Failure::Handshake(detail)));
        out.act(Action::Close);
    }

    /// The limits that the peer announces (XEP-0478).
    pub fn peer_limits(&self) -> StreamLimits {
        self.features.limits
    }

    /// The acknowledgements of our stanzas.
    pub fn management(&mut self) -> &mut Management {
        &mut self.management
    }

    /// `xml:lang` of the peer's header, which its stanzas inherit (RFC 6120 §4.7.4).
    pub fn lang(&self) -> Option<&str> {
        self.lang.as_deref()
    }

    /// Whether the stream is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether the peer's certificate authenticates it as `domain`.
    fn proves(&self, domain: &Domain, around: &dyn Surroundings) -> bool {
        self.tls.as_ref().is_some_and(|chain| around.judge(chain, domain).is_ok())
    }

    fn on_element(
        &mut self,
        element: Element,
        now: Instant,
        around: &dyn Surroundings,
        out: &mut Out,
    ) {
        if element.is(Namespace::Stream, "error") {
            return self.on_stream_error(&element, around, out);
        }
        match self.state {
            State::AwaitFeatures if element.is(Namespace::Stream, "features") => {
                self.on_features(&element, now, around, out);
            }
            State::AwaitProceed => self.on_starttls_answer(&element, out),
            State::AwaitSasl if element.name().namespace == Namespace::Sasl => {
                self.on_sasl_answer(&element, now, around, out);
            }
            State::Open if element.name().namespace == Namespace::Dialback => {
                self.on_dialback(element, now, around, out);
            }
            State::Open if element.name().namespace == Namespace::StreamManagement => {
                let authenticated = self.pairs.iter().any(|requested| requested.waits.is_none());
                if let Err(error) = self.management.on_element(&element, authenticated, out) {
                    self.fail(&error, out);
                }
            }
            // Repeated features have no effect.
            State::Open if element.is(Namespace::Stream, "features") => {}
            // Its namespace is not part of the negotiation, as far as it is known here.
            _ if is_extension(&element) => {
                out.act(Action::Refused { element, refusal: Refusal::UnsupportedStanzaType });
            }
            State::Open if self.bidi => self.on_stanza(element, around, out),
            State::Open if self.authorize(&element).is_ok() => self.on_stanza(element, around, out),
            // The peer has authenticated nothing on a stream that we opened (RFC 6120 §4.3.5, XEP-0220 §2.3).
            _ => {
                let text = format!("it sent {} {}", element.described(), self.out_of_place());
                StreamError::at(&element, Refusal::NotAuthorized).write(&mut out.bytes);
                out.act(Action::Refused { element, refusal: Refusal::NotAuthorized });
                self.give_up(Failure::NotXmpp(text), out);
            }
        }
    }

    /// Whether the peer's stream header is awaited.
    pub fn awaits_header(&self) -> bool {
        self.state == State::AwaitHeader
    }

    fn on_starttls_answer(&mut self, element: &Element, out: &mut Out) {
        match Negotiation::read(element) {
            Some(Negotiation::Proceed) => {
                self.state = State::Handshake;
                out.act(Action::ConnectTls {
                    server_name: self.remote.clone(),
                    certificate_for: self.local.clone(),
                });
            }
            _ if self.features.starttls.is_none() => self.give_up(Failure::StartTlsNotOffered, out),
            _ => self.give_up(Failure::StartTlsRefused, out),
        }
    }
}
