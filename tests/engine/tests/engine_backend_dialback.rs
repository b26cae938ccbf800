//! A backend that authenticates by dialback: over TLS (`authentication: Dialback`), or without TLS (`PlainDialback`). The
//! engine authenticates to it in the same way. For this backend, the engine is the authoritative server of every remote
//! domain. The engine verifies keys of the backend's own domain with the backend.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::net::SocketAddr;

use harness::loopback::{DEADLINE, LOCAL, ORDINARY, PEER, World, secret_of};
use harness::program::engine;
use s2s_peer::acceptor::{Acceptor, Proof, WithoutTls};
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::server::Server;

/// The engine refuses to dial its own address, and other backends have theirs.
const BACKEND: [u8; 4] = [127, 0, 0, 4];

#[test]
fn messages_pass_in_both_directions_and_a_forged_key_does_not() {
    exchange(Security::StartTls);
}

#[test]
fn messages_pass_without_tls_and_a_forged_key_does_not() {
    exchange(Security::Plain);
}

fn exchange(security: Security) {
    let is_plain = matches!(security, Security::Plain);
    let mut backend = None;
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        let acceptor = Acceptor {
            domain: LOCAL.to_owned(),
            // Not checked: dialback decides.
            identity: ground.authority.issue(&["elsewhere.example"]).unwrap(),
            // The scripted server aborts a handshake with an unknown authority; a real server of this kind would not.
            roots: ground.backend_ca.roots().unwrap(),
            proof: Proof::Dialback { authority: ground.inner },
            secret: secret_of(LOCAL),
            timeout: DEADLINE,
        };
        let address = SocketAddr::from((BACKEND, 0));
        let server = if is_plain {
            Server::start(address, WithoutTls(acceptor)).unwrap()
        } else {
            Server::start(address, acceptor).unwrap()
        };
        config["backends"][0]["server"] = serde_json::json!({
            "host": server.address().ip().to_string(),
            "port": server.address().port(),
            "authentication": if is_plain { "PlainDialback" } else { "Dialback" },
        });
        backend = Some(server);
    })
    .unwrap();
    let backend = backend.unwrap();

    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut peer = world.from_peer(Some(&identity), &roots).external().unwrap();
    peer.send(format!("<message from='romeo@{PEER}' to='juliet@{LOCAL}' id='in'/>")).unwrap();
    assert_eq!(backend.message().unwrap().attribute("id"), Some("in"), "{}", world.engine.log());

    // The engine's own authority issues its certificate; this backend need not trust that authority.
    let minted = world.ground.backend_ca.roots().unwrap();
    let from_backend =
        Initiator { identity: None, security, ..world.from_backend(&identity, &minted, PEER) };
    let mut stream = from_backend.dialback(&secret_of(LOCAL)).unwrap();
    stream.send(format!("<message from='juliet@{LOCAL}' to='romeo@{PEER}' id='out'/>")).unwrap();
    assert_eq!(
        world.peer.message().unwrap().attribute("id"),
        Some("out"),
        "{}",
        world.engine.log()
    );

    let forged = from_backend.dialback(&secret_of("somebody else"));
    assert!(forged.is_err(), "{forged:?}");
}
