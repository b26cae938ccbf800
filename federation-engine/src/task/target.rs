//! Where a stream can be opened: the targets of a remote domain or of a backend, tried one after the other.

use std::net::SocketAddr;
use std::sync::Arc;

use crds::peer::{Profile, TlsMode};
use tokio::net::TcpStream;

use super::engine::Engine;
use crate::Domain;
use crate::config::Attachment;
use crate::dial::connect::connect;
use crate::direction::Direction;
use crate::dns::plan::{Origin, Target};
use crate::leg::Leg;
use crate::leg::outer::Outer;
use crate::leg::proven::ProvenServer;
use crate::policy::decide::decide;
use crate::reason::Failure;
use crate::stream::Surroundings;
use crate::tls::config::TlsStart;
use crate::tls::dane::Delegation;

/// Where a connection leads.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    /// Address and port.
    pub(crate) address: SocketAddr,
    /// TLS starts with the first byte.
    pub(crate) direct_tls: bool,
    /// What DNSSEC proves about the server there.
    pub(crate) delegation: Option<Arc<Delegation>>,
}

impl Reached {
    /// The look-ups of a stream there.
    pub(crate) fn surroundings(
        &self,
        engine: &Arc<Engine>,
        leg: Leg,
    ) -> Box<dyn Surroundings + Send + Sync> {
        match &self.delegation {
            Some(server) if leg == Leg::Outer => Box::new(ProvenServer {
                outer: Outer(Arc::clone(engine)),
                server: Arc::clone(server),
            }),
            _ => leg.surroundings(engine),
        }
    }
}

/// Targets that have not been tried yet.
pub(crate) struct Targets {
    leg: Leg,
    remote: Domain,
    waiting: Vec<Target>,
    /// DNS is asked when the static route is exhausted.
    fallback_to_dns: bool,
}

/// Finds the targets of a remote domain, or of the backend of a local one.
///
/// # Errors
/// When the policy forbids the pair, or DNS has no target.
pub(crate) async fn find(
    engine: &Arc<Engine>,
    leg: Leg,
    remote: &Domain,
) -> Result<Targets, Failure> {
    let mut targets =
        Targets { leg, remote: remote.clone(), waiting: Vec::new(), fallback_to_dns: false };
    let snapshot = engine.snapshot_owned();
    match leg {
        Leg::Inner => match snapshot.backend(remote).map(|backend| &backend.attachment) {
            Some(Attachment::Server { target, .. }) => targets.waiting.push(target.into()),
            _ => return Err(Failure::NoBackend),
        },
        Leg::Outer => {
            if !decide(&snapshot.config.policy, remote, Direction::Outbound).allowed {
                return Err(Failure::BlockedByLocalPolicy);
            }
            match &snapshot.config.peers.resolve(remote).route {
                Some(route) => {
                    targets.waiting.extend(route.targets.iter().map(Target::from));
                    targets.fallback_to_dns = route.fallback_to_dns;
                }
                None => targets.ask_dns(engine).await?,
            }
        }
    }
    Ok(targets)
}

impl Targets {
    async fn ask_dns(&mut self, engine: &Arc<Engine>) -> Result<(), Failure> {
        let peer = Arc::clone(engine.snapshot().config.peers.resolve(&self.remote));
        let direct_tls = peer.tls != TlsMode::Disabled;
        let legacy = peer.profile == Profile::LegacyDialback;
        self.waiting = engine.resolver().targets(&self.remote, direct_tls, legacy).await?;
        if peer.tls == TlsMode::Disabled {
            // DANE is about TLS, which is switched off here.
            self.waiting.iter_mut().for_each(|target| target.proven_for = None);
        }
        Ok(())
    }

    /// No target is left.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.waiting.is_empty() && !self.fallback_to_dns
    }

    /// Connects to the next target that takes a TCP connection.
    ///
    /// # Errors
    /// When none does; names every address that was tried.
    pub(crate) async fn connect(
        &mut self,
        engine: &Arc<Engine>,
    ) -> Result<(TcpStream, Reached), Failure> {
        match self.try_waiting(engine).await {
            Err(_) if std::mem::take(&mut self.fallback_to_dns) => {
                self.ask_dns(engine).await?;
                self.try_waiting(engine).await
            }
            outcome => outcome,
        }
    }

    async fn try_waiting(&mut self, engine: &Arc<Engine>) -> Result<(TcpStream, Reached), Failure> {
        let waiting = std::mem::take(&mut self.waiting);
        let (guard, tcp) = (engine.guard(), engine.tcp());
        // Of a backend, DNS is asked for its host and not for its domain.
        let host = waiting.first().map(|target| target.host.to_string());
        let name = match (self.leg, &host) {
            (Leg::Inner, Some(host)) => host.as_str(),
            _ => self.remote.as_str(),
        };
        let patience = engine.snapshot().config.timeouts.connect;
        let connection = match self.leg {
            Leg::Outer => {
                let is_route = waiting.first().is_some_and(|target| target.origin == Origin::Route);
                let resolver = engine.resolver();
                let resolver = if is_route { resolver.unvalidated() } else { resolver };
                connect(name, &waiting, &resolver, &tcp, &guard, patience).await?
            }
            Leg::Inner => connect(name, &waiting, &engine.inside, &tcp, &guard, patience).await?,
        };
        let direct_tls =
            waiting.get(connection.index).is_some_and(|target| target.start == TlsStart::Direct);
        self.waiting.extend(waiting.into_iter().skip(connection.index + 1));
        let (address, delegation) = (connection.address, connection.delegation);
        Ok((connection.stream, Reached { address, direct_tls, delegation }))
    }
}
