//! Our side as the target finds it: the domains that we are, where DNS says that they are, and the ports there.

use std::net::{Ipv4Addr, SocketAddr};

use s2s_peer::error::Result;
use s2s_peer::listener::Listener;
use s2s_peer::nameserver::{Nameserver, Zone};

use super::STATEMENTS;
use super::signed::{self, Signed};

/// The port of S2S, where a fallback to address records would lead (RFC 6120 §3.2.2).
pub(super) const S2S: u16 = 5269;
/// Nothing listens here.
const CLOSED: u16 = 9;

/// The ports of our domains.
#[derive(Debug)]
pub struct Outside {
    /// STARTTLS.
    pub starttls: Listener,
    /// Direct TLS.
    pub direct: Listener,
    /// Where nobody should come: what address records of the domains themselves say.
    pub trap: Listener,
    /// What is different for a target that validates what our name server says.
    pub signed: Option<Signed>,
    nameserver: Option<Nameserver>,
}

/// Names below our domain, each with one peculiarity in DNS.
pub mod names {
    /// On the same port as the domain itself.
    pub const SECOND: &str = "second";
    /// Only `_xmpps-server`.
    pub const DIRECT: &str = "direct";
    /// The SRV target refuses connections; the address record leads to the trap.
    pub const REFUSED: &str = "refused";
    /// The only SRV target is `.`; the address record leads to the trap.
    pub const DISABLED: &str = "disabled";
    /// `_xmpps-server` is `.`, `_xmpp-server` leads to us.
    pub const NO_DIRECT: &str = "no-direct";
    /// `_xmpps-server` is `.`, there is no `_xmpp-server`; the address record leads to the trap.
    pub const ONLY_DISABLED_DIRECT: &str = "only-disabled-direct";
    /// `_xmpp-server` has the better priority.
    pub const STARTTLS_FIRST: &str = "starttls-first";
    /// `_xmpps-server` has the better priority.
    pub const DIRECT_FIRST: &str = "direct-first";
    /// What the target is told to trust by its certificate only.
    pub const STRICT: &str = "only.strict";
    /// Does not exist.
    pub const NOWHERE: &str = "nowhere";
}

impl Outside {
    /// Listens on `address` (STARTTLS on 5269, Direct TLS on 5270) and, for the trap, on 5269 of `trap`; with
    /// `resolver`, answers there for `peer`, and for a domain below it for each statement.
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

    /// The same with a zone that is signed, for one statement.
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

    /// Where our name server is asked.
    pub fn resolver(&self) -> Option<SocketAddr> {
        self.nameserver.as_ref().map(Nameserver::address)
    }
}

/// Our domain while that statement is put. A target remembers who failed, and one check must not suffer from another.
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
