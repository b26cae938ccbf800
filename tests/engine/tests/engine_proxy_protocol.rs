//! The PROXY protocol on the ports of the outer leg: whose header is trusted, and what the address in it is used for.
//! The real engine program on loopback. `proxies.rs` of the interoperability tests has real proxies.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test states its expectations so"
)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use federation_engine::Domain;
use federation_engine::probe::look;
use harness::evidence;
use harness::loopback::{DEADLINE, ORDINARY, World, eventually, until};
use harness::program::engine;
use s2s_peer::initiator::{Initiator, Security};
use s2s_proto::plan::TlsStart;
use s2s_proto::proxy_header::LOCAL;
use serde_json::{Value, json};

/// The address from which the tests connect.
const PROXY: &str = "127.0.0.1/32";
/// The peer is `198.51.100.7`.
const HEADER: &[u8] = b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 5269\r\n";
/// The same of version 2; the peer is `2001:db8::7`.
const HEADER_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x27\
    \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x9c\x40\x14\x95\x04\x00\x00";
/// Without addresses.
const UNSPECIFIED: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x00";
const OPENING: &[u8] = b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='peer.example' to='local.example' version='1.0'>";

/// An engine, and its control port.
struct Proxied {
    world: World,
    control: SocketAddr,
}

impl Proxied {
    fn trusting(sources: &[&str]) -> Self {
        Self::with(sources, |_| {})
    }

    fn with(sources: &[&str], change: impl FnOnce(&mut Value)) -> Self {
        let mut control = None;
        let world = World::start_with(engine(), ORDINARY, |ground, config| {
            control = Some(evidence::serve(ground, config).unwrap());
            config["listen"]["proxyProtocol"] = json!({"trustedSources": sources});
            change(config);
        });
        Self { world: world.unwrap(), control: control.unwrap() }
    }

    fn evidence(&self) -> Value {
        evidence::of_all(self.control, &self.world.ground.authority.roots().unwrap()).unwrap()
    }

    /// A connection with these first bytes.
    fn connect(&self, first: &[u8]) -> TcpStream {
        let mut tcp = TcpStream::connect(self.world.ground.outer).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        tcp.write_all(first).unwrap();
        tcp
    }

    /// Opens and authenticates a stream behind these bytes, and sends a stanza.
    fn relays(&self, address: SocketAddr, security: Security, first: &[u8]) {
        let identity = self.world.ground.authority.issue(&["peer.example"]).unwrap();
        let roots = self.world.ground.authority.roots().unwrap();
        let initiator = self.world.from_peer(Some(&identity), &roots);
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.write_all(first).unwrap();
        let stream = Initiator { security, ..initiator }.external_on(tcp);
        let mut stream =
            stream.unwrap_or_else(|error| panic!("{error}\n{}", self.world.engine.log()));
        stream
            .send("<message from='romeo@peer.example/r' to='juliet@local.example' id='1'/>")
            .unwrap();
        assert_eq!(self.world.backend.message().unwrap().attribute("id"), Some("1"));
    }

    /// Expects a connection with these first bytes to be refused by that reason, in the evidence and in the log.
    fn refuses(&self, first: &[u8], reason: &str) {
        closed(self.connect(first));
        eventually("the refusal", &json!(reason), || {
            let refusal = self.evidence()["refusals"].as_array().unwrap().last().cloned();
            let refusal = refusal.unwrap_or_default();
            if refusal["source"] != "127.0.0.1" {
                return Ok(Value::Null);
            }
            Ok(refusal["reason"].clone())
        })
        .unwrap();
        assert!(self.world.engine.log().contains(reason), "{}", self.world.engine.log());
    }
}

/// Waits until the engine has closed the connection, and sent nothing.
fn closed(mut tcp: TcpStream) {
    let mut answer = Vec::new();
    match tcp.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    assert_eq!(answer, [] as [u8; 0]);
}

/// Waits for the features of a stream.
fn answered(tcp: &mut TcpStream) {
    let (mut answer, mut more) = (String::new(), [0; 1024]);
    while !answer.contains("</stream:features>") {
        let bytes = tcp.read(&mut more).unwrap();
        assert_ne!(bytes, 0, "{answer}");
        answer += std::str::from_utf8(&more[..bytes]).unwrap();
    }
}

#[test]
fn the_address_in_the_header_is_that_of_the_peer() {
    let proxied = Proxied::trusting(&[PROXY]);
    let (outer, outer_tls) = (proxied.world.ground.outer, proxied.world.ground.outer_tls);
    for (port, security, header, peer, source) in [
        (outer, Security::StartTls, HEADER, "198.51.100.7:40000", "198.51.100.7"),
        (outer_tls, Security::DirectTls, HEADER_V2, "[2001:db8::7]:40000", "2001:db8::7"),
        (outer, Security::DirectTls, HEADER, "198.51.100.7:40000", "198.51.100.7"),
        (outer_tls, Security::StartTls, HEADER_V2, "[2001:db8::7]:40000", "2001:db8::7"),
    ] {
        proxied.relays(port, security, header);
        let all = proxied.evidence();
        let inbound = all["inbound"].as_array().unwrap();
        let observed = inbound.iter().find(|seen| seen["kind"] == "StreamAuthenticated").unwrap();
        assert_eq!(observed["source"], source, "{all}");
        let peers = all["peers"].as_array().unwrap();
        let stream = peers.iter().find(|known| known["domain"] == "peer.example").unwrap();
        assert_eq!(stream["inbound"]["address"], peer, "{all}");
        assert!(proxied.world.engine.log().contains(peer), "{}", proxied.world.engine.log());
    }
    assert_eq!(proxied.evidence()["refusals"], json!([]));
}

#[test]
fn limits_count_the_address_in_the_header() {
    let proxied = Proxied::with(&[PROXY], |config| {
        config["limits"] = json!({"unauthenticatedStreams": 4});
    });
    let mut places: Vec<_> = (0..4).map(|_| proxied.connect(&[HEADER, OPENING].concat())).collect();
    places.iter_mut().for_each(answered);
    let mut fifth = proxied.connect(&[HEADER, OPENING].concat());
    let mut other = proxied.connect(&[HEADER_V2, OPENING].concat());
    answered(&mut other);
    fifth.set_nonblocking(true).unwrap();
    let waits = fifth.read(&mut [0; 16]).unwrap_err();
    assert_eq!(waits.kind(), ErrorKind::WouldBlock, "the source has all of its places");
    fifth.set_nonblocking(false).unwrap();
    places.pop();
    answered(&mut fifth);
}

#[test]
fn a_trusted_source_without_a_usable_header_is_refused_by_name() {
    let proxied = Proxied::trusting(&["192.0.2.0/24", PROXY]);
    proxied.refuses(OPENING, "ProxyHeaderMissing");
    proxied.refuses(b"PROXY TCP4 nowhere\r\n", "ProxyHeaderInvalid");
    proxied.refuses(b"\x16\x03\x01\x00\x05", "ProxyHeaderMissing");
    proxied.refuses(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "ProxyHeaderInvalid");
    assert_eq!(proxied.world.count("connections_refused_total", &[]).unwrap(), 4);
}

#[test]
fn the_header_of_a_source_that_is_not_trusted_is_refused_by_name() {
    for sources in [&[][..], &["192.0.2.0/24"]] {
        let proxied = Proxied::trusting(sources);
        for header in [HEADER, HEADER_V2, &LOCAL] {
            proxied.refuses(&[header, OPENING].concat(), "ProxyHeaderUntrusted");
        }
        proxied.relays(proxied.world.ground.outer, Security::StartTls, b"");
        let source = &proxied.evidence()["inbound"][0]["source"];
        assert_eq!(source, "127.0.0.1");
    }
}

#[test]
fn health_checks_of_a_trusted_proxy_are_silent() {
    let proxied = Proxied::trusting(&[PROXY]);
    for check in [&b""[..], &LOCAL, UNSPECIFIED, b"PROXY UNKNOWN\r\n", HEADER, HEADER_V2] {
        drop(proxied.connect(check));
        // A connection behind it is served, so that the engine has seen its end.
        let tcp = proxied.connect(check);
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        closed(tcp);
    }
    proxied.relays(proxied.world.ground.outer, Security::StartTls, &LOCAL);
    let all = proxied.evidence();
    assert_eq!(all["refusals"], json!([]), "{all}");
    assert_eq!(all["inbound"][0]["source"], "127.0.0.1", "the connection's own address");
    assert_eq!(proxied.world.count("connections_refused_total", &[]).unwrap(), 0);
    let log = proxied.world.engine.log();
    assert!(!log.contains("198.51.100.7") && !log.contains("refused"), "{log}");
}

/// The operator probes the engine, and its address may be a trusted one.
#[tokio::test]
async fn a_probe_that_begins_with_a_header_is_answered() {
    let proxied = Proxied::trusting(&[PROXY]);
    let (outer, outer_tls) = (proxied.world.ground.outer, proxied.world.ground.outer_tls);
    let domain = Domain::parse("local.example").unwrap();
    for (port, start) in [(outer, TlsStart::StartTls), (outer_tls, TlsStart::Direct)] {
        look(port, &LOCAL, &domain, start, DEADLINE).await.unwrap();
        look(port, &[], &domain, start, DEADLINE).await.unwrap_err();
    }
}

#[test]
fn a_trusted_source_that_does_not_complete_its_header_is_closed() {
    let proxied = Proxied::with(&[PROXY], |config| {
        config["timeouts"] = json!({"negotiationSeconds": 5});
    });
    let begun = [&b"PROXY"[..], &HEADER_V2[..20], b""].map(|first| proxied.connect(first));
    begun.into_iter().for_each(closed);
}

#[test]
fn a_change_of_the_trusted_sources_needs_no_restart() {
    let mut proxied = Proxied::trusting(&[]);
    proxied.refuses(HEADER, "ProxyHeaderUntrusted");
    proxied.world.config["listen"]["proxyProtocol"] = json!({"trustedSources": [PROXY]});
    let text = format!("{:#}", proxied.world.config);
    proxied.world.ground.write("engine.yaml", &text).unwrap();
    until("the new configuration", || proxied.world.engine.log().contains("reloaded")).unwrap();
    proxied.relays(proxied.world.ground.outer, Security::StartTls, HEADER);
    let log = proxied.world.engine.log();
    assert!(!log.contains("after a restart"), "{log}");
}
