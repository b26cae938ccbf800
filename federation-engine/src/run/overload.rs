//! Keeps the process within its budget: checks the resources in use, and notifies the least useful connections and
//! queues to make room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::xmpp::StanzaCondition;
use s2s_proto::reason::{Refusal, StanzaError};
use tokio::time::sleep;

use crate::budget::decide::{Group, Held, Use, decide};
use crate::budget::{Budget, PROCESS, Usage, detect, in_use};
use crate::engine::Engine;
use crate::leg::Leg;
use crate::observe::label::Shed;
use crate::relay::Relay;
use crate::route::link::Link;

/// Interval of the checks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Minimum interval between two log lines about the same overload.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The resources that the system grants the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    memory: usize,
    descriptors: usize,
    /// The part of the memory that the process itself needs.
    process: usize,
}

impl Granted {
    /// Queries the system, and raises the number of descriptors as far as it allows.
    pub(crate) fn by_system() -> Self {
        Self { memory: detect::memory(), descriptors: detect::descriptors(), process: PROCESS }
    }
}

/// A connection or queue that can make room.
#[derive(Clone)]
enum Holder {
    Connection(u64, Use),
    Queue(Arc<Link>),
}

/// Checks the budget until the shutdown.
pub(crate) async fn watch(engine: Arc<Engine>, granted: Granted) {
    let mut granted = granted;
    // Memory of code, root certificates and threads, before the first connection.
    granted.process = detect::resident().unwrap_or_default().max(PROCESS);
    let budget = budget(&engine, granted);
    tracing::info!(
        memory = budget.bytes,
        connections = budget.connections,
        descriptors = granted.descriptors,
        "resource budget of the process"
    );
    let mut logged: Option<Instant> = None;
    loop {
        let (connections, queues) = look(&engine, granted);
        let now = Instant::now();
        let quiet = logged.is_some_and(|at| now.saturating_duration_since(at) < LOG_INTERVAL);
        if connections + queues > 0 && !quiet {
            logged = Some(now);
            tracing::warn!(
                connections,
                queues,
                "low on memory or descriptors: closed connections and bounced queues; xmpp_federation_shed_total counts them"
            );
        }
        tokio::select! {
            () = sleep(LOOK_INTERVAL) => {}
            () = engine.life.shutdown.cancelled() => return,
        }
    }
}

fn budget(engine: &Engine, granted: Granted) -> Budget {
    let limits = engine.snapshot().config.limits;
    let memory = limits.memory_bytes.unwrap_or(usize::MAX).min(granted.memory);
    let budget = Budget::of(memory, granted.descriptors);
    let connections = limits.connections.unwrap_or(usize::MAX).min(budget.connections);
    Budget { connections, ..budget }
}

/// Checks once, and returns the number of connections and queues that were required to make room.
fn look(engine: &Arc<Engine>, granted: Granted) -> (usize, usize) {
    let budget = budget(engine, granted);
    let (counted, resident) = (engine.ledger.total.bytes(), detect::resident());
    let usage = Usage {
        bytes: in_use(counted, resident, granted.process),
        connections: engine.holders.count(),
    };
    engine.ledger.set(budget, usage.bytes.saturating_sub(counted));
    engine.holders.bound_per_source((budget.connections / 2).max(1));
    engine.recorder.metrics.budget(budget, usage, counted, resident.unwrap_or_default());
    if !budget.is_exceeded_by(usage) {
        return (0, 0);
    }
    let streams = engine.holders.look(Instant::now());
    let leaving = streams.leaving;
    let usage = Usage {
        bytes: usage.bytes.saturating_sub(leaving.0),
        connections: usage.connections.saturating_sub(leaving.1),
    };
    let streams = streams.held.into_iter().map(|held| {
        let Held { key, usage, connections, bytes, silent, group, source } = held;
        let key = Holder::Connection(key, usage);
        Held { key, usage, connections, bytes, silent, group, source }
    });
    let queues = engine.relay.table.queues().into_iter().map(|(link, bytes)| Held {
        usage: Use::Active,
        connections: 0,
        bytes,
        silent: 0,
        group: Some(Group::Domain(match link.leg {
            Leg::Inner => link.pair.from.clone(),
            Leg::Outer => link.pair.to.clone(),
        })),
        source: None,
        key: Holder::Queue(link),
    });
    let held: Vec<_> = streams.chain(queues).collect();
    let (mut connections, mut queues) = (0, 0);
    for holder in decide(usage, budget, &held) {
        match holder {
            Holder::Connection(number, usage) => {
                if engine.holders.shed(number) {
                    engine.recorder.metrics.shed.inc(usage.into());
                    connections += 1;
                }
            }
            Holder::Queue(link) => {
                engine.recorder.metrics.shed.inc(Shed::Queue);
                shed_queue(&engine.relay, &link);
                queues += 1;
            }
        }
    }
    (connections, queues)
}

/// Bounces the stanzas of a queue: the errors ask their senders to retry later (RFC 6120 §8.3.3.18).
fn shed_queue(relay: &Relay, link: &Link) {
    let error =
        StanzaError::new(StanzaCondition::ResourceConstraint, Refusal::QueueFull.to_string());
    for stanza in link.drain() {
        relay.recorder.metrics.stanzas_queued.dec();
        relay.recorder.metrics.stanzas_refused.inc(Refusal::QueueFull);
        relay.bounce(&stanza, link.leg, &error, &error);
    }
    link.shrink();
}

impl From<Use> for Shed {
    fn from(usage: Use) -> Self {
        match usage {
            Use::Unauthenticated => Self::Unauthenticated,
            Use::Idle => Self::Idle,
            Use::Active => Self::Active,
        }
    }
}
