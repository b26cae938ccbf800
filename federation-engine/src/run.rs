//! The life of an engine: listeners, reload, end.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_resolver::system_conf::read_system_conf;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::error::ConfigError;
use crate::config::load::load;
use crate::config::model::FileListen;
use crate::config::{Attachment, Config};
use crate::dns::inside::Inside;
use crate::dns::resolve::{Resolver, ResolverError};
use crate::dns::synth::answer::SynthConfig;
use crate::dns::synth::serve::{Horizon, Sockets, serve};
use crate::leg::Leg;
use crate::observe::evidence::Problem;
use crate::observe::journal::Journal;
use crate::task::engine::Engine;
use crate::task::listen::{self, ListenError};
use crate::task::snapshot::Snapshot;
use crate::task::{peers, round_trip};

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A listener could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// No resolver.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
}

impl StartError {
    /// Exit code: 2 for the configuration, 3 for a listener, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Listen(_) => 3,
            Self::Resolver(_) => 1,
        }
    }
}

/// Sockets, bound before anything is served: an engine that cannot have all of its ports does not start.
struct Listeners {
    outer: Vec<TcpListener>,
    inner: Option<TcpListener>,
    dns: Option<Sockets>,
}

impl Listeners {
    async fn bind(wanted: &FileListen) -> Result<Self, ListenError> {
        let mut outer = Vec::new();
        for (name, address) in [("s2s", wanted.s2s), ("s2sTls", wanted.s2s_tls)] {
            if let Some(address) = address {
                outer.push(listen::bind(name, address).await?);
            }
        }
        let inner = match wanted.backend {
            Some(address) => Some(listen::bind("backend", address).await?),
            None => None,
        };
        let dns = match wanted.dns {
            Some(address) => Some(
                Sockets::bind(address)
                    .await
                    .map_err(|error| ListenError::new("dns", address, error))?,
            ),
            None => None,
        };
        Ok(Self { outer, inner, dns })
    }
}

/// Runs an engine from a configuration file until `shutdown`, then ends its streams in order.
///
/// # Errors
/// When it cannot start; see [`StartError`].
pub async fn run(file: &Path, shutdown: CancellationToken) -> Result<(), StartError> {
    let config = load(file)?;
    for sentence in config.not_in_effect() {
        tracing::warn!("{sentence}");
    }
    let listeners = Listeners::bind(&config.listen).await?;
    let resolver = Resolver::new(&config.resolvers)?;
    let inside = Inside::new()?;
    let journal = Arc::new(Journal::new(env!("CARGO_PKG_VERSION")));
    let engine = Engine::new(Snapshot::load(config, None), resolver, inside, journal);
    let horizon =
        horizon(&engine.snapshot().config).map(|horizon| Arc::new(ArcSwap::from_pointee(horizon)));

    for listener in listeners.outer {
        engine.spawn(listen::accept(Arc::clone(&engine), listener, Leg::Outer));
    }
    if let Some(listener) = listeners.inner {
        engine.spawn(listen::accept(Arc::clone(&engine), listener, Leg::Inner));
    }
    if let (Some(sockets), Some(horizon)) = (listeners.dns, &horizon) {
        engine.spawn(serve(sockets, Arc::clone(horizon), engine.shutdown.clone()));
    }
    in_force(&engine);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "the engine is ready");
    shutdown.cancelled().await;
    tracing::info!("ending: every stream is told");
    engine.stop().await;
    Ok(())
}

/// Loads the configuration and its files again. What cannot be used is reported, and the last good state stays.
fn reload(engine: &Arc<Engine>, file: &Path, horizon: Option<&Arc<ArcSwap<Horizon>>>) {
    let last = engine.snapshot_owned();
    let config = match load(file) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(
                "the configuration is not usable, the last good one stays in force: {error}"
            );
            let problem = Problem { place: file.display().to_string(), message: error.to_string() };
            let mut problems = last.problems.clone();
            problems.push(problem);
            engine.journal.problems(problems, Timestamp::now());
            return;
        }
    };
    if config.listen != last.config.listen {
        tracing::warn!("listen: changes take effect when the engine is started again");
    }
    if config.resolvers != last.config.resolvers {
        match Resolver::new(&config.resolvers) {
            Ok(resolver) => engine.resolver.store(Arc::new(resolver)),
            Err(error) => tracing::error!("resolvers: {error}"),
        }
    }
    if let (Some(slot), Some(new)) = (horizon, self::horizon(&config)) {
        slot.store(Arc::new(new));
    }
    let changed = config.hash != last.config.hash;
    engine.replace(Snapshot::load(config, Some(&last)));
    tracing::info!(
        changed,
        hash = engine.snapshot().config.hash,
        "configuration and files were read again"
    );
    in_force(engine);
}

/// Makes what is in force visible, and starts to keep its evidence fresh.
fn in_force(engine: &Arc<Engine>) {
    let now = Timestamp::now();
    let snapshot = engine.snapshot_owned();
    let config = &snapshot.config;
    for problem in &snapshot.problems {
        tracing::error!(place = problem.place, "{}", problem.message);
    }
    let named = config.peers.named().map(|(domain, _)| domain);
    engine.journal.configured(&config.hash, config.local_names(), named, now);
    engine.journal.problems(snapshot.problems.clone(), now);
    engine.journal.certificates(snapshot.served(), now);
    for local in &config.domains {
        if let Some(backend) = &local.backend
            && matches!(backend.attachment, Attachment::Server { .. })
        {
            let (domain, backend) = (local.name.clone(), backend.name.clone());
            engine.spawn(round_trip::keep_fresh(Arc::clone(engine), domain, backend));
        }
    }
    let Some(local) = config.domains.first() else { return };
    for (peer, settings) in config.peers.named() {
        if settings.probe.mode == crds::peer::ProbeMode::Auto {
            engine.spawn(peers::keep_fresh(Arc::clone(engine), local.name.clone(), peer.clone()));
        }
    }
}

/// What the backend's DNS answers; `None` when nothing is to be synthesised.
fn horizon(config: &Config) -> Option<Horizon> {
    let split = config.split_horizon?;
    let local = config.local_names().cloned();
    match SynthConfig::new(&config.host, split.address, split.port, local) {
        Ok(synth) => Some(Horizon { config: synth, upstreams: upstreams() }),
        Err(error) => {
            tracing::error!("splitHorizon: {error}");
            None
        }
    }
}

/// The system's resolvers: a backend asks for names of the cluster too.
fn upstreams() -> Vec<SocketAddr> {
    match read_system_conf() {
        Ok((system, _)) => {
            let addresses: Vec<IpAddr> =
                system.name_servers().iter().map(|server| server.ip).collect();
            addresses.into_iter().map(|address| SocketAddr::new(address, 53)).collect()
        }
        Err(error) => {
            tracing::error!(
                "the system's resolver configuration is unusable, so the backend's DNS forwards nothing: {error}"
            );
            Vec::new()
        }
    }
}
