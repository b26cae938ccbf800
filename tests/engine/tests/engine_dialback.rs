//! Server Dialback between the real engine program and scripted servers, beyond the three roles of XEP-0220. Loopback
//! only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test states its expectations so")]

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread;

use harness::claim;
use harness::engine::Engine;
use harness::loopback::{CLOSED, DEADLINE, LOCAL, ORDINARY, World, eventually, secret_of, until};
use harness::metrics::Metrics;
use harness::program::engine;
use s2s_conformance::dialled::Dialled;
use s2s_conformance::target::{DIALBACK_FEATURES, EXTERNAL_FEATURES};
use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::dialback;
use s2s_peer::error::PeerError;
use s2s_peer::initiator::{Initiator, Opened};
use s2s_peer::listener::Listener;
use s2s_peer::namespace::{DIALBACK, SASL, SERVER, STANZA_ERRORS, STREAM_ERRORS};
use s2s_peer::server::Server;
use s2s_peer::stream::Stream;
use serde_json::json;

/// Listens at the address that DNS gives for the server of [`CLOSED`], and never answers.
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
    let further = format!("rooms.{CLOSED}");
    let identity = world.ground.authority.issue(&[CLOSED, &further]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let peer = Initiator { from: CLOSED, ..world.from_peer(Some(&identity), &roots) };
    let Opened { mut stream, id, .. } = peer.open().unwrap();
    // A further sender on the same stream is checked against the same certificate (XEP-0220 §2.6).
    for from in [CLOSED, &further] {
        dialback::authenticate(&mut stream, &secret_of(from), from, LOCAL, &id).unwrap();
        stream
            .send(format!("<message from='romeo@{from}' to='juliet@{LOCAL}' id='{from}'/>"))
            .unwrap();
        assert_eq!(world.backend.message().unwrap().attribute("id"), Some(from));
    }
    let reported = |line: &&str| line.contains("how=DialbackByCertificate");
    eventually("a line in the log for each sender", &2, || {
        Ok(world.engine.log().lines().filter(reported).count())
    })
    .unwrap();
    assert!(!was_called(&server));
}

/// A server whose authoritative server is unreachable, and the answer that it gets. Its certificate would confirm its
/// key, but the configuration forbids that.
fn question_that_fails() -> (World, String) {
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["peers"] = json!([{
            "domain": CLOSED, "authentication": {"confirmDialbackByCertificate": false}
        }]);
    })
    .unwrap();
    let identity = world.ground.authority.issue(&[CLOSED]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let peer = Initiator { from: CLOSED, ..world.from_peer(Some(&identity), &roots) };
    let answer = match peer.dialback(&secret_of(CLOSED)) {
        Err(PeerError::Refused { answer }) => answer,
        other => panic!("{other:?}"),
    };
    (world, answer)
}

#[test]
fn xep0344_is_off_where_the_configuration_says_so() {
    let (_world, answer) = question_that_fails();
    assert!(answer.contains("remote-connection-failed"), "{answer}");
}

#[test]
fn rfc6120_6_4_5_a_peer_that_closes_over_our_certificate_is_tried_again_by_dialback() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let server = Listener::bind(world.closed).unwrap();
    let mut stream = world.stream_from_backend(CLOSED).unwrap();
    stream
        .send(format!("<message from='juliet@{LOCAL}/b' to='tybalt@{CLOSED}' id='m1'/>"))
        .unwrap();
    let identity = world.ground.authority.issue(&[CLOSED]).unwrap();
    let accept = || {
        let accepted = Stream::accepted(server.accept(DEADLINE).unwrap(), DEADLINE).unwrap();
        Dialled::accept(accepted, &identity, EXTERNAL_FEATURES).unwrap()
    };
    let mut first = accept();
    first.stream.expect(SASL, "auth", "SASL EXTERNAL").unwrap();
    let refusal = format!("<failure xmlns='{SASL}'><not-authorized/></failure></stream:stream>");
    first.stream.send(refusal).unwrap();
    drop(first);
    let mut second = accept();
    let key = second.stream.expect(DIALBACK, "result", "a dialback key").unwrap();
    second.answer_key(&key, "type='valid'/>").unwrap();
    assert_eq!(second.stanza().unwrap().attribute("id"), Some("m1"));
}

#[test]
fn what_a_stranger_is_notified_of_a_failed_question_names_no_address_and_our_log_does() {
    let (world, answer) = question_that_fails();
    assert!(answer.contains("remote-connection-failed"), "{answer}");
    assert!(!answer.contains(&world.closed.ip().to_string()), "{answer}");
    let address = world.closed.to_string();
    until("the true cause in the log", || {
        let log = world.engine.log();
        log.lines().any(|line| line.contains("dialback request refused") && line.contains(&address))
    })
    .unwrap();
}

/// The bounce text of a message to a server that calls our key invalid, and the reason in the log. `asks`: whether the
/// server verified the key with us first.
fn refused_key(asks: bool) -> (String, String) {
    let world = World::start(engine(), ORDINARY).unwrap();
    let server = Listener::bind(world.closed).unwrap();
    let mut stream = world.stream_from_backend(CLOSED).unwrap();
    stream
        .send(format!("<message from='juliet@{LOCAL}/b' to='tybalt@{CLOSED}' id='m1'/>"))
        .unwrap();

    let identity = world.ground.authority.issue(&[CLOSED]).unwrap();
    let accepted = Stream::accepted(server.accept(DEADLINE).unwrap(), DEADLINE).unwrap();
    let mut dialled = Dialled::accept(accepted, &identity, DIALBACK_FEATURES).unwrap();
    let key = dialled.stream.expect(DIALBACK, "result", "a dialback key").unwrap();
    if asks {
        let roots = world.ground.authority.roots().unwrap();
        let asking = Initiator { from: CLOSED, ..world.from_peer(Some(&identity), &roots) };
        assert!(asking.verify(&key, &dialled.id).unwrap());
    }
    dialled.answer_key(&key, "type='invalid'/>").unwrap();

    let bounce = world.backend.message().unwrap();
    let error = bounce.child(SERVER, "error").unwrap();
    let mut reason = None;
    until("the reason in the log", || {
        let log = world.engine.log();
        let line = log.lines().find(|line| line.contains("reason=\"DialbackInvalid"));
        let found = line.and_then(|line| line.split("reason=\"").nth(1)?.split_once('"'));
        reason = found.map(|(reason, _)| reason.to_owned());
        reason.is_some()
    })
    .unwrap();
    let reason = reason.unwrap();
    (error.child(STANZA_ERRORS, "text").unwrap().text.clone(), reason)
}

#[test]
fn a_key_that_is_called_invalid_without_a_question_points_to_another_server_with_our_domain() {
    let (text, reason) = refused_key(false);
    assert_eq!(reason, "DialbackInvalidUnasked");
    assert!(text.contains("sent no db:verify request about it to this replica"), "{text}");
    assert!(
        text.ends_with("it may have queried one whose dialback secret differs"),
        "nothing is cut off: {text}"
    );
}

#[test]
fn a_key_that_is_called_invalid_although_it_was_confirmed_is_the_peers_affair() {
    let (text, reason) = refused_key(true);
    assert_eq!(reason, "DialbackInvalid");
    assert!(text.contains("this replica confirmed the key when the peer verified it"), "{text}");
}

/// A second engine of the same federation, with the same files and its own ports; and the addresses for peers and for
/// us.
fn other_replica(world: &World, directory: &Path) -> (Engine, SocketAddr, SocketAddr) {
    let mut config = world.config.clone();
    let [outer, admin] = [(); 2].map(|()| claim::port().unwrap());
    let listen = json!({"s2s": outer.to_string(), "admin": admin.to_string()});
    config.as_object_mut().unwrap().insert("listen".to_owned(), listen);
    (Engine::start(engine(), directory, &config, admin).unwrap(), outer, admin)
}

#[test]
fn xep0220_2_3_a_key_of_one_replica_is_confirmed_by_another() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (other, authority, admin) = other_replica(&world, directory.path());
    // DNS leads this peer to the replica that did not open the stream.
    let proof = Proof::Dialback { authority };
    let acceptor = Acceptor { proof, ..world.acceptor(CLOSED).unwrap() };
    let server = Server::start(world.closed, acceptor).unwrap();
    let mut stream = world.stream_from_backend(CLOSED).unwrap();
    stream
        .send(format!("<message from='juliet@{LOCAL}' to='romeo@{CLOSED}' id='through'/>"))
        .unwrap();
    assert_eq!(server.message().unwrap().attribute("id"), Some("through"), "{}", other.log());
    let asked = |engine: SocketAddr| {
        let labels = [("result", "Valid")];
        Metrics::of(engine).unwrap().sum("keys_answered_total", &labels)
    };
    eventually("the question in the metrics of the other replica", &(0, 1), || {
        Ok((asked(world.ground.admin), asked(admin)))
    })
    .unwrap();
}

#[test]
fn xep0220_2_5_an_authoritative_server_that_does_not_host_the_domain_is_not_found() {
    let world = World::start(engine(), ORDINARY).unwrap();
    let listener = Listener::bind(world.closed).unwrap();
    let server = thread::spawn(move || {
        let mut stream = Stream::accepted(listener.accept(DEADLINE)?, DEADLINE)?;
        stream.header()?;
        stream.send_header("", LOCAL, "s1")?;
        stream.send(format!(
            "<stream:error><host-unknown xmlns='{STREAM_ERRORS}'/></stream:error></stream:stream>"
        ))
    });
    let roots = world.ground.authority.roots().unwrap();
    let peer = Initiator { from: CLOSED, ..world.from_peer(None, &roots) };
    let answer = match peer.dialback(&secret_of(CLOSED)) {
        Err(PeerError::Refused { answer }) => answer,
        other => panic!("{other:?}"),
    };
    server.join().unwrap().unwrap();
    assert!(answer.contains("remote-server-not-found"), "{answer}");
}
