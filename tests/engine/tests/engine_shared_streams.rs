//! One stream for more than the pair that it was opened for: back to the peer (XEP-0288), or for a second domain here
//! (XEP-0220 §2.6). The real engine program between scripted servers, loopback only.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use harness::loopback::{
    CLOSED, DEADLINE, LOCAL, LoopbackError, ORDINARY, PEER, PeerKind, World, eventually,
    put_backend, secret_of, until,
};
use harness::program::engine;
use s2s_peer::acceptor::{Acceptor, Proof, Session};
use s2s_peer::authority::Identity;
use s2s_peer::error::PeerError;
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::listener::Listener;
use s2s_peer::namespace::BIDI;
use s2s_peer::server::Server;
use s2s_peer::stream::Stream;
use serde_json::json;

const REQUEST: &str = "<bidi xmlns='urn:xmpp:bidi'/>";
const FEATURE: &str = "<bidi xmlns='urn:xmpp:features:bidi'/>";

/// Verified streams to peers.
fn outbound(world: &World) -> Result<u64, LoopbackError> {
    world.count("streams", &[("leg", "outer"), ("direction", "outbound")])
}

/// Attempts to reach a peer that had this result.
fn dials(world: &World, result: &str) -> Result<u64, LoopbackError> {
    world.count("dials_total", &[("result", result)])
}

/// Verified streams to peers, and attempts that led to one. Both are counted after the stream is usable.
fn streams_and_dials(world: &World) -> Result<(u64, u64), LoopbackError> {
    Ok((outbound(world)?, dials(world, "Success")?))
}

fn message(from: &str, to: &str, id: &str) -> String {
    format!("<message from='{from}' to='{to}' id='{id}' type='chat'><body>Hi</body></message>")
}

/// A bidirectional stream of [`CLOSED`], to which no connection can be opened.
fn from_closed(world: &World) -> Result<Stream, LoopbackError> {
    let identity = world.ground.authority.issue(&[CLOSED])?;
    let roots = world.ground.authority.roots()?;
    let initiator = Initiator { from: CLOSED, ..world.from_peer(Some(&identity), &roots) };
    Ok(initiator.external_after(REQUEST)?)
}

/// An external peer reaches the engine. Until then the engine does not invite others to answer on its own streams.
/// Otherwise nothing would show whether it is reachable.
fn reach(world: &World) -> Result<(), LoopbackError> {
    let identity = world.ground.authority.issue(&[PEER])?;
    let roots = world.ground.authority.roots()?;
    let mut peer = world.from_peer(Some(&identity), &roots).external()?;
    peer.send(message("romeo@peer.example/r", "juliet@local.example", "reached"))?;
    world.backend.message()?;
    Ok(())
}

/// A stream that the engine opens for a first stanza, whose ID is `there`, to a server that offers bidirectional
/// streams. Also returns the backend's stream that brings the stanza.
fn opened_for_a_stanza(
    world: &World,
    listener: &Listener,
) -> Result<(Stream, Session), LoopbackError> {
    let mut backend = world.stream_from_backend(CLOSED)?;
    backend.send(message("juliet@local.example/b", "romeo@closed.example", "there"))?;
    let tcp = listener.accept(DEADLINE)?;
    let session = world.acceptor(CLOSED)?.accept_offering(tcp, FEATURE)?;
    let session = session.ok_or(PeerError::Closed { awaited: "an authenticated stream" })?;
    Ok((backend, session))
}

#[test]
fn xep0288_the_engine_does_not_ask_before_it_is_known_to_be_reachable() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let listener = Listener::bind(world.closed).unwrap();
    for reached in [false, true] {
        if reached {
            reach(&world).unwrap();
        }
        let (_backend, mut session) = opened_for_a_stanza(&world, &listener).unwrap();
        assert_eq!(session.both_ways, reached);
        session.stream.element("a stanza").unwrap();
        session.stream.send("</stream:stream>").unwrap();
        session.stream.end().unwrap();
    }
}

#[test]
fn xep0288_answers_go_back_over_the_stream_that_the_peer_opened() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let mut peer = from_closed(&world).unwrap();
    peer.send(message("romeo@closed.example/r", "juliet@local.example", "there")).unwrap();
    assert_eq!(world.backend.message().unwrap().attribute("id"), Some("there"));

    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    for id in ["back", "again"] {
        backend.send(message("juliet@local.example/b", "romeo@closed.example", id)).unwrap();
        let arrived = peer.element("a stanza of the other side").unwrap();
        assert_eq!(arrived.attribute("id"), Some(id), "{arrived}");
    }
    assert_eq!(dials(&world, "ConnectRefused").unwrap(), 0, "nothing was dialled");
    assert_eq!(outbound(&world).unwrap(), 0);
}

#[test]
fn xep0288_what_waited_for_a_peer_that_cannot_be_dialled_goes_when_it_comes() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    for id in ["first", "second"] {
        backend.send(message("juliet@local.example/b", "romeo@closed.example", id)).unwrap();
    }
    until("a failed attempt", || dials(&world, "ConnectRefused").unwrap() >= 1).unwrap();
    let mut peer = from_closed(&world).unwrap();
    for id in ["first", "second"] {
        let arrived = peer.element("a stanza that waited").unwrap();
        assert_eq!(arrived.attribute("id"), Some(id), "{arrived}");
    }
}

#[test]
fn xep0288_what_the_peer_did_not_take_goes_with_its_next_stream() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    for round in ["one", "two", "three"] {
        let mut peer = from_closed(&world).unwrap();
        backend.send(message("juliet@local.example/b", "romeo@closed.example", round)).unwrap();
        let arrived = peer.element("a stanza of the other side").unwrap();
        assert_eq!(arrived.attribute("id"), Some(round), "{arrived}");
        peer.send("</stream:stream>").unwrap();
        peer.end().unwrap();
    }
}

#[test]
fn xep0288_a_peer_that_did_not_ask_gets_nothing_on_its_stream() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut peer = world.from_peer(Some(&identity), &roots).external().unwrap();
    peer.send(message("romeo@peer.example/r", "juliet@local.example", "there")).unwrap();
    world.backend.message().unwrap();
    let mut backend = world.stream_from_backend(PEER).unwrap();
    backend.send(message("juliet@local.example/b", "romeo@peer.example", "back")).unwrap();
    assert_eq!(world.peer.message().unwrap().attribute("id"), Some("back"));
    eventually("the stream in the metrics", &1, || outbound(&world)).unwrap();
}

#[test]
fn xep0288_a_peer_answers_over_the_stream_that_the_engine_opened() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let listener = Listener::bind(world.closed).unwrap();
    reach(&world).unwrap();
    let (_backend, mut session) = opened_for_a_stanza(&world, &listener).unwrap();
    assert!(session.both_ways, "the engine asked by an element of {BIDI}");
    let arrived = session.stream.element("a stanza").unwrap();
    assert_eq!(arrived.attribute("id"), Some("there"));
    session.stream.send(message("romeo@closed.example/r", "juliet@local.example", "back")).unwrap();
    assert_eq!(world.backend.message().unwrap().attribute("id"), Some("back"));

    // On this stream, the server may not send for domains other than its own.
    session.stream.send(message("romeo@peer.example/r", "juliet@local.example", "forged")).unwrap();
    let error = session.stream.element("the end of the stream").unwrap_err();
    assert!(
        matches!(&error, PeerError::Stream { condition, .. } if condition == "invalid-from"),
        "{error}"
    );
}

/// Maximum time of a peer's blocked write before the peer counts as stalled.
const JAM: Duration = Duration::from_secs(2);

/// Accepts streams and reads nothing from them.
fn deaf(listener: TcpListener, acceptor: Acceptor) {
    thread::spawn(move || {
        let sessions = listener.incoming().flatten().map(|tcp| acceptor.accept(tcp));
        // Kept open until the test ends.
        sessions.collect::<Vec<_>>()
    });
}

#[test]
fn xep0288_a_stream_that_is_not_read_on_goes_on_sending() {
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        let listener = TcpListener::bind(("127.0.0.5", 0)).unwrap();
        put_backend(config, listener.local_addr().unwrap());
        config["limits"] = json!({"queueBytes": 65_536});
        let acceptor = ground.backend_acceptor().unwrap();
        deaf(listener, acceptor);
    })
    .unwrap();
    let identity = world.ground.authority.issue(&[CLOSED]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let initiator = Initiator { from: CLOSED, ..world.from_peer(Some(&identity), &roots) };
    let mut peer = initiator.external_after(REQUEST).unwrap();
    peer.transport().set_patience(JAM).unwrap();
    // More than all buffers on the way hold: finally a write blocks.
    let body = "x".repeat(100_000);
    let flood =
        format!("<message from='romeo@{CLOSED}' to='juliet@{LOCAL}'><body>{body}</body></message>");
    let taken = (0..1000).take_while(|_| peer.send(&flood).is_ok()).count();
    assert!(taken < 1000, "the engine has taken 100 MB for a backend that reads nothing");
    peer.transport().forget_unsent().unwrap();
    peer.transport().set_patience(DEADLINE).unwrap();

    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    backend.send(message("juliet@local.example/b", "romeo@closed.example", "back")).unwrap();
    let arrived = peer.element("a stanza against the stream").unwrap();
    assert_eq!(arrived.attribute("id"), Some("back"), "{arrived}");
}

/// A second domain of the engine.
const CHAT: &str = "chat.local.example";

fn with_a_second_domain(dialback: bool) -> Result<World, LoopbackError> {
    let kind = PeerKind { dialback, ..ORDINARY };
    let mut installed = Ok(());
    let world = World::start_with(engine(), kind, |ground, config| {
        installed = ground.install_certificate_for(&[LOCAL, CHAT]);
        config["domains"] =
            json!([{"name": LOCAL, "backend": "im"}, {"name": CHAT, "backend": "im"}]);
    })?;
    installed.map(|()| world)
}

/// Sends a stanza from each of the two local domains to the peer.
fn send_from_both(world: &World) -> Result<Vec<Stream>, LoopbackError> {
    let identity: Identity = world.ground.backend_ca.issue(&[LOCAL, CHAT])?;
    let roots = world.ground.backend_ca.roots()?;
    let mut streams = Vec::new();
    for domain in [LOCAL, CHAT] {
        let backend = Initiator {
            address: world.ground.inner,
            from: domain,
            to: PEER,
            identity: Some(&identity),
            roots: &roots,
            security: Security::StartTls,
            timeout: DEADLINE,
        };
        let mut stream = backend.external()?;
        let from = format!("juliet@{domain}");
        stream.send(message(&from, "romeo@peer.example", domain))?;
        assert_eq!(world.peer.message()?.attribute("id"), Some(domain));
        streams.push(stream);
    }
    Ok(streams)
}

#[test]
fn xep0220_2_6_two_domains_share_a_stream_that_dialback_has_proven() {
    let world = with_a_second_domain(true).unwrap();
    let _streams = send_from_both(&world).unwrap();
    eventually("one stream in the metrics", &(1, 1), || streams_and_dials(&world)).unwrap();
}

#[test]
fn each_domain_has_its_own_stream_where_its_certificate_speaks_for_it() {
    let world = with_a_second_domain(false).unwrap();
    let _streams = send_from_both(&world).unwrap();
    eventually("two streams in the metrics", &(2, 2), || streams_and_dials(&world)).unwrap();
}

#[test]
fn xep0220_2_6_two_domains_at_one_address_share_a_stream_if_the_peer_answers_errors() {
    let mut server = None;
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        let acceptor = Acceptor {
            domain: "one.example".to_owned(),
            identity: ground.authority.issue(&["one.example"]).unwrap(),
            roots: ground.authority.roots().unwrap(),
            proof: Proof::Dialback { authority: ground.outer },
            secret: secret_of("one.example"),
            timeout: DEADLINE,
        };
        let started = Server::start(([127, 0, 0, 4], 0).into(), acceptor).unwrap();
        let route = json!({"targets": [started.address().to_string()]});
        let off = json!({"mode": "Off"});
        config["peers"] = json!([
            {"domain": "one.example", "route": route, "probe": off},
            {"domain": "two.example", "route": route, "probe": off},
        ]);
        server = Some(started);
    })
    .unwrap();
    let server = server.unwrap();
    let mut streams = Vec::new();
    for domain in ["one.example", "two.example"] {
        let mut backend = world.stream_from_backend(domain).unwrap();
        backend.send(message("juliet@local.example", &format!("x@{domain}"), domain)).unwrap();
        assert_eq!(server.message().unwrap().attribute("id"), Some(domain));
        streams.push(backend);
    }
    eventually("one stream in the metrics", &(1, 1), || streams_and_dials(&world)).unwrap();
}
