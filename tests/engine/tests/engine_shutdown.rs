//! Shutdown of the engine: every stanza that it has acknowledged (XEP-0198) is delivered or answered. The real engine
//! program between scripted servers. Loopback only.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use harness::loopback::{DEADLINE, LOCAL, ORDINARY, PEER, World, until};
use harness::program::engine;
use s2s_peer::element::Element;
use s2s_peer::error::PeerError;
use s2s_peer::listener::Listener;
use s2s_peer::namespace::STREAM_MANAGEMENT;
use s2s_peer::stream::Stream;
use serde_json::json;

/// The engine refuses to dial its own address, and other servers have theirs.
const BACKEND: [u8; 4] = [127, 0, 0, 5];

/// Together 12 MB: more than the system's buffers and the engine's queues hold.
const STANZAS: usize = 2_000;
const BODY: usize = 6_000;

/// Number of checks without a change after which a sender counts as blocked.
const LOOKS: usize = 20;

/// An engine that is full of a peer's stanzas because its backend reads none, and a peer that has more stanzas.
struct Scene {
    world: World,
    sender: JoinHandle<Stream>,
    backend: Stream,
    _others: Vec<Stream>,
}

impl Scene {
    fn start() -> Self {
        let mut listener = None;
        let world = World::start_with(engine(), ORDINARY, |_, config| {
            let bound = Listener::bind(SocketAddr::from((BACKEND, 0))).unwrap();
            let server = &mut config["backends"][0]["server"];
            server["host"] = json!(bound.address().ip().to_string());
            server["port"] = json!(bound.address().port());
            listener = Some(bound);
        })
        .unwrap();
        let identity = world.ground.authority.issue(&[PEER]).unwrap();
        let roots = world.ground.authority.roots().unwrap();
        let mut from_peer = world.from_peer(Some(&identity), &roots).external().unwrap();
        from_peer.send(format!("<enable xmlns='{STREAM_MANAGEMENT}'/>")).unwrap();
        from_peer.expect(STREAM_MANAGEMENT, "enabled", "consent").unwrap();
        let sent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        let sender = thread::spawn(move || {
            let body = "x".repeat(BODY);
            for id in 0..STANZAS {
                let stanza = format!(
                    "<message from='romeo@{PEER}/r' to='juliet@{LOCAL}' id='{id}'><body>{body}</body></message>"
                );
                if from_peer.send(stanza).is_err() {
                    // The engine has shut down, and did not accept this stanza.
                    from_peer.transport().forget_unsent().unwrap();
                    break;
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            from_peer
        });
        let (backend, others) = accept_from_peer(&world, &listener.unwrap());
        let (mut last, mut same) = (0, 0);
        until("a sender that is held up", || {
            let now = sent.load(Ordering::Relaxed);
            same = if now == last { same + 1 } else { 0 };
            last = now;
            now > 0 && same > LOOKS
        })
        .unwrap();
        assert!(last < STANZAS, "everything is in some buffer");
        Self { world, sender, backend, _others: others }
    }

    /// Sends SIGTERM, and waits until the engine has begun to shut down.
    fn terminate(&self) {
        self.world.engine.terminate().unwrap();
        let refused = || TcpStream::connect(self.world.ground.outer).is_err();
        until("no more connections", refused).unwrap();
    }

    /// The stanzas that came back before the end of the engine's stream to the peer.
    fn bounced(&mut self) -> Vec<usize> {
        let mut bounced = Vec::new();
        let reported = loop {
            match self.world.peer.stanza() {
                Ok(bounce) => {
                    assert_eq!(bounce.attribute("type"), Some("error"), "{bounce}");
                    bounced.push(id(&bounce));
                }
                Err(reported) => break reported,
            }
        };
        assert!(is_shutdown(&reported), "{reported}\n{}", self.world.engine.log());
        bounced
    }
}

/// The engine's stream to the backend for the peer's stanzas, and its other streams, for its own pings.
fn accept_from_peer(world: &World, listener: &Listener) -> (Stream, Vec<Stream>) {
    let acceptor = world.ground.backend_acceptor().unwrap();
    let mut others = Vec::new();
    loop {
        let session = acceptor.accept(listener.accept(DEADLINE).unwrap()).unwrap().unwrap();
        if session.from == PEER {
            return (session.stream, others);
        }
        others.push(session.stream);
    }
}

fn is_shutdown(error: &PeerError) -> bool {
    matches!(error, PeerError::Stream { condition, .. } if condition == "system-shutdown")
}

fn id(stanza: &Element) -> usize {
    stanza.attribute("id").and_then(|id| id.parse().ok()).unwrap()
}

/// Number of stanzas that the engine acknowledged before it ended the stream.
fn acknowledged(stream: &mut Stream) -> usize {
    let mut count = 0;
    loop {
        match stream.element("the last acknowledgement and the end of the stream") {
            Ok(element) if element.is(STREAM_MANAGEMENT, "a") => {
                count = element.attribute("h").and_then(|h| h.parse().ok()).unwrap();
            }
            Ok(_) => {}
            Err(reported) => {
                assert!(is_shutdown(&reported), "{reported}");
                return count;
            }
        }
    }
}

/// Each of `acknowledged` stanzas was delivered or came back; also later ones may have come back. `unsure`: number of bytes
/// that may have been both delivered and returned.
fn assert_complete(acknowledged: usize, delivered: usize, mut bounced: Vec<usize>, unsure: usize) {
    bounced.sort_unstable();
    let first = bounced.first().copied().unwrap_or(acknowledged);
    let end = acknowledged.max(first + bounced.len());
    let missing =
        || (first..end).filter(|id| bounced.binary_search(id).is_err()).collect::<Vec<_>>();
    assert!(
        bounced.iter().copied().eq(first..end),
        "{} of {first}..{end} came back, {acknowledged} were acknowledged, missing are {:?}",
        bounced.len(),
        missing()
    );
    let twice = delivered.checked_sub(first).unwrap();
    assert!(twice * BODY <= unsure, "{delivered} were delivered, and {first} came back");
}

#[test]
fn what_waits_for_a_slow_backend_is_delivered_and_the_rest_comes_back() {
    let mut scene = Scene::start();
    let received = scene.world.count("stanzas_received_total", &[("leg", "outer")]).unwrap();
    scene.terminate();
    let mut delivered = 0;
    let reported = loop {
        match scene.backend.element("a stanza") {
            Ok(stanza) if stanza.name == "message" => {
                assert_eq!(id(&stanza), delivered);
                delivered += 1;
            }
            Ok(_) => {}
            Err(reported) => break reported,
        }
    };
    assert!(is_shutdown(&reported), "{reported}\n{}", scene.world.engine.log());
    assert!(delivered as u64 >= received, "{delivered} of {received}");
    let bounced = scene.bounced();
    let acknowledged = acknowledged(&mut scene.sender.join().unwrap());
    assert_complete(acknowledged, delivered, bounced, 0);
}

/// The streams that carry stanzas on close after those that bring them.
#[test]
fn what_a_peer_sends_until_it_reads_the_end_of_its_stream_is_delivered() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let mut from_backend = world.stream_from_backend(PEER).unwrap();
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut from_peer = world.from_peer(Some(&identity), &roots).external().unwrap();
    let message = |from: &str, to: &str, id: &str| {
        format!("<message from='someone@{from}/r' to='someone@{to}' id='{id}'/>")
    };
    // The engine opens the streams that will carry the stanzas on.
    from_backend.send(message(LOCAL, PEER, "early")).unwrap();
    from_peer.send(message(PEER, LOCAL, "early")).unwrap();
    world.peer.message().unwrap();
    world.backend.message().unwrap();
    world.engine.terminate().unwrap();
    for (stream, from, to) in [(&mut from_peer, PEER, LOCAL), (&mut from_backend, LOCAL, PEER)] {
        // Without XEP-0198, the sender learns only from this that the engine ends.
        let reported = stream.element("the end of the stream").unwrap_err();
        assert!(is_shutdown(&reported), "{reported}");
        stream.send(message(from, to, "late") + "</stream:stream>").unwrap();
    }
    for (server, from) in [(&world.peer, LOCAL), (&world.backend, PEER)] {
        let delivered = loop {
            let stanza = server.stanza().unwrap();
            if stanza.attribute("id") == Some("late") {
                break stanza;
            }
        };
        assert_eq!(delivered.attribute("type"), None, "{delivered}");
        let sender = format!("someone@{from}/r");
        assert_eq!(delivered.attribute("from"), Some(sender.as_str()), "{delivered}");
    }
}

#[test]
fn what_a_backend_does_not_take_in_time_comes_back_to_its_senders() {
    let mut scene = Scene::start();
    scene.terminate();
    let bounced = scene.bounced();
    let acknowledged = acknowledged(&mut scene.sender.join().unwrap());
    // The backend's TCP had accepted these stanzas.
    let mut delivered = 0;
    while let Ok(stanza) = scene.backend.element("a stanza") {
        assert_eq!(id(&stanza), delivered);
        delivered += 1;
    }
    // A TLS record is usable only as a whole.
    assert_complete(acknowledged, delivered, bounced, 2 * 16 * 1024);
}
