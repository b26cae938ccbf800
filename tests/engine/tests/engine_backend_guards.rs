//! What a backend cannot do to others: speak for domains that it does not host, keep peers from queueing while it is
//! down, or slow down the domains of another backend.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test states its expectations so"
)]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use harness::claim;
use harness::loopback::{BACKEND_ADDRESS, LOCAL, ORDINARY, PEER, World, put_backend, serve, until};
use harness::program::engine;
use s2s_peer::acceptor::Proof;
use s2s_peer::error::PeerError;
use s2s_peer::initiator::Initiator;
use s2s_peer::server::Server;
use serde_json::json;

const ROOMS: &str = "rooms.hosted.example";
const ROOMS_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

/// The backend `rooms` for [`ROOMS`], beside the backend of [`LOCAL`]. It listens at this address.
fn two_backends(rooms: SocketAddr) -> World {
    World::start_with(engine(), ORDINARY, |ground, config| {
        ground.install_certificate_for(&[LOCAL, ROOMS]).unwrap();
        let mut second = config["backends"][0].clone();
        second["name"] = json!("rooms");
        second["server"]["host"] = json!(rooms.ip().to_string());
        second["server"]["port"] = json!(rooms.port());
        config["backends"].as_array_mut().unwrap().push(second);
        let domains = config["domains"].as_array_mut().unwrap();
        domains.push(json!({"name": ROOMS, "backend": "rooms"}));
    })
    .unwrap()
}

fn condition(error: &PeerError) -> &str {
    match error {
        PeerError::Stream { condition, .. } => condition,
        other => panic!("no stream error: {other:?}"),
    }
}

/// The condition with which the engine refuses a new stream of the peer to this domain; `None` if it accepts.
fn refusal(world: &World, to: &'static str) -> Option<String> {
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let initiator = Initiator { to, ..world.from_peer(Some(&identity), &roots) };
    initiator.external().err().map(|error| condition(&error).to_owned())
}

#[test]
fn a_certificate_of_a_backend_that_also_names_another_backends_domain_proves_nothing() {
    let world = two_backends(SocketAddr::from((ROOMS_ADDRESS, claim::port().unwrap().port())));
    let trusted = world.ground.backend_ca.roots().unwrap();
    let stream = |names: &[&str]| {
        let identity = world.ground.backend_ca.issue(names).unwrap();
        world.from_backend(&identity, &trusted, PEER).external().map(drop)
    };
    stream(&[LOCAL]).unwrap();
    for names in [&[LOCAL, ROOMS][..], &[LOCAL, "*.hosted.example"]] {
        let refused = stream(names).unwrap_err();
        assert_eq!(condition(&refused), "policy-violation", "{names:?}: {refused:?}");
    }
    let log = world.engine.log();
    let lines: Vec<_> =
        log.lines().filter(|line| line.contains("CertificateForOtherBackend")).collect();
    assert!(!lines.is_empty(), "{log}");
    assert!(lines[0].contains(ROOMS), "{}", lines[0]);
}

#[test]
fn new_streams_to_a_backend_that_is_down_are_refused_so_that_peers_queue_and_the_others_go_on() {
    // Nothing listens there yet.
    let closed = TcpListener::bind((ROOMS_ADDRESS, 0)).unwrap().local_addr().unwrap();
    let world = two_backends(closed);
    until("the refusal", || refusal(&world, ROOMS).is_some()).unwrap();
    assert_eq!(refusal(&world, ROOMS).as_deref(), Some("remote-connection-failed"));
    assert_eq!(refusal(&world, LOCAL), None, "the other backend");
    assert!(world.engine.log().contains("BackendUnreachable"));

    let acceptor = serve(ROOMS_ADDRESS, ROOMS, Proof::Certificate, &world.ground.backend_ca);
    let rooms: Server = acceptor.unwrap();
    let mut config = world.config.clone();
    config["backends"][1]["server"]["port"] = json!(rooms.address().port());
    world.ground.write("engine.yaml", &format!("{config:#}")).unwrap();
    until("the backend", || refusal(&world, ROOMS).is_none()).unwrap();
}

#[test]
fn a_dialback_key_is_confirmed_while_the_backend_is_down() {
    let closed = TcpListener::bind((BACKEND_ADDRESS, 0)).unwrap().local_addr().unwrap();
    let world = World::start_with(engine(), ORDINARY, |_, config| put_backend(config, closed));
    let world = world.unwrap();
    until("the refusal", || refusal(&world, LOCAL).is_some()).unwrap();
    let identity = world.ground.authority.issue(&[PEER]).unwrap();
    let roots = world.ground.authority.roots().unwrap();
    let mut stream = world.from_peer(Some(&identity), &roots).open().unwrap().stream;
    stream.send(format!("<db:verify from='{PEER}' to='{LOCAL}' id='x'>key</db:verify>")).unwrap();
    let answer = stream.element("the answer to db:verify").unwrap();
    assert_eq!(answer.attribute("type"), Some("invalid"), "answered, not refused: {answer}");
}
