//! The scripted servers talk to each other. If these tests pass, a failure of another test is not a fault of the
//! scripted servers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::authority::{Authority, Identity};
use s2s_peer::dialback::Secret;
use s2s_peer::error::PeerError;
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::server::{Event, Server};
use s2s_peer::stream::{Item, Stream};

/// Maximum wait for a required event; only a failing test waits that long.
const DEADLINE: Duration = Duration::from_secs(90);
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const HELLO: &str = "<message from='x@a.example/r' to='y@b.example'><body>Hello &amp; &#x67;oodbye</body></message>";

struct Peer {
    authority: Authority,
    identity: Identity,
}

impl Peer {
    fn new() -> Result<Self, PeerError> {
        let authority = Authority::new("Test CA")?;
        Ok(Self { identity: authority.issue(&["a.example"])?, authority })
    }

    fn server(&self, domain: &str, proof: Proof) -> Result<Server, PeerError> {
        let acceptor = Acceptor {
            domain: domain.to_owned(),
            identity: self.authority.issue(&[domain])?,
            roots: self.authority.roots()?,
            proof,
            secret: Secret::new(format!("the secret of {domain}")),
            timeout: DEADLINE,
        };
        Server::start(ANY_PORT, acceptor)
    }

    fn stream(
        &self,
        server: &Server,
        from: &str,
        security: Security,
        secret: Option<&Secret>,
    ) -> Result<Stream, PeerError> {
        let roots = self.authority.roots()?;
        let initiator = Initiator {
            address: server.address(),
            from,
            to: "b.example",
            identity: Some(&self.identity),
            roots: &roots,
            security,
            timeout: DEADLINE,
        };
        secret.map_or_else(|| initiator.external(), |secret| initiator.dialback(secret))
    }
}

#[test]
fn a_message_arrives_over_starttls_and_over_direct_tls_with_external() {
    let peer = Peer::new().unwrap();
    let server = peer.server("b.example", Proof::Certificate).unwrap();
    for security in [Security::StartTls, Security::DirectTls] {
        let mut stream = peer.stream(&server, "a.example", security, None).unwrap();
        stream.send(HELLO).unwrap();
        let stanza = server.stanza().unwrap();
        assert_eq!(stanza.child("jabber:server", "body").unwrap().text, "Hello & goodbye");
        stream.send("</stream:stream>").unwrap();
        assert!(matches!(stream.receive("the end"), Ok(Item::End)));
    }
}

#[test]
fn external_is_not_offered_for_a_domain_that_the_certificate_does_not_name() {
    let peer = Peer::new().unwrap();
    let server = peer.server("b.example", Proof::Certificate).unwrap();
    let refused = peer.stream(&server, "c.example", Security::StartTls, None);
    assert!(matches!(refused, Err(PeerError::Unexpected { .. })), "{refused:?}");
}

#[test]
fn dialback_asks_the_authoritative_server_and_believes_only_its_keys() {
    let peer = Peer::new().unwrap();
    let authoritative = peer.server("a.example", Proof::Certificate).unwrap();
    let proof = Proof::Dialback { authority: authoritative.address() };
    let server = peer.server("b.example", proof).unwrap();

    let secret = Secret::new("the secret of a.example");
    let mut stream = peer.stream(&server, "a.example", Security::StartTls, Some(&secret)).unwrap();
    stream.send(HELLO).unwrap();
    assert_eq!(server.stanza().unwrap().attribute("from"), Some("x@a.example/r"));

    let guess = Secret::new("a guess");
    let refused = peer.stream(&server, "a.example", Security::StartTls, Some(&guess));
    assert!(matches!(refused, Err(PeerError::Refused { .. })), "{refused:?}");
}

#[test]
fn a_stanza_from_another_domain_ends_the_stream() {
    let peer = Peer::new().unwrap();
    let server = peer.server("b.example", Proof::Certificate).unwrap();
    let mut stream = peer.stream(&server, "a.example", Security::StartTls, None).unwrap();
    stream.send("<presence from='x@c.example' to='y@b.example'/>").unwrap();
    let seen = server.wait("the end of the stream", |event| match event {
        Event::Authenticated { .. } => None,
        other => Some(other),
    });
    assert!(matches!(seen, Err(PeerError::Unexpected { .. })), "{seen:?}");
}
