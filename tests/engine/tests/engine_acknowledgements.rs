//! Acknowledged stanzas (XEP-0198): the real engine program and scripted servers that break their streams. Loopback
//! only.

use std::net::TcpStream;

use harness::loopback::{
    CLOSED, DEADLINE, LoopbackError, ORDINARY, PEER, World, eventually, until,
};
use harness::program::engine;
use s2s_peer::acceptor::{Acceptor, Session};
use s2s_peer::element::Element;
use s2s_peer::error::{PeerError, Result};
use s2s_peer::listener::Listener;
use s2s_peer::namespace::{SERVER, STANZA_ERRORS, STREAM_MANAGEMENT};

const FEATURE: &str = "<sm xmlns='urn:xmpp:sm:3'/>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3'/>";

fn message(id: u32) -> String {
    format!(
        "<message from='juliet@local.example/b' to='romeo@closed.example' id='{id}' type='chat'>\
         <body>Hi</body></message>"
    )
}

/// The engine's next stream, on which it requested acknowledgements and received `answer`.
fn managed(acceptor: &Acceptor, listener: &Listener, answer: &str) -> Result<Session> {
    let tcp = listener.accept(DEADLINE)?;
    let awaited = "an authenticated stream";
    let session = acceptor.accept_offering(tcp, FEATURE)?;
    let mut session = session.ok_or(PeerError::Closed { awaited })?;
    session.stream.expect(STREAM_MANAGEMENT, "enable", "a request for acknowledgements")?;
    session.stream.send(answer)?;
    Ok(session)
}

/// Receives stanzas with these ids; requests for an acknowledgement come in between.
fn takes(session: &mut Session, ids: impl IntoIterator<Item = u32>) -> Result<()> {
    for id in ids {
        let stanza = loop {
            let element = session.stream.element("a stanza")?;
            if element.namespace != STREAM_MANAGEMENT {
                break element;
            }
        };
        assert_eq!(stanza.attribute("id"), Some(id.to_string().as_str()), "{stanza}");
    }
    Ok(())
}

fn acknowledge(session: &mut Session, count: u32) -> Result<()> {
    session.stream.send(format!("<a xmlns='urn:xmpp:sm:3' h='{count}'/>"))
}

/// Stanzas that peers have accepted, and stanzas that are still queued.
fn relayed_and_queued(world: &World) -> std::result::Result<(u64, u64), LoopbackError> {
    let relayed = world.count("stanzas_relayed_total", &[("leg", "outer")])?;
    Ok((relayed, world.count("stanzas_queued", &[])?))
}

#[test]
fn xep0198_what_was_not_acknowledged_is_sent_again_in_order_on_the_next_stream() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let (acceptor, listener) =
        (world.acceptor(CLOSED).unwrap(), Listener::bind(world.closed).unwrap());
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    for id in 0..4 {
        backend.send(message(id)).unwrap();
    }
    let mut session = managed(&acceptor, &listener, ENABLED).unwrap();
    takes(&mut session, 0..4).unwrap();
    acknowledge(&mut session, 1).unwrap();
    // The connection breaks without a stream error. Stanzas that TCP accepted do not count as delivered.
    backend.send(message(4)).unwrap();
    takes(&mut session, 4..5).unwrap();
    drop(session);

    let mut session = managed(&acceptor, &listener, ENABLED).unwrap();
    backend.send(message(5)).unwrap();
    takes(&mut session, 1..6).unwrap();
    acknowledge(&mut session, 5).unwrap();
    backend.send(message(6)).unwrap();
    takes(&mut session, 6..7).unwrap();
    // The engine may read the acknowledgement of five stanzas after it has written the seventh stanza.
    eventually("one that is not acknowledged", &(6, 1), || relayed_and_queued(&world)).unwrap();
    acknowledge(&mut session, 6).unwrap();
    session.stream.send("<r xmlns='urn:xmpp:sm:3'/>").unwrap();
    let answer = acknowledgement(&mut session).unwrap();
    assert_eq!(answer.attribute("h"), Some("0"), "the peer sent nothing");
    eventually("the last acknowledgement", &(7, 0), || relayed_and_queued(&world)).unwrap();
    assert_eq!(world.count("stanzas_resent_total", &[("leg", "outer")]).unwrap(), 4);
}

#[test]
fn xep0198_a_peer_that_offers_it_and_refuses_gets_its_stanzas() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let (acceptor, listener) =
        (world.acceptor(CLOSED).unwrap(), Listener::bind(world.closed).unwrap());
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    backend.send(message(0)).unwrap();
    let mut session = managed(&acceptor, &listener, "<failed xmlns='urn:xmpp:sm:3'/>").unwrap();
    for id in 0..3 {
        takes(&mut session, id..=id).unwrap();
        backend.send(message(id + 1)).unwrap();
    }
}

#[test]
fn xep0198_the_engine_acknowledges_what_it_has_taken_over() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut peer = world.from_peer(Some(&identity), &roots).external().unwrap();
    peer.send("<enable xmlns='urn:xmpp:sm:3'/>").unwrap();
    peer.expect(STREAM_MANAGEMENT, "enabled", "consent").unwrap();
    for count in ["1", "2"] {
        peer.send("<message from='romeo@peer.example/r' to='juliet@local.example'/>").unwrap();
        world.backend.message().unwrap();
        peer.send("<r xmlns='urn:xmpp:sm:3'/>").unwrap();
        let answer = peer.expect(STREAM_MANAGEMENT, "a", "an acknowledgement").unwrap();
        assert_eq!(answer.attribute("h"), Some(count));
    }
    peer.send("</stream:stream>").unwrap();
    let answer = peer.expect(STREAM_MANAGEMENT, "a", "the last acknowledgement").unwrap();
    assert_eq!(answer.attribute("h"), Some("2"));
    peer.end().unwrap();
}

/// The next acknowledgement; requests for one come in between.
fn acknowledgement(session: &mut Session) -> Result<Element> {
    loop {
        let element = session.stream.element("an acknowledgement")?;
        if element.is(STREAM_MANAGEMENT, "a") {
            return Ok(element);
        }
    }
}

/// Ends a stream like a server that cannot read its input.
fn choke(mut session: Session) -> Result<()> {
    session.stream.send(
        "<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>\
         </stream:stream>",
    )?;
    // Requests for an acknowledgement may come before the end.
    while session.stream.element("the end of the stream").is_ok() {}
    Ok(())
}

#[test]
fn a_stanza_at_which_two_streams_end_comes_back_and_its_neighbours_arrive() {
    const POISON: u32 = 1;
    let world = World::start(engine(), ORDINARY).unwrap();
    let (acceptor, listener) =
        (world.acceptor(CLOSED).unwrap(), Listener::bind(world.closed).unwrap());
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    for id in 0..4 {
        backend.send(message(id)).unwrap();
    }
    eventually("four stanzas in the queue", &(0, 4), || relayed_and_queued(&world)).unwrap();
    let mut session = managed(&acceptor, &listener, ENABLED).unwrap();
    takes(&mut session, 0..4).unwrap();
    choke(session).unwrap();

    // Any of the four stanzas may be the cause. On the next stream the engine sends one at a time.
    let mut session = managed(&acceptor, &listener, ENABLED).unwrap();
    takes(&mut session, 0..1).unwrap();
    session.stream.expect(STREAM_MANAGEMENT, "r", "a request and no other stanza").unwrap();
    acknowledge(&mut session, 1).unwrap();
    takes(&mut session, POISON..=POISON).unwrap();
    session.stream.expect(STREAM_MANAGEMENT, "r", "a request and no other stanza").unwrap();
    choke(session).unwrap();

    let mut session = managed(&acceptor, &listener, ENABLED).unwrap();
    for count in 1..=2 {
        takes(&mut session, POISON + count..=POISON + count).unwrap();
        acknowledge(&mut session, count).unwrap();
    }
    eventually("all but one relayed", &(3, 0), || relayed_and_queued(&world)).unwrap();
    let bounce = world.backend.message().unwrap();
    assert_eq!(bounce.attribute("id"), Some(POISON.to_string().as_str()), "{bounce}");
    let error = bounce.child(SERVER, "error").unwrap();
    assert_eq!(error.attribute("type"), Some("modify"), "{bounce}");
    assert!(error.child(STANZA_ERRORS, "bad-request").is_some(), "{bounce}");
    assert!(bounce.to_string().contains("not-well-formed"), "{bounce}");
    let refused = [("reason", "EndsStreams")];
    assert_eq!(world.count("stanzas_refused_total", &refused).unwrap(), 1);
    // No other stanza comes back.
    backend.send(message(4)).unwrap();
    takes(&mut session, 4..5).unwrap();
}

fn is_shutdown(error: &PeerError) -> bool {
    matches!(error, PeerError::Stream { condition, .. } if condition == "system-shutdown")
}

#[test]
fn a_stream_stays_for_the_last_acknowledgement_when_the_engine_ends() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let (acceptor, listener) =
        (world.acceptor(CLOSED).unwrap(), Listener::bind(world.closed).unwrap());
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    backend.send(message(0)).unwrap();
    let mut session = managed(&acceptor, &listener, ENABLED).unwrap();
    takes(&mut session, 0..1).unwrap();
    world.engine.terminate().unwrap();
    until("no more connections", || TcpStream::connect(world.ground.outer).is_err()).unwrap();
    // The peer has not acknowledged the stanza yet, and the engine still reads from it.
    session.stream.send("<r xmlns='urn:xmpp:sm:3'/>").unwrap();
    acknowledgement(&mut session).unwrap();
    acknowledge(&mut session, 1).unwrap();
    // A further acknowledgement, the last one, comes before the end (XEP-0198 §4).
    acknowledgement(&mut session).unwrap();
    let reported = session.stream.element("the end of the stream").unwrap_err();
    assert!(is_shutdown(&reported), "{reported}");
    let reported = backend.element("the end of the stream").unwrap_err();
    assert!(is_shutdown(&reported), "{reported}");
}
