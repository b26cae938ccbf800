//! From the targets of a domain to one TCP connection, or to everything that was tried and why it failed.

use std::future::{Future, ready};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::guard::{Guard, check};
use super::race::{Connect, race};
use crate::dns::plan::{Answer, Host, Origin, Target};
use crate::dns::resolve::Resolver;
use crate::reason::{ConnectReason, DnsReason, Failure, Records};
use crate::tls::dane::Delegation;

/// Addresses tried for one domain in all: records of strangers must not make us knock on a whole network.
pub const MAX_ATTEMPTS: usize = 16;

/// Finds the addresses of a host.
pub trait Addresses {
    /// Asks DNS, or takes the address as it is.
    fn addresses(&self, host: &Host) -> impl Future<Output = Answer<IpAddr>> + Send;

    /// What is proven about the server of a target. An error: it is not to be connected to.
    fn delegation(
        &self,
        _target: &Target,
    ) -> impl Future<Output = Result<Option<Arc<Delegation>>, DnsReason>> + Send {
        ready(Ok(None))
    }
}

impl Addresses for Resolver {
    async fn addresses(&self, host: &Host) -> Answer<IpAddr> {
        Resolver::addresses(self, host).await
    }

    async fn delegation(&self, target: &Target) -> Result<Option<Arc<Delegation>>, DnsReason> {
        Resolver::delegation(self, target).await
    }
}

/// A connection and where it leads.
#[derive(Debug)]
pub struct Connection<S> {
    /// The connection.
    pub stream: S,
    /// Place in the list of targets: when negotiation fails, the caller may go on with the targets after this one.
    pub index: usize,
    /// Address of the peer.
    pub address: SocketAddr,
    /// What DNSSEC proves about the server there.
    pub delegation: Option<Arc<Delegation>>,
}

/// Tries the targets in order, and the addresses of each in a race. `name` is the peer's domain, for the messages.
///
/// # Errors
/// - [`Failure::Connect`]: every address that was tried, with its reason;
/// - [`Failure::Guard`]: there are addresses, and the guard refuses all of them;
/// - [`Failure::Dns`]: no target has an address, DNSSEC refuses what is said about them, or the resolver does not answer.
pub async fn connect<C: Connect, A: Addresses>(
    name: &str,
    targets: &[Target],
    resolver: &A,
    connector: &C,
    guard: &Guard,
    per_address: Duration,
) -> Result<Connection<C::Stream>, Failure> {
    let mut attempts: Vec<(SocketAddr, ConnectReason)> = Vec::new();
    let mut unanswered = None;
    for (index, target) in targets.iter().enumerate() {
        let delegation = match resolver.delegation(target).await {
            Ok(delegation) => delegation,
            Err(reason) => {
                unanswered.get_or_insert(reason);
                continue;
            }
        };
        let addresses = match resolver.addresses(&target.host).await {
            Answer::Records(addresses) => addresses,
            Answer::Absent => continue,
            Answer::Failed(detail) => {
                let name = name.to_owned();
                unanswered.get_or_insert(DnsReason::ResolverUnavailable { name, detail });
                continue;
            }
            Answer::Bogus => {
                let (name, records) = (target.host.to_string(), Records::Address);
                unanswered.get_or_insert(DnsReason::Bogus { name, records });
                continue;
            }
        };
        let mut allowed = Vec::with_capacity(addresses.len());
        for ip in addresses {
            let address = SocketAddr::new(ip, target.port.get());
            if attempts.len() + allowed.len() >= MAX_ATTEMPTS {
                break;
            }
            if attempts.iter().any(|(tried, _)| *tried == address) {
                continue;
            }
            let verdict = match target.origin {
                Origin::Route => Ok(()),
                Origin::Srv | Origin::Fallback => check(address, guard),
            };
            match verdict {
                Ok(()) => allowed.push(address),
                Err(reason) => attempts.push((address, reason)),
            }
        }
        match race(connector, &allowed, per_address).await {
            Ok((stream, address)) => return Ok(Connection { stream, index, address, delegation }),
            Err(failed) => attempts.extend(failed),
        }
        if attempts.len() >= MAX_ATTEMPTS {
            break;
        }
    }
    Err(failure(name, targets, attempts, unanswered))
}

fn failure(
    name: &str,
    targets: &[Target],
    attempts: Vec<(SocketAddr, ConnectReason)>,
    unanswered: Option<DnsReason>,
) -> Failure {
    let is_refused = |(_, reason): &(SocketAddr, ConnectReason)| {
        matches!(reason, ConnectReason::AddressNotAllowed { .. })
    };
    let name = name.to_owned();
    match attempts.first() {
        Some((_, reason)) if attempts.iter().all(is_refused) => Failure::Guard(reason.clone()),
        Some(_) => Failure::Connect(attempts),
        None => Failure::Dns(match unanswered {
            Some(reason) => reason,
            // RFC 6120 §3.2.1 rule 8: published SRV records whose hosts have no address are the end.
            None if targets.iter().any(|target| target.origin == Origin::Srv) => {
                DnsReason::NoAddress { name }
            }
            None => DnsReason::DomainNotFound { name },
        }),
    }
}

#[cfg(test)]
mod tests;
