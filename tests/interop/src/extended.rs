//! Features of real servers and the engine on one stream beyond the matrix: stanzas in both directions (XEP-0288), and
//! acknowledgements (XEP-0198).

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use harness::loopback::{DEADLINE, Ground, LOCAL, eventually};
use harness::metrics::Metrics;
use s2s_peer::nameserver::Nameserver;
use s2s_peer::server::Server;
use s2s_peer::stream::Stream;

use super::cell::{Cell, Certificate, Demand, Encryption, Settings, Way};
use super::certificate::Issuer;
use super::error::{InteropError, Result};
use super::login::{self, Client};
use super::matrix::{backend, message, site, zone};
use super::ours::{self, Manner, Ours, Probe};
use super::release::Release;
use super::site::{Addresses, CLIENTS, DNS, Site};

/// TLS and a valid certificate on both sides: only then do servers offer acknowledgements.
const STRICT: Settings = Settings {
    encryption: Encryption::Required,
    demand: Demand::Certificate,
    certificate: Certificate::Good,
};
const CELL: Cell = Cell { name: "both ways", ours: STRICT, theirs: STRICT, way: Way::Ordinary };
/// Addresses that no cell of the matrix uses.
const NUMBER: u8 = 64;

/// Both sides, and their users.
struct Scene {
    ground: Ground,
    ours: Ours,
    backend: Server,
    client: Client,
}

/// A stream of the server, then one of ours, each with a message in both directions. A server without support for this
/// answers on a stream of its own.
pub fn run(release: Release, engine: &Path) -> Result<()> {
    let addresses = Addresses::of(NUMBER, CELL.way);
    let issuer = Issuer::new()?;
    let _nameserver =
        Nameserver::start(SocketAddr::from((addresses.dns, DNS)), zone(&CELL, &addresses)?)?;
    let mut ground = Ground::new()?;
    let backend = backend(&ground.backend_ca, &addresses)?;
    let site = Site { extended: true, ..site(release, &CELL, &addresses, &ground, &issuer)? };
    let theirs = release.launch(&site)?.start(&site.root, &site.home)?;
    let at = backend.address();
    let manner = Manner { probe: Probe::Off, queue_seconds: None };
    let ours = ours::start(engine, &mut ground, &issuer, &CELL, &addresses, at, manner)?;
    let log = |error: InteropError, theirs: String, scene: &Scene| InteropError::Server {
        what: error.to_string(),
        log: format!("{theirs}\n--- the engine\n{}", scene.ours.engine.log()),
    };
    let client = login::log_in(site.at(CLIENTS))?;
    let mut scene = Scene { ground, ours, backend, client };
    let first = scene.over_their_stream(release);
    first.map_err(|error| log(error, theirs.log(), &scene))?;

    // The server's stream ends with it; the next stream is ours.
    drop(theirs);
    scene.until("the end of their stream", |counts| streams(counts, "inbound") == 0)?;
    let theirs = release.launch(&site)?.start(&site.root, &site.home)?;
    scene.client = login::log_in(site.at(CLIENTS))?;
    let second = scene.over_our_stream(release);
    second.map_err(|error| log(error, theirs.log(), &scene))
}

impl Scene {
    fn over_their_stream(&mut self, release: Release) -> Result<()> {
        self.client_sends("first")?;
        let mut backend = self.backend_sends("second")?;
        self.until("the delivery of our message", |counts| relayed(counts) == 1)?;
        self.streams(if release.goes_both_ways() { (1, 0) } else { (1, 1) })?;
        if release.acknowledges() {
            // An unacknowledged stanza is not relayed yet; see the description of the metric.
            backend.send(self.to_client("third"))?;
            self.expect_at_client("third")?;
            self.until("an acknowledgement", |counts| relayed(counts) == 2)?;
        }
        Ok(())
    }

    fn over_our_stream(&mut self, release: Release) -> Result<()> {
        let before = relayed(&self.counts()?);
        let mut backend = self.backend_sends("fourth")?;
        self.until("the delivery of our message", |counts| relayed(counts) > before)?;
        self.client_sends("fifth")?;
        self.streams(if release.goes_both_ways() { (0, 1) } else { (1, 1) })?;
        if release.acknowledges() {
            backend.send(self.to_client("sixth"))?;
            self.expect_at_client("sixth")?;
            self.until("an acknowledgement", |counts| relayed(counts) > before + 1)?;
        }
        Ok(())
    }

    /// Sends a message as the server's client, and expects it at the backend.
    fn client_sends(&mut self, id: &str) -> Result<()> {
        let Client { stream, address } = &mut self.client;
        stream.send(message(id, address, &format!("juliet@{LOCAL}")))?;
        let arrived = self.backend.message()?;
        same(arrived.attribute("id"), id)
    }

    /// Sends a message as the backend, and expects it at the server's client. Returns the stream that carried it.
    fn backend_sends(&mut self, id: &str) -> Result<Stream> {
        let mut stream = self.ours.stream_from_backend(&self.ground)?;
        stream.send(self.to_client(id))?;
        self.expect_at_client(id)?;
        Ok(stream)
    }

    fn to_client(&self, id: &str) -> String {
        message(id, &format!("juliet@{LOCAL}/balcony"), &self.client.address)
    }

    fn expect_at_client(&mut self, id: &str) -> Result<()> {
        loop {
            let element = self.client.stream.element("a message")?;
            if element.name == "message" {
                return same(element.attribute("id"), id);
            }
        }
    }

    fn counts(&self) -> Result<Metrics> {
        Metrics::of(self.ground.admin).map_err(InteropError::io("reading", "/metrics"))
    }

    fn until(&self, what: &str, seen: impl Fn(&Metrics) -> bool) -> Result<()> {
        let begun = Instant::now();
        while !seen(&self.counts()?) {
            if begun.elapsed() > DEADLINE {
                return Err(InteropError::Evidence(format!("timed out while waiting for {what}")));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Expects these numbers of verified streams with the server, inbound and outbound.
    fn streams(&self, expected: (u64, u64)) -> Result<()> {
        eventually("streams inbound and outbound", &expected, || {
            let counts = Metrics::of(self.ground.admin)?;
            Ok((streams(&counts, "inbound"), streams(&counts, "outbound")))
        })?;
        Ok(())
    }
}

fn streams(counts: &Metrics, direction: &str) -> u64 {
    counts.sum("streams", &[("leg", "outer"), ("direction", direction)])
}

fn relayed(counts: &Metrics) -> u64 {
    counts.sum("stanzas_relayed_total", &[("leg", "outer")])
}

fn same(seen: Option<&str>, expected: &str) -> Result<()> {
    if seen == Some(expected) {
        return Ok(());
    }
    Err(InteropError::Evidence(format!("expected the message {expected}, seen {seen:?}")))
}
