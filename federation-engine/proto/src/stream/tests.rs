//! The machines, rule by rule, without sockets and clocks. The peer's data goes through the real scanner.

mod answers;
mod authority;
mod bidi;
mod closing;
mod component;
mod dialback;
mod expiry;
mod external;
mod initiating;
mod initiating_dialback;
mod limits;
mod management;
mod matrix;
mod opening;
mod rejections;
mod stanzas;
mod starttls;

use std::time::{Duration, Instant};

use bytes::BytesMut;
use crds::peer::{Dialback, Profile, TlsMode, Verification};
use crds::rules::KeyConfirmation;

use super::testing::{LIMITS, World, domain, pair};
use super::{
    Action, Inbound, Keys, Out, Outbound, PeerChain, PeerRules, Purpose, StreamId, Transport,
};
use crate::dialback::KeyInquiry;
use crate::pair::Pair;
use crate::reason::{CertificateReason, Failure, Refusal};
use crate::xml::{Bounds, Scanner};

fn rules(profile: Profile) -> PeerRules {
    profile.preset().rules()
}

/// Either machine with its scanner.
struct Side<M> {
    machine: M,
    scanner: Scanner,
    buf: BytesMut,
    actions: Vec<Action>,
    now: Instant,
}

impl<M> Side<M> {
    fn over(machine: M, now: Instant) -> Self {
        let scanner = Scanner::new(Bounds::PRE_AUTHENTICATION);
        Self { machine, scanner, buf: BytesMut::new(), actions: Vec::new(), now }
    }

    /// Handles the output as a driver does; returns the written text.
    fn take(&mut self, out: Out) -> String {
        for action in out.actions {
            match &action {
                Action::Restart => self.scanner.restart(),
                Action::Bounds(bounds) => self.scanner.set_bounds(*bounds),
                _ => {}
            }
            self.actions.push(action);
        }
        String::from_utf8(out.bytes.to_vec()).unwrap()
    }

    fn closed(&self) -> bool {
        matches!(self.actions.last(), Some(Action::Close))
    }

    fn authorized(&self) -> Vec<Pair> {
        let pairs = self.actions.iter().filter_map(|action| match action {
            Action::Authorized { pair, .. } => Some(pair.clone()),
            _ => None,
        });
        pairs.collect()
    }

    fn delivered(&self) -> usize {
        self.actions.iter().filter(|action| matches!(action, Action::Deliver(..))).count()
    }

    fn refusals(&self) -> Vec<Refusal> {
        let refusals = self.actions.iter().filter_map(|action| match action {
            Action::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        });
        refusals.collect()
    }

    fn failure(&self) -> Option<&Failure> {
        self.actions.iter().find_map(|action| match action {
            Action::Failed(failure) | Action::PairFailed { failure, .. } => Some(failure),
            _ => None,
        })
    }
}

type Receiving = Side<Inbound>;
type Initiating = Side<Outbound>;

impl Receiving {
    fn new() -> Self {
        let now = Instant::now();
        Self::over(Inbound::new(Transport::Tcp, LIMITS, now), now)
    }

    fn direct_tls() -> Self {
        let now = Instant::now();
        let transport = Transport::DirectTls(PeerChain::default());
        Self::over(Inbound::new(transport, LIMITS, now), now)
    }

    /// On an encrypted stream whose header named `them.example`; the ID of our header.
    fn opened(world: &World) -> (Self, String) {
        let mut side = Self::direct_tls();
        let written = side.send(&header("them.example", "us.example"), world);
        (side, id_of(&written))
    }

    /// On an encrypted stream that EXTERNAL has authenticated for `them.example`.
    fn authenticated(world: &World) -> Self {
        let (mut side, _) = Self::opened(world);
        let written = side.send(&auth("="), world);
        assert!(written.starts_with("<success"), "{written}");
        side.send(&header("them.example", "us.example"), world);
        assert_eq!(side.authorized(), [pair("them.example", "us.example")]);
        side
    }

    fn send(&mut self, text: &str, world: &World) -> String {
        self.buf.extend_from_slice(text.as_bytes());
        let mut written = String::new();
        loop {
            let mut out = Out::default();
            match self.scanner.next(&mut self.buf) {
                Ok(Some(item)) => self.machine.on_item(item, self.now, world, &mut out),
                Ok(None) => return written,
                Err(error) => {
                    self.machine.on_xml_error(error, world, &mut out);
                    self.buf.clear();
                    let text = self.take(out);
                    return written + &text;
                }
            }
            written += &self.take(out);
        }
    }

    fn tls(&mut self) {
        let mut out = Out::default();
        self.machine.on_tls(PeerChain::default(), &mut out);
        self.take(out);
    }

    fn verified(&mut self, result: crate::dialback::KeyVerdict) -> String {
        let Some(Action::Verify { pair, id, .. }) =
            self.actions.iter().rfind(|action| matches!(action, Action::Verify { .. }))
        else {
            panic!("nothing to verify: {:?}", self.actions)
        };
        let (pair, id) = (pair.clone(), id.clone());
        let mut out = Out::default();
        self.machine.on_verification(&pair, &id, result, &mut out);
        self.take(out)
    }

    fn pass(&mut self, time: Duration, world: &World) -> String {
        self.now += time;
        let mut out = Out::default();
        self.machine.on_timeout(self.now, world, &mut out);
        self.take(out)
    }
}

impl Initiating {
    fn send_purpose() -> Purpose {
        Purpose::Send(pair("us.example", "them.example"))
    }

    fn new(purpose: Purpose) -> Self {
        let now = Instant::now();
        Self::over(Outbound::new(purpose, Transport::Tcp, LIMITS, now), now)
    }

    fn begin(&mut self, world: &World) -> String {
        let mut out = Out::default();
        self.machine.begin(world, &mut out);
        self.take(out)
    }

    fn send(&mut self, text: &str, world: &World) -> String {
        self.buf.extend_from_slice(text.as_bytes());
        let mut written = String::new();
        loop {
            let mut out = Out::default();
            match self.scanner.next(&mut self.buf) {
                Ok(Some(item)) => self.machine.on_item(item, self.now, world, &mut out),
                Ok(None) => return written,
                Err(error) => {
                    self.machine.on_xml_error(error, &mut out);
                    self.buf.clear();
                    let text = self.take(out);
                    return written + &text;
                }
            }
            written += &self.take(out);
        }
    }

    fn tls(&mut self, world: &World) -> String {
        let mut out = Out::default();
        self.machine.on_tls(PeerChain::default(), world, &mut out);
        self.take(out)
    }

    fn closed_by_peer(&mut self) {
        let mut out = Out::default();
        self.machine.on_closed(&mut out);
        self.take(out);
    }

    fn pass(&mut self, time: Duration) -> String {
        self.now += time;
        let mut out = Out::default();
        self.machine.on_timeout(self.now, &mut out);
        self.take(out)
    }
}

/// Header of a peer, with more attributes.
fn header_with(attributes: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
         xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' {attributes}>"
    )
}

fn header(from: &str, to: &str) -> String {
    header_with(&format!("from='{from}' to='{to}' version='1.0' xml:lang='en'"))
}

/// Response header of a peer.
fn response(id: &str) -> String {
    header_with(&format!("from='them.example' to='us.example' id='{id}' version='1.0'"))
}

const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

fn auth(content: &str) -> String {
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{content}</auth>")
}

fn result(from: &str, to: &str, key: &str) -> String {
    format!("<db:result from='{from}' to='{to}'>{key}</db:result>")
}

fn id_of(written: &str) -> String {
    attribute(written, "id")
}

fn attribute(written: &str, name: &str) -> String {
    let start = written.find(&format!(" {name}='")).unwrap() + name.len() + 3;
    written[start..].split('\'').next().unwrap().to_owned()
}

/// A stream error is preceded by everything else and followed by the end of the stream and the connection.
#[track_caller]
fn assert_stream_error<M>(side: &Side<M>, written: &str, condition: &str) {
    let error = format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
    assert!(written.contains(&error), "{condition}: {written}");
    assert!(written.ends_with("</stream:error></stream:stream>"), "{written}");
    assert!(side.closed(), "{:?}", side.actions);
}

/// The error form of dialback leaves the stream open.
#[track_caller]
fn assert_dialback_error(written: &str, condition: &str) {
    assert!(written.contains(" type='error'>"), "{written}");
    let error = format!("<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>");
    assert!(written.contains(&error), "{condition}: {written}");
}

fn with(profile: Profile, change: impl FnOnce(&mut PeerRules)) -> World {
    let mut world = World::trusting(profile);
    change(&mut world.rules);
    world
}

/// Certificates count, and keys are still verified with the authoritative server.
fn asking() -> World {
    with(Profile::Standards, |rules| rules.key_confirmation = KeyConfirmation::AuthoritativeServer)
}

fn standards() -> World {
    World::trusting(Profile::Standards)
}
