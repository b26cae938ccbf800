//! Each sub-domain of a server (`conference.`, `upload.`, `pubsub.`) is a domain of its own between servers: its own
//! streams, its own place in the certificate, its own pairs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test states its expectations so")]

use harness::loopback::{
    BACKEND_ADDRESS, DEADLINE, LOCAL, ORDINARY, PEER, World, put_backend, secret_of,
};
use harness::program::engine;
use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::error::PeerError;
use s2s_peer::initiator::Initiator;
use s2s_peer::server::{Event, Server};
use serde_json::json;

const ALL: [&str; 4] =
    [LOCAL, "conference.local.example", "upload.local.example", "pubsub.local.example"];

/// One backend that serves all of them.
fn world() -> (World, Server) {
    let mut server = None;
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        ground.install_certificate_for(&ALL).unwrap();
        let acceptor = Acceptor {
            domain: LOCAL.to_owned(),
            identity: ground.backend_ca.issue(&ALL).unwrap(),
            roots: ground.backend_ca.roots().unwrap(),
            proof: Proof::Certificate,
            secret: secret_of(LOCAL),
            timeout: DEADLINE,
        };
        let backend = Server::start((BACKEND_ADDRESS, 0).into(), acceptor).unwrap();
        put_backend(config, backend.address());
        config["domains"] = ALL.iter().map(|name| json!({"name": name, "backend": "im"})).collect();
        server = Some(backend);
    });
    (world.unwrap(), server.unwrap())
}

fn message(from: &str, to: &str) -> String {
    format!("<message from='{from}' to='{to}' id='{from} {to}'><body>Hi</body></message>")
}

/// The domain for which the stream of that message is authenticated at the server.
fn authenticated(server: &Server, from: &str, to: &str) -> String {
    let id = format!("{from} {to}");
    let sender = server.wait("the message", |event| match event {
        Event::Stanza { from, stanza } if stanza.attribute("id") == Some(id.as_str()) => Some(from),
        _ => None,
    });
    sender.unwrap()
}

#[test]
fn each_sub_domain_has_its_own_streams_in_both_directions() {
    let (world, backend) = world();
    let (peer_identity, peer_roots) =
        (world.ground.authority.issue(&[PEER]).unwrap(), world.ground.authority.roots().unwrap());
    let (identity, roots) =
        (world.ground.backend_ca.issue(&ALL).unwrap(), world.ground.backend_ca.roots().unwrap());
    for domain in ALL {
        let (theirs, ours) = (format!("romeo@{PEER}"), format!("juliet@{domain}"));
        let inbound =
            Initiator { to: domain, ..world.from_peer(Some(&peer_identity), &peer_roots) };
        let mut stream = inbound.external().unwrap_or_else(|error| panic!("{domain}: {error}"));
        stream.send(message(&theirs, &ours)).unwrap();
        assert_eq!(authenticated(&backend, &theirs, &ours), PEER);

        let outbound = Initiator { from: domain, ..world.from_backend(&identity, &roots, PEER) };
        let mut stream = outbound.external().unwrap_or_else(|error| panic!("{domain}: {error}"));
        stream.send(message(&ours, &theirs)).unwrap();
        assert_eq!(authenticated(&world.peer, &ours, &theirs), domain);
    }
}

#[test]
fn a_stream_for_the_parent_domain_carries_nothing_for_a_sub_domain() {
    let (world, _backend) = world();
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut stream = world.from_peer(Some(&identity), &roots).external().unwrap();
    stream.send(message("romeo@peer.example", "hall@conference.local.example")).unwrap();
    match stream.element("the end of the stream") {
        Err(PeerError::Stream { condition, .. }) => assert_eq!(condition, "invalid-from"),
        other => panic!("{other:?}"),
    }
}
