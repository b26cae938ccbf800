//! The engine under test: peers on its outer leg, and a backend that counts the arriving stanzas and opens its own
//! streams.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use harness::claim;
use harness::engine::Engine;
use s2s_peer::authority::Authority;
use serde_json::json;

use super::error::{BenchError, Result};
use super::inside::{Backend, Inside};
use super::load::RECEIVER;
use super::null::receive;
use super::sink::Sink;
use super::subject::{Certificates, Place, Subject};

/// A running engine.
#[derive(Debug)]
pub struct Relay {
    /// Its process, which ends when this is dropped.
    pub engine: Engine,
    backend_ca: Authority,
    inner: SocketAddr,
    /// Its DNS server for the backend.
    pub dns: SocketAddr,
    /// The engine as a server under test.
    pub subject: Subject,
}

impl Relay {
    /// Starts `binary`, with all of its input and output files below `directory`. The report calls it `name`.
    pub fn start(
        name: &'static str,
        binary: &Path,
        directory: &Path,
        certificates: &Certificates,
        place: Place,
    ) -> Result<Self> {
        let failed = || BenchError::peer("certificates");
        let backend_ca = Authority::new("Benchmark backend CA").map_err(failed())?;
        let backend = backend_ca.issue(&[RECEIVER]).map_err(failed())?;
        let file = |name: &str| directory.join(name).display().to_string();
        for (name, content) in [
            ("ca.crt", certificates.authority.certificate_pem()),
            ("tls.crt", certificates.local.certificate_pem().to_owned()),
            ("tls.key", certificates.local.key_pem().to_owned()),
            ("backend-ca.crt", backend_ca.certificate_pem()),
            ("backend-ca.key", backend_ca.key_pem()),
            ("dialback", "a secret that is only the engine's".to_owned()),
        ] {
            fs::write(file(name), content).map_err(BenchError::io("writing", file(name)))?;
        }
        let sink = Sink::default();
        let roots = backend_ca.roots().map_err(failed())?;
        let backend = receive(backend, roots, &sink)?;
        let port = || claim::port().map_err(BenchError::io("finding a port for", "the engine"));
        let (inner, admin, dns) = (port()?, port()?, port()?);
        let config = json!({
            "host": format!("xmpp.{RECEIVER}"),
            "domains": [{"name": RECEIVER, "backend": "im"}],
            "backends": [{"name": "im", "server": {
                "host": backend.ip().to_string(),
                "port": backend.port(),
                "authentication": "Minted",
                "trust": {"systemRoots": false, "bundles": [file("backend-ca.crt")]},
            }}],
            "tls": {
                "certificates": [{"certificateFile": file("tls.crt"), "privateKeyFile": file("tls.key")}],
                "trust": {"systemRoots": false, "bundles": [file("ca.crt")]},
            },
            "backendCa": {
                "certificateFile": file("backend-ca.crt"),
                "privateKeyFile": file("backend-ca.key"),
            },
            "dialback": {"secretFile": file("dialback")},
            "resolvers": [place.resolver.to_string()],
            "egress": {"allowNetworks": ["127.0.0.0/8"]},
            "listen": {
                "s2s": place.address.to_string(),
                "backend": inner.to_string(),
                "admin": admin.to_string(),
                "dns": dns.to_string(),
            },
            "splitHorizon": {"address": inner.ip().to_string(), "port": inner.port()},
        });
        let engine = Engine::start(binary, directory, &config, admin)?;
        let subject = Subject { name, address: place.address, pid: Some(engine.pid()), sink };
        Ok(Self { engine, backend_ca, inner, dns, subject })
    }

    /// A backend that sends.
    pub fn inside(&self) -> Result<Inside> {
        let failed = || BenchError::peer("certificates");
        Ok(Inside::Backend(Backend {
            address: self.inner,
            identity: self.backend_ca.issue(&[RECEIVER]).map_err(failed())?,
            roots: self.backend_ca.roots().map_err(failed())?,
            opened: Vec::new(),
        }))
    }
}
