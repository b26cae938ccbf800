//! The backend's DNS server of the real engine program: which clients it answers, and what its operator learns of the
//! others.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test states its expectations so"
)]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use harness::claim;
use harness::loopback::{DEADLINE, ORDINARY, World, eventually};
use harness::program::engine;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use serde_json::json;

/// The backend, from `backends[].server.host` of the configuration.
const BACKEND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// On the same network, but not named in the configuration.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

fn ask(source: Ipv4Addr, server: SocketAddr, id: u16) -> Message {
    let mut query = Message::new(id, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii("_xmpp-server._tcp.partner.example.").unwrap();
    query.add_query(Query::query(name, RecordType::SRV));
    let socket = UdpSocket::bind((source, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect(server).unwrap();
    socket.send(&query.to_vec().unwrap()).unwrap();
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(answer.metadata.id, id);
    answer
}

#[test]
fn a_host_that_is_no_client_is_refused_counted_and_logged_a_few_times() {
    const QUERIES: u16 = 200;
    let dns = claim::port().unwrap();
    let world = World::start_with(engine(), ORDINARY, |_, config| {
        config["listen"]["dns"] = json!(dns.to_string());
        config["splitHorizon"] =
            json!({"address": "127.0.0.1", "port": 15269, "clients": [format!("{BACKEND}/32")]});
    })
    .unwrap();
    for id in 0..QUERIES {
        let answer = ask(STRANGER, dns, id);
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
        assert!(answer.answers.is_empty());
    }
    let answer = ask(BACKEND, dns, QUERIES);
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert_eq!(answer.answers.len(), 1);

    let count = |result| world.count("dns_queries_total", &[("result", result)]);
    eventually("the refusals", &u64::from(QUERIES), || count("Refused")).unwrap();
    assert_eq!(count("Answered").unwrap(), 1);
    let log = world.engine.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("DNS query refused")).collect();
    assert!((1..=100).contains(&lines.len()), "{}", lines.len());
    assert!(lines[0].contains("source=127.0.0.9") && lines[0].contains("splitHorizon.clients"));
    let omitted = world.count("log_lines_omitted_total", &[]).unwrap();
    assert!(omitted + u64::try_from(lines.len()).unwrap() >= u64::from(QUERIES), "{omitted}");
}
