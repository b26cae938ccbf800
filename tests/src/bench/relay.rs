//! The engine under test: the sending peer on its outer leg, the receiving peer as its backend.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::engine::{Engine, free_port};
use crate::peer::authority::Authority;

use super::error::{BenchError, Result};
use super::load::RECEIVER;
use super::null::receive;
use super::sink::Sink;
use super::subject::{Certificates, Subject};

/// A running engine.
#[derive(Debug)]
pub struct Relay {
    /// Its process; ended when dropped.
    pub engine: Engine,
    /// As a server under test.
    pub subject: Subject,
}

impl Relay {
    /// Starts `binary`, with everything that it reads and writes below `directory`.
    pub fn start(binary: &Path, directory: &Path, certificates: &Certificates) -> Result<Self> {
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
        ] {
            fs::write(file(name), content).map_err(BenchError::io("writing", file(name)))?;
        }
        let sink = Sink::default();
        let roots = backend_ca.roots().map_err(failed())?;
        let inner = receive(backend, roots, &sink)?;
        let port = || free_port().map_err(BenchError::io("finding a port for", "the engine"));
        let (address, admin) = (port()?, port()?);
        let config = json!({
            "host": format!("xmpp.{RECEIVER}"),
            "domains": [{"name": RECEIVER, "backend": "im"}],
            "backends": [{"name": "im", "server": {
                "host": inner.ip().to_string(),
                "port": inner.port(),
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
            "egress": {"allowNetworks": ["127.0.0.0/8"]},
            "listen": {"s2s": address.to_string(), "admin": admin.to_string()},
        });
        let engine = Engine::start(binary, directory, &config, admin)?;
        let pid = Some(engine.pid());
        Ok(Self { engine, subject: Subject { name: "engine", address, pid, sink } })
    }
}
