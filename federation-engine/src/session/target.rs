//! Finds where a stream can be opened: the targets of a remote domain or of a backend, tried one after the other.

use std::net::SocketAddr;
use std::sync::Arc;

use crds::peer::{Profile, TlsMode};
use crds::target::RouteHost;
use s2s_proto::certificate::dane::Delegation;
use s2s_proto::direction::Direction;
use s2s_proto::plan::TlsStart;
use s2s_proto::plan::{Origin, Target};
use s2s_proto::policy::decide::allows;
use s2s_proto::reason::Failure;
use s2s_proto::stream::redirect::{Hops, NotFollowed, Redirect};
use tokio::net::TcpStream;

use crate::Domain;
use crate::config::Attachment;
use crate::dial::dialler::{Connection, Dialler};
use crate::engine::network::Network;
use crate::in_force::snapshot::Snapshot;
use crate::leg::Leg;
use crate::route::streams::Place;

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

/// The targets that can still be tried.
pub(crate) struct Targets {
    leg: Leg,
    remote: Domain,
    dialler: Dialler,
    /// DNS is queried when the static route is exhausted.
    fallback_to_dns: bool,
    hops: Hops,
}

/// Where the search for a stream begins.
#[derive(Debug, Eq, PartialEq)]
enum Choice {
    /// At targets of the configuration, which `name` stands for; then at those that DNS has.
    Configured { name: String, targets: Vec<Target>, fallback_to_dns: bool },
    /// At the targets that DNS has.
    Dns,
}

/// Chooses where the search for a remote domain begins, or for the backend of a local one. Pure.
fn choose(snapshot: &Snapshot, leg: Leg, remote: &Domain) -> Result<Choice, Failure> {
    match leg {
        Leg::Inner => match snapshot.backend(remote).map(|backend| &backend.attachment) {
            Some(Attachment::Server { target, .. }) => {
                let target = Target::from(target);
                // For a backend, DNS is queried for its host and not for its domain.
                let name = target.host.to_string();
                Ok(Choice::Configured { name, targets: vec![target], fallback_to_dns: false })
            }
            _ => Err(Failure::NoBackend),
        },
        Leg::Outer => {
            if !allows(&snapshot.config.policy, remote, Direction::Outbound) {
                return Err(Failure::BlockedByLocalPolicy);
            }
            Ok(match &snapshot.config.peers.resolve(remote).route {
                Some(route) => Choice::Configured {
                    name: remote.to_string(),
                    targets: route.targets.iter().map(Target::from).collect(),
                    fallback_to_dns: route.fallback_to_dns,
                },
                None => Choice::Dns,
            })
        }
    }
}

/// Finds the targets of a remote domain, or of the backend of a local one.
///
/// # Errors
/// When the policy forbids the pair, or DNS has no target.
#[tracing::instrument(name = "lookup", level = "debug", skip_all)]
pub(crate) async fn find(network: &Network, leg: Leg, remote: &Domain) -> Result<Targets, Failure> {
    let choice = choose(&network.in_force.load(), leg, remote)?;
    let (dialler, fallback_to_dns) = match choice {
        Choice::Configured { name, targets, fallback_to_dns } => {
            (Dialler::new(name, targets), fallback_to_dns)
        }
        Choice::Dns => (ask_dns(network, remote, remote).await?, false),
    };
    Ok(Targets { leg, remote: remote.clone(), dialler, fallback_to_dns, hops: Hops::default() })
}

/// Finds `host`, which is the remote domain itself or a name to which it redirects us.
async fn ask_dns(network: &Network, remote: &Domain, host: &Domain) -> Result<Dialler, Failure> {
    let peer = Arc::clone(network.in_force.load().config.peers.resolve(remote));
    let direct_tls = peer.rules.tls != TlsMode::Disabled;
    let legacy = peer.profile == Profile::LegacyDialback;
    let mut targets = network.resolver().targets(host, direct_tls, legacy).await?;
    if peer.rules.tls == TlsMode::Disabled {
        // DANE is about TLS, which is switched off here.
        for target in &mut targets {
            target.validated_for = None;
        }
    }
    Ok(Dialler::new(host.to_string(), targets))
}

impl Targets {
    /// Where the next attempt begins. None if DNSSEC requires facts about the server, which an open stream has shown
    /// for another domain at most.
    pub(crate) fn next(&self) -> Option<Place> {
        let first = self.dialler.first().filter(|target| target.validated_for.is_none())?;
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
    #[tracing::instrument(name = "connect", level = "debug", skip_all)]
    pub(crate) async fn connect(
        &mut self,
        network: &Network,
    ) -> Result<(TcpStream, Reached), Failure> {
        match self.dial(network).await {
            Err(_) if std::mem::take(&mut self.fallback_to_dns) => {
                self.dialler = ask_dns(network, &self.remote, &self.remote).await?;
                self.dial(network).await
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
        network: &Network,
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
            (RouteHost::Name(name), None) => ask_dns(network, &self.remote, name).await?,
            _ => Dialler::new(other.host.to_string(), vec![Target::from(other)]),
        };
        Ok(())
    }

    async fn dial(&mut self, network: &Network) -> Result<(TcpStream, Reached), Failure> {
        let (guard, tcp) = (network.guard(), network.tcp());
        let timeout = network.in_force.load().config.timeouts.connect;
        let dialler = &mut self.dialler;
        let connection = match self.leg {
            Leg::Outer => {
                let resolver = network.resolver();
                let first = dialler.first();
                let is_route = first.is_some_and(|target| target.origin == Origin::Route);
                let resolver = if is_route { resolver.unvalidated() } else { resolver };
                dialler.connect(&resolver, &tcp, &guard, timeout).await?
            }
            Leg::Inner => dialler.connect(&network.inside, &tcp, &guard, timeout).await?,
        };
        let Connection { stream, address, target, delegation } = connection;
        let direct_tls = target.start == TlsStart::Direct;
        let by_route = target.origin == Origin::Route;
        let place = (target.host, target.port);
        Ok((stream, Reached { address, place, direct_tls, delegation, by_route }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::parse_text;

    const FILE: &str = "host: xmpp.local.example
domains:
  - {name: local.example, backend: im}
  - {name: alone.example}
backends:
  - {name: im, server: {host: prosody.chat.svc, port: 5270}}
peers:
  - {domain: routed.example, route: {targets: ['198.18.0.9:5269', 'other.example:5299'], fallbackToDns: true}}
policy:
  default: Allow
  rules: [{action: Deny, domains: [denied.example]}]
";

    fn chosen(leg: Leg, remote: &str) -> Result<Choice, Failure> {
        let mut config = parse_text(FILE).unwrap();
        let alone =
            config.domains.iter_mut().filter(|local| local.name.as_str() == "alone.example");
        alone.for_each(|local| local.backend = None);
        let snapshot = Snapshot::load(config, None);
        choose(&snapshot, leg, &Domain::parse(remote).unwrap())
    }

    fn places(targets: &[Target]) -> Vec<String> {
        targets.iter().map(|target| format!("{}:{}", target.host, target.port)).collect()
    }

    #[test]
    fn a_route_comes_before_dns_in_its_order_and_only_for_its_peer() {
        let Ok(Choice::Configured { name, targets, fallback_to_dns }) =
            chosen(Leg::Outer, "routed.example")
        else {
            panic!("the route is not used");
        };
        assert_eq!((name.as_str(), fallback_to_dns), ("routed.example", true));
        assert_eq!(places(&targets), ["198.18.0.9:5269", "other.example:5299"]);
        assert_eq!(chosen(Leg::Outer, "elsewhere.example"), Ok(Choice::Dns));
    }

    #[test]
    fn a_denied_domain_is_not_looked_for() {
        assert_eq!(chosen(Leg::Outer, "denied.example"), Err(Failure::BlockedByLocalPolicy));
    }

    #[test]
    fn a_backend_is_found_at_its_host_and_never_by_the_srv_records_of_its_domain() {
        let Ok(Choice::Configured { name, targets, fallback_to_dns }) =
            chosen(Leg::Inner, "local.example")
        else {
            panic!("the backend is not found");
        };
        assert_eq!((name.as_str(), fallback_to_dns), ("prosody.chat.svc", false));
        assert_eq!(places(&targets), ["prosody.chat.svc:5270"]);
        for without in ["alone.example", "unknown.example"] {
            assert_eq!(chosen(Leg::Inner, without), Err(Failure::NoBackend), "{without}");
        }
    }
}
