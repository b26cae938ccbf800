//! The process: ports, client, leader election, watches, reconciles, and graceful shutdown.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crds::external::dns_endpoint::DNSEndpoint;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::runtime::events::{Recorder, Reporter};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::admin::{self, Health, ListenError};
use crate::args::Args;
use crate::build::Settings;
use crate::children::Children;
use crate::client::{self, ClientError};
use crate::context::Context;
use crate::controller;
use crate::definition::Definition;
use crate::discovery::OptionalKinds;
use crate::domain_policy::{DomainPolicy, DomainPolicyError};
use crate::evidence::background::Background;
use crate::evidence::engine::Engines;
use crate::evidence::inventory;
use crate::evidence::networks::Networks;
use crate::evidence::peer_dns::{self, PeerDnsRounds};
use crate::evidence::prober::{self, ProberRounds};
use crate::evidence::rounds::{self, DnsRounds, ProbeRounds};
use crate::lease::{self, Leadership, LeaseError};
use crate::logging::{self, LoggingError};
use crate::metrics::Metrics;
use crate::objects::{Feeds, Objects};
use crate::probe_reports;
use crate::reconcile::{creation, issued};
use crate::territory::{self, Territory};
use crate::turns::Turns;
use crate::watches;

/// Wake-ups in the queue; if it is full, the watches wait.
const WAKES: usize = 256;

/// Time that the first listing of nodes may take before reconciles begin without it.
const FIRST_NODES: Duration = Duration::from_secs(10);

/// Time that running reconciles get at shutdown, well within the usual grace period of pods (30 s).
const FINISH: Duration = Duration::from_secs(15);

/// Why the process exits with a failure.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The port cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is no client for the API server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The lease cannot be used.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// Log or traces cannot be set up.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// The list of domains cannot be used.
    #[error(transparent)]
    Domains(#[from] DomainPolicyError),
    /// Another replica may be the leader now.
    #[error("lost the lease; exiting, so that this process does not conflict with the new leader")]
    LeadershipLost,
    /// The operating system provides no signals.
    #[error("cannot wait for signals: {0}")]
    Signal(std::io::Error),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// See [`RunError`].
pub async fn run(args: Args) -> Result<(), RunError> {
    let metrics = Metrics::new();
    let health = Health::default();
    let listener: TcpListener = admin::listen(args.listen).await?;
    let mut tasks = logging::start(&args)?;
    tasks.spawn(admin::serve(listener, health.clone(), metrics.clone()));
    let stop = stopped().map_err(RunError::Signal)?;
    let mut stop = std::pin::pin!(stop);
    let (client, server) = client::connect(&args, metrics.clone()).await?;
    tokio::select! {
        () = client::wait_for_server(&client, &server) => {}
        () = &mut stop => return Ok(()),
    }

    let leadership = if args.leader_election {
        // A replica that waits for the lease counts as ready.
        health.set_ready();
        let wanted = lease(&args);
        let acquired = lease::acquire(client.clone(), &wanted);
        tokio::select! {
            acquired = acquired => Some(acquired?),
            () = &mut stop => return Ok(()),
        }
    } else {
        None
    };
    metrics.leading(true);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "acquired leadership");

    let (wake, wakes) = mpsc::channel(WAKES);
    let (federations, writer) = controller::store();
    let (children, child_writers) = Children::new();
    let (objects, feeds) = Objects::new();
    let settings = settings(&args);
    let revision = crate::build::revision::revision(&settings);
    let context = Arc::new(Context {
        client: client.clone(),
        settings,
        metrics: metrics.clone(),
        recorder: recorder(&client, &args),
        federations,
        children,
        objects,
        definition: Definition::new(),
        kinds: OptionalKinds::new(),
        engines: Engines::new(wake.clone()),
        networks: Networks::new(args.namespace.is_empty()),
        dns: Background::new(DnsRounds::default(), rounds::DNS_AT_ONCE, wake.clone()),
        probes: Background::new(ProbeRounds, rounds::PROBES_AT_ONCE, wake.clone()),
        peer_dns: Background::new(PeerDnsRounds, peer_dns::LOOKUPS_AT_ONCE, wake.clone()),
        outside: Background::new(ProberRounds::default(), prober::PROBERS_AT_ONCE, wake.clone()),
        class: args.class.clone(),
        territory: Territory::default(),
        domains: DomainPolicy::read(args.domains.as_deref())?,
        rivals: crate::rivals::Rivals::default(),
        waves: crate::waves::Waves::default(),
        shortages: crate::shortages::Shortages::new(wake.clone()),
        revision,
        // A quarter of the reconciles can always judge, even if every request to apply something hangs.
        applying: Turns::new(usize::from(args.concurrency).saturating_mul(3).div_ceil(4)),
        creating: Turns::new(creation::AT_ONCE),
        memory: Mutex::new(HashMap::new()),
    });
    tokio::join!(context.kinds.look(&client), context.definition.look(&client));
    spawn_watches(&mut tasks, &context, &args.namespace, child_writers, feeds, &wake);
    if args.namespace.is_empty() {
        spawn_cluster_watches(&mut tasks, &context, &args, &wake);
    }
    tokio::select! {
        // The engines' configuration has networks of the cluster. Without them, every federation would be changed twice.
        _ = tokio::time::timeout(FIRST_NODES, context.networks.first()) => {}
        () = &mut stop => return Ok(()),
    }
    tasks.spawn(announce_ready(Arc::clone(&context), health));

    let (finish, finished) = tokio::sync::oneshot::channel::<()>();
    let finished = async move {
        // Dropping the sender stops the controller as well.
        let _ = finished.await;
    };
    let api = controller::federations(client, &args.namespace);
    let mut controller = std::pin::pin!(controller::run(
        api,
        writer,
        wakes,
        Arc::clone(&context),
        args.concurrency,
        // The controller requires a future that can be shared.
        futures::FutureExt::shared(futures::FutureExt::boxed(finished)),
    ));
    tokio::select! {
        () = &mut controller => {}
        () = lost(leadership.as_ref()) => return Err(RunError::LeadershipLost),
        () = &mut stop => {
            tracing::info!("shutting down: waiting for running reconciles to finish");
            drop(finish);
            if tokio::time::timeout(FINISH, controller).await.is_err() {
                tracing::warn!("running reconciles did not finish in time; the next leader repeats them");
            }
        }
    }
    metrics.leading(false);
    tasks.shutdown().await;
    if let Some(leadership) = leadership {
        leadership.release().await;
    }
    Ok(())
}

/// Waits until the lease is lost, which it cannot be without a lease.
async fn lost(leadership: Option<&Leadership>) {
    match leadership {
        Some(leadership) => leadership.lost().await,
        None => std::future::pending().await,
    }
}

fn recorder(client: &kube::Client, args: &Args) -> Recorder {
    let reporter = Reporter {
        controller: crds::FIELD_MANAGER.to_owned(),
        instance: Some(args.pod_name.clone()),
    };
    Recorder::new(client.clone(), reporter)
}

/// The pod is ready when the first listings are complete.
async fn announce_ready(context: Arc<Context>, health: Health) {
    context.children.wait_until_ready().await;
    if context.federations.wait_until_ready().await.is_ok() {
        health.set_ready();
    }
}

/// Watches what an operator for one namespace has no permission for: nodes, and the leases of operators for one namespace.
fn spawn_cluster_watches(
    tasks: &mut JoinSet<()>,
    context: &Arc<Context>,
    args: &Args,
    wake: &watches::Wake,
) {
    let nodes = Arc::clone(context);
    tasks.spawn(async move { inventory::follow(nodes.client.clone(), &nodes.networks).await });
    let (leases, wake) = (Arc::clone(context), wake.clone());
    let name = lease::name(&args.class, false);
    tasks.spawn(async move {
        let changed = |namespace| watches::all_of(&leases, namespace, &wake);
        territory::follow(leases.client.clone(), &name, &leases.territory, changed).await;
    });
}

fn spawn_watches(
    tasks: &mut JoinSet<()>,
    context: &Arc<Context>,
    namespace: &str,
    writers: Vec<(kube::core::ApiResource, crate::children::Writer)>,
    feeds: Feeds,
    wake: &watches::Wake,
) {
    let namespace = || namespace.to_owned();
    let (mut deployments, mut services, mut endpoints) =
        (Some(feeds.deployments), Some(feeds.services), Some(feeds.dns_endpoints));
    for (resource, writer) in writers {
        let (context, wake) = (Arc::clone(context), wake.clone());
        let whole = match resource.kind.as_str() {
            "Deployment" => deployments.take().map(Whole::Deployments),
            "Service" => services.take().map(Whole::Services),
            "DNSEndpoint" => endpoints.take().map(Whole::DnsEndpoints),
            _ => None,
        };
        match whole {
            Some(Whole::Deployments(feed)) => {
                tasks.spawn(watches::whole_children(context, namespace(), writer, feed, wake));
            }
            Some(Whole::Services(feed)) => {
                tasks.spawn(watches::whole_children(context, namespace(), writer, feed, wake));
            }
            Some(Whole::DnsEndpoints(feed)) => {
                tasks.spawn(watches::optional_children(context, namespace(), writer, feed, wake));
            }
            None => {
                tasks.spawn(watches::children(context, namespace(), resource, writer, wake));
            }
        }
    }
    tasks.spawn(watches::pods(Arc::clone(context), namespace(), feeds.pods, wake.clone()));
    let (events, own) = (feeds.service_events, Arc::clone(context));
    tasks.spawn(watches::service_events(own, namespace(), events, wake.clone()));
    tasks.spawn(watches::secrets(Arc::clone(context), namespace(), feeds.secrets, wake.clone()));
    let (maps, own) = (feeds.config_maps, Arc::clone(context));
    tasks.spawn(watches::config_maps(own, namespace(), maps, wake.clone()));
    let (reports, own) = (feeds.probe_reports, Arc::clone(context));
    tasks.spawn(watches::probe_reports(own, namespace(), reports, wake.clone()));
    tasks.spawn(probe_reports::sweep(Arc::clone(context)));
    for resource in issued::chain_kinds() {
        let context = Arc::clone(context);
        tasks.spawn(watches::issuance(context, namespace(), resource, wake.clone()));
    }
    let kinds = Arc::clone(context);
    tasks.spawn(async move { kinds.kinds.follow(&kinds.client).await });
    tasks.spawn(watches::definition(Arc::clone(context), wake.clone()));
}

/// The lease of this operator.
fn lease(args: &Args) -> lease::Wanted {
    let elsewhere = Some(&args.leader_election_namespace).filter(|namespace| !namespace.is_empty());
    // Operators for one namespace share nothing with those of other namespaces.
    let elsewhere = elsewhere.filter(|_| args.namespace.is_empty());
    let namespace = if args.namespace.is_empty() { &args.pod_namespace } else { &args.namespace };
    lease::Wanted {
        namespace: elsewhere.unwrap_or(namespace).clone(),
        name: lease::name(&args.class, args.namespace.is_empty()),
        own_namespace: args.pod_namespace.clone(),
        pod: args.pod_name.clone(),
    }
}

fn settings(args: &Args) -> Settings {
    Settings {
        engine_image: args.engine_image.clone(),
        pull_policy: args.engine_image_pull_policy,
        operator_namespace: args.pod_namespace.clone(),
    }
}

/// A kind of child that verdicts depend on, and its store.
enum Whole {
    Deployments(crate::objects::Feed<Deployment>),
    Services(crate::objects::Feed<Service>),
    DnsEndpoints(crate::objects::Feed<DNSEndpoint>),
}

/// Completes at SIGTERM or SIGINT.
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
