//! Keeps the process within its budget: checks the resources in use, and notifies the least useful connections and
//! queues to make room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::xmpp::StanzaCondition;
use jiff::Timestamp;
use s2s_proto::reason::{Refusal, StanzaError};
use tokio::time::sleep;

use crate::budget::decide::{Group, Held, Use, decide};
use crate::budget::shortage::{self, Shortage};
use crate::budget::{Budget, PROCESS, Usage, detect, in_use};
use crate::engine::Engine;
use crate::leg::Leg;
use crate::observe::evidence::MemoryShortage;
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

    /// Less memory than the process itself needs is an error at the start: an engine that cannot keep a connection would
    /// become ready and replace one that can.
    pub(crate) fn check(self) -> Result<(), TooLittleMemory> {
        let minimum = shortage::minimum(PROCESS);
        if self.memory < PROCESS {
            return Err(TooLittleMemory { limit: self.memory, minimum });
        }
        Ok(())
    }

    /// The memory that the process may have, if the configuration limits it to this much.
    fn memory(self, configured: Option<usize>) -> usize {
        configured.unwrap_or(usize::MAX).min(self.memory)
    }

    /// What to report if connections are closed for want of memory. A limit under which the process alone exceeds its
    /// budget closes all of them.
    fn shortage(self, configured: Option<usize>, is_exhausted: bool) -> Option<MemoryShortage> {
        let limit = self.memory(configured);
        let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let is_short =
            is_exhausted || !Budget::of(limit, self.descriptors).suffices_for(self.process);
        is_short.then(|| MemoryShortage {
            limit: bytes(limit),
            by_configuration: configured.is_some_and(|configured| configured < self.memory),
            minimum: bytes(shortage::minimum(self.process)),
        })
    }
}

/// The memory limit is less than the process itself needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the memory limit of {limit} bytes is too small; the engine needs at least {minimum} bytes to serve connections"
)]
pub struct TooLittleMemory {
    limit: usize,
    minimum: usize,
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
    let mut exhausted = Shortage::default();
    loop {
        let (connections, queues) = look(&engine, granted);
        let now = Instant::now();
        let is_exhausted = exhausted.check(engine.ledger.is_exhausted(), now);
        let configured = engine.snapshot().config.limits.memory_bytes;
        let shortage = granted.shortage(configured, is_exhausted);
        engine.recorder.journal.memory_shortage(shortage, Timestamp::now());
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
    let budget = Budget::of(granted.memory(limits.memory_bytes), granted.descriptors);
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

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn granted(mebibytes: usize) -> Granted {
        Granted { memory: mebibytes * MIB, descriptors: 1_024, process: PROCESS }
    }

    #[test]
    fn an_engine_does_not_start_with_less_memory_than_it_needs_itself() {
        assert_eq!(granted(16).check(), Ok(()));
        let refused = granted(10).check().unwrap_err().to_string();
        for part in ["limit of 10485760 bytes", "at least 33554432 bytes"] {
            assert!(refused.contains(part), "{refused}");
        }
    }

    #[test]
    fn a_shortage_names_the_limit_its_place_and_the_least_one() {
        assert_eq!(granted(512).shortage(None, false), None);
        assert_eq!(granted(512).shortage(Some(64 * MIB), false), None);
        let shortage = |limit: u64, by_configuration| MemoryShortage {
            limit: limit * 1024 * 1024,
            by_configuration,
            minimum: 32 * 1024 * 1024,
        };
        assert_eq!(granted(24).shortage(None, false), Some(shortage(24, false)));
        assert_eq!(granted(512).shortage(Some(24 * MIB), false), Some(shortage(24, true)));
        assert_eq!(granted(512).shortage(None, true), Some(shortage(512, false)), "exhausted");
    }
}
