//! One engine in front of two servers: their domains exchange stanzas through it, as remote domains do.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use harness::claim;
use harness::loopback::{BACKEND_ADDRESS, DEADLINE, LOCAL, ORDINARY, World, serve};
use harness::program::engine;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use s2s_peer::acceptor::Proof;
use s2s_peer::error::PeerError;
use s2s_peer::initiator::Initiator;
use s2s_peer::namespace::{SERVER, STANZA_ERRORS};
use s2s_peer::server::Server;
use serde_json::json;

const ROOMS: &str = "rooms.example";
/// Another domain of the first backend.
const CHAT: &str = "chat.example";
const ROOMS_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
const TO_ROOMS: &str = "<message from='juliet@local.example/b' to='hall@rooms.example' id='m1' type='groupchat'><body>Hi</body></message>";
const TO_LOCAL: &str = "<message from='hall@rooms.example/romeo' to='juliet@local.example' id='m2' type='groupchat'><body>Ho</body></message>";

/// `im` serves [`LOCAL`] and the additional domains, `rooms` serves [`ROOMS`].
fn world(additional: &[&str]) -> (World, Server) {
    let mut rooms = None;
    let world = World::start_with(engine(), ORDINARY, |ground, config| {
        let server = serve(ROOMS_ADDRESS, ROOMS, Proof::Certificate, &ground.backend_ca).unwrap();
        ground.install_certificate_for(&[LOCAL, CHAT, ROOMS]).unwrap();
        let mut second = config["backends"][0].clone();
        second["name"] = json!("rooms");
        second["server"]["host"] = json!(ROOMS_ADDRESS.to_string());
        second["server"]["port"] = json!(server.address().port());
        config["backends"].as_array_mut().unwrap().push(second);
        let domains = config["domains"].as_array_mut().unwrap();
        domains.extend(additional.iter().map(|name| json!({"name": name, "backend": "im"})));
        domains.push(json!({"name": ROOMS, "backend": "rooms"}));
        rooms = Some(server);
    })
    .unwrap();
    (world, rooms.unwrap())
}

#[test]
fn domains_of_two_backends_exchange_stanzas_through_the_engine() {
    let (world, rooms) = world(&[]);
    let mut outgoing = world.stream_from_backend(ROOMS).unwrap();
    outgoing.send(TO_ROOMS).unwrap();
    let arrived = rooms.message().unwrap();
    assert_eq!(arrived.attribute("from"), Some("juliet@local.example/b"));
    assert_eq!(arrived.attribute("to"), Some("hall@rooms.example"));

    let identity = world.ground.backend_ca.issue(&[ROOMS]).unwrap();
    let trusted = world.ground.backend_ca.roots().unwrap();
    let initiator = Initiator { from: ROOMS, ..world.from_backend(&identity, &trusted, LOCAL) };
    initiator.external().unwrap().send(TO_LOCAL).unwrap();
    let arrived = world.backend.message().unwrap();
    assert_eq!(arrived.attribute("from"), Some("hall@rooms.example/romeo"));
}

#[test]
fn a_stanza_for_a_backend_that_is_down_comes_back_with_the_cause() {
    let (world, rooms) = world(&[]);
    drop(rooms);
    let mut outgoing = world.stream_from_backend(ROOMS).unwrap();
    let request = "<iq from='juliet@local.example/b' to='rooms.example' id='q1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>";
    outgoing.send(request).unwrap();
    // The engine's own pings arrive as well.
    let mut bounce = world.backend.stanza().unwrap();
    while bounce.attribute("type") != Some("error") {
        bounce = world.backend.stanza().unwrap();
    }
    assert_eq!(bounce.attribute("id"), Some("q1"), "{bounce}");
    let error = bounce.child(SERVER, "error").unwrap();
    let text = error.child(STANZA_ERRORS, "text").map(|text| text.text.clone());
    assert!(text.is_some_and(|text| text.contains("refused")), "{bounce}");
}

#[test]
fn domains_of_one_backend_do_not_meet_at_the_engine() {
    let (world, _rooms) = world(&[CHAT]);
    for to in [LOCAL, CHAT] {
        let refused = world.stream_from_backend(to).map(|_| ());
        let text = format!("{refused:?}");
        assert!(text.contains("host-unknown"), "{to}: {text}");
    }
}

#[test]
fn a_backend_cannot_claim_a_domain_of_another_backend() {
    let (world, _rooms) = world(&[]);
    let identity = world.ground.backend_ca.issue(&[LOCAL]).unwrap();
    let trusted = world.ground.backend_ca.roots().unwrap();
    let claiming = Initiator { from: ROOMS, ..world.from_backend(&identity, &trusted, LOCAL) };
    let refused = claiming.external().map(|_| ());
    assert!(
        matches!(&refused, Err(PeerError::Stream { condition, .. }) if condition == "policy-violation"),
        "{refused:?}"
    );
}

/// The port of the SRV record that the backend's DNS server returns.
fn srv_port(server: SocketAddr, domain: &str) -> Option<u16> {
    let mut query = Message::new(7, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii(format!("_xmpp-server._tcp.{domain}.")).unwrap();
    query.add_query(Query::query(name, RecordType::SRV));
    let socket = UdpSocket::bind((BACKEND_ADDRESS, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect(server).unwrap();
    socket.send(&query.to_vec().unwrap()).unwrap();
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    answer.answers.first().and_then(|record| match &record.data {
        RData::SRV(srv) => Some(srv.port),
        _ => None,
    })
}

#[test]
fn split_horizon_dns_leads_each_backend_to_the_domains_of_the_other() {
    let dns = claim::port().unwrap();
    let _world = World::start_with(engine(), ORDINARY, |ground, config| {
        ground.install_certificate_for(&[LOCAL, ROOMS]).unwrap();
        config["listen"]["dns"] = json!(dns.to_string());
        let clients = [format!("{BACKEND_ADDRESS}/32")];
        config["splitHorizon"] = json!({"address": "127.0.0.1", "port": 15269, "clients": clients});
        let mut second = config["backends"][0].clone();
        second["name"] = json!("rooms");
        config["backends"].as_array_mut().unwrap().push(second);
        let domains = config["domains"].as_array_mut().unwrap();
        domains.push(json!({"name": ROOMS, "backend": "rooms"}));
    })
    .unwrap();
    assert_eq!(srv_port(dns, ROOMS), Some(15269));
    assert_eq!(srv_port(dns, LOCAL), Some(15269));
}
