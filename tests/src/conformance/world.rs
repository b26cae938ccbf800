//! The engine as a target: the real program on loopback, with our servers outside and a backend inside.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::{Value, json};

use super::inside::Inside;
use super::outside::{Outside, names};
use super::target::Target;
use crate::engine::Engine;
use crate::loopback::{Ground, LOCAL, LoopbackError, PATIENCE, PEER};
use crate::peer::acceptor::{Acceptor, Proof};
use crate::peer::authority::Authority;
use crate::peer::dialback::Secret;
use crate::peer::server::Server;

/// The engine's other domain.
const SECOND_LOCAL: &str = "second.example";
/// What [`Ground`] writes as the engine's dialback secret.
const SECRET: &str = "a secret that is only the engine's";
/// How long a stanza may wait for a server that fails: less than anybody waits for its return.
const QUEUE_SECONDS: u16 = 5;
/// Statements about streams that are idle.
const ABOUT_IDLE_STREAMS: [u8; 2] = [63, 64];

/// The statement for which the zone is signed.
const ABOUT_DANE: u8 = 28;

/// A running engine as a target.
#[derive(Debug)]
pub struct World {
    /// The engine, seen from outside.
    pub target: Target,
    /// Its process, ended with the world.
    pub engine: Engine,
    /// Its files.
    pub ground: Ground,
}

impl World {
    /// Starts the engine, configured for the statement of that number.
    pub fn start(engine: &Path, statement: u8) -> Result<Self, LoopbackError> {
        let mut ground = Ground::new()?;
        let [outside, trap, backend, own] = addresses();
        // Free ports of one address may be taken by another world before they are used; ports of an own one are not.
        ground.outer = (own, 5269).into();
        ground.outer_tls = (own, 5270).into();
        ground.inner = (own, 15269).into();
        ground.admin = (own, 9090).into();
        let resolver = SocketAddr::from((outside, 0));
        let outside = if statement == ABOUT_DANE {
            Outside::start_signed(PEER, outside, trap, resolver)?
        } else {
            Outside::start(PEER, outside, trap, Some(resolver))?
        };
        let acceptor = Acceptor {
            domain: LOCAL.to_owned(),
            identity: ground.backend_ca.issue(&[LOCAL, SECOND_LOCAL])?,
            roots: ground.backend_ca.roots()?,
            proof: Proof::Certificate,
            secret: Secret::new("the backend's"),
            patience: PATIENCE,
        };
        let server = Server::start((backend, 0).into(), acceptor)?;
        let resolver = outside.resolver().unwrap_or(resolver);
        let mut config = ground.config(server.address(), resolver);
        if let Some(signed) = &outside.signed {
            ground.write("root.key", &signed.anchor)?;
            let anchors = json!({"trustAnchors": ground.path("root.key")});
            if let Some(config) = config.as_object_mut() {
                config.insert("dnssec".into(), anchors);
            }
        }
        let closes_idle = ABOUT_IDLE_STREAMS.contains(&statement);
        particulars(&ground, &mut config, closes_idle)?;
        let engine = Engine::start(engine, ground.directory(), &config, ground.admin)?;
        let inside = Inside {
            server,
            address: ground.inner,
            identity: ground.backend_ca.issue(&[LOCAL])?,
            roots: ground.backend_ca.roots()?,
            domain: LOCAL.to_owned(),
            patience: PATIENCE,
        };
        let target = Target {
            address: ground.outer,
            direct_tls: Some(ground.outer_tls),
            domain: LOCAL.to_owned(),
            second_domain: Some(SECOND_LOCAL.to_owned()),
            peer: PEER.to_owned(),
            authority: Authority::from_key_pem("Test CA", &ground.authority.key_pem())?,
            secret: Some(Secret::new(SECRET)),
            outside: Some(outside),
            inside: Some(inside),
            strict: Some(format!("{}.{PEER}", names::STRICT)),
            closes_idle,
            process: Some(engine.pid()),
            patience: PATIENCE,
        };
        Ok(Self { target, engine, ground })
    }
}

/// A second domain with a certificate of its own, a peer that is taken by its certificate only, and quick closing.
fn particulars(ground: &Ground, config: &mut Value, idle: bool) -> Result<(), LoopbackError> {
    let second = ground.authority.issue(&[SECOND_LOCAL])?;
    ground.write("second.key", second.key_pem())?;
    ground.write("second.crt", second.certificate_pem())?;
    let file = |name: &str| ground.path(name).display().to_string();
    let more = [
        ("/domains", json!({"name": SECOND_LOCAL, "backend": "im"})),
        (
            "/tls/certificates",
            json!({"certificateFile": file("second.crt"), "privateKeyFile": file("second.key")}),
        ),
    ];
    for (place, value) in more {
        if let Some(list) = config.pointer_mut(place).and_then(Value::as_array_mut) {
            list.push(value);
        }
    }
    if let Some(config) = config.as_object_mut() {
        // A pattern: to a peer that is named the engine would connect by itself.
        let strict = format!("{}.{PEER}", names::STRICT).replace("only.", "*.");
        config.insert("peers".into(), json!([{"domain": strict, "profile": "Strict"}]));
        let mut timeouts = json!({"queueSeconds": QUEUE_SECONDS});
        if let Some(timeouts) = timeouts.as_object_mut().filter(|_| idle) {
            timeouts.insert("idleSeconds".into(), json!(1));
        }
        config.insert("timeouts".into(), timeouts);
    }
    Ok(())
}

/// Addresses of loopback that no other world has: worlds of one process are numbered, processes have their ids.
fn addresses() -> [Ipv4Addr; 4] {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let world = NEXT.fetch_add(1, Ordering::Relaxed);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    // Ids that follow each other differ in their lower half.
    let process = (low ^ high.rotate_left(4)) | 1;
    [1, 2, 3, 4].map(|host| Ipv4Addr::new(127, process, world, host))
}
