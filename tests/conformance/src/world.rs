//! The engine as a target: the real program on loopback, with our servers outside and a backend inside.

use std::net::SocketAddr;
use std::path::Path;

use harness::claim::Network;
use harness::engine::Engine;
use harness::loopback::{DEADLINE, Ground, LOCAL, LoopbackError, PEER};
use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::authority::Authority;
use s2s_peer::dialback::Secret;
use s2s_peer::server::Server;
use serde_json::{Value, json};

use super::inside::Inside;
use super::outside::{Outside, names};
use super::target::Target;

/// The engine's other domain.
const SECOND_LOCAL: &str = "second.example";
/// The engine's dialback secret, which [`Ground`] writes.
const SECRET: &str = "a secret that is only the engine's";
/// Maximum time that a stanza waits for a failing server in checks that await its return: the minimum that the
/// configuration allows.
const QUEUE_SECONDS: u16 = 5;
/// Statements about stanzas that are returned because of a failing server.
const ABOUT_FAILING_SERVERS: [u8; 3] = [59, 60, 70];
/// Statements about idle streams.
const ABOUT_IDLE_STREAMS: [u8; 2] = [63, 64];

/// Timeout of negotiation and dialback for hostile peers, which let these timeouts expire.
const HOSTILE_SECONDS: u16 = 5;

/// The statement that needs a signed zone.
const ABOUT_DANE: u8 = 28;

/// A running engine as a target.
#[derive(Debug)]
pub struct World {
    /// The engine as the outside sees it.
    pub target: Target,
    /// The engine's process, stopped with the world.
    pub engine: Engine,
    /// Its files.
    pub ground: Ground,
}

impl World {
    /// Starts the engine, configured for the statement with that number.
    pub fn start(engine: &Path, statement: u8) -> Result<Self, LoopbackError> {
        Self::configured(engine, statement, timeouts(statement))
    }

    /// Starts the engine for an adversarial case, with short timeouts for negotiation and dialback that never finish.
    pub fn start_hostile(engine: &Path) -> Result<Self, LoopbackError> {
        let seconds = HOSTILE_SECONDS;
        let timeouts = json!({"negotiationSeconds": seconds, "dialbackSeconds": seconds});
        Self::configured(engine, 0, timeouts)
    }

    fn configured(engine: &Path, statement: u8, timeouts: Value) -> Result<Self, LoopbackError> {
        let ground = Ground::new()?;
        // The outside ports are fixed: of two worlds on one address the second one could not start.
        let network = Network::claim()?;
        let [outside, trap, backend] = [1, 2, 3].map(|host| network.host(host));
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
            timeout: DEADLINE,
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
        particulars(&ground, &mut config, timeouts)?;
        let engine = Engine::start(engine, ground.directory(), &config, ground.admin)?;
        let inside = Inside {
            server,
            address: ground.inner,
            identity: ground.backend_ca.issue(&[LOCAL])?,
            roots: ground.backend_ca.roots()?,
            domain: LOCAL.to_owned(),
            timeout: DEADLINE,
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
            timeout: DEADLINE,
        };
        Ok(Self { target, engine, ground })
    }
}

/// A second domain with its own certificate, a peer that is authenticated by certificate only, and the timeouts that
/// the statement needs.
fn particulars(ground: &Ground, config: &mut Value, timeouts: Value) -> Result<(), LoopbackError> {
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
        // A pattern, because the engine itself would connect to a peer with a full name.
        let strict = format!("{}.{PEER}", names::STRICT).replace("only.", "*.");
        config.insert("peers".into(), json!([{"domain": strict, "profile": "Strict"}]));
        config.insert("timeouts".into(), timeouts);
    }
    Ok(())
}

/// The engine's own timeouts, unless the statement needs others.
fn timeouts(statement: u8) -> Value {
    if ABOUT_IDLE_STREAMS.contains(&statement) {
        json!({"idleSeconds": 1})
    } else if ABOUT_FAILING_SERVERS.contains(&statement) {
        json!({"queueSeconds": QUEUE_SECONDS})
    } else {
        json!({})
    }
}
