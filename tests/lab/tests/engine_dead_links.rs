//! A stanza counts as relayed when the peer's TCP has acknowledged it. These tests run the real engine program against
//! scripted servers without XEP-0198 whose connections break. Loopback only. Needs root: some kernels permit only root
//! to attach a filter to a socket.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use harness::loopback::{
    CLOSED, DEADLINE, LOCAL, LoopbackError, ORDINARY, PEER, World, eventually, until,
};
use harness::program::engine;
use rustix::io::ioctl_fionread;
use s2s_peer::acceptor::Acceptor;
use s2s_peer::dialback;
use s2s_peer::error::Result as PeerResult;
use s2s_peer::listener::Listener;
use s2s_peer::namespace::{DIALBACK, DIALBACK_FEATURE};
use s2s_peer::stream::Stream;
use serde_json::json;
use socket2::{SockFilter, SockRef};

/// The engine refuses to dial its own address, and the other servers use their own addresses.
const BACKEND: [u8; 4] = [127, 0, 0, 5];

/// The shortest time after which TCP may abort a connection.
const SHORTEST: Duration = Duration::from_secs(10);

/// A leg of the engine, and the protection of its streams.
#[derive(Clone, Copy, Debug)]
enum Way {
    OuterTls,
    OuterPlain,
    InnerTls,
    InnerPlain,
}

impl Way {
    fn leg(self) -> &'static str {
        match self {
            Self::OuterTls | Self::OuterPlain => "outer",
            Self::InnerTls | Self::InnerPlain => "inner",
        }
    }

    fn is_plain(self) -> bool {
        matches!(self, Self::OuterPlain | Self::InnerPlain)
    }

    /// The domains of the stanzas: sender, receiver.
    fn pair(self) -> (&'static str, &'static str) {
        match self.leg() {
            "outer" => (LOCAL, CLOSED),
            _ => (PEER, LOCAL),
        }
    }

    fn stanza(self, id: usize, body: &str) -> String {
        let (from, to) = self.pair();
        format!("<message from='a@{from}/r' to='b@{to}' id='{id}'><body>{body}</body></message>")
    }
}

/// An engine, the sender that connects to it, and the listening port of the receiver.
struct Scene {
    way: Way,
    world: World,
    sender: Stream,
    listener: Listener,
    acceptor: Acceptor,
}

impl Scene {
    fn start(way: Way, user_timeout: Duration) -> Result<Self, LoopbackError> {
        let mut backend = None;
        let world = World::start_with(engine(), ORDINARY, |_, config| {
            config["timeouts"] = json!({
                "userTimeoutSeconds": user_timeout.as_secs(),
                "queueSeconds": DEADLINE.as_secs(),
            });
            if way.leg() == "inner" {
                let listener = Listener::bind(SocketAddr::from((BACKEND, 0))).unwrap();
                let server = &mut config["backends"][0]["server"];
                server["host"] = json!(listener.address().ip().to_string());
                server["port"] = json!(listener.address().port());
                if way.is_plain() {
                    server["authentication"] = json!("PlainDialback");
                }
                backend = Some(listener);
            } else if way.is_plain() {
                config["peers"] = json!([{"domain": CLOSED, "profile": "LegacyDialback"}]);
            }
        })?;
        let (sender, listener, acceptor) = if let Some(listener) = backend {
            let identity = world.ground.authority.issue(&[PEER])?;
            let roots = world.ground.authority.roots()?;
            let acceptor = world.ground.backend_acceptor()?;
            (world.from_peer(Some(&identity), &roots).external()?, listener, acceptor)
        } else {
            let sender = world.stream_from_backend(CLOSED)?;
            (sender, Listener::bind(world.closed)?, world.acceptor(CLOSED)?)
        };
        Ok(Self { way, world, sender, listener, acceptor })
    }

    /// The engine's next stream for the pair, with another handle of its connection.
    fn accept(&self) -> PeerResult<(Stream, TcpStream)> {
        loop {
            let tcp = self.listener.accept(DEADLINE)?;
            let other = tcp.try_clone().unwrap();
            let (stream, from) = if self.way.is_plain() {
                let (from, to) = self.way.pair();
                match accepted_plain(tcp, from, to)? {
                    Some(stream) => (stream, from.to_owned()),
                    None => continue,
                }
            } else {
                match self.acceptor.accept(tcp) {
                    Ok(Some(session)) => (session.stream, session.from),
                    _ => continue,
                }
            };
            // The engine's own pings use separate streams.
            if from == self.way.pair().0 {
                return Ok((stream, other));
            }
        }
    }

    fn send(&mut self, ids: impl IntoIterator<Item = usize>, body: &str) -> PeerResult<()> {
        ids.into_iter().try_for_each(|id| self.sender.send(self.way.stanza(id, body)))
    }

    fn count(&self, name: &str) -> Result<u64, LoopbackError> {
        self.world.count(name, &[("leg", self.way.leg())])
    }
}

/// A stream without TLS, authenticated by dialback. `None` if it belongs to another sender.
fn accepted_plain(tcp: TcpStream, from: &str, to: &str) -> PeerResult<Option<Stream>> {
    let mut stream = Stream::accepted(tcp, DEADLINE)?;
    let header = stream.header()?;
    if header.attribute("from") != Some(from) {
        return Ok(None);
    }
    stream.send_header(to, from, "an-id")?;
    let dialback = format!("<dialback xmlns='{DIALBACK_FEATURE}'/>");
    stream.send(format!("<stream:features>{dialback}</stream:features>"))?;
    let request = stream.expect(DIALBACK, "result", "a dialback key")?;
    dialback::answer_result(&mut stream, &request, true)?;
    Ok(Some(stream))
}

/// The id of the next message; other elements need no response here.
fn next(stream: &mut Stream) -> PeerResult<usize> {
    loop {
        let element = stream.element("a message")?;
        if element.name == "message" {
            return Ok(element.attribute("id").and_then(|id| id.parse().ok()).unwrap());
        }
    }
}

fn take(stream: &mut Stream, ids: std::ops::Range<usize>) {
    for id in ids {
        assert_eq!(next(stream).unwrap(), id);
    }
}

/// Breaks the connection from now on: packets are dropped below TCP, and no acknowledgement follows.
fn cut(tcp: &TcpStream) {
    // `BPF_RET | BPF_K`: keep no byte of any packet.
    SockRef::from(tcp).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).unwrap();
}

fn dead_link(way: Way) {
    let mut scene = Scene::start(way, SHORTEST).unwrap();
    scene.send(0..5, "before").unwrap();
    let (mut first, tcp) = scene.accept().unwrap();
    take(&mut first, 0..5);
    eventually("the first stanzas acknowledged", &5, || scene.count("stanzas_relayed_total"))
        .unwrap();
    cut(&tcp);
    scene.send(5..26, "in flight").unwrap();

    let (mut second, _tcp) = scene.accept().unwrap();
    take(&mut second, 5..26);
    eventually("everything counted once, and what was sent again", &(26, 21), || {
        Ok((scene.count("stanzas_relayed_total")?, scene.count("stanzas_resent_total")?))
    })
    .unwrap();
}

#[test]
fn what_a_dead_link_swallowed_is_sent_again_to_a_peer_by_tls() {
    dead_link(Way::OuterTls);
}

#[test]
fn what_a_dead_link_swallowed_is_sent_again_to_a_peer_in_clear() {
    dead_link(Way::OuterPlain);
}

#[test]
fn what_a_dead_link_swallowed_is_sent_again_to_a_backend_by_tls() {
    dead_link(Way::InnerTls);
}

#[test]
fn what_a_dead_link_swallowed_is_sent_again_to_a_backend_in_clear() {
    dead_link(Way::InnerPlain);
}

/// A server stops reading, and its connection is reset.
fn reset(way: Way) {
    const STANZAS: usize = 300;
    const BODY: usize = 2_000;
    /// Maximum number of bytes that the scripted server reads at once.
    const READ_AHEAD: usize = 256 * 1024;
    let mut scene = Scene::start(way, DEADLINE).unwrap();
    scene.send(0..1, "before").unwrap();
    let (mut first, tcp) = scene.accept().unwrap();
    SockRef::from(&tcp).set_recv_buffer_size(4_096).unwrap();
    take(&mut first, 0..1);
    scene.send(1..STANZAS, &"x".repeat(BODY)).unwrap();
    let other_leg = if way.leg() == "outer" { "inner" } else { "outer" };
    until("the engine to have all stanzas", || {
        let taken = scene.world.count("stanzas_received_total", &[("leg", other_leg)]).unwrap();
        taken >= STANZAS as u64
    })
    .unwrap();
    let unread = usize::try_from(ioctl_fionread(&tcp).unwrap()).unwrap();
    SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap();
    drop((first, tcp));

    let (mut second, _tcp) = scene.accept().unwrap();
    let begin = next(&mut second).unwrap();
    // The peer's TCP had received no more than this.
    assert!(begin.saturating_sub(2) * BODY <= unread + READ_AHEAD, "{begin}, {unread} unread");
    take(&mut second, begin + 1..STANZAS);
    eventually("every stanza counted once", &(STANZAS as u64), || {
        scene.count("stanzas_relayed_total")
    })
    .unwrap();
    assert!(scene.count("stanzas_resent_total").unwrap() > 0);
}

#[test]
fn what_a_peer_had_not_acknowledged_before_its_reset_is_sent_again_by_tls() {
    reset(Way::OuterTls);
}

#[test]
fn what_a_peer_had_not_acknowledged_before_its_reset_is_sent_again_in_clear() {
    reset(Way::OuterPlain);
}

#[test]
fn what_a_backend_had_not_acknowledged_before_its_reset_is_sent_again() {
    reset(Way::InnerTls);
}

#[test]
fn nothing_is_sent_twice_to_a_peer_that_ends_its_streams_in_order() {
    let mut scene = Scene::start(Way::OuterTls, DEADLINE).unwrap();
    for round in 0..3 {
        let ids = round * 10..(round + 1) * 10;
        scene.send(ids.clone(), "?").unwrap();
        let (mut stream, _tcp) = scene.accept().unwrap();
        take(&mut stream, ids);
        stream.send("</stream:stream>").unwrap();
        stream.end().unwrap();
    }
    eventually("everything counted once", &30, || scene.count("stanzas_relayed_total")).unwrap();
    assert_eq!(scene.count("stanzas_resent_total").unwrap(), 0);
}
