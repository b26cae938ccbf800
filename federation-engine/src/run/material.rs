//! The configuration and everything that it names, as in effect. They are loaded, reported as evidence, and reloaded
//! when a file changes.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use crds::engine_file::FileListen;
use hickory_resolver::system_conf::read_system_conf;
use jiff::Timestamp;
use s2s_proto::pair::Pair;
use tokio::sync::watch;

use crate::config::Config;
use crate::config::load::load;
use crate::config::watch::FileWatch;
use crate::dns::resolve::{Resolver, ResolverError};
use crate::dns::synth::answer::SynthConfig;
use crate::dns::synth::clients::Clients;
use crate::dns::synth::serve::{Horizon, Sockets, Witness, serve};
use crate::engine::Engine;
use crate::in_force::snapshot::Snapshot;
use crate::log;
use crate::observe::control::Credentials;
use crate::observe::evidence::{ContactKind, LoadError};
use crate::observe::label::DnsResult;
use crate::probes::{claims, flows, peers, round_trip};

type CredentialsInForce = Option<Arc<Credentials>>;

/// The state in effect outside of the engine's own snapshot.
pub(super) struct ReloadedState {
    engine: Arc<Engine>,
    file: PathBuf,
    horizon: Option<Arc<ArcSwap<Horizon>>>,
    credentials: watch::Sender<CredentialsInForce>,
}

impl ReloadedState {
    /// Takes the state from the snapshot with which the engine was created.
    pub(super) fn new(engine: &Arc<Engine>, file: &Path) -> Self {
        let horizon = horizon(&engine.snapshot().config);
        let material = Self {
            engine: Arc::clone(engine),
            file: file.to_owned(),
            horizon: horizon.map(|horizon| Arc::new(ArcSwap::from_pointee(horizon))),
            credentials: watch::Sender::new(None),
        };
        material.announce();
        material
    }

    /// The credentials of the control listener: the current ones and every change.
    pub(super) fn credentials(&self) -> watch::Receiver<CredentialsInForce> {
        self.credentials.subscribe()
    }

    /// Serves the backend's DNS.
    pub(super) fn serve_dns(&self, sockets: Sockets) -> impl Future<Output = ()> + use<> {
        let (horizon, shutdown) = (self.horizon.clone(), self.engine.life.shutdown.clone());
        let witness = Queries(Arc::clone(&self.engine));
        async move {
            if let Some(horizon) = horizon {
                serve(sockets, horizon, witness, shutdown).await;
            } else {
                tracing::warn!("listen.dns has no effect because splitHorizon is not set");
            }
        }
    }

    /// Reloads everything whenever a file changes, until the shutdown.
    pub(super) async fn keep_in_force(self, mut files: FileWatch) {
        let shutdown = self.engine.life.shutdown.clone();
        while shutdown.run_until_cancelled(files.changed()).await.is_some() {
            self.reload(&mut files);
        }
    }

    /// Reloads everything. Unusable files are reported, and the last valid state stays in effect.
    fn reload(&self, files: &mut FileWatch) {
        let last = self.engine.snapshot_owned();
        let config = match load(&self.file) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(
                    "configuration rejected; the last valid one stays in effect: {error}"
                );
                let place = self.file.display().to_string();
                let mut problems = last.problems.clone();
                problems.push(LoadError { place, message: error.to_string(), unusable: true });
                return self.report(problems);
            }
        };
        files.set(std::iter::once(self.file.as_path()).chain(config.files()));
        if sockets(&config.listen) != sockets(&last.config.listen) {
            tracing::warn!("listen: changes take effect after a restart of the engine");
        }
        let resolver = self.resolver(&config, &last.config);
        if let (Some(slot), Some(new)) = (&self.horizon, horizon(&config)) {
            slot.store(Arc::new(new));
        }
        let (changed, hash) = (config.hash != last.config.hash, config.hash.clone());
        let mut snapshot = Snapshot::load(config, Some(&last));
        snapshot.problems.extend(resolver.err());
        self.engine.replace(snapshot);
        tracing::info!(changed, hash, "configuration reloaded");
        self.announce();
    }

    /// Replaces the resolver when its configuration changed. The new one determines again whether answers can be
    /// validated. If that fails, the last one stays, so that validation is never lost silently.
    fn resolver(&self, config: &Config, last: &Config) -> Result<(), LoadError> {
        let load = || {
            let same = config.resolvers == last.resolvers
                && self.engine.network.resolver().validates_as(&config.dnssec)?;
            if !same {
                let resolver = Resolver::configured(&config.resolvers, &config.dnssec)?;
                self.engine.network.replace_resolver(resolver);
            }
            Ok(())
        };
        load().map_err(|error: ResolverError| LoadError {
            place: "resolvers".to_owned(),
            message: error.to_string(),
            unusable: true,
        })
    }

    /// Publishes the state in effect, and starts to keep its evidence fresh.
    fn announce(&self) {
        let now = Timestamp::now();
        let engine = &self.engine;
        let snapshot = engine.snapshot_owned();
        let config = &snapshot.config;
        for sentence in config.not_in_effect() {
            tracing::warn!("{sentence}");
        }
        let named = config.peers.named().map(|(domain, _)| domain);
        engine.recorder.journal.configured(&config.hash, config.local_names(), named, now);
        engine.recorder.journal.certificates(snapshot.served(), now);
        let mut problems = snapshot.problems.clone();
        if let Some(control) = config.control() {
            match Credentials::load(control) {
                Ok(credentials) => {
                    self.credentials.send_replace(Some(Arc::new(credentials)));
                }
                Err(error) => problems.push(LoadError {
                    place: "listen.control".to_owned(),
                    message: error.to_string(),
                    unusable: true,
                }),
            }
        }
        if let Some(Err(error)) = log::current().map(|log| log.adopt(&config.observability)) {
            problems.push(LoadError {
                place: "observability".to_owned(),
                message: error.to_string(),
                unusable: true,
            });
        }
        for problem in &problems {
            tracing::error!(place = problem.place, "{}", problem.message);
        }
        self.report(problems);
        self.keep_evidence_fresh(config);
    }

    fn report(&self, problems: Vec<LoadError>) {
        self.engine
            .recorder
            .metrics
            .problems
            .set(i64::try_from(problems.len()).unwrap_or(i64::MAX));
        self.engine.recorder.journal.problems(problems, Timestamp::now());
    }

    fn keep_evidence_fresh(&self, config: &Config) {
        let engine = &self.engine;
        for local in &config.domains {
            if let Some(backend) = &local.backend {
                let (domain, backend) = (local.name.clone(), backend.name.clone());
                engine.life.spawn(round_trip::keep_fresh(Arc::clone(engine), domain, backend));
            }
        }
        for partner in &config.claim_check.peers {
            engine.life.spawn(claims::keep_fresh(Arc::clone(engine), partner.clone()));
        }
        for Pair { from, to } in peers::pairs(config) {
            if let Some(address) = flows::address(config, &to) {
                let pair = Pair { from: from.clone(), to: to.clone() };
                engine.life.spawn(flows::keep_fresh(Arc::clone(engine), pair, address));
            }
            engine.life.spawn(peers::keep_fresh(Arc::clone(engine), from, to));
        }
    }
}

/// Counts and logs the results of the backend's queries.
struct Queries(Arc<Engine>);

impl Witness for Queries {
    fn count(&self, result: DnsResult) {
        self.0.recorder.metrics.dns_queries.inc(result);
    }

    fn malformed(&self, source: IpAddr) {
        if let Some(omitted) = self.0.recorder.may_log(source) {
            let source = source.to_canonical();
            tracing::warn!(%source, omitted, "DNS query malformed or not implemented; only the opcode QUERY with one question is answered");
        }
    }

    fn answered_about_probe(&self, source: IpAddr) {
        self.0.recorder.saw_backend_query(ContactKind::QueryAnswered, source);
    }

    fn refused(&self, source: IpAddr) {
        self.0.recorder.saw_backend_query(ContactKind::QueryRefused, source);
        if let Some(omitted) = self.0.recorder.may_log(source) {
            let source = source.to_canonical();
            tracing::warn!(%source, omitted, "DNS query refused: splitHorizon.clients does not include its source address; add the network if a backend or its resolver uses it");
        }
    }
}

/// The answers of the backend's DNS; `None` if there are none to synthesise.
fn horizon(config: &Config) -> Option<Horizon> {
    let split = config.split_horizon.as_ref()?;
    let local = config.known_to_all_backends().cloned();
    match SynthConfig::new(&config.host, split.address, split.port, local) {
        Ok(synth) => Some(Horizon::new(synth, Clients::new(&split.clients), upstreams(config))),
        Err(error) => {
            tracing::error!("splitHorizon: {error}");
            None
        }
    }
}

/// The resolvers for the backend's other queries: the system's resolvers, because a backend queries names of the
/// cluster as well. If this engine is the machine's resolver, they are `resolvers`, which the engine itself uses.
fn upstreams(config: &Config) -> Vec<SocketAddr> {
    let system = match read_system_conf() {
        Ok((system, _)) => {
            system.name_servers().iter().map(|server| SocketAddr::new(server.ip, 53)).collect()
        }
        Err(error) => {
            tracing::error!("cannot read the system's resolver configuration: {error}");
            Vec::new()
        }
    };
    let is_own = |ip| UdpSocket::bind((ip, 0)).is_ok();
    let upstreams = without_ourselves(system, config.listen.dns, is_own);
    if upstreams.is_empty() { config.resolvers.clone() } else { upstreams }
}

/// The part of `listen` that is used when the engine starts.
fn sockets(listen: &FileListen) -> FileListen {
    FileListen { proxy_protocol: None, ..listen.clone() }
}

/// Removes the address on which `listen.dns` listens. `is_own` reports whether an address belongs to this machine.
fn without_ourselves(
    mut resolvers: Vec<SocketAddr>,
    listen: Option<SocketAddr>,
    is_own: impl Fn(IpAddr) -> bool,
) -> Vec<SocketAddr> {
    if let Some(listen) = listen {
        resolvers.retain(|resolver| {
            let same_address = listen.ip() == resolver.ip()
                || (listen.ip().is_unspecified() && is_own(resolver.ip()));
            !(same_address && listen.port() == resolver.port())
        });
    }
    resolvers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backends_questions_never_go_to_the_engine_itself() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let all = ["127.0.0.1:53", "198.18.0.1:53", "198.18.0.53:53"].map(address).to_vec();
        let is_own = |ip: IpAddr| ip != address("198.18.0.53:53").ip();
        for (listen, left) in [
            (None, &["127.0.0.1:53", "198.18.0.1:53", "198.18.0.53:53"][..]),
            (Some("127.0.0.1:53"), &["198.18.0.1:53", "198.18.0.53:53"]),
            (Some("0.0.0.0:53"), &["198.18.0.53:53"]),
            (Some("0.0.0.0:5353"), &["127.0.0.1:53", "198.18.0.1:53", "198.18.0.53:53"]),
        ] {
            let left: Vec<_> = left.iter().map(|text| address(text)).collect();
            assert_eq!(
                without_ourselves(all.clone(), listen.map(address), is_own),
                left,
                "{listen:?}"
            );
        }
    }
}
