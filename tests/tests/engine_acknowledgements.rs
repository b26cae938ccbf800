//! Stanzas that are acknowledged (XEP-0198): the real engine program and scripted servers that break their streams.
//! Loopback only.

use std::net::TcpListener;

use tests::engine::get;
use tests::loopback::{CLOSED, ORDINARY, PATIENCE, PEER, World, secret_of};
use tests::peer::acceptor::{Acceptor, Proof, Session};
use tests::peer::namespace::STREAM_MANAGEMENT;
use tests::program::engine;

const FEATURE: &str = "<sm xmlns='urn:xmpp:sm:3'/>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3'/>";

fn message(id: u32) -> String {
    format!(
        "<message from='juliet@local.example/b' to='romeo@closed.example' id='{id}' type='chat'>\
         <body>Hi</body></message>"
    )
}

fn acceptor(world: &World) -> Acceptor {
    Acceptor {
        domain: CLOSED.to_owned(),
        identity: world.ground.authority.issue(&[CLOSED]).unwrap(),
        roots: world.ground.authority.roots().unwrap(),
        proof: Proof::Certificate,
        secret: secret_of(CLOSED),
        patience: PATIENCE,
    }
}

/// The engine's next stream, on which it has asked for acknowledgements and got `answer`.
fn managed(acceptor: &Acceptor, listener: &TcpListener, answer: &str) -> Session {
    let (tcp, _) = listener.accept().unwrap();
    let mut session = acceptor.accept_offering(tcp, FEATURE).unwrap().unwrap();
    session.stream.expect(STREAM_MANAGEMENT, "enable", "a request for acknowledgements").unwrap();
    session.stream.send(answer).unwrap();
    session
}

/// Takes stanzas with these ids; requests for an acknowledgement come in between.
fn takes(session: &mut Session, ids: impl IntoIterator<Item = u32>) {
    for id in ids {
        let stanza = loop {
            let element = session.stream.element("a stanza").unwrap();
            if element.namespace != STREAM_MANAGEMENT {
                break element;
            }
        };
        assert_eq!(stanza.attribute("id"), Some(id.to_string().as_str()), "{stanza}");
    }
}

fn acknowledge(session: &mut Session, count: u32) {
    session.stream.send(format!("<a xmlns='urn:xmpp:sm:3' h='{count}'/>")).unwrap();
}

/// A value of `/metrics`.
fn metric(world: &World, name: &str) -> u64 {
    let all = get(world.ground.admin, "/metrics").unwrap();
    all.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default()
}

const RELAYED: &str = "xmpp_federation_stanzas_relayed_total{leg=\"outer\"}";
const QUEUED: &str = "xmpp_federation_stanzas_queued";

#[test]
fn xep0198_what_was_not_acknowledged_is_sent_again_in_order_on_the_next_stream() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let (acceptor, listener) = (acceptor(&world), TcpListener::bind(world.closed).unwrap());
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    for id in 0..4 {
        backend.send(message(id)).unwrap();
    }
    let mut session = managed(&acceptor, &listener, ENABLED);
    takes(&mut session, 0..4);
    acknowledge(&mut session, 1);
    // The stream breaks without a word. What TCP had taken is not taken for delivered.
    backend.send(message(4)).unwrap();
    takes(&mut session, 4..5);
    drop(session);

    let mut session = managed(&acceptor, &listener, ENABLED);
    backend.send(message(5)).unwrap();
    takes(&mut session, 1..6);
    acknowledge(&mut session, 5);
    backend.send(message(6)).unwrap();
    takes(&mut session, 6..7);
    assert_eq!(
        (metric(&world, RELAYED), metric(&world, QUEUED)),
        (6, 1),
        "one is not acknowledged"
    );
    acknowledge(&mut session, 6);
    session.stream.send("<r xmlns='urn:xmpp:sm:3'/>").unwrap();
    let answer = loop {
        let element = session.stream.element("an acknowledgement").unwrap();
        if element.name == "a" {
            break element;
        }
    };
    assert_eq!(answer.attribute("h"), Some("0"), "the peer sent nothing");
    assert_eq!((metric(&world, RELAYED), metric(&world, QUEUED)), (7, 0));
}

#[test]
fn xep0198_a_peer_that_offers_it_and_refuses_gets_its_stanzas() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let (acceptor, listener) = (acceptor(&world), TcpListener::bind(world.closed).unwrap());
    let mut backend = world.stream_from_backend(CLOSED).unwrap();
    backend.send(message(0)).unwrap();
    let mut session = managed(&acceptor, &listener, "<failed xmlns='urn:xmpp:sm:3'/>");
    for id in 0..3 {
        takes(&mut session, id..=id);
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
