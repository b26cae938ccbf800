//! The receiving entity: the stream that a remote server opened to us.
//!
//! [`opening`] holds headers and features, [`proving`] SASL and dialback; here are the events and the end of the stream.

mod opening;
mod proving;

use std::time::{Duration, Instant};

use super::error::{self, StreamCondition, StreamError};
use super::header::{Response, write_response};
use super::rejection::{Named, Rejection};
use super::starttls::{self, Negotiation};
use super::{
    Action, Authentication, Limits, Out, PeerChain, StreamId, Surroundings, Transport, earliest,
};
use crate::Domain;
use crate::dialback::Verification;
use crate::dialback::receiving::Pending;
use crate::pair::Pair;
use crate::reason::Refusal;
use crate::stanza::Kind;
use crate::stanza::address::{Jid, belongs_to};
use crate::xml::{Element, Item, Namespace, XmlError};

/// How long the peer's `</stream:stream>` is awaited after ours (RFC 6120 §4.4 leaves the time to us).
pub(super) const CLOSING_TIME: Duration = Duration::from_secs(5);

/// A stream in the role of the receiving entity and, in dialback, of the receiving and of the authoritative server.
#[derive(Debug)]
pub struct Inbound {
    limits: Limits,
    state: State,
    /// The peer's chain, when the stream is encrypted.
    tls: Option<PeerChain>,
    /// The header in force.
    opened: Option<Opened>,
    /// What earlier headers of this connection said. Not trusted, but not to be changed either.
    claimed: Claimed,
    /// What the last header named, served here or not; for the evidence.
    named: Named,
    /// We answered a question about a key: such a stream needs no authentication.
    questioned: bool,
    /// The last dialback request that was refused: the cause, should nothing follow.
    refused: Option<Rejection>,
    /// EXTERNAL has succeeded and the header after it is awaited.
    external: Option<Pair>,
    /// SASL attempts that failed.
    failures: u8,
    pending: Pending,
    proven: Vec<Pair>,
    /// When negotiation has taken too long; none once a pair is proven.
    negotiation: Option<Instant>,
    /// When the first certificate that the stream rests on expires.
    expiry: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    AwaitHeader,
    /// `<proceed/>` is written.
    StartingTls,
    /// Both headers, and features if the peer knows them.
    Open,
    /// Our `</stream:stream>` is written, the peer's has not come.
    Closing {
        until: Instant,
    },
    /// `Action::Close` was given.
    Closed,
}

#[derive(Debug)]
struct Opened {
    from: Option<Domain>,
    /// None: a server from before version 1.0 leaves it to dialback.
    to: Option<Domain>,
    id: StreamId,
    /// The peer knows version 1.0.
    versioned: bool,
    lang: Option<String>,
    /// EXTERNAL was offered: the certificate proves `from`.
    external: bool,
    starttls: bool,
}

#[derive(Debug, Default)]
struct Claimed {
    from: Option<Domain>,
    to: Option<Domain>,
}

impl Inbound {
    /// A stream whose first byte has not come yet.
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
            pending: Pending::default(),
            proven: Vec::new(),
            negotiation: Some(now + limits.negotiation),
            expiry: None,
        }
    }

    /// An item of the scanner.
    pub fn on_item(&mut self, item: Item, now: Instant, around: &dyn Surroundings, out: &mut Out) {
        match (self.state, item) {
            (State::Closed, _) => {}
            // Whatever follows `<starttls/>` in the clear is not ours to read (RFC 6120 §5.4.3.3).
            (State::StartingTls, _) | (State::Closing { .. }, Item::Close) => self.end(out),
            // Stanzas that were under way are still taken (§4.4); nothing else is negotiated any more.
            (State::Closing { .. }, Item::Element(element)) => match self.authorize(&element) {
                Ok(pair) => out.act(Action::Deliver(element, pair.clone())),
                Err(refusal) => out.act(Action::Refused { element, refusal }),
            },
            (State::AwaitHeader, Item::Header(header)) => self.on_header(&header, around, out),
            (State::Open, Item::Element(element)) => self.on_element(element, now, around, out),
            (_, Item::Close) => {
                out.put("</stream:stream>");
                self.end(out);
            }
            // The scanner gives a header first and only once.
            (_, Item::Header(_) | Item::Element(_)) => self.end(out),
        }
    }

    /// The scanner refused the input.
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
        self.restart(out);
    }

    /// When [`Self::on_timeout`] is to be called, if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let closing = match self.state {
            State::Closing { until } => Some(until),
            State::Closed => return None,
            State::AwaitHeader | State::StartingTls | State::Open => None,
        };
        let expiry = self.expiry.filter(|_| self.state == State::Open);
        earliest([closing, self.negotiation, self.pending.deadline(), expiry])
    }

    /// A certificate that the stream rests on, the peer's or ours, expires then; the earliest counts (RFC 6120
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
            let answer = Verification::error("remote-server-timeout", timeout);
            self.answer_result(&pair, answer, None, out);
        }
        if self.negotiation.is_some_and(|deadline| deadline <= now) {
            let text = "the stream was not authenticated in time";
            self.fail(&StreamError::new(StreamCondition::ConnectionTimeout, text), around, out);
        } else if self.state == State::Open && self.expiry.is_some_and(|expiry| expiry <= now) {
            self.fail(&StreamError::expired(), around, out);
        }
    }

    /// Ends the stream with an error that is decided outside of the machine (shutdown, rate, certificate).
    pub fn fail(&mut self, error: &StreamError, around: &dyn Surroundings, out: &mut Out) {
        match self.state {
            State::Closed => return,
            // No XMPP follows `<proceed/>` or our closing tag.
            State::StartingTls | State::Closing { .. } => return self.end(out),
            // Even an error comes after a response header (§4.9.1.2).
            State::AwaitHeader => {
                let id = around.stream_id();
                let response = Response { from: "", to: None, id: id.as_str(), versioned: true };
                write_response(out, &response);
            }
            State::Open => {}
        }
        let rejection = match error.condition {
            // A stream that ends for our reasons, or that was opened for questions only, was not refused.
            StreamCondition::SystemShutdown => None,
            StreamCondition::ConnectionTimeout if self.questioned => None,
            // What it waited in vain for says more than that it waited.
            StreamCondition::ConnectionTimeout if self.refused.is_some() => {
                self.refused.take().map(|refused| Rejection { ends: true, ..refused })
            }
            _ => Some(Rejection::of_stream(&self.named, error)),
        };
        if let Some(rejection) = rejection.filter(|_| self.proven.is_empty()) {
            out.act(Action::Rejected(rejection));
        }
        error.write(out);
        out.put("</stream:stream>");
        self.end(out);
    }

    /// Ends the stream without an error; the peer's `</stream:stream>` is awaited (RFC 6120 §4.4).
    pub fn close(&mut self, now: Instant, out: &mut Out) {
        match self.state {
            State::Open => {
                out.put("</stream:stream>");
                self.negotiation = None;
                self.pending.clear();
                self.state = State::Closing { until: now + CLOSING_TIME };
            }
            State::AwaitHeader | State::StartingTls => self.end(out),
            State::Closing { .. } | State::Closed => {}
        }
    }

    /// The pair that a stanza belongs to, when the stream has proven it. The path of every stanza: no allocation as long
    /// as addresses are spelt canonically.
    ///
    /// # Errors
    /// Why it must not be relayed. Hand the element to [`Self::on_item`] then, which answers, and knows better whether it
    /// is `from` or `to` that is wrong.
    pub fn authorize(&self, element: &Element) -> Result<&Pair, Refusal> {
        if Kind::of(element).is_none() {
            return Err(Refusal::UnsupportedStanzaType);
        }
        if self.proven.is_empty() {
            return Err(Refusal::NotAuthorized);
        }
        let (Some(from), Some(to)) = (element.from(), element.to()) else {
            return Err(Refusal::ImproperAddressing);
        };
        self.proven
            .iter()
            .find(|pair| belongs_to(&from, &pair.from) && belongs_to(&to, &pair.to))
            .ok_or(Refusal::InvalidFrom)
    }

    /// Whether at least one pair is proven.
    pub fn is_authenticated(&self) -> bool {
        !self.proven.is_empty()
    }

    /// Whether the stream is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// The pairs that are proven.
    pub fn pairs(&self) -> &[Pair] {
        &self.proven
    }

    /// `xml:lang` of the peer's header, which its stanzas inherit (RFC 6120 §4.7.4).
    pub fn lang(&self) -> Option<&str> {
        self.opened.as_ref()?.lang.as_deref()
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
            Namespace::Stream if element.is(Namespace::Stream, "error") => {
                if let Ok(node) = element.tree() {
                    out.act(Action::Failed(error::read(&node)));
                }
                out.put("</stream:stream>");
                self.end(out);
            }
            _ => self.on_stanza(element, around, out),
        }
    }

    fn on_starttls(&mut self, element: &Element, around: &dyn Surroundings, out: &mut Out) {
        let asked = Negotiation::read(element) == Some(Negotiation::StartTls);
        match &self.opened {
            Some(Opened { to: Some(to), starttls: true, .. })
                if asked && self.proven.is_empty() =>
            {
                out.put(starttls::PROCEED);
                out.act(Action::StartTls { certificate_for: to.clone() });
                self.state = State::StartingTls;
            }
            // §5.4.2.2: the failure case ends the stream.
            Some(_) if asked => {
                out.put(starttls::FAILURE);
                out.put("</stream:stream>");
                self.end(out);
            }
            _ => self.fail(&Refusal::UnsupportedStanzaType.into(), around, out),
        }
    }

    fn on_stanza(&mut self, element: Element, around: &dyn Surroundings, out: &mut Out) {
        let refusal = match self.authorize(&element) {
            Ok(pair) => return out.act(Action::Deliver(element, pair.clone())),
            Err(Refusal::InvalidFrom) => self.misaddressed(&element, around),
            Err(refusal) => refusal,
        };
        out.act(Action::Refused { element, refusal });
        self.fail(&refusal.into(), around, out);
    }

    /// Which address keeps a stanza of an authenticated stream from its way (RFC 6120 §8.1.1.2, §8.1.2.2).
    fn misaddressed(&self, element: &Element, around: &dyn Surroundings) -> Refusal {
        let parse = |address: Option<std::borrow::Cow<'_, str>>| {
            address.and_then(|address| Jid::parse(&address).ok())
        };
        let (Some(from), Some(to)) = (parse(element.from()), parse(element.to())) else {
            return Refusal::ImproperAddressing;
        };
        let proven = self.proven.iter().any(|pair| pair.from == *from.domain());
        if proven && !around.serves(to.domain()) {
            Refusal::HostUnknown
        } else {
            Refusal::InvalidFrom
        }
    }

    /// Everything that was said on the stream so far is void (§4.3.3, §5.4.3.3).
    fn restart(&mut self, out: &mut Out) {
        self.opened = None;
        self.pending.clear();
        self.state = State::AwaitHeader;
        out.act(Action::Restart);
    }

    fn authorized(&mut self, pair: Pair, how: Authentication, out: &mut Out) {
        if self.proven.is_empty() {
            out.act(Action::Bounds(self.limits.authenticated));
        }
        self.negotiation = None;
        self.proven.push(pair.clone());
        out.act(Action::Authorized { pair, how });
    }

    fn end(&mut self, out: &mut Out) {
        self.state = State::Closed;
        self.pending.clear();
        out.act(Action::Close);
    }
}
