//! The real engine between a simulated partner and a backend, on loopback.

use std::path::Path;
use std::sync::Arc;

use harness::claim;
use harness::engine::Engine;
use harness::loopback::{
    BACKEND_ADDRESS, DEADLINE, Ground, LOCAL, LoopbackError, PEER_ADDRESS, serve,
};
use s2s_peer::acceptor::Proof;
use s2s_peer::authority::{Authority, Identity};
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::nameserver::{Nameserver, Zone};
use s2s_peer::partners::partner::{Claim, Partner, Unknown};
use s2s_peer::partners::wire::Wire;
use s2s_peer::server::Server;
use s2s_peer::stream::Stream;
use serde_json::{Value, json};

/// The partner's domain.
pub(crate) const PARTNER: &str = "partner.example";

/// Shortest configurable time for a stanza to wait for its stream. A test uses it to wait for the bounce after a
/// temporary failure.
pub(crate) const SHORTEST_QUEUE_SECONDS: u16 = 5;

/// The simulated partner, and the settings for it on our side.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// The partner's system.
    pub(crate) wire: Wire,
    /// The settings of its entry in `peers`.
    pub(crate) settings: Value,
    /// Set if the partner has a customer with our domain.
    pub(crate) claim: Option<Claim>,
    /// The domains of its other customers.
    pub(crate) customers: Vec<String>,
    /// Its answer to a stream for a domain that it does not host.
    pub(crate) unknown: Unknown,
    /// The engine asks it whether it hosts our domain.
    pub(crate) claim_check: bool,
    /// Its DNS records.
    pub(crate) records: Records,
    /// The certificate that our domain presents.
    pub(crate) certificate: Certificate,
    /// Maximum time for a stanza to wait for its stream; if absent, the engine's own maximum.
    pub(crate) queue_seconds: Option<u16>,
}

/// SRV records of the partner.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Records {
    /// One record, as is usual today.
    One,
    /// These hosts with their priorities; only the last one exists.
    LastOfMany(&'static [(u16, &'static str)]),
    /// One record from the time before RFC 3920, `_jabber._tcp`.
    Jabber,
}

/// The certificate of our domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// Issued by an authority that all trust.
    Trusted,
    /// Self-signed: the certificate of a federation that configures none.
    SelfSigned,
    /// Issued by an authority that all trust, for another domain.
    OfAnotherDomain,
}

impl Setup {
    /// A partner with one DNS record and no customer of our name, and a trusted certificate for our domain.
    pub(crate) fn new(wire: Wire, settings: Value) -> Self {
        Self {
            wire,
            settings,
            claim: None,
            customers: Vec::new(),
            unknown: Unknown::Greeted,
            claim_check: false,
            records: Records::One,
            certificate: Certificate::Trusted,
            queue_seconds: None,
        }
    }
}

/// All parts, running.
#[derive(Debug)]
pub(crate) struct World {
    /// Certificates, files and ports.
    pub(crate) ground: Ground,
    /// The engine.
    pub(crate) engine: Engine,
    /// The control port, if the partner is asked about claims.
    pub(crate) control: Option<std::net::SocketAddr>,
    /// The partner, for opening its streams.
    pub(crate) partner: Arc<Partner>,
    /// The partner's server.
    pub(crate) server: Server,
    /// Our backend.
    pub(crate) backend: Server,
    /// Answers queries until it is dropped.
    _nameserver: Nameserver,
}

impl World {
    /// Starts all parts.
    pub(crate) fn start(engine: &Path, setup: &Setup) -> Result<Self, LoopbackError> {
        let ground = Ground::new()?;
        install(&ground, setup.certificate)?;
        let partner = Arc::new(Partner {
            domain: PARTNER.to_owned(),
            wire: setup.wire,
            identity: ground.authority.issue(&[PARTNER])?,
            roots: ground.authority.roots()?,
            others: ground.outer,
            claim: setup.claim,
            customers: setup.customers.clone(),
            unknown: setup.unknown,
            timeout: DEADLINE,
        });
        let server = Server::start((PEER_ADDRESS, 0).into(), Arc::clone(&partner))?;
        let backend = serve(BACKEND_ADDRESS, LOCAL, Proof::Certificate, &ground.backend_ca)?;
        let zone = zone(setup.records, server.address().port())?;
        let nameserver = Nameserver::start((PEER_ADDRESS, 0).into(), zone)?;
        let mut config = ground.config(backend.address(), nameserver.address());
        let mut entry = json!({"domain": PARTNER, "probe": {"mode": "Off"}});
        if setup.claim_check {
            entry = json!({"domain": PARTNER});
        }
        if let (Some(entry), Some(settings)) = (entry.as_object_mut(), setup.settings.as_object()) {
            entry.extend(settings.clone());
        }
        if let Some(config) = config.as_object_mut() {
            config.insert("peers".to_owned(), json!([entry]));
            if setup.claim_check {
                config.insert("claimCheck".to_owned(), json!({"peers": [PARTNER]}));
            }
            if let Some(seconds) = setup.queue_seconds {
                config.insert("timeouts".to_owned(), json!({"queueSeconds": seconds}));
            }
        }
        let control = if setup.claim_check {
            Some(harness::evidence::serve(&ground, &mut config)?)
        } else {
            None
        };
        let engine = Engine::start(engine, ground.directory(), &config, ground.admin)?;
        Ok(Self { ground, engine, control, partner, server, backend, _nameserver: nameserver })
    }

    /// Opens a stream as our backend, for stanzas to the partner.
    pub(crate) fn stream_from_backend(&self) -> Result<Stream, LoopbackError> {
        let identity = self.ground.backend_ca.issue(&[LOCAL])?;
        let initiator = Initiator {
            address: self.ground.inner,
            from: LOCAL,
            to: PARTNER,
            identity: Some(&identity),
            roots: &self.ground.backend_ca.roots()?,
            security: Security::StartTls,
            timeout: DEADLINE,
        };
        Ok(initiator.external()?)
    }
}

fn install(ground: &Ground, certificate: Certificate) -> Result<(), LoopbackError> {
    let identity: Identity = match certificate {
        Certificate::Trusted => return Ok(()),
        Certificate::SelfSigned => Authority::self_signed(&[LOCAL])?,
        Certificate::OfAnotherDomain => ground.authority.issue(&["other.example"])?,
    };
    ground.write("tls.key", identity.key_pem())?;
    ground.write("tls.crt", identity.certificate_pem())
}

fn zone(records: Records, port: u16) -> Result<Zone, LoopbackError> {
    let host = format!("xmpp.{PARTNER}");
    let zone = Zone::default();
    Ok(match records {
        Records::One => {
            zone.address(&host, PEER_ADDRESS)?.server("_xmpp-server", PARTNER, &host, port)?
        }
        Records::Jabber => {
            zone.address(&host, PEER_ADDRESS)?.server("_jabber", PARTNER, &host, port)?
        }
        Records::LastOfMany(targets) => {
            let mut zone = zone;
            for (index, (priority, host)) in targets.iter().enumerate() {
                let is_last = index + 1 == targets.len();
                let port = if is_last { port } else { claim::port()?.port() };
                let service = "_xmpp-server";
                zone = zone.address(host, PEER_ADDRESS)?.server_with_priority(
                    service,
                    PARTNER,
                    host,
                    (*priority, port),
                )?;
            }
            zone
        }
    })
}
