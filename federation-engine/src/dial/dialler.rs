//! Opens one TCP connection to the targets of a domain, or returns everything that was tried and why it failed: drives
//! [`Race`].

use std::collections::HashMap;
use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, FuturesUnordered};
use futures::{Stream, StreamExt};
use s2s_proto::certificate::dane::Delegation;
use s2s_proto::guard::Guard;
use s2s_proto::plan::{Answer, Host, Origin, Target};
use s2s_proto::race::{Race, RaceStep, Unanswered};
use s2s_proto::reason::{ConnectReason, DnsReason, Failure};
use tokio::time::{Instant, sleep_until, timeout};

use super::tcp::Connect;
use crate::dns::resolve::Resolver;

/// Finds the addresses of a host.
pub trait Addresses: Sync {
    /// Queries DNS for both families at once; the answers come as they arrive, at most one for each (RFC 8305 §3).
    fn addresses(&self, name: Arc<str>) -> impl Stream<Item = Answer<IpAddr>> + Send;

    /// The facts about the server of a target that DNSSEC authenticates. An error: the server must not be connected to.
    fn delegation(
        &self,
        _target: &Target,
    ) -> impl Future<Output = Result<Option<Arc<Delegation>>, DnsReason>> + Send {
        ready(Ok(None))
    }
}

impl Addresses for Resolver {
    fn addresses(&self, name: Arc<str>) -> impl Stream<Item = Answer<IpAddr>> + Send {
        Resolver::addresses(self, name)
    }

    async fn delegation(&self, target: &Target) -> Result<Option<Arc<Delegation>>, DnsReason> {
        Resolver::delegation(self, target).await
    }
}

/// A connection and its target.
#[derive(Debug)]
pub struct Connection<S> {
    /// The connection.
    pub stream: S,
    /// Address of the peer.
    pub address: SocketAddr,
    /// The target that the address belongs to.
    pub target: Target,
    /// The facts about the server that DNSSEC authenticates.
    pub delegation: Option<Arc<Delegation>>,
}

/// A result of the lookups for a target.
enum News {
    /// Before its addresses: the facts about its server that DNSSEC authenticates.
    Server(Result<Option<Arc<Delegation>>, DnsReason>),
    Addresses(Answer<IpAddr>),
}

/// Queries all of it. No connection is opened before it is known whether one may be (RFC 7673 §3.2).
fn ask<A: Addresses>(
    resolver: &A,
    target: Target,
    name: Arc<str>,
) -> impl Stream<Item = News> + Send + '_ {
    let server = async move { News::Server(resolver.delegation(&target).await) };
    stream::once(server).chain(resolver.addresses(name).map(News::Addresses))
}

/// Connects to the targets of one domain. If a connection turns out to be unusable, [`Self::connect`] continues with
/// the targets that were not tried yet.
#[derive(Debug)]
pub struct Dialler {
    /// The domain, for the messages.
    name: String,
    race: Race,
    /// Queries the facts about the servers of targets.
    delegations: HashMap<usize, Arc<Delegation>>,
}

impl Dialler {
    /// Nothing is queried or connected to yet.
    pub fn new(name: String, targets: Vec<Target>) -> Self {
        Self { name, race: Race::new(targets), delegations: HashMap::new() }
    }

    /// The target that comes first.
    pub fn first(&self) -> Option<&Target> {
        self.race.targets().next()
    }

    /// Whether no target is left.
    pub fn is_exhausted(&self) -> bool {
        self.race.is_exhausted()
    }

    /// The first connection that succeeds; each address has `per_address` to connect.
    ///
    /// # Errors
    /// - [`Failure::Connect`]: every address that was tried, with its reason;
    /// - [`Failure::Guard`]: there are addresses, and the guard refuses all of them;
    /// - [`Failure::Dns`]: no target has an address, or the resolver does not answer.
    pub async fn connect<C: Connect, A: Addresses>(
        &mut self,
        resolver: &A,
        connector: &C,
        guard: &Guard,
        per_address: Duration,
    ) -> Result<Connection<C::Stream>, Failure> {
        let attempt = |index: usize, address: SocketAddr| async move {
            let result = timeout(per_address, connector.connect(address)).await;
            (index, address, result.unwrap_or(Err(ConnectReason::TimedOut)))
        };
        let mut asking = FuturesUnordered::new();
        let mut connecting = FuturesUnordered::new();
        loop {
            let now = Instant::now().into_std();
            let wake = match self.race.step(now) {
                RaceStep::Ask(index, Host::Address(address)) => {
                    self.race.on_answer(index, Answer::Records(vec![address]), guard, now);
                    self.race.on_answered(index, now);
                    continue;
                }
                RaceStep::Ask(index, Host::Name(name)) => {
                    let Some(target) = self.race.target(index).cloned() else { continue };
                    asking.push(next(index, Box::pin(ask(resolver, target, name))));
                    continue;
                }
                RaceStep::Connect(index, address) => {
                    connecting.push(attempt(index, address));
                    continue;
                }
                RaceStep::Wait(until) => until.map(Instant::from_std),
                RaceStep::Lost => return Err(self.failure()),
            };
            tokio::select! {
                // A connection is checked first: a DNS answer that arrives meanwhile starts no competing attempt.
                biased;
                Some((index, address, result)) = connecting.next() => match result {
                    Ok(stream) => {
                        self.race.on_connected(index, address);
                        let Some(target) = self.race.target(index).cloned() else {
                            return Err(self.failure());
                        };
                        let delegation = self.delegations.get(&index).cloned();
                        return Ok(Connection { stream, address, target, delegation });
                    }
                    Err(reason) => self.race.on_failed(index, address, reason),
                },
                Some((index, news, rest)) = asking.next() => {
                    let now = Instant::now().into_std();
                    match news {
                        Some(News::Server(Ok(delegation))) => {
                            self.delegations.extend(delegation.map(|validated| (index, validated)));
                            asking.push(next(index, rest));
                        }
                        Some(News::Server(Err(reason))) => {
                            self.race.on_refused(reason);
                            self.race.on_answered(index, now);
                        }
                        Some(News::Addresses(answer)) => {
                            self.race.on_answer(index, answer, guard, now);
                            asking.push(next(index, rest));
                        }
                        None => self.race.on_answered(index, now),
                    }
                }
                () = sleep_until(wake.unwrap_or(Instant::now())), if wake.is_some() => {}
                else => return Err(self.failure()),
            }
        }
    }

    fn failure(&self) -> Failure {
        let is_refused = |(_, reason): &(SocketAddr, ConnectReason)| {
            matches!(reason, ConnectReason::AddressNotAllowed { .. })
        };
        let name = self.name.clone();
        let failed = self.race.failed();
        match failed.first() {
            Some((_, reason)) if failed.iter().all(is_refused) => Failure::Guard(reason.clone()),
            Some(_) => Failure::Connect(failed),
            None => Failure::Dns(match self.race.unanswered() {
                Some(Unanswered::Refused(reason)) => reason.clone(),
                Some(Unanswered::Failed(detail)) => {
                    DnsReason::ResolverUnavailable { name, detail: detail.clone() }
                }
                // RFC 6120 §3.2.1 rule 8: published SRV records whose hosts have no address are the end.
                None if self.race.targets().any(|target| target.origin == Origin::Srv) => {
                    DnsReason::NoAddress { name }
                }
                None => DnsReason::DomainNotFound { name },
            }),
        }
    }
}

/// The next answer about a target, and where the ones after it come from.
async fn next<S: Stream + Unpin>(index: usize, mut answers: S) -> (usize, Option<S::Item>, S) {
    let answer = answers.next().await;
    (index, answer, answers)
}

#[cfg(test)]
mod racing;
#[cfg(test)]
mod tests;
