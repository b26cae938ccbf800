//! The engine's side of a cell.

use std::net::SocketAddr;
use std::path::Path;

use harness::engine::Engine;
use harness::evidence::{self, CONTROL_NAME, TOKEN};
use harness::loopback::{DEADLINE, Ground, LOCAL, PEER};
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::stream::Stream;
use serde_json::{Value, json};

use super::cell::{Cell, Certificate, Demand, Encryption, Settings};
use super::certificate::Issuer;
use super::error::Result;
use super::expect::{ENGINE, Party};
use super::site::{Addresses, DNS, SERVERS, SERVERS_TLS};

/// The port of `/v1/evidence`.
const CONTROL: u16 = 9443;
/// The port of `/readyz`.
const ADMIN: u16 = 9090;
/// The port of the inner leg.
const BACKEND: u16 = 15269;

/// A running engine and its addresses.
#[derive(Debug)]
pub(crate) struct Ours {
    /// The engine.
    pub engine: Engine,
    /// The address at which the backend reaches it.
    pub inner: SocketAddr,
    /// `/v1/evidence`.
    pub control: SocketAddr,
}

impl Ours {
    /// A stream of the backend to the engine, which is the server for it.
    pub(crate) fn stream_from_backend(&self, ground: &Ground) -> Result<Stream> {
        let identity = ground.backend_ca.issue(&[LOCAL])?;
        let roots = ground.backend_ca.roots()?;
        let backend = Initiator {
            address: self.inner,
            from: LOCAL,
            to: PEER,
            identity: Some(&identity),
            roots: &roots,
            security: Security::StartTls,
            timeout: DEADLINE,
        };
        Ok(backend.external()?)
    }
}

/// The engine, as a side of a stream of that cell.
pub(crate) fn party(cell: &Cell) -> Party {
    Party { settings: cell.ours, abilities: ENGINE }
}

/// Whether the engine probes the server: it opens a stream on its own to check whether it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// It does.
    Auto,
    /// It does not.
    Off,
}

/// Differences between two runs of the engine, besides the cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Whether it probes the server on its own.
    pub probe: Probe,
    /// Maximum time for a stanza to wait for its stream; if absent, the engine's own maximum.
    pub queue_seconds: Option<u16>,
}

/// Starts the engine. Towards its backend it uses an address that the backend does not use.
pub(crate) fn start(
    binary: &Path,
    ground: &mut Ground,
    issuer: &Issuer,
    cell: &Cell,
    addresses: &Addresses,
    backend: SocketAddr,
    manner: Manner,
) -> Result<Ours> {
    let [a, b, c, _] = addresses.backend.octets();
    let inside = |port| SocketAddr::from(([a, b, c, 1], port));
    let (admin, control, inner) = (inside(ADMIN), inside(CONTROL), inside(BACKEND));
    ground.outer = SocketAddr::new(addresses.ours, SERVERS);
    ground.outer_tls = SocketAddr::new(addresses.ours, SERVERS_TLS);
    (ground.inner, ground.admin) = (inner, admin);
    let identity = issuer.issue(cell.ours.certificate, LOCAL)?;
    let control_identity = issuer.issue(Certificate::Good, CONTROL_NAME)?;
    for (file, content) in [
        ("ca.crt", issuer.pem()),
        ("tls.crt", identity.certificate),
        ("tls.key", identity.key),
        ("control.crt", control_identity.certificate),
        ("control.key", control_identity.key),
        ("token", TOKEN.to_owned()),
    ] {
        ground.write(file, &content)?;
    }
    let mut config = ground.config(backend, SocketAddr::from((addresses.dns, DNS)));
    evidence::listen(ground, &mut config, control);
    if let Some(config) = config.as_object_mut() {
        config.insert("peers".to_owned(), json!([peer(cell.ours, manner.probe)]));
        let networks = json!({"allowNetworks": ["127.0.0.0/8", "2001:2::/48"]});
        config.insert("egress".to_owned(), networks);
        if let Some(seconds) = manner.queue_seconds {
            config.insert("timeouts".to_owned(), json!({"queueSeconds": seconds}));
        }
    }
    let engine = Engine::start(binary, ground.directory(), &config, admin)?;
    Ok(Ours { engine, inner, control })
}

fn peer(settings: Settings, probe: Probe) -> Value {
    let probe = match probe {
        Probe::Auto => "Auto",
        Probe::Off => "Off",
    };
    let mode = match settings.encryption {
        Encryption::Required => "Required",
        Encryption::Optional => "Optional",
        Encryption::Off => "Disabled",
    };
    let (verification, external, dialback) = match settings.demand {
        Demand::Certificate => ("Required", true, "Disabled"),
        Demand::CertificateOrDialback => ("Preferred", true, "Allowed"),
        Demand::Dialback => ("None", false, "Required"),
    };
    json!({
        "domain": PEER,
        "tls": {"mode": mode, "verification": verification},
        "authentication": {
            "external": {"inbound": external, "outbound": external},
            "dialback": dialback,
        },
        "probe": {"mode": probe},
    })
}
