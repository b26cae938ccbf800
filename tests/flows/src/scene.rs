//! Both sides with everything between them: our server behind the real engine program, which it finds by the engine's own
//! DNS server, and a server outside. All of it is in one network namespace ([`interop::sandbox`]).

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use harness::engine::Engine;
use harness::launch::Running;
use harness::loopback::Ground;
use interop::certificate::Issuer;
use interop::error::InteropError;
use interop::release::Release;
use interop::site::{DNS, SERVERS, Site};
use lab::paths::Paths;
use s2s_peer::nameserver::{Nameserver, Zone};

use crate::domain::{self, Domain};
use crate::error::Result;
use crate::server;
use crate::side::{Side, Software};
use crate::stage::{BACKEND, OURS, OUTSIDE, SPLIT_DNS, Stage, THEIRS, WORLD_DNS};

/// The parent of both domains.
const ZONE: &str = "example";

/// Both sides, running.
pub struct Scene {
    /// Our side.
    pub ours: Side,
    /// The other side.
    pub theirs: Side,
    engine: Option<Engine>,
    servers: Vec<Running>,
    ground: Ground,
    _nameserver: Nameserver,
}

impl Scene {
    /// Starts a scene with that backend. Without an engine, both servers reach each other directly, which shows whether
    /// something is a peculiarity of theirs.
    pub fn start(backend: Software, engine: Option<&Path>) -> Result<Self> {
        let ours = Domain::below(ZONE, domain::OURS);
        let theirs = Domain::below(ZONE, domain::THEIRS);
        let issuer = Issuer::new()?;
        let paths = Paths::from_env().map_err(InteropError::from)?;
        let ground = Ground::new().map_err(InteropError::from)?;
        ground.write("authority.crt", &issuer.pem()).map_err(InteropError::from)?;
        let stage = Stage { issuer: &issuer, ground: &ground, paths: &paths };
        let at = if engine.is_some() { OURS } else { BACKEND };
        let nameserver =
            Nameserver::start((WORLD_DNS, DNS).into(), zone([(&ours, at), (&theirs, THEIRS)])?)?;

        let mut servers = Vec::new();
        let outside = stage.site(OUTSIDE, "theirs", &theirs, THEIRS, WORLD_DNS)?;
        servers.push(start(OUTSIDE, &outside)?);
        let inside = if let Software::Server(release) = backend {
            let dns = if engine.is_some() { SPLIT_DNS } else { WORLD_DNS };
            let inside = stage.site(release, "ours", &ours, BACKEND, dns)?;
            servers.push(start(release, &inside)?);
            Some(inside)
        } else {
            None
        };
        let engine = engine.map(|engine| stage.engine(engine, backend, &ours)).transpose()?;
        let ours = match inside {
            Some(site) => stage.side(backend, &ours, &site)?,
            None => stage.component(&ours)?,
        };
        let theirs = stage.side(Software::Server(OUTSIDE), &theirs, &outside)?;
        let mut scene = Self { ours, theirs, engine, servers, ground, _nameserver: nameserver };
        for side in [&mut scene.ours, &mut scene.theirs] {
            side.discover()?;
        }
        Ok(scene)
    }

    /// The ends of all logs.
    pub fn log(&self) -> String {
        let servers = self.servers.iter().map(Running::log);
        let engine = self.engine.iter().map(|engine| format!("--- the engine\n{}", engine.log()));
        let clients = ["clients-ours.log", "clients-theirs.log"].map(|name| {
            let text = fs::read_to_string(self.ground.path(name)).unwrap_or_default();
            format!("--- {name}\n{text}")
        });
        servers.chain(engine).chain(clients).collect::<Vec<_>>().join("\n")
    }
}

fn start(release: Release, site: &Site) -> Result<Running> {
    let launch = server::launch(release, site)?;
    Ok(launch.start(&site.root, &site.home).map_err(InteropError::from)?)
}

fn zone(domains: [(&Domain, Ipv4Addr); 2]) -> Result<Zone> {
    let mut zone = Zone::default();
    for (domain, address) in domains {
        let host = format!("xmpp.{}", domain.dns);
        zone = zone.address(&host, address)?;
        for name in domain.names() {
            zone = zone.server("_xmpp-server", &name, &host, SERVERS)?;
        }
    }
    Ok(zone)
}
