//! Finds where a stream can be opened: the targets of a remote domain or of a backend, tried one after the other.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use crds::peer::{Profile, TlsMode};
use crds::target::RouteHost;
use s2s_proto::certificate::dane::Delegation;
use s2s_proto::direction::Direction;
use s2s_proto::plan::TlsStart;
use s2s_proto::plan::{Host, Origin, Target};
use s2s_proto::policy::decide::allows;
use s2s_proto::reason::Failure;
use s2s_proto::stream::Surroundings;
use s2s_proto::stream::redirect::{Hops, NotFollowed, Redirect};
use tokio::net::TcpStream;

use super::engine::Engine;
use crate::Domain;
use crate::config::Attachment;
use crate::dial::dialler::{Connection, Dialler};
use crate::leg::Leg;
use crate::leg::outer::Outer;
use crate::leg::proven::ProvenServer;

/// A host and a port, as DNS or the configuration names them.
pub(crate) type Place = (Host, NonZeroU16);

/// The target of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    /// Address and port.
    pub(crate) address: SocketAddr,
    /// The name that was looked up for it.
    pub(crate) place: Place,
    /// TLS starts with the first byte.
    pub(crate) direct_tls: bool,
    /// The facts about the server that DNSSEC authenticates.
    pub(crate) delegation: Option<Arc<Delegation>>,
    /// The peer's static route names the target, not DNS.
    pub(crate) by_route: bool,
}

impl Reached {
    /// The lookups for a stream to that target.
    pub(crate) fn surroundings(
        &self,
        engine: &Arc<Engine>,
        leg: Leg,
    ) -> Box<dyn Surroundings + Send + Sync> {
        match &self.delegation {
            Some(server) if leg == Leg::Outer => Box::new(ProvenServer {
                outer: Outer(Arc::clone(engine), None),
                server: Arc::clone(server),
            }),
            _ => leg.surroundings(engine),
        }
    }
}

/// The targets that can still be tried.
pub(crate) struct Targets {
    leg: Leg,
    remote: Domain,
    dialler: Dialler,
    /// DNS is queried when the static route is exhausted.
    fallback_to_dns: bool,
    hops: Hops,
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
    let snapshot = engine.snapshot_owned();
    let (dialler, fallback_to_dns) = match leg {
        Leg::Inner => match snapshot.backend(remote).map(|backend| &backend.attachment) {
            Some(Attachment::Server { target, .. }) => {
                let target = Target::from(target);
                // For a backend, DNS is queried for its host and not for its domain.
                (Dialler::new(target.host.to_string(), vec![target]), false)
            }
            _ => return Err(Failure::NoBackend),
        },
        Leg::Outer => {
            if !allows(&snapshot.config.policy, remote, Direction::Outbound) {
                return Err(Failure::BlockedByLocalPolicy);
            }
            match &snapshot.config.peers.resolve(remote).route {
                Some(route) => {
                    let targets = route.targets.iter().map(Target::from).collect();
                    (Dialler::new(remote.to_string(), targets), route.fallback_to_dns)
                }
                None => (ask_dns(engine, remote, remote).await?, false),
            }
        }
    };
    Ok(Targets { leg, remote: remote.clone(), dialler, fallback_to_dns, hops: Hops::default() })
}

/// Finds `host`, which is the remote domain itself or a name to which it redirects us.
async fn ask_dns(engine: &Arc<Engine>, remote: &Domain, host: &Domain) -> Result<Dialler, Failure> {
    let peer = Arc::clone(engine.snapshot().config.peers.resolve(remote));
    let direct_tls = peer.rules.tls != TlsMode::Disabled;
    let legacy = peer.profile == Profile::LegacyDialback;
    let mut targets = engine.resolver().targets(host, direct_tls, legacy).await?;
    if peer.rules.tls == TlsMode::Disabled {
        // DANE is about TLS, which is switched off here.
        for target in &mut targets {
            target.proven_for = None;
        }
    }
    Ok(Dialler::new(host.to_string(), targets))
}

impl Targets {
    /// Where the next attempt begins. None if DNSSEC requires facts about the server, which an open stream has shown
    /// for another domain at most.
    pub(crate) fn next(&self) -> Option<Place> {
        let first = self.dialler.first().filter(|target| target.proven_for.is_none())?;
        Some((first.host.clone(), first.port))
    }

    /// No target is left.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.dialler.is_exhausted() && !self.fallback_to_dns
    }

    /// Connects to the next address that accepts a TCP connection.
    ///
    /// # Errors
    /// When none does; names every address that was tried.
    pub(crate) async fn connect(
        &mut self,
        engine: &Arc<Engine>,
    ) -> Result<(TcpStream, Reached), Failure> {
        match self.dial(engine).await {
            Err(_) if std::mem::take(&mut self.fallback_to_dns) => {
                self.dialler = ask_dns(engine, &self.remote, &self.remote).await?;
                self.dial(engine).await
            }
            outcome => outcome,
        }
    }

    /// Follows the peer's redirect (RFC 6120 §4.9.3.19). The server there must authenticate the same domain under the
    /// same settings, and its address is checked like one from DNS. The remaining previous targets are discarded: they
    /// belong to the same provider, which wants the stream elsewhere.
    ///
    /// # Errors
    /// When the redirect must not be followed, or leads to no server.
    pub(crate) async fn redirect(
        &mut self,
        engine: &Arc<Engine>,
        redirect: Redirect,
    ) -> Result<(), Failure> {
        let refused = |reason| Failure::SeeOtherHost(redirect.clone().not_followed(reason));
        if self.leg == Leg::Inner {
            return Err(refused(NotFollowed::Backend));
        }
        let Redirect::To(other) = &redirect else { return Err(Failure::SeeOtherHost(redirect)) };
        self.hops.follow(other).map_err(refused)?;
        self.fallback_to_dns = false;
        self.dialler = match (&other.host, other.port) {
            (RouteHost::Name(name), None) => ask_dns(engine, &self.remote, name).await?,
            _ => Dialler::new(other.host.to_string(), vec![Target::from(other)]),
        };
        Ok(())
    }

    async fn dial(&mut self, engine: &Arc<Engine>) -> Result<(TcpStream, Reached), Failure> {
        let (guard, tcp) = (engine.guard(), engine.tcp());
        let patience = engine.snapshot().config.timeouts.connect;
        let dialler = &mut self.dialler;
        let connection = match self.leg {
            Leg::Outer => {
                let resolver = engine.resolver();
                let first = dialler.first();
                let is_route = first.is_some_and(|target| target.origin == Origin::Route);
                let resolver = if is_route { resolver.unvalidated() } else { resolver };
                dialler.connect(&resolver, &tcp, &guard, patience).await?
            }
            Leg::Inner => dialler.connect(&engine.inside, &tcp, &guard, patience).await?,
        };
        let Connection { stream, address, target, delegation } = connection;
        let direct_tls = target.start == TlsStart::Direct;
        let by_route = target.origin == Origin::Route;
        let place = (target.host, target.port);
        Ok((stream, Reached { address, place, direct_tls, delegation, by_route }))
    }
}
