//! The real engine between scripted servers on loopback: a peer outside, a backend inside, and a name server that
//! publishes the peer. It needs no root and no cluster.

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

/// The domain of the peer outside.
pub const PEER: &str = "peer.example";
/// The domain that the engine serves.
pub const LOCAL: &str = "local.example";
/// A domain whose server is never reachable: DNS publishes a port on which no process listens.
pub const CLOSED: &str = "closed.example";
/// Maximum wait for a required event. Only a failing test waits that long. It is longer than any operation on a busy
/// machine. It is also longer than the engine's delay (one minute) for a changed file without a change event.
pub const DEADLINE: Duration = Duration::from_secs(90);
/// Interval of the checks.
const PAUSE: Duration = Duration::from_millis(50);

/// The engine refuses to dial its own address, so the peer and the backend have other addresses.
pub const PEER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The address of the backend.
pub const BACKEND_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// The reason why the world cannot start.
#[derive(thiserror::Error)]
pub enum LoopbackError {
    /// A scripted server could not continue.
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
    /// The answer of the engine is not evidence.
    #[error("/v1/evidence: {0}")]
    Evidence(String),
}

s2s_peer::debug_as_sentence!(LoopbackError);

/// The properties of the peer.
#[derive(Debug, Clone, Copy)]
pub struct PeerKind {
    /// It authenticates senders by dialback and not by their certificates.
    pub dialback: bool,
    /// The SRV service in DNS: `_xmpp-server` or `_xmpps-server`.
    pub service: &'static str,
}

/// A peer that authenticates by certificates and announces STARTTLS.
pub const ORDINARY: PeerKind = PeerKind { dialback: false, service: "_xmpp-server" };

/// Certificates, files and ports of one world, before the engine starts.
#[derive(Debug)]
pub struct Ground {
    directory: TempDir,
    /// Signs the certificates of all servers outside, which trust it.
    pub authority: Authority,
    /// Signs the certificate of the backend, and the certificates that the engine issues for the backend.
    pub backend_ca: Authority,
    /// The address at which the engine accepts streams of peers.
    pub outer: SocketAddr,
    /// The address at which the engine accepts Direct TLS streams of peers.
    pub outer_tls: SocketAddr,
    /// The address at which the engine accepts streams of the backend.
    pub inner: SocketAddr,
    /// The address of `/readyz` of the engine.
    pub admin: SocketAddr,
}

/// A running engine with a peer and a backend.
#[derive(Debug)]
pub struct World {
    /// The certificates, files and ports.
    pub ground: Ground,
    /// The engine.
    pub engine: Engine,
    /// The peer, which listens and reports the events of its streams.
    pub peer: Server,
    /// The backend, which listens and reports events in the same way.
    pub backend: Server,
    /// The configuration of the engine at its start.
    pub config: Value,
    /// The address that DNS publishes for [`CLOSED`].
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

    /// Issues a new certificate for the local domain and writes it to the files that the engine reads. It writes the
    /// key first, so that the engine never loads a mismatched pair as the new one.
    pub fn install_certificate(&self) -> Result<(), LoopbackError> {
        self.install_certificate_for(&[LOCAL])
    }

    /// The same for several domains.
    pub fn install_certificate_for(&self, domains: &[&str]) -> Result<(), LoopbackError> {
        let local = self.authority.issue(domains)?;
        self.write("tls.key", local.key_pem())?;
        self.write("tls.crt", local.certificate_pem())
    }

    /// Writes one of the engine's files atomically.
    pub fn write(&self, name: &str, content: &str) -> Result<(), LoopbackError> {
        let beside = self.directory.path().join(format!(".{name}"));
        fs::write(&beside, content)?;
        Ok(fs::rename(&beside, self.path(name))?)
    }

    /// The path of one of the engine's files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The directory of all files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The backend, for tests that accept its streams themselves; it authenticates the engine by certificate.
    pub fn backend_acceptor(&self) -> Result<Acceptor, PeerError> {
        acceptor(LOCAL, &self.backend_ca)
    }

    /// A configuration for one local domain behind that backend; that name server resolves all remote domains.
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
    /// Starts the engine, the peer, the backend and the name server.
    pub fn start(engine: &Path, kind: PeerKind) -> Result<Self, LoopbackError> {
        Self::start_with(engine, kind, |_, _| {})
    }

    /// Starts all of them, after `change` has changed the configuration and the files.
    pub fn start_with(
        engine: &Path,
        kind: PeerKind,
        change: impl FnOnce(&Ground, &mut Value),
    ) -> Result<Self, LoopbackError> {
        Self::start_among(engine, kind, Zone::default(), change)
    }

    /// The same in a world whose DNS also publishes other servers.
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

    /// A server of that domain that the servers outside trust; it authenticates senders by certificate.
    pub fn acceptor(&self, domain: &str) -> Result<Acceptor, PeerError> {
        acceptor(domain, &self.ground.authority)
    }

    /// A counter of the engine: the sum of a metric over all series with these labels.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> Result<u64, LoopbackError> {
        Ok(Metrics::of(self.ground.admin)?.sum(name, labels))
    }

    /// The address at which the world's name server listens.
    pub fn resolver(&self) -> SocketAddr {
        self.nameserver.address()
    }

    /// The initiator of streams from the peer to the engine.
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
            timeout: DEADLINE,
        }
    }

    /// A stream from the backend to the engine as `to`, authenticated by the backend's certificate.
    pub fn stream_from_backend(&self, to: &str) -> Result<Stream, LoopbackError> {
        let identity = self.ground.backend_ca.issue(&[LOCAL])?;
        let roots = self.ground.backend_ca.roots()?;
        Ok(self.from_backend(&identity, &roots, to).external()?)
    }

    /// The initiator of streams from the backend to the engine as `to`.
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
            timeout: DEADLINE,
        }
    }
}

/// Sets the address of the backend in a configuration of the engine.
pub fn put_backend(config: &mut Value, address: SocketAddr) {
    if let Some(server) = config.pointer_mut("/backends/0/server").and_then(Value::as_object_mut) {
        server.insert("host".to_owned(), json!(address.ip().to_string()));
        server.insert("port".to_owned(), json!(address.port()));
    }
}

/// Polls until a condition that nothing announces becomes true.
///
/// # Errors
/// Returns an error if it does not become true in time.
pub fn until(what: &'static str, mut seen: impl FnMut() -> bool) -> Result<(), PeerError> {
    let begun = Instant::now();
    while !seen() {
        if begun.elapsed() > DEADLINE {
            return Err(PeerError::Deadline { awaited: what, timeout: DEADLINE });
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Polls until the observed value equals the expected value.
///
/// # Errors
/// Returns an error with the last observed value if the values do not become equal in time.
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

/// A server of a domain, trusted by servers that trust `authority`; it authenticates senders by certificate.
fn acceptor(domain: &str, authority: &Authority) -> Result<Acceptor, PeerError> {
    Ok(Acceptor {
        domain: domain.to_owned(),
        identity: authority.issue(&[domain])?,
        roots: authority.roots()?,
        proof: Proof::Certificate,
        secret: secret_of(domain),
        timeout: DEADLINE,
    })
}

/// Starts a server of a domain at any free port of that address, trusted by servers that trust `authority`.
///
/// # Errors
/// Returns an error if no certificate or no port is available.
pub fn serve(
    address: Ipv4Addr,
    domain: &str,
    proof: Proof,
    authority: &Authority,
) -> Result<Server, PeerError> {
    let acceptor = Acceptor { proof, ..acceptor(domain, authority)? };
    Server::start(SocketAddr::new(IpAddr::V4(address), 0), acceptor)
}
