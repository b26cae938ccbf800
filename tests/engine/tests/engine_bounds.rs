//! Bounds that hold if the other end is a server that we dialled, a backend, or an authenticated peer. The real engine
//! program between scripted servers, loopback only.

#![allow(clippy::unwrap_used, reason = "a test states its expectations so")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use harness::loopback::{CLOSED, DEADLINE, LOCAL, ORDINARY, PEER, World};
use harness::program::engine;
use s2s_conformance::ending::Ending;
use s2s_peer::listener::Listener;
use s2s_peer::namespace::{BIDI, STREAM_MANAGEMENT};
use s2s_peer::stream::Stream;
use serde_json::json;

/// Default of `limits.preAuthStreamBytes`. The engine reads nothing after it has closed a stream that it opened, and TCP
/// answers unread data with a reset, which may hide the error. So no data follows the bytes that exceed the limit.
const LIMIT: usize = 64 * 1024;

/// White space, many times the amount that a stream may have before authentication.
const FLOOD: usize = 1024 * 1024;

fn to(domain: &str, id: &str) -> String {
    format!(
        "<message from='juliet@{LOCAL}/b' to='romeo@{domain}' id='{id}' type='chat'><body>Hi</body></message>"
    )
}

/// A connection that the engine opens for a stanza.
fn dialled() -> (World, Stream, TcpStream) {
    let world = World::start(engine(), ORDINARY).unwrap();
    let listener = Listener::bind(world.closed).unwrap();
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    backend.send(to(CLOSED, "m1")).unwrap();
    let tcp = listener.accept(DEADLINE).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    (world, backend, tcp)
}

#[test]
fn rfc6120_13_12_a_server_that_sends_white_space_in_place_of_a_header_is_given_up() {
    let (_world, _backend, mut tcp) = dialled();
    let _ = tcp.write_all(" ".repeat(LIMIT + 1).as_bytes());
    let mut answer = String::new();
    let _ = tcp.read_to_string(&mut answer);
    assert!(answer.contains("<policy-violation"), "{answer}");
}

#[test]
fn rfc6120_13_12_a_server_that_sends_white_space_in_place_of_features_is_given_up() {
    let (world, _backend, tcp) = dialled();
    let mut stream = world.acceptor(CLOSED).unwrap().secured(tcp, "").unwrap();
    stream.header().unwrap();
    stream.send_header(CLOSED, LOCAL, "s1").unwrap();
    // The headers count as well, so this exceeds the limit with its last bytes.
    let _ = stream.send(" ".repeat(LIMIT));
    let ending = Ending::of(&mut stream).unwrap();
    assert_eq!(ending.error.as_deref(), Some("policy-violation"), "{}", ending.seen());
}

#[test]
fn rfc6120_13_12_white_space_before_a_header_counts_on_both_legs() {
    let world = World::start(engine(), ORDINARY).unwrap();
    for address in [world.ground.outer, world.ground.inner] {
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        let _ = tcp.write_all(" ".repeat(FLOOD).as_bytes());
        let mut answer = String::new();
        let _ = tcp.read_to_string(&mut answer);
        assert!(answer.contains("<policy-violation"), "{address}: {answer}");
    }
}

#[test]
fn silent_connections_do_not_lock_the_backend_out() {
    // More connections than the limit allows.
    const SILENT: usize = 600;
    let world = World::start(engine(), ORDINARY).unwrap();
    let connect = |_| TcpStream::connect(world.ground.inner).unwrap();
    let silent: Vec<_> = (0..SILENT).map(connect).collect();
    let mut stream = world.stream_from_backend(PEER).unwrap();
    stream.send(to(PEER, "m1")).unwrap();
    assert_eq!(world.peer.message().unwrap().attribute("id"), Some("m1"));
    let mut oldest = silent.first().unwrap();
    oldest.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(oldest.read(&mut [0]).unwrap(), 0, "the oldest made room");
    // Connections that time out are not counted.
    assert!(world.count("connections_refused_total", &[]).unwrap() > 0);
}

/// A stream that the peer opened and that also carries our stanzas, with acknowledgements in both directions.
fn managed_both_ways(world: &World) -> Stream {
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let initiator = world.from_peer(Some(&identity), &roots);
    let mut stream = initiator.external_after(&format!("<bidi xmlns='{BIDI}'/>")).unwrap();
    stream.send(format!("<enable xmlns='{STREAM_MANAGEMENT}'/>")).unwrap();
    stream.expect(STREAM_MANAGEMENT, "enabled", "consent").unwrap();
    stream
}

/// A peer accepts stanzas and acknowledges none: its stream ends, and the stanzas go to the peer on another one.
/// `answers`: whether it answers requests for an acknowledgement.
fn nothing_is_acknowledged(answers: bool) {
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["timeouts"] = json!({"userTimeoutSeconds": 10});
    })
    .unwrap();
    let mut peer = managed_both_ways(&world);
    let mut backend = world.stream_from_backend(PEER).unwrap();
    let ids = ["m1", "m2", "m3"];
    for id in ids {
        backend.send(to(PEER, id)).unwrap();
    }
    let (mut taken, mut requests) = (0, 0);
    let end = loop {
        match peer.element("a stanza, a request or the end of the stream") {
            Ok(request) if request.is(STREAM_MANAGEMENT, "r") => {
                requests += 1;
                if answers {
                    peer.send(format!("<a xmlns='{STREAM_MANAGEMENT}' h='0'/>")).unwrap();
                }
            }
            // The last acknowledgement comes before the end (XEP-0198 §4).
            Ok(element) => taken += usize::from(element.namespace != STREAM_MANAGEMENT),
            Err(end) => break end,
        }
    };
    assert_eq!(taken, ids.len());
    assert!(requests <= ids.len(), "{requests} requests for {taken} stanzas");
    assert!(end.to_string().contains("connection-timeout"), "{end}");
    for id in ids {
        assert_eq!(world.peer.message().unwrap().attribute("id"), Some(id));
    }
}

#[test]
fn xep0198_a_stream_both_ways_whose_peer_is_silent_ends_and_loses_nothing() {
    nothing_is_acknowledged(false);
}

#[test]
fn xep0198_a_stream_both_ways_whose_peer_acknowledges_nothing_ends_and_loses_nothing() {
    nothing_is_acknowledged(true);
}
