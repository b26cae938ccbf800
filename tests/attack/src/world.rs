//! The engine under attack, with a good peer and a backend that answers. For the attacks: a domain with a backend that
//! does not read, one with a backend that discards its input, and domains with a server that never answers.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use harness::loopback::{
    BACKEND_ADDRESS, CLOSED, DEADLINE, Ground, LOCAL, ORDINARY, PEER_ADDRESS, World, secret_of,
};
use s2s_peer::acceptor::{Acceptor, Proof, Session};
use s2s_peer::authority::Authority;
use s2s_peer::nameserver::Zone;
use serde_json::{Value, json};

use super::aim::Aim;
use super::dialback::REQUESTS;
use super::error::Result;
use super::kind::Kind;
use super::priority;

/// Domain with a backend that accepts streams and does not read them.
pub(crate) const SLOW: &str = "slow.example";
/// Domain with a backend that discards its input: an attacker's stanzas to it cost the good peer's backend nothing.
pub(crate) const FLOODED: &str = "flooded.example";
/// The attacker's domain.
pub(crate) const ATTACKER: &str = "attacker.example";
/// The source address of attackers, in another network than the good peer's.
pub(crate) const ATTACKERS_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 66, 6, 6);
/// The good peer's own address.
pub(crate) const GOOD_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 77, 7, 7);
/// Bytes of a large stanza: below the engine's limit.
const LARGE: usize = 256 * 1024;

/// The engine and everything around it.
#[derive(Debug)]
pub(crate) struct Besieged {
    /// The engine, the good peer and its backend.
    pub world: World,
    /// An authority with the properties of a public one, which the engine trusts.
    public: Authority,
    held: Arc<Mutex<Vec<Session>>>,
    /// Connections wait in its queue and are never accepted.
    _silent: TcpListener,
}

impl Besieged {
    /// Starts the engine and everything around it.
    pub(crate) fn start(engine: &Path) -> Result<Self> {
        let public = public_authority()?;
        let held: Arc<Mutex<Vec<Session>>> = Arc::default();
        let mut slow = None;
        let (zone, silent) = silent_servers()?;
        let world = World::start_among(engine, ORDINARY, zone, |ground, config| {
            slow = Some(prepare(ground, config, &public, &held));
        })?;
        slow.transpose()?;
        Ok(Self { world, public, held, _silent: silent })
    }

    /// The aim of an attack of that kind at this engine.
    pub(crate) fn aim(&self, kind: Kind, connections: usize) -> Result<Aim> {
        let ground = &self.world.ground;
        let wildcard = format!("*.{ATTACKER}");
        let identity = match kind {
            Kind::WildcardNames => Some(ground.authority.issue(&[&wildcard])?),
            Kind::PrefixedAttributes
            | Kind::LongNamespaces
            | Kind::AuthenticatedStreams
            | Kind::WhiteSpace => Some(ground.authority.issue(&[ATTACKER])?),
            Kind::BackendFlood | Kind::BackendGarbage => Some(ground.backend_ca.issue(&[FLOODED])?),
            _ => None,
        };
        let (to, from) = match kind {
            Kind::AdminPort => (ground.admin, ATTACKER),
            Kind::BackendFlood | Kind::BackendGarbage => (ground.inner, FLOODED),
            _ => (ground.outer, ATTACKER),
        };
        let domain = match kind {
            Kind::WhiteSpace => SLOW,
            Kind::BackendFlood | Kind::BackendGarbage => CLOSED,
            Kind::PrefixedAttributes
            | Kind::LongNamespaces
            | Kind::AuthenticatedStreams
            | Kind::WildcardNames => FLOODED,
            _ => LOCAL,
        };
        Ok(Aim {
            to,
            domain: domain.to_owned(),
            from: from.to_owned(),
            identity,
            authority: Some(self.public.certificate_pem()),
            source: Some(IpAddr::V4(ATTACKERS_ADDRESS)),
            connections,
            bytes: LARGE,
        })
    }

    /// Streams that the engine has opened to the backend that does not read.
    pub(crate) fn held(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// An authority with a key of the type that takes longest to verify.
fn public_authority() -> Result<Authority> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384);
    let key = key.map_err(s2s_peer::error::PeerError::from)?;
    Ok(Authority::from_key_pem("Public CA", &key.serialize_pem())?)
}

/// Domains of the attacker with a server that never answers.
fn silent_servers() -> Result<(Zone, TcpListener)> {
    let listener = TcpListener::bind((PEER_ADDRESS, 0))?;
    let port = listener.local_addr()?.port();
    let mut zone = Zone::default();
    for number in 0..REQUESTS {
        let domain = format!("hang{number}.{ATTACKER}");
        zone = zone.address(&domain, PEER_ADDRESS)?;
        zone = zone.server("_xmpp-server", &domain, &domain, port)?;
    }
    Ok((zone, listener))
}

fn prepare(
    ground: &harness::loopback::Ground,
    config: &mut Value,
    public: &Authority,
    held: &Arc<Mutex<Vec<Session>>>,
) -> Result<()> {
    ground.install_certificate_for(&[LOCAL, SLOW, FLOODED])?;
    ground.write("public-ca.crt", &public.certificate_pem())?;
    let held = Arc::clone(held);
    let slow = serve(acceptor(ground, SLOW)?, move |session| {
        held.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    })?;
    let flooded = serve(acceptor(ground, FLOODED)?, discard)?;
    let file = |name: &str| ground.path(name).display().to_string();
    let backend = |name: &str, address: SocketAddr| {
        json!({"name": name, "server": {
            "host": address.ip().to_string(),
            "port": address.port(),
            "authentication": "Minted",
            "trust": {"systemRoots": false, "bundles": [file("backend-ca.crt")]},
        }})
    };
    let more = [
        ("/domains", json!({"name": SLOW, "backend": "slow"})),
        ("/domains", json!({"name": FLOODED, "backend": "flooded"})),
        ("/backends", backend("slow", slow)),
        ("/backends", backend("flooded", flooded)),
        ("/tls/trust/bundles", json!(file("public-ca.crt"))),
    ];
    for (place, value) in more {
        if let Some(list) = config.pointer_mut(place).and_then(Value::as_array_mut) {
            list.push(value);
        }
    }
    Ok(())
}

/// A backend of that domain.
fn acceptor(ground: &Ground, domain: &str) -> Result<Acceptor> {
    Ok(Acceptor {
        domain: domain.to_owned(),
        identity: ground.backend_ca.issue(&[domain])?,
        roots: ground.backend_ca.roots()?,
        proof: Proof::Certificate,
        secret: secret_of(domain),
        timeout: DEADLINE,
    })
}

/// Starts a server that passes each of its streams to `take`, each on its own thread. Returns its address.
fn serve(
    acceptor: Acceptor,
    take: impl Fn(Session) + Clone + Send + 'static,
) -> Result<SocketAddr> {
    let listener = TcpListener::bind((BACKEND_ADDRESS, 0))?;
    let address = listener.local_addr()?;
    let acceptor = Arc::new(acceptor);
    thread::spawn(move || {
        priority::lower();
        for tcp in listener.incoming().flatten() {
            let (acceptor, take) = (Arc::clone(&acceptor), take.clone());
            thread::spawn(move || {
                if let Ok(Some(session)) = acceptor.accept(tcp) {
                    take(session);
                }
            });
        }
    });
    Ok(address)
}

/// Reads a stream to its end.
fn discard(mut session: Session) {
    let mut buffer = vec![0; 64 * 1024];
    let transport = session.stream.transport();
    loop {
        transport.begin();
        match transport.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
