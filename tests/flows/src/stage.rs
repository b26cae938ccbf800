//! The parts of a scene: the addresses, the servers, the engine in front of one of them, and the people of each side.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use harness::engine::Engine;
use harness::loopback::Ground;
use interop::cell::{Cell, Certificate, Demand, Encryption, Settings, Way};
use interop::certificate::Issuer;
use interop::error::InteropError;
use interop::release::Release;
use interop::site::{CLIENTS, DNS, SERVERS, SERVERS_TLS, Site};
use lab::paths::Paths;
use serde_json::{Value, json};

use crate::accounts::{PASSWORD, registration};
use crate::domain::Domain;
use crate::driver::Driver;
use crate::error::{FlowError, Result};
use crate::side::{Side, Software, from_here};

/// The server outside.
pub(crate) const OUTSIDE: Release = Release::Prosody13;
/// Debian's interpreter, which has Debian's slixmpp.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// The engine, for remote servers.
pub(crate) const OURS: Ipv4Addr = Ipv4Addr::new(127, 0, 80, 1);
/// The server outside.
pub(crate) const THEIRS: Ipv4Addr = Ipv4Addr::new(127, 0, 80, 2);
/// Our server.
pub(crate) const BACKEND: Ipv4Addr = Ipv4Addr::new(127, 0, 80, 3);
/// The engine, for our server.
const INNER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 80, 4)), 15269);
/// The engine, for a component.
const COMPONENTS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 80, 4)), 5347);
/// The secret of the component.
const SECRET: &str = PASSWORD;
/// The engine's DNS server.
pub(crate) const SPLIT_DNS: Ipv4Addr = Ipv4Addr::new(127, 0, 80, 53);
/// The name server of the world.
pub(crate) const WORLD_DNS: Ipv4Addr = Ipv4Addr::new(127, 0, 80, 54);

/// How a scene starts.
pub(crate) struct Stage<'a> {
    pub issuer: &'a Issuer,
    pub ground: &'a Ground,
    pub paths: &'a Paths,
}

impl Stage<'_> {
    /// Input for the configuration of a server.
    pub(crate) fn site(
        &self,
        release: Release,
        name: &str,
        domain: &Domain,
        address: Ipv4Addr,
        dns: Ipv4Addr,
    ) -> Result<Site> {
        let strict = Settings {
            encryption: Encryption::Required,
            demand: Demand::Certificate,
            certificate: Certificate::Good,
        };
        let cell = Cell { name: "flows", ours: strict, theirs: strict, way: Way::Ordinary };
        let settings = match release {
            // It authenticates by dialback only, which the other side must offer.
            Release::Jabberd2 => Settings { encryption: Encryption::Optional, ..strict },
            OUTSIDE if address == THEIRS => {
                Settings { demand: Demand::CertificateOrDialback, ..strict }
            }
            _ => strict,
        };
        let home = self.ground.path(name);
        fs::create_dir_all(&home).map_err(FlowError::io("making", &home))?;
        let names = domain.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(Site {
            home,
            root: release.root(self.paths)?,
            domain: domain.address.clone(),
            address: address.into(),
            dns,
            settings: release.settings(&Cell { theirs: settings, ..cell }),
            extended: release.goes_both_ways(),
            identity: self.issuer.issue_for(Certificate::Good, &names)?,
            authority: self.issuer.pem(),
        })
    }

    /// Starts the engine in front of that backend.
    pub(crate) fn engine(
        &self,
        program: &Path,
        backend: Software,
        domain: &Domain,
    ) -> Result<Engine> {
        let ground = self.ground;
        let names = domain.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let identity = self.issuer.issue_for(Certificate::Good, &names)?;
        for (file, content) in [
            ("ca.crt", self.issuer.pem()),
            ("backend-ca.crt", self.issuer.pem()),
            ("backend-ca.key", self.issuer.key_pem()),
            ("tls.key", identity.key),
            ("tls.crt", identity.certificate),
            ("resolv.conf", format!("nameserver {SPLIT_DNS}\n")),
        ] {
            ground.write(file, &content).map_err(InteropError::from)?;
        }
        // The engine is the resolver of this machine, so it forwards to `resolvers`.
        mount(&ground.path("resolv.conf"), "/etc/resolv.conf")?;
        let at = SocketAddr::from((BACKEND, SERVERS));
        let mut config = ground.config(at, SocketAddr::from((WORLD_DNS, DNS)));
        let listen = json!({
            "s2s": SocketAddr::from((OURS, SERVERS)).to_string(),
            "s2sTls": SocketAddr::from((OURS, SERVERS_TLS)).to_string(),
            "backend": INNER.to_string(),
            "dns": SocketAddr::from((SPLIT_DNS, DNS)).to_string(),
            "admin": ground.admin.to_string(),
            "component": null,
        });
        let split = json!({"address": INNER.ip().to_string(), "port": INNER.port(), "clients": ["127.0.0.0/8"]});
        let served = backend.served(names.len());
        let domains: Vec<Value> =
            names.iter().take(served).map(|name| json!({"name": name, "backend": "im"})).collect();
        let host = format!("xmpp.{}", domain.dns);
        if let Some(config) = config.as_object_mut() {
            for (field, value) in [
                ("host", json!(host)),
                ("domains", json!(domains)),
                ("listen", listen),
                ("splitHorizon", split),
            ] {
                config.insert(field.to_owned(), value);
            }
        }
        let mut set = |pointer: &str, value: Value| {
            if let Some(place) = config.pointer_mut(pointer) {
                *place = value;
            }
        };
        match backend {
            Software::Server(Release::Jabberd2) => {
                set("/backends/0/server/authentication", json!("Dialback"));
            }
            Software::Server(_) => {}
            Software::Component => {
                ground.write("component", SECRET).map_err(InteropError::from)?;
                let secret = json!({"secretFile": ground.path("component")});
                set("/backends/0", json!({"name": "im", "component": secret}));
                set("/listen/component", json!(COMPONENTS.to_string()));
            }
        }
        Ok(Engine::start(program, ground.directory(), &config, ground.admin)
            .map_err(InteropError::from)?)
    }

    /// The side of a component, which is the program for its people.
    pub(crate) fn component(&self, domain: &Domain) -> Result<Side> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/component.py");
        let mut command = Command::new(PYTHON);
        command.arg("-I").arg(script).arg(&domain.address).arg(self.ground.path("component"));
        command.args([COMPONENTS.ip().to_string(), COMPONENTS.port().to_string()]);
        let driver = Driver::start(&mut command, &self.ground.path("clients-ours.log"))?;
        Ok(Side::of_component(domain, driver))
    }

    /// The side of a server, with a program for its people.
    pub(crate) fn side(&self, software: Software, domain: &Domain, site: &Site) -> Result<Side> {
        let name = if site.address == std::net::IpAddr::from(BACKEND) { "ours" } else { "theirs" };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/people.py");
        let log = self.ground.path(&format!("clients-{name}.log"));
        // Isolated from the user's Python settings and the user's own packages.
        let driver = Driver::start(Command::new(PYTHON).arg("-I").arg(script), &log)?;
        let at = site.at(CLIENTS);
        Ok(Side {
            domain: domain.address.clone(),
            server: software,
            features: crate::features::Features::default(),
            driver: Arc::new(driver),
            register: registration(from_here(), at, &domain.address),
            login: json!({
                "password": PASSWORD,
                "host": at.ip().to_string(),
                "port": at.port(),
                "ca": self.ground.path("authority.crt"),
            }),
            connect: from_here(),
        })
    }
}

/// Mounts a file over another in the namespace of this test.
fn mount(file: &Path, over: &str) -> Result<()> {
    let status = Command::new("mount")
        .arg("--bind")
        .arg(file)
        .arg(over)
        .status()
        .map_err(FlowError::io("running", "mount"))?;
    if status.success() {
        return Ok(());
    }
    let reason = format!("mount: {status}");
    Err(FlowError::Client { who: over.to_owned(), reason })
}
