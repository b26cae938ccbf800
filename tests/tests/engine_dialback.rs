//! Server Dialback as the real engine program runs it between scripted servers, as far as it is more than the three roles of
//! XEP-0220. Loopback only.

use std::io::ErrorKind;
use std::net::TcpListener;

use serde_json::json;
use tests::loopback::{CLOSED, LOCAL, ORDINARY, World, secret_of};
use tests::peer::dialback;
use tests::peer::error::PeerError;
use tests::peer::initiator::{Initiator, Opened};
use tests::program::engine;

/// Listens where DNS says that the server of [`CLOSED`] is, and answers nobody.
fn authoritative_server(world: &World) -> TcpListener {
    let listener = TcpListener::bind(world.closed).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn was_called(server: &TcpListener) -> bool {
    match server.accept() {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn xep0344_2_4_a_certificate_that_proves_the_sender_spares_the_authoritative_server_the_question() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let server = authoritative_server(&world);
    let rooms = format!("rooms.{CLOSED}");
    let identity = world.ground.authority.issue(&[CLOSED, &rooms]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let peer = Initiator { from: CLOSED, ..world.from_peer(Some(&identity), &roots) };
    let Opened { mut stream, id, .. } = peer.open().unwrap();
    // A further sender on the same stream is judged by the same certificate (XEP-0220 §2.6).
    for from in [CLOSED, &rooms] {
        dialback::authenticate(&mut stream, &secret_of(from), from, LOCAL, &id).unwrap();
        stream
            .send(format!("<message from='romeo@{from}' to='juliet@{LOCAL}' id='{from}'/>"))
            .unwrap();
        assert_eq!(world.backend.message().unwrap().attribute("id"), Some(from));
    }
    assert!(!was_called(&server));
    let log = world.engine.log();
    let told = |line: &&str| line.contains("how=DialbackByCertificate");
    assert_eq!(log.lines().filter(told).count(), 2, "{log}");
}

#[test]
fn xep0344_is_off_where_the_configuration_says_so() {
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["peers"] = json!([{
            "domain": CLOSED, "authentication": {"confirmDialbackByCertificate": false}
        }]);
    })
    .unwrap();
    let identity = world.ground.authority.issue(&[CLOSED]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let peer = Initiator { from: CLOSED, ..world.from_peer(Some(&identity), &roots) };
    match peer.dialback(&secret_of(CLOSED)) {
        Err(PeerError::Refused { answer }) => {
            assert!(answer.contains("remote-connection-failed"), "{answer}");
        }
        other => panic!("{other:?}"),
    }
}
