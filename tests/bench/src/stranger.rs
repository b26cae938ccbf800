//! Remote servers that a server under test has never contacted, and the name server with their records.

use std::net::{Ipv4Addr, SocketAddr};

use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::dialback::Secret;
use s2s_peer::nameserver::{Nameserver, Zone};
use s2s_peer::server::Server;

use super::error::{BenchError, Result};
use super::subject::{Certificates, MAX_SILENCE};

/// Differs from the address of the server under test: no server connects to its own address.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The method by which unknown servers authenticate the server under test, over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By the certificate (SASL EXTERNAL, XEP-0178).
    External,
    /// By dialback (XEP-0220): they query the server under test about its key, over TLS.
    Dialback,
}

impl Way {
    /// Both methods.
    pub const ALL: [Self; 2] = [Self::External, Self::Dialback];

    /// Its name in domains and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Dialback => "dialback",
        }
    }
}

/// A server with its own domain and certificate.
#[derive(Debug)]
pub struct Stranger {
    /// Its domain.
    pub domain: String,
    /// Listens, and reports its input.
    pub server: Server,
}

/// Unknown servers of each kind, for one server under test.
#[derive(Debug)]
pub struct Strangers {
    external: Vec<Stranger>,
    dialback: Vec<Stranger>,
    nameserver: Nameserver,
}

impl Strangers {
    /// Starts `count` servers of each kind, which dial back to that address.
    pub fn start(certificates: &Certificates, authority: SocketAddr, count: usize) -> Result<Self> {
        let some = |way: Way| {
            let one = |number| Stranger::start(certificates, way, authority, number);
            (0..count).map(one).collect::<Result<Vec<_>>>()
        };
        let (external, dialback) = (some(Way::External)?, some(Way::Dialback)?);
        let zone = external.iter().chain(&dialback).try_fold(Zone::default(), |zone, stranger| {
            let host = format!("xmpp.{}", stranger.domain);
            let port = stranger.server.address().port();
            zone.address(&host, ADDRESS)?.server("_xmpp-server", &stranger.domain, &host, port)
        });
        let nameserver = zone.and_then(|zone| Nameserver::start((ADDRESS, 0).into(), zone));
        let nameserver = nameserver.map_err(BenchError::peer("name server of the strangers"))?;
        Ok(Self { external, dialback, nameserver })
    }

    /// The servers that use that method.
    pub fn of(&self, way: Way) -> &[Stranger] {
        match way {
            Way::External => &self.external,
            Way::Dialback => &self.dialback,
        }
    }

    /// The name server with their records.
    pub fn resolver(&self) -> SocketAddr {
        self.nameserver.address()
    }
}

impl Stranger {
    fn start(
        certificates: &Certificates,
        way: Way,
        authority: SocketAddr,
        number: usize,
    ) -> Result<Self> {
        let failed = || BenchError::peer("starting a stranger");
        let domain = format!("p{number}.{}.bench.example", way.name());
        let acceptor = Acceptor {
            domain: domain.clone(),
            identity: certificates.authority.issue(&[&domain]).map_err(failed())?,
            roots: certificates.authority.roots().map_err(failed())?,
            proof: match way {
                Way::External => Proof::Certificate,
                Way::Dialback => Proof::Dialback { authority },
            },
            secret: Secret::new(format!("the secret of {domain}")),
            timeout: MAX_SILENCE,
        };
        let server = Server::start((ADDRESS, 0).into(), acceptor).map_err(failed())?;
        Ok(Self { domain, server })
    }
}
