//! The stream of a component, driven by arbitrary bytes, mixed with other events.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use crds::peer::Profile;
use crds::xmpp::StreamCondition;
use s2s_proto::pair::Pair;
use s2s_proto::stanza::relay::{self, StreamContext};
use s2s_proto::stanza::{Kind, rescope};
use s2s_proto::stream::error::StreamError;
use s2s_proto::stream::testing::{LIMITS, World};
use s2s_proto::stream::{Action, Component, Out, Surroundings};
use s2s_proto::xml::{Bounds, Element, Item, Progress, Scanner};

/// Bytes that no XML can contain represent the other events.
const TIME_PASSES: u8 = 1;
const DOMAIN_IS_TAKEN: u8 = 2;
const WE_CLOSE: u8 = 3;
const CONFIGURATION_CHANGES: u8 = 4;
const LAST_EVENT: u8 = CONFIGURATION_CHANGES;

/// Maximum bytes that a stream writes on its own, and maximum for each byte that it reads.
const OWN: usize = 4_096;
const ECHO: usize = 40;

struct Stream<'a> {
    world: &'a World,
    machine: Component,
    now: Instant,
    scanner: Scanner,
    buf: BytesMut,
    taken: bool,
    claimed: bool,
    closed: bool,
    written: usize,
    read: usize,
}

impl Stream<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.read += bytes.len();
        self.buf.extend_from_slice(bytes);
        while !self.closed {
            let mut out = Out::default();
            let progress = match self.scanner.next_portion(&mut self.buf) {
                Ok(progress) => self.machine.rescoped(progress),
                Err(error) => {
                    self.machine.on_xml_error(error, self.world, &mut out);
                    self.buf.clear();
                    return self.take(out);
                }
            };
            match progress {
                Progress::Incomplete => return,
                Progress::Portion => continue,
                Progress::Item(Item::Element(element)) => {
                    if let Ok(pair) = self.machine.authorize(&element, self.world) {
                        let pair = pair.clone();
                        self.relayed(&element, &pair);
                        continue;
                    }
                    self.machine.on_item(Item::Element(element), self.world, &mut out);
                }
                Progress::Item(item) => self.machine.on_item(item, self.world, &mut out),
            }
            self.take(out);
        }
    }

    /// A stanza leaves as it would arrive on a stream between servers, and the same way back.
    fn relayed(&self, element: &Element, pair: &Pair) {
        assert!(self.claimed && self.machine.is_authenticated(), "{pair} before the handshake");
        assert!(self.world.serves(&pair.from), "{pair} is not of the component");
        assert_eq!(Pair::of(element).as_ref(), Some(pair), "the stanza is of the pair");
        let context = StreamContext { pair, lang: None, outgoing_lang: None };
        let sent = relay::outgoing(element, &context);
        let server = read("jabber:server", &sent);
        assert_eq!(Kind::of(&server), Kind::of(element));
        assert_eq!(Pair::of(&server).as_ref(), Some(pair), "{}", sent.escape_ascii());
        let back = rescope::to_component(&sent).unwrap_or_else(|| sent.clone());
        let component = rescope::from_component(read("jabber:component:accept", &back));
        assert_eq!(Kind::of(&component), Kind::of(element), "{}", back.escape_ascii());
        assert_eq!(Pair::of(&component).as_ref(), Some(pair), "{}", back.escape_ascii());
    }

    fn take(&mut self, mut out: Out) {
        if self.closed {
            assert!(out.bytes.is_empty() && out.actions.is_empty(), "nothing follows the end");
        }
        while !out.bytes.is_empty() || !out.actions.is_empty() {
            self.written += std::mem::take(&mut out.bytes).len();
            let bound = OWN + ECHO * self.read;
            assert!(self.written <= bound, "{} bytes for {}", self.written, self.read);
            for action in std::mem::take(&mut out.actions) {
                match action {
                    Action::Claim(domain) => {
                        assert!(self.world.serves(&domain) && !self.claimed, "{domain}");
                        self.claimed = !self.taken;
                        let taken = StreamError::new(StreamCondition::Conflict, "taken");
                        let answer = if self.taken { Err(taken) } else { Ok(()) };
                        self.machine.on_claim(answer, self.world, &mut out);
                    }
                    Action::Bounds(bounds) => {
                        assert!(self.claimed);
                        self.scanner.set_bounds(bounds);
                    }
                    Action::Deliver(element, pair) => self.relayed(&element, &pair),
                    Action::Close => self.closed = true,
                    _ => {}
                }
            }
        }
    }

    fn event(&mut self, event: u8) {
        let mut out = Out::default();
        match event {
            TIME_PASSES => {
                self.now += Duration::from_secs(6);
                self.machine.on_timeout(self.now, self.world, &mut out);
            }
            DOMAIN_IS_TAKEN => self.taken = true,
            WE_CLOSE => self.machine.close(self.now, &mut out),
            CONFIGURATION_CHANGES => self.machine.forget_pairs(),
            _ => {}
        }
        self.take(out);
    }
}

/// The element as it arrives on a stream of that content namespace.
fn read(content: &str, element: &[u8]) -> Element {
    let header = format!(
        "<stream:stream xmlns='{content}' xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    let mut buf = BytesMut::from(header.as_bytes());
    buf.extend_from_slice(element);
    let size = buf.len().saturating_mul(2);
    let mut scanner = Scanner::new(Bounds::AUTHENTICATED.with_element_bytes(size));
    let _header = scanner.next(&mut buf);
    match scanner.next(&mut buf) {
        Ok(Some(Item::Element(element))) => element,
        other => panic!("{other:?}: {}", element.escape_ascii()),
    }
}

pub(super) fn component(data: &[u8]) {
    let world = World::new(Profile::Standards);
    let now = Instant::now();
    let mut stream = Stream {
        world: &world,
        machine: Component::new(LIMITS, now),
        now,
        scanner: Scanner::new(Bounds::PRE_AUTHENTICATION),
        buf: BytesMut::new(),
        taken: false,
        claimed: false,
        closed: false,
        written: 0,
        read: 0,
    };
    for part in data.split_inclusive(|byte| (1..=LAST_EVENT).contains(byte)) {
        match part.split_last() {
            Some((event, bytes)) if (1..=LAST_EVENT).contains(event) => {
                stream.bytes(bytes);
                stream.event(*event);
            }
            _ => stream.bytes(part),
        }
    }
}
