//! From the targets of a domain to one TCP connection, or to everything that was tried and why it failed.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::guard::{Guard, check};
use super::race::{Connect, race};
use crate::dns::plan::{Answer, Host, Origin, Target};
use crate::dns::resolve::Resolver;
use crate::reason::{ConnectReason, DnsReason, Failure};

/// Addresses tried for one domain in all: records of strangers must not make us knock on a whole network.
pub const MAX_ATTEMPTS: usize = 16;

/// Finds the addresses of a host.
pub trait Addresses {
    /// Asks DNS, or takes the address as it is.
    fn addresses(&self, host: &Host) -> impl Future<Output = Answer<IpAddr>> + Send;
}

impl Addresses for Resolver {
    async fn addresses(&self, host: &Host) -> Answer<IpAddr> {
        Resolver::addresses(self, host).await
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
}

/// Tries the targets in order, and the addresses of each in a race. `name` is the peer's domain, for the messages.
///
/// # Errors
/// - [`Failure::Connect`]: every address that was tried, with its reason;
/// - [`Failure::Guard`]: there are addresses, and the guard refuses all of them;
/// - [`Failure::Dns`]: no target has an address, or the resolver does not answer.
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
        let addresses = match resolver.addresses(&target.host).await {
            Answer::Records(addresses) => addresses,
            Answer::Absent => continue,
            Answer::Failed(detail) => {
                unanswered.get_or_insert(detail);
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
            Ok((stream, address)) => return Ok(Connection { stream, index, address }),
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
    unanswered: Option<String>,
) -> Failure {
    let is_refused = |(_, reason): &(SocketAddr, ConnectReason)| {
        matches!(reason, ConnectReason::AddressNotAllowed { .. })
    };
    let name = name.to_owned();
    match attempts.first() {
        Some((_, reason)) if attempts.iter().all(is_refused) => Failure::Guard(reason.clone()),
        Some(_) => Failure::Connect(attempts),
        None => Failure::Dns(match unanswered {
            Some(detail) => DnsReason::ResolverUnavailable { name, detail },
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
