//! Locations of the parts of one cell: its own addresses in the namespace, the real ports, and its files.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::cell::{Settings, Way};
use super::certificate::Pem;

/// Ports of servers (RFC 6120 §14.7; 5270 by custom) and of clients.
pub const SERVERS: u16 = 5269;
/// Direct TLS between servers.
pub const SERVERS_TLS: u16 = 5270;
/// Clients.
pub const CLIENTS: u16 = 5222;
/// DNS.
pub const DNS: u16 = 53;

/// IPv6 addresses, from the block for benchmarks (RFC 5180 §8). One cell at a time uses them.
pub(crate) const OURS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1);
/// The same, for the real server.
pub(crate) const THEIRS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 2);

/// The addresses of a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    /// The engine, for remote servers.
    pub ours: IpAddr,
    /// The real server.
    pub theirs: IpAddr,
    /// The scripted backend.
    pub backend: Ipv4Addr,
    /// The engine, as a server reaches it over a [distance](super::distance).
    pub distant: Ipv4Addr,
    /// The name server of both.
    pub dns: Ipv4Addr,
}

impl Addresses {
    /// Of the cell with that number.
    pub(crate) fn of(number: u8, way: Way) -> Self {
        let v4 = |host| Ipv4Addr::new(127, 0, number, host);
        let (ours, theirs) = match way {
            Way::Ipv6 => (OURS_V6.into(), THEIRS_V6.into()),
            Way::Ordinary | Way::DirectTls => (v4(1).into(), v4(2).into()),
        };
        Self { ours, theirs, backend: v4(3), distant: v4(4), dns: v4(53) }
    }
}

/// Input for the configuration of a real server.
#[derive(Debug)]
pub struct Site {
    /// Its directory, which it sees as `/run`.
    pub home: PathBuf,
    /// Its root file system.
    pub root: PathBuf,
    /// Its domain.
    pub domain: String,
    /// The only address that it listens on.
    pub address: IpAddr,
    /// The only name server that it queries.
    pub dns: Ipv4Addr,
    /// Its settings.
    pub settings: Settings,
    /// Whether it offers and uses further features: bidirectional streams (XEP-0288), acknowledgements (XEP-0198).
    pub extended: bool,
    /// Its certificate.
    pub identity: Pem,
    /// The authority that it trusts.
    pub authority: String,
}

impl Site {
    /// The address of one of its ports.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }
}
