//! Whole streams in both roles, driven by arbitrary bytes: the data of a peer, mixed with other events.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use crds::peer::Profile;
use s2s_proto::dialback::KeyVerdict;
use s2s_proto::pair::Pair;
use s2s_proto::reason::Failure;
use s2s_proto::stream::testing::{LIMITS, World, domain, pair};
use s2s_proto::stream::{
    Action, Authentication, Inbound, Out, Outbound, PeerChain, Purpose, StreamId, Surroundings,
    Transport,
};
use s2s_proto::xml::{Bounds, Item, Scanner, XmlError};

const PROFILES: [Profile; 8] = [
    Profile::Standards,
    Profile::Strict,
    Profile::CiscoImp,
    Profile::CiscoExpressway,
    Profile::WebexMessenger,
    Profile::WebexApp,
    Profile::SametimeGateway,
    Profile::LegacyDialback,
];

/// Bytes that no XML can contain represent the other events.
const HANDSHAKE: u8 = 1;
const TIME_PASSES: u8 = 2;
const KEY_IS_VALID: u8 = 3;
const KEY_IS_INVALID: u8 = 4;
const WE_CLOSE: u8 = 5;
const PEER_IS_GONE: u8 = 6;
const CERTIFICATE_EXPIRES: u8 = 7;
const LAST_EVENT: u8 = CERTIFICATE_EXPIRES;

/// Maximum bytes that a stream writes on its own, and maximum for each byte that it reads.
const OWN: usize = 4_096;
const ECHO: usize = 40;

enum Machine {
    Inbound(Inbound),
    Outbound(Outbound),
}

impl Machine {
    fn item(&mut self, item: Item, now: Instant, world: &World, out: &mut Out) {
        match self {
            Self::Inbound(machine) => machine.on_item(item, now, world, out),
            Self::Outbound(machine) => machine.on_item(item, now, world, out),
        }
    }

    fn error(&mut self, error: XmlError, world: &World, out: &mut Out) {
        match self {
            Self::Inbound(machine) => machine.on_xml_error(error, world, out),
            Self::Outbound(machine) => machine.on_xml_error(error, out),
        }
    }
}

/// A stream with the driver's part of its rules.
struct Stream<'a> {
    world: &'a World,
    machine: Machine,
    now: Instant,
    scanner: Scanner,
    buf: BytesMut,
    /// Its output, read as a peer reads it.
    peer: Scanner,
    written: usize,
    read: usize,
    handshake: bool,
    closed: bool,
    authenticated: bool,
    /// Pairs whose stanzas the peer may send, and pairs whose verification it requested.
    incoming: Vec<Pair>,
    verifying: Vec<(Pair, StreamId)>,
    valid: Vec<Pair>,
}

impl<'a> Stream<'a> {
    fn new(machine: Machine, world: &'a World, now: Instant) -> Self {
        Self {
            world,
            machine,
            now,
            scanner: Scanner::new(Bounds::PRE_AUTHENTICATION),
            buf: BytesMut::new(),
            peer: Scanner::new(Bounds::AUTHENTICATED),
            written: 0,
            read: 0,
            handshake: false,
            closed: false,
            authenticated: false,
            incoming: Vec::new(),
            verifying: Vec::new(),
            valid: Vec::new(),
        }
    }

    fn take(&mut self, out: Out) {
        if self.closed {
            let silent = out.bytes.is_empty() && out.actions.is_empty();
            assert!(silent, "nothing follows the end: {out:?}");
        }
        self.well_formed(&out.bytes);
        for action in out.actions {
            match action {
                Action::Restart => self.scanner.restart(),
                Action::Bounds(bounds) => self.scanner.set_bounds(bounds),
                Action::StartTls { .. } | Action::ConnectTls { .. } => self.handshake = true,
                Action::Verify { pair, id, .. } => self.verifying.push((pair, id)),
                Action::Authorized { pair, how } => self.authorized(pair, how),
                Action::Bidirectional { pair } => {
                    if matches!(self.machine, Machine::Outbound(_)) {
                        assert!(
                            self.world.serves(&pair.to) && !self.world.serves(&pair.from),
                            "{pair}"
                        );
                        self.incoming.push(pair);
                    }
                }
                Action::Deliver(element, pair) => {
                    assert!(self.incoming.contains(&pair), "{pair} is not authenticated");
                    assert_eq!(Pair::of(&element), Some(pair), "the stanza is of the pair");
                }
                Action::Close => self.closed = true,
                _ => {}
            }
        }
    }

    fn authorized(&mut self, pair: Pair, how: Authentication) {
        self.authenticated = true;
        let inbound = matches!(self.machine, Machine::Inbound(_));
        let (ours, theirs) = if inbound { (&pair.to, &pair.from) } else { (&pair.from, &pair.to) };
        assert!(self.world.serves(ours) && !self.world.serves(theirs), "{pair} is ours and theirs");
        assert_ne!(theirs.as_str(), "denied.example", "{pair} is not admitted");
        if inbound {
            match how {
                Authentication::External | Authentication::DialbackByCertificate => {
                    assert!(self.world.authenticated.contains(&pair.from), "{pair} by {how:?}");
                }
                Authentication::Dialback => {
                    assert!(self.valid.contains(&pair), "{pair} was not verified");
                }
            }
            self.incoming.push(pair);
        }
    }

    /// Our own output is XML that we would accept, and not much more than was requested.
    fn well_formed(&mut self, bytes: &[u8]) {
        self.written += bytes.len();
        let bound = OWN + ECHO * self.read;
        assert!(self.written <= bound, "{} bytes were written for {}", self.written, self.read);
        if bytes.starts_with(b"<?xml") {
            self.peer.restart();
        }
        let mut buf = BytesMut::from(bytes);
        loop {
            match self.peer.next(&mut buf) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => panic!("{error}: {}", bytes.escape_ascii()),
            }
        }
        assert!(buf.is_empty(), "an element is incomplete: {}", buf.escape_ascii());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.closed || self.handshake {
            return;
        }
        self.read += bytes.len();
        self.buf.extend_from_slice(bytes);
        while !self.closed && !self.handshake {
            let mut out = Out::default();
            match self.scanner.next(&mut self.buf) {
                Ok(Some(item)) => self.machine.item(item, self.now, self.world, &mut out),
                Ok(None) => return,
                Err(error) => {
                    self.machine.error(error, self.world, &mut out);
                    self.buf.clear();
                    self.take(out);
                    return;
                }
            }
            self.take(out);
        }
    }

    fn event(&mut self, event: u8) {
        let mut out = Out::default();
        match (&mut self.machine, event) {
            _ if self.closed => return,
            (machine, HANDSHAKE) if self.handshake => {
                self.handshake = false;
                self.buf.clear();
                match machine {
                    Machine::Inbound(machine) => machine.on_tls(PeerChain::default(), &mut out),
                    Machine::Outbound(machine) => {
                        machine.on_tls(PeerChain::default(), self.world, &mut out);
                    }
                }
            }
            (machine, TIME_PASSES) => {
                self.now += Duration::from_secs(6);
                match machine {
                    Machine::Inbound(machine) => machine.on_timeout(self.now, self.world, &mut out),
                    Machine::Outbound(machine) => machine.on_timeout(self.now, &mut out),
                }
            }
            (Machine::Inbound(machine), KEY_IS_VALID | KEY_IS_INVALID) => {
                let Some((pair, id)) = self.verifying.pop() else { return };
                let answer =
                    if event == KEY_IS_VALID { KeyVerdict::Valid } else { KeyVerdict::Invalid };
                if event == KEY_IS_VALID {
                    self.valid.push(pair.clone());
                }
                machine.on_verification(&pair, &id, answer, &mut out);
            }
            (Machine::Inbound(machine), WE_CLOSE) => machine.close(self.now, &mut out),
            (Machine::Outbound(machine), WE_CLOSE) => machine.close(self.now, &mut out),
            (Machine::Outbound(machine), PEER_IS_GONE) => machine.on_closed(&mut out),
            (Machine::Inbound(machine), CERTIFICATE_EXPIRES) => machine.expires(self.now),
            (Machine::Outbound(machine), CERTIFICATE_EXPIRES) => machine.expires(self.now),
            _ => return,
        }
        self.take(out);
    }

    fn deadline(&self) -> Option<Instant> {
        let deadline = match &self.machine {
            Machine::Inbound(machine) => machine.deadline(),
            Machine::Outbound(machine) => machine.deadline(),
        };
        deadline.filter(|_| !self.closed)
    }

    /// Timeouts alone end every unauthenticated stream, whatever happened before. No deadline remains after it has
    /// passed.
    fn ends(&mut self) {
        for _ in 0..100 {
            let Some(deadline) = self.deadline() else { return };
            self.now = self.now.max(deadline);
            let mut out = Out::default();
            match &mut self.machine {
                Machine::Inbound(machine) => machine.on_timeout(self.now, self.world, &mut out),
                Machine::Outbound(machine) => machine.on_timeout(self.now, &mut out),
            }
            self.read += OWN;
            self.take(out);
            let next = self.deadline();
            assert!(next.is_none_or(|next| next > self.now), "a deadline has passed and stays");
        }
        assert!(self.authenticated, "deadlines come without end");
    }
}

/// The first octet selects the stream; the other octets are its events.
pub(crate) fn streams(data: &[u8]) {
    let Some((kind, script)) = data.split_first() else { return };
    let profile = PROFILES[usize::from(kind & 7)];
    let certified = kind & 8 != 0;
    let denied = ["us.example", "chat.us.example"].map(|to| pair("denied.example", to));
    let world = World {
        authenticated: if certified { vec![domain("them.example")] } else { Vec::new() },
        denied: denied.to_vec(),
        ..World::new(profile)
    };
    let now = Instant::now();
    let tls = kind & 16 != 0;
    let transport = if tls { Transport::DirectTls(PeerChain::default()) } else { Transport::Tcp };
    let pair = pair("us.example", "them.example");
    let machine = match kind >> 5 {
        0..=3 => Machine::Inbound(Inbound::new(transport, LIMITS, now)),
        4..=5 => {
            let mut outbound = Outbound::new(Purpose::Send(pair), transport, LIMITS, now);
            if kind & 32 != 0 {
                outbound.after_rejection(Failure::ShuttingDown);
            }
            Machine::Outbound(outbound)
        }
        _ => {
            let purpose = Purpose::Verify {
                pair: pair.reversed(),
                id: StreamId::new(1),
                key: "key".to_owned(),
            };
            Machine::Outbound(Outbound::new(purpose, transport, LIMITS, now))
        }
    };
    let mut stream = Stream::new(machine, &world, now);
    if let Machine::Outbound(machine) = &mut stream.machine {
        let mut out = Out::default();
        machine.begin(&world, &mut out);
        stream.take(out);
    }
    let is_event = |byte: &u8| (HANDSHAKE..=LAST_EVENT).contains(byte);
    for part in script.split_inclusive(is_event) {
        match part.split_last() {
            Some((event, bytes)) if is_event(event) => {
                stream.bytes(bytes);
                stream.event(*event);
            }
            _ => stream.bytes(part),
        }
    }
    stream.ends();
}
