//! A server under test.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use harness::claim;
use s2s_peer::authority::{Authority, Identity};
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::stream::Stream;

use super::error::{BenchError, Result};
use super::load::{RECEIVER, SENDER};
use super::sink::Sink;

/// Maximum silence of a server under test on a busy machine.
pub const MAX_SILENCE: Duration = Duration::from_mins(1);

/// The address for a server under test, and the name server that resolves other servers.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Address where it accepts streams of other servers.
    pub address: SocketAddr,
    /// The name server that it queries.
    pub resolver: SocketAddr,
}

impl Place {
    /// A free port. A server that only receives sends no queries: the name server's port is that of discard (RFC 863).
    pub fn free() -> Result<Self> {
        let address = claim::port().map_err(BenchError::io("finding a port for", "a server"))?;
        Ok(Self { address, resolver: (Ipv4Addr::LOCALHOST, 9).into() })
    }
}

/// A server that relays from its outer side, where it is `local.example`, to a sink that counts.
#[derive(Debug)]
pub struct Subject {
    /// Its name in the report.
    pub name: &'static str,
    /// Address where it accepts streams of other servers.
    pub address: SocketAddr,
    /// Its process; `None` if there is no server between sender and receiver.
    pub pid: Option<u32>,
    /// Counts the stanzas that it delivers.
    pub sink: Sink,
}

/// The certificates of one benchmark: one private authority, which all servers trust.
#[derive(Debug)]
pub struct Certificates {
    /// The authority.
    pub authority: Authority,
    /// The sending peer.
    pub peer: Identity,
    /// `local.example`.
    pub local: Identity,
}

impl Certificates {
    /// Creates the certificates.
    pub fn new() -> Result<Self> {
        let failed = || BenchError::peer("certificates");
        let authority = Authority::new("Benchmark CA").map_err(failed())?;
        Ok(Self {
            peer: authority.issue(&[SENDER]).map_err(failed())?,
            local: authority.issue(&[RECEIVER]).map_err(failed())?,
            authority,
        })
    }
}

impl Subject {
    /// A stream of the sending peer, authenticated and ready for stanzas.
    pub fn stream(&self, certificates: &Certificates) -> Result<Stream> {
        let failed = || BenchError::peer("stream of the sending peer");
        let roots = certificates.authority.roots().map_err(failed())?;
        let initiator = Initiator {
            address: self.address,
            from: SENDER,
            to: RECEIVER,
            identity: Some(&certificates.peer),
            roots: &roots,
            security: Security::StartTls,
            timeout: MAX_SILENCE,
        };
        initiator.external().map_err(failed())
    }
}
