//! The real engine between scripted servers on loopback: a peer outside, a backend inside, a name server that knows
//! the peer. No root, no cluster.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::RootCertStore;
use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::authority::{Authority, Identity};
use s2s_peer::dialback::Secret;
use s2s_peer::error::PeerError;
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::nameserver::{Nameserver, Zone};
use s2s_peer::server::Server;
use s2s_peer::stream::Stream;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::claim;
use crate::descriptors;
use crate::engine::{Engine, EngineError};
use crate::launch::error::LaunchError;
use crate::metrics::Metrics;

/// The peer outside.
pub const PEER: &str = "peer.example";
/// The domain that the engine serves.
pub const LOCAL: &str = "local.example";
/// A domain whose server is never there: DNS names a port that nothing listens on.
pub const CLOSED: &str = "closed.example";
/// Longest wait for something that must happen. It is waited out only by a test that fails, so it is longer than anything
/// takes on a busy machine, and than the engine leaves a file unread whose change no event announced (a minute).
pub const DEADLINE: Duration = Duration::from_secs(90);
/// Interval of the checks.
const PAUSE: Duration = Duration::from_millis(50);

/// The engine refuses to dial its own address, so the others have theirs.
pub const PEER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The backend's.
pub const BACKEND_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Why there is no such world.
#[derive(thiserror::Error)]
pub enum LoopbackError {
    /// A scripted server could not go on.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The engine did not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A real server did not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A file or port could not be used.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The engine answered something else than evidence.
    #[error("/v1/evidence: {0}")]
    Evidence(String),
}

s2s_peer::debug_as_sentence!(LoopbackError);

/// How the peer is there.
#[derive(Debug, Clone, Copy)]
pub struct PeerKind {
    /// It proves senders by dialback and not by their certificates.
    pub dialback: bool,
    /// The SRV service that DNS announces: `_xmpp-server` or `_xmpps-server`.
    pub service: &'static str,
}

/// A peer that knows certificates and is announced for STARTTLS.
pub const ORDINARY: PeerKind = PeerKind { dialback: false, service: "_xmpp-server" };

/// Certificates, files and ports of one world, before the engine runs.
#[derive(Debug)]
pub struct Ground {
    directory: TempDir,
    /// Signs what the world outside presents; trusted by all of it.
    pub authority: Authority,
    /// Signs what the backend presents, and what the engine mints for it.
    pub backend_ca: Authority,
    /// Where the engine takes streams of peers.
    pub outer: SocketAddr,
    /// Where the engine takes Direct TLS streams of peers.
    pub outer_tls: SocketAddr,
    /// Where the engine takes streams of the backend.
    pub inner: SocketAddr,
    /// `/readyz` of the engine.
    pub admin: SocketAddr,
}

/// A running engine with a peer and a backend.
#[derive(Debug)]
pub struct World {
    /// What all of it stands on.
    pub ground: Ground,
    /// The engine.
    pub engine: Engine,
    /// The peer, which listens and counts what it gets.
    pub peer: Server,
    /// The backend, likewise.
    pub backend: Server,
    /// What the engine was started with.
    pub config: Value,
    /// Where DNS says that [`CLOSED`] is.
    pub closed: SocketAddr,
    nameserver: Nameserver,
}

impl Ground {
    /// Makes certificates and writes the files that the engine reads.
    pub fn new() -> Result<Self, LoopbackError> {
        descriptors::raise()?;
        let ground = Self {
            directory: tempfile::tempdir()?,
            authority: Authority::new("Test CA")?,
            backend_ca: Authority::new("Test backend CA")?,
            outer: claim::port()?,
            outer_tls: claim::port()?,
            inner: claim::port()?,
            admin: claim::port()?,
        };
        ground.write("ca.crt", &ground.authority.certificate_pem())?;
        ground.write("backend-ca.crt", &ground.backend_ca.certificate_pem())?;
        ground.write("backend-ca.key", &ground.backend_ca.key_pem())?;
        ground.write("dialback", "a secret that is only the engine's")?;
        ground.install_certificate()?;
        Ok(ground)
    }

    /// Issues a new certificate for the local domain and puts it where the engine reads it; key first, so that a pair
    /// that does not match is never taken for the new one.
    pub fn install_certificate(&self) -> Result<(), LoopbackError> {
        self.install_certificate_for(&[LOCAL])
    }

    /// The same for several domains.
    pub fn install_certificate_for(&self, domains: &[&str]) -> Result<(), LoopbackError> {
        let local = self.authority.issue(domains)?;
        self.write("tls.key", local.key_pem())?;
        self.write("tls.crt", local.certificate_pem())
    }

    /// Writes one of the engine's files, whole at once.
    pub fn write(&self, name: &str, content: &str) -> Result<(), LoopbackError> {
        let beside = self.directory.path().join(format!(".{name}"));
        fs::write(&beside, content)?;
        Ok(fs::rename(&beside, self.path(name))?)
    }

    /// Where one of the engine's files is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where everything is.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The backend, for tests that accept its streams themselves; it believes certificates.
    pub fn backend_acceptor(&self) -> Result<Acceptor, PeerError> {
        acceptor(LOCAL, &self.backend_ca)
    }

    /// A configuration for one local domain behind that backend, everything outside found by that name server.
    pub fn config(&self, backend: SocketAddr, resolver: SocketAddr) -> Value {
        let file = |name: &str| self.path(name).display().to_string();
        json!({
            "host": format!("xmpp.{LOCAL}"),
            "domains": [{"name": LOCAL, "backend": "im"}],
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
            "egress": {"allowNetworks": ["127.0.0.0/8"]},
            "resolvers": [resolver.to_string()],
            "listen": {
                "s2s": self.outer.to_string(),
                "s2sTls": self.outer_tls.to_string(),
                "backend": self.inner.to_string(),
                "admin": self.admin.to_string(),
            },
        })
    }
}

impl World {
    /// Starts everything.
    pub fn start(engine: &Path, kind: PeerKind) -> Result<Self, LoopbackError> {
        Self::start_with(engine, kind, |_, _| {})
    }

    /// Starts everything, with a configuration and files that `change` has changed.
    pub fn start_with(
        engine: &Path,
        kind: PeerKind,
        change: impl FnOnce(&Ground, &mut Value),
    ) -> Result<Self, LoopbackError> {
        Self::start_among(engine, kind, Zone::default(), change)
    }

    /// The same in a world whose DNS knows others, too.
    pub fn start_among(
        engine: &Path,
        kind: PeerKind,
        others: Zone,
        change: impl FnOnce(&Ground, &mut Value),
    ) -> Result<Self, LoopbackError> {
        let ground = Ground::new()?;
        let proof = if kind.dialback {
            Proof::Dialback { authority: ground.outer }
        } else {
            Proof::Certificate
        };
        let peer = serve(PEER_ADDRESS, PEER, proof, &ground.authority)?;
        let backend = serve(BACKEND_ADDRESS, LOCAL, Proof::Certificate, &ground.backend_ca)?;
        let closed = SocketAddr::new(PEER_ADDRESS.into(), claim::port()?.port());
        let host = |domain: &str| format!("xmpp.{domain}");
        let zone = others
            .address(&host(PEER), PEER_ADDRESS)?
            .server(kind.service, PEER, &host(PEER), peer.address().port())?
            .address(&host(CLOSED), PEER_ADDRESS)?
            .server("_xmpp-server", CLOSED, &host(CLOSED), closed.port())?;
        let nameserver = Nameserver::start((PEER_ADDRESS, 0).into(), zone)?;
        let mut config = ground.config(backend.address(), nameserver.address());
        change(&ground, &mut config);
        let engine = Engine::start(engine, ground.directory(), &config, ground.admin)?;
        Ok(Self { ground, engine, peer, backend, config, closed, nameserver })
    }

    /// A server of that domain, as the world outside trusts it; it believes certificates.
    pub fn acceptor(&self, domain: &str) -> Result<Acceptor, PeerError> {
        acceptor(domain, &self.ground.authority)
    }

    /// What the engine has counted: the sum of a metric over all that have these labels.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> Result<u64, LoopbackError> {
        Ok(Metrics::of(self.ground.admin)?.sum(name, labels))
    }

    /// Where the world's name server listens.
    pub fn resolver(&self) -> SocketAddr {
        self.nameserver.address()
    }

    /// The peer's way to the engine.
    pub fn from_peer<'a>(
        &self,
        identity: Option<&'a Identity>,
        roots: &'a Arc<RootCertStore>,
    ) -> Initiator<'a> {
        Initiator {
            address: self.ground.outer,
            from: PEER,
            to: LOCAL,
            identity,
            roots,
            security: Security::StartTls,
            patience: DEADLINE,
        }
    }

    /// A stream of the backend to the engine, which is `to` for it, proven by the backend's certificate.
    pub fn stream_from_backend(&self, to: &str) -> Result<Stream, LoopbackError> {
        let identity = self.ground.backend_ca.issue(&[LOCAL])?;
        let roots = self.ground.backend_ca.roots()?;
        Ok(self.from_backend(&identity, &roots, to).external()?)
    }

    /// The backend's way to the engine, which is `to` for it.
    pub fn from_backend<'a>(
        &self,
        identity: &'a Identity,
        roots: &'a Arc<RootCertStore>,
        to: &'a str,
    ) -> Initiator<'a> {
        Initiator {
            address: self.ground.inner,
            from: LOCAL,
            to,
            identity: Some(identity),
            roots,
            security: Security::StartTls,
            patience: DEADLINE,
        }
    }
}

/// Has an engine of that configuration look for its backend there.
pub fn put_backend(config: &mut Value, address: SocketAddr) {
    if let Some(server) = config.pointer_mut("/backends/0/server").and_then(Value::as_object_mut) {
        server.insert("host".to_owned(), json!(address.ip().to_string()));
        server.insert("port".to_owned(), json!(address.port()));
    }
}

/// Waits for what shows only when one looks.
///
/// # Errors
/// When it does not come about.
pub fn until(what: &'static str, mut seen: impl FnMut() -> bool) -> Result<(), PeerError> {
    let begun = Instant::now();
    while !seen() {
        if begun.elapsed() > DEADLINE {
            return Err(PeerError::Deadline { awaited: what, patience: DEADLINE });
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Waits until what is seen equals what must come about.
///
/// # Errors
/// When it does not, with what was seen last.
pub fn eventually<T: PartialEq + Debug>(
    what: &str,
    expected: &T,
    mut look: impl FnMut() -> Result<T, LoopbackError>,
) -> Result<(), LoopbackError> {
    let begun = Instant::now();
    loop {
        let seen = look()?;
        if seen == *expected {
            return Ok(());
        }
        if begun.elapsed() > DEADLINE {
            let text = format!(
                "waited {DEADLINE:?} for {what}: expected {expected:?}, last seen {seen:?}"
            );
            return Err(PeerError::Script(text).into());
        }
        thread::sleep(PAUSE);
    }
}

/// The dialback secret of a scripted server.
pub fn secret_of(domain: &str) -> Secret {
    Secret::new(format!("the secret of {domain}"))
}

/// A server of a domain, as those see it who trust `authority`; it believes certificates.
fn acceptor(domain: &str, authority: &Authority) -> Result<Acceptor, PeerError> {
    Ok(Acceptor {
        domain: domain.to_owned(),
        identity: authority.issue(&[domain])?,
        roots: authority.roots()?,
        proof: Proof::Certificate,
        secret: secret_of(domain),
        patience: DEADLINE,
    })
}

/// Starts a server of a domain at any port of that address, as those see it who trust `authority`.
///
/// # Errors
/// When there is no certificate or no port.
pub fn serve(
    address: Ipv4Addr,
    domain: &str,
    proof: Proof,
    authority: &Authority,
) -> Result<Server, PeerError> {
    let acceptor = Acceptor { proof, ..acceptor(domain, authority)? };
    Server::start(SocketAddr::new(IpAddr::V4(address), 0), acceptor)
}
