//! The life of an engine: listeners, reload, shutdown.

pub(crate) mod ending;
pub(crate) mod listen;
mod listeners;
mod material;
mod overload;
mod proxied;
mod receive;

use std::path::Path;
use std::sync::Arc;

use listeners::Listeners;
use material::ReloadedState;
use s2s_proto::pair::Pair;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Domain;
use crate::config::error::ConfigError;
use crate::config::load::load;
use crate::config::watch::FileWatch;
use crate::dns::inside::Inside;
use crate::dns::resolve::{Resolver, ResolverError};
use crate::engine::Engine;
use crate::in_force::snapshot::Snapshot;
use crate::leg::{Door, Leg};
use crate::links;
use crate::observe::admin::{self, AdminState};
use crate::observe::control::{self, ControlState};
use crate::observe::journal::Journal;
use crate::observe::readiness::Readiness;
use crate::probes::peers;
use crate::run::listen::ListenError;
use crate::run::overload::{Granted, TooLittleMemory};

/// The part that `/readyz` reports as missing until every listener serves, and again during shutdown.
const SERVING: &str = "serving";
/// Exit code if the system grants too little memory.
pub const EXIT_MEMORY: u8 = 4;
/// Maximum probes requested and not yet started.
const MAX_WAITING_PROBES: usize = 64;

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is unusable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A listener could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The resolver could not be created.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// The system grants too little memory.
    #[error(transparent)]
    Memory(#[from] TooLittleMemory),
    /// The system random number generator failed.
    #[error("the system random number generator failed: {0}")]
    Random(#[from] getrandom::Error),
}

impl StartError {
    /// Exit code: 2 for the configuration, 3 for a listener, [`EXIT_MEMORY`], 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Listen(_) => 3,
            Self::Memory(_) => EXIT_MEMORY,
            Self::Resolver(_) | Self::Random(_) => 1,
        }
    }
}

/// Runs an engine from a configuration file until `shutdown`, then closes its streams in order.
///
/// # Errors
/// When it cannot start; see [`StartError`].
pub async fn run(file: &Path, shutdown: CancellationToken) -> Result<(), StartError> {
    // Before any file or socket is opened, so that the raised limit applies.
    let granted = Granted::by_system();
    granted.check()?;
    let mut watch = FileWatch::new();
    watch.set([file]);
    let config = load(file)?;
    watch.set(std::iter::once(file).chain(config.files()));
    let listeners = Listeners::bind(&config.listen).await?;
    let resolver = Resolver::configured(&config.resolvers, &config.dnssec)?;
    let journal = Arc::new(Journal::new(env!("CARGO_PKG_VERSION")));
    let engine = Engine::new(
        Snapshot::load(config, None),
        resolver,
        Inside::new()?,
        Arc::clone(&journal),
        links::start,
    );
    let material = ReloadedState::new(&engine, file);
    let readiness = Arc::new(Readiness::awaiting([SERVING]));

    for listener in listeners.outer {
        engine.life.spawn(listen::serve(Arc::clone(&engine), listener, Door::Outer));
    }
    if let Some(listener) = listeners.inner {
        engine.life.spawn(listen::serve(Arc::clone(&engine), listener, Door::Inner));
    }
    if let Some(listener) = listeners.component {
        engine.life.spawn(listen::serve(Arc::clone(&engine), listener, Door::Component));
    }
    if let Some(sockets) = listeners.dns {
        engine.life.spawn(material.serve_dns(sockets));
    }
    if let Some(listener) = listeners.admin {
        let state = AdminState {
            readiness: Arc::clone(&readiness),
            metrics: Arc::clone(&engine.recorder.metrics),
        };
        engine.life.spawn(admin::serve(listener, Arc::new(state), engine.life.shutdown.clone()));
    }
    if let Some(listener) = listeners.control {
        let (sender, asked) = mpsc::channel(MAX_WAITING_PROBES);
        let state = ControlState::new(journal, material.credentials(), sender)?;
        engine.life.spawn(control::serve(listener, Arc::new(state), engine.life.shutdown.clone()));
        engine.life.spawn(probe_what_is_asked(Arc::clone(&engine), asked));
    }
    engine.life.spawn(overload::watch(Arc::clone(&engine), granted));
    engine.life.spawn(material.keep_in_force(watch));
    readiness.found(SERVING);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "the engine is ready");

    shutdown.cancelled().await;
    readiness.lost(SERVING);
    tracing::info!("shutting down: delivering queued stanzas, then closing all streams");
    ending::end(&engine).await;
    Ok(())
}

/// Connects to the peers for which the control listener gets probes.
async fn probe_what_is_asked(engine: Arc<Engine>, mut asked: mpsc::Receiver<Domain>) {
    while let Some(Some(peer)) = engine.life.shutdown.run_until_cancelled(asked.recv()).await {
        let first = engine.snapshot().config.local_names().next().cloned();
        let Some(local) = first else { continue };
        peers::visit(
            &engine,
            &engine.relay.table.link(&Pair { from: local, to: peer }, Leg::Outer),
        );
    }
}
