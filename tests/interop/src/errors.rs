//! The error of a server that cannot read a stanza, or refuses it. ejabberd sends the error on the same stream that
//! carried the stanza, although that stream is for the other direction (`process_invalid_xml` of its library `xmpp`).
//! The engine relays the error, from a peer and from a backend.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use harness::launch::Running;
use harness::loopback::{DEADLINE, Ground, LOCAL, PEER, secret_of};
use harness::metrics::Metrics;
use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::authority::Identity;
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::nameserver::Nameserver;
use s2s_peer::namespace::{SERVER as NAMESPACE, STANZA_ERRORS};
use s2s_peer::server::{Event, Server};

use super::cell::{Cell, Certificate, Demand, Encryption, Settings, Way};
use super::certificate::{Issuer, Pem};
use super::error::{InteropError, Result};
use super::matrix::{backend, roots, site, zone};
use super::ours::{self, Manner, Ours, Probe};
use super::release::Release;
use super::site::{Addresses, DNS, SERVERS, Site};

/// Both sides authenticate by certificates, so authentication needs no other stream.
const STRICT: Settings = Settings {
    encryption: Encryption::Required,
    demand: Demand::Certificate,
    certificate: Certificate::Good,
};
const CELL: Cell = Cell { name: "errors", ours: STRICT, theirs: STRICT, way: Way::Ordinary };
/// Addresses that no cell of the matrix uses.
const OUTSIDE: u8 = 65;
/// The same, for the server as backend.
const BEHIND: u8 = 66;
const QUIET: Manner = Manner { probe: Probe::Off, queue_seconds: None };

/// Stanzas that ejabberd does not read: a value that RFC 6121 §4.7.2.1 does not define, and a type that RFC 6120 §8.2.3
/// does not define.
fn unreadable(from: &str, to: &str) -> [(&'static str, String); 2] {
    [
        (
            "show",
            format!(
                "<presence id='show' from='{from}/r' to='nobody@{to}'><show>busy</show></presence>"
            ),
        ),
        (
            "type",
            format!(
                "<iq id='type' type='ask' from='{from}/r' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>"
            ),
        ),
    ]
}

/// The server is a peer of the engine.
pub fn of_a_peer(release: Release, engine: &Path) -> Result<()> {
    let addresses = Addresses::of(OUTSIDE, CELL.way);
    let issuer = Issuer::new()?;
    let _nameserver =
        Nameserver::start(SocketAddr::from((addresses.dns, DNS)), zone(&CELL, &addresses)?)?;
    let mut ground = Ground::new()?;
    let backend = backend(&ground.backend_ca, &addresses)?;
    let site = site(release, &CELL, &addresses, &ground, &issuer)?;
    let theirs = release.launch(&site)?.start(&site.root, &site.home)?;
    let at = backend.address();
    let ours = ours::start(engine, &mut ground, &issuer, &CELL, &addresses, at, QUIET)?;
    let mut sender = ours.stream_from_backend(&ground)?;
    for (id, stanza) in unreadable(&format!("juliet@{LOCAL}"), PEER) {
        sender.send(stanza)?;
        expect_error(&backend, id).map_err(|error| explained(&error, &theirs, &ours))?;
    }
    one_way(&ground, "outer").map_err(|error| explained(&error, &theirs, &ours))
}

/// The server is the backend of the engine.
pub fn of_a_backend(release: Release, engine: &Path) -> Result<()> {
    let addresses = Addresses::of(BEHIND, CELL.way);
    // One authority for both sides: ejabberd refuses the authority of the scripted servers, which is valid for too
    // long.
    let issuer = Issuer::new()?;
    let _nameserver =
        Nameserver::start(SocketAddr::from((addresses.dns, DNS)), zone(&CELL, &addresses)?)?;
    let mut ground = Ground::new()?;
    ground.write("backend-ca.crt", &issuer.pem())?;
    ground.write("backend-ca.key", &issuer.key_pem())?;
    let identity = issuer.issue(Certificate::Good, LOCAL)?;
    let address = IpAddr::from(addresses.backend);
    let peer = site(release, &CELL, &addresses, &ground, &issuer)?;
    let site = Site { domain: LOCAL.to_owned(), address, identity, ..peer };
    let theirs = release.launch(&site)?.start(&site.root, &site.home)?;
    let at = site.at(SERVERS);
    let ours = ours::start(engine, &mut ground, &issuer, &CELL, &addresses, at, QUIET)?;

    let Pem { certificate, key } = issuer.issue(Certificate::Good, PEER)?;
    let roots = roots(&issuer)?;
    let acceptor = Acceptor {
        domain: PEER.to_owned(),
        identity: Identity::from_pem(&certificate, &key)?,
        roots: roots.clone(),
        proof: Proof::Certificate,
        secret: secret_of(PEER),
        timeout: DEADLINE,
    };
    let peer = Server::start((addresses.theirs, SERVERS).into(), acceptor)?;
    let identity = Identity::from_pem(&certificate, &key)?;
    let initiator = Initiator {
        address: ground.outer,
        from: PEER,
        to: LOCAL,
        identity: Some(&identity),
        roots: &roots,
        security: Security::StartTls,
        timeout: DEADLINE,
    };
    let mut sender = initiator.external()?;
    for (id, stanza) in unreadable(&format!("romeo@{PEER}"), LOCAL) {
        sender.send(stanza)?;
        expect_error(&peer, id).map_err(|error| explained(&error, &theirs, &ours))?;
    }
    one_way(&ground, "inner").map_err(|error| explained(&error, &theirs, &ours))
}

fn expect_error(sender: &Server, expected: &str) -> Result<()> {
    let error = sender.wait("the error of the server", |event| match event {
        Event::Stanza { stanza, .. } if stanza.attribute("type") == Some("error") => Some(stanza),
        _ => None,
    })?;
    let condition = error
        .child(NAMESPACE, "error")
        .and_then(|error| error.children.iter().find(|child| child.namespace == STANZA_ERRORS));
    let seen = (error.attribute("id"), condition.map(|condition| condition.name.as_str()));
    if seen == (Some(expected), Some("bad-request")) {
        return Ok(());
    }
    Err(InteropError::Evidence(format!("expected a bad-request for {expected}, seen {error}")))
}

/// Checks that the server has opened no stream of its own for its errors.
fn one_way(ground: &Ground, leg: &str) -> Result<()> {
    let counts = Metrics::of(ground.admin).map_err(InteropError::io("reading", "/metrics"))?;
    match counts.sum("streams", &[("leg", leg), ("direction", "inbound")]) {
        0 => Ok(()),
        streams => Err(InteropError::Evidence(format!("the server has opened {streams} streams"))),
    }
}

fn explained(error: &InteropError, theirs: &Running, ours: &Ours) -> InteropError {
    InteropError::Server {
        what: error.to_string(),
        log: format!("{}\n--- the engine\n{}", theirs.log(), ours.engine.log()),
    }
}
