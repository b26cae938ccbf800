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

/// How long a server under test may be silent on a busy machine.
pub const MAX_SILENCE: Duration = Duration::from_mins(1);

/// Where a server under test is to be, and what tells it where others are.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Where it takes streams of other servers.
    pub address: SocketAddr,
    /// The name server that it asks.
    pub resolver: SocketAddr,
}

impl Place {
    /// On a free port. Who only receives asks nobody: the name server's port is that of discard (RFC 863).
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
    /// Where it takes streams of other servers.
    pub address: SocketAddr,
    /// Its process; none when there is nothing between sender and receiver.
    pub pid: Option<u32>,
    /// Where what it delivers is counted.
    pub sink: Sink,
}

/// The certificates of one benchmark: one private authority, trusted by everybody.
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
    /// Makes them.
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
            patience: MAX_SILENCE,
        };
        initiator.external().map_err(failed())
    }
}
