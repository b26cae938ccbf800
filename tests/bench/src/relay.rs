//! The engine under test: peers on its outer leg, and a backend that counts the arriving stanzas and opens its own
//! streams. The backend is a server, or a component (XEP-0114).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use harness::claim;
use harness::engine::Engine;
use s2s_peer::authority::Authority;
use s2s_peer::component::Component;
use serde_json::json;

use super::error::{BenchError, Result};
use super::inside::{Backend, Inside};
use super::load::RECEIVER;
use super::null::receive;
use super::sink::Sink;
use super::subject::{Certificates, MAX_SILENCE, Place, Subject};

/// The secret of the component.
const SECRET: &str = "only for the benchmark, on loopback";

/// The kind of the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    Server,
    Component,
}

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
        Self::start_before(Behind::Server, name, binary, directory, certificates, place)
    }

    /// The same with a component as the backend, which only receives.
    pub fn start_before_component(
        name: &'static str,
        binary: &Path,
        directory: &Path,
        certificates: &Certificates,
        place: Place,
    ) -> Result<Self> {
        Self::start_before(Behind::Component, name, binary, directory, certificates, place)
    }

    fn start_before(
        behind: Behind,
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
            ("component", SECRET.to_owned()),
        ] {
            fs::write(file(name), content).map_err(BenchError::io("writing", file(name)))?;
        }
        let sink = Sink::default();
        let roots = backend_ca.roots().map_err(failed())?;
        let backend = receive(RECEIVER, Ipv4Addr::LOCALHOST, backend, roots, &sink)?;
        let port = || claim::port().map_err(BenchError::io("finding a port for", "the engine"));
        let (inner, component, admin, dns) = (port()?, port()?, port()?, port()?);
        let attachment = match behind {
            Behind::Server => json!({"name": "im", "server": {
                "host": backend.ip().to_string(),
                "port": backend.port(),
                "authentication": "Minted",
                "trust": {"systemRoots": false, "bundles": [file("backend-ca.crt")]},
            }}),
            Behind::Component => {
                json!({"name": "im", "component": {"secretFile": file("component")}})
            }
        };
        let config = json!({
            "host": format!("xmpp.{RECEIVER}"),
            "domains": [{"name": RECEIVER, "backend": "im"}],
            "backends": [attachment],
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
                "component": component.to_string(),
                "admin": admin.to_string(),
                "dns": dns.to_string(),
            },
            "splitHorizon": {"address": inner.ip().to_string(), "port": inner.port()},
        });
        let engine = Engine::start(binary, directory, &config, admin)?;
        if behind == Behind::Component {
            let connecting = Component {
                address: component,
                domain: RECEIVER,
                secret: SECRET,
                tls: None,
                timeout: MAX_SILENCE,
            };
            let stream =
                connecting.connect().map_err(BenchError::peer("stream of the component"))?;
            sink.drain(stream);
        }
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
