//! Our side as the target finds it: our domains, their DNS records, and the ports that the records name.

use std::net::{Ipv4Addr, SocketAddr};

use s2s_peer::error::Result;
use s2s_peer::listener::Listener;
use s2s_peer::nameserver::{Nameserver, Zone};

use super::STATEMENTS;
use super::signed::{self, Signed};

/// The default S2S port, which a fallback to address records would use (RFC 6120 §3.2.2).
pub(super) const S2S: u16 = 5269;
/// A port on which no process listens.
const CLOSED: u16 = 9;

/// The ports of our domains.
#[derive(Debug)]
pub struct Outside {
    /// The listener for STARTTLS.
    pub starttls: Listener,
    /// The listener for Direct TLS.
    pub direct: Listener,
    /// The listener to which no target should connect; the address records of the domains themselves point to it.
    pub trap: Listener,
    /// The additional data for a target that validates the answers of our name server.
    pub signed: Option<Signed>,
    nameserver: Option<Nameserver>,
}

/// Names below our domain, each with one special property in DNS.
pub mod names {
    /// It uses the same port as the domain itself.
    pub const SECOND: &str = "second";
    /// It has only `_xmpps-server`.
    pub const DIRECT: &str = "direct";
    /// The SRV target refuses connections; the address record points to the trap.
    pub const REFUSED: &str = "refused";
    /// The only SRV target is `.`; the address record points to the trap.
    pub const DISABLED: &str = "disabled";
    /// `_xmpps-server` is `.`, `_xmpp-server` points to us.
    pub const NO_DIRECT: &str = "no-direct";
    /// `_xmpps-server` is `.`, and `_xmpp-server` does not exist; the address record points to the trap.
    pub const ONLY_DISABLED_DIRECT: &str = "only-disabled-direct";
    /// `_xmpp-server` has the preferred priority.
    pub const STARTTLS_FIRST: &str = "starttls-first";
    /// `_xmpps-server` has the preferred priority.
    pub const DIRECT_FIRST: &str = "direct-first";
    /// A target is configured to authenticate this domain by certificate only.
    pub const STRICT: &str = "only.strict";
    /// The name does not exist.
    pub const NOWHERE: &str = "nowhere";
}

impl Outside {
    /// Listens on `address` (STARTTLS on 5269, Direct TLS on 5270) and, for the trap, on 5269 of `trap`. With
    /// `resolver`, it answers DNS queries there for `peer`, and for a domain below `peer` for each statement.
    pub fn start(
        peer: &str,
        address: Ipv4Addr,
        trap: Ipv4Addr,
        resolver: Option<SocketAddr>,
    ) -> Result<Self> {
        let zones = match resolver {
            Some(resolver) => Some((resolver, zones(peer, address, trap)?)),
            None => None,
        };
        Self::listen(address, trap, zones, None)
    }

    /// The same with a signed zone, for one statement.
    pub fn start_signed(
        peer: &str,
        address: Ipv4Addr,
        trap: Ipv4Addr,
        resolver: SocketAddr,
    ) -> Result<Self> {
        let zone = zone(Zone::default(), peer, address, trap)?;
        let (zone, signed) = signed::sign(zone, peer, address, trap)?;
        Self::listen(address, trap, Some((resolver, zone)), Some(signed))
    }

    fn listen(
        address: Ipv4Addr,
        trap: Ipv4Addr,
        zone: Option<(SocketAddr, Zone)>,
        signed: Option<Signed>,
    ) -> Result<Self> {
        let nameserver = zone.map(|(resolver, zone)| Nameserver::start(resolver, zone));
        Ok(Self {
            starttls: Listener::bind((address, S2S).into())?,
            direct: Listener::bind((address, S2S + 1).into())?,
            trap: Listener::bind((trap, S2S).into())?,
            nameserver: nameserver.transpose()?,
            signed,
        })
    }

    /// The address of our name server.
    pub fn resolver(&self) -> Option<SocketAddr> {
        self.nameserver.as_ref().map(Nameserver::address)
    }
}

/// Our domain during that statement. A target remembers failed domains, and one check must not affect another.
pub fn domain_for(statement: u8, peer: &str) -> String {
    format!("s{statement}.{peer}")
}

fn zones(peer: &str, address: Ipv4Addr, trap: Ipv4Addr) -> Result<Zone> {
    let own = zone(Zone::default(), peer, address, trap)?;
    (1..=STATEMENTS)
        .try_fold(own, |all, statement| zone(all, &domain_for(statement, peer), address, trap))
}

fn zone(zone: Zone, peer: &str, address: Ipv4Addr, trap: Ipv4Addr) -> Result<Zone> {
    let (starttls, direct) = ("_xmpp-server", "_xmpps-server");
    let host = format!("xmpp.{peer}");
    let below = |name: &str| format!("{name}.{peer}");
    let mut zone = zone.address(&host, address)?.server(starttls, peer, &host, S2S)?;
    for name in [names::SECOND, names::STRICT, names::NO_DIRECT] {
        zone = zone.server(starttls, &below(name), &host, S2S)?;
    }
    for name in [names::REFUSED, names::DISABLED, names::ONLY_DISABLED_DIRECT] {
        zone = zone.address(&below(name), trap)?;
    }
    for name in [names::NO_DIRECT, names::ONLY_DISABLED_DIRECT] {
        zone = zone.server(direct, &below(name), ".", 0)?;
    }
    zone.server(direct, &below(names::DIRECT), &host, S2S + 1)?
        .server(starttls, &below(names::REFUSED), &host, CLOSED)?
        .server(starttls, &below(names::DISABLED), ".", 0)?
        .server_with_priority(starttls, &below(names::STARTTLS_FIRST), &host, (10, S2S))?
        .server_with_priority(direct, &below(names::STARTTLS_FIRST), &host, (20, S2S + 1))?
        .server_with_priority(starttls, &below(names::DIRECT_FIRST), &host, (20, S2S))?
        .server_with_priority(direct, &below(names::DIRECT_FIRST), &host, (10, S2S + 1))
}
