//! The metrics of the engine, all under `xmpp_federation_`.
//!
//! Counters that change for each stanza are plain atomics, found by an array index. Conservation holds at any time:
//! received + generated = relayed + answered + refused + bounced + queued.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use crds::peer::Enforcement;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use s2s_proto::direction::Direction;
use s2s_proto::reason::{Failure, Refusal};

use crate::budget::{Budget, Usage};
use crate::leg::Leg;
use crate::observe::label::{DnsResult, Label, MintResult, PeerLimit, Shed, VerificationResult};

/// The result label of a success.
const SUCCESS: &str = "Success";
/// The result label of a refusal by the engine.
const REFUSED: &str = "Refused";

/// Upper bounds of the histogram of round trips, in seconds: a backend in the same cluster answers in milliseconds.
const ROUND_TRIP_SECONDS: [f64; 8] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0];

/// All metrics. Shared by all tasks.
#[derive(Debug)]
pub struct Metrics {
    /// Stanzas received in full, by the leg they came in on.
    pub stanzas_received: Counters<Leg>,
    /// Stanzas that the peer has acknowledged, by the leg they went out on.
    pub stanzas_relayed: Counters<Leg>,
    /// Stanzas sent again because the peer may not have them from a stream that broke, by the leg they went out on.
    pub stanzas_resent: Counters<Leg>,
    /// Stanzas refused, by reason.
    pub stanzas_refused: Counters<Refusal>,
    /// Stanzas that the engine generated itself: answers, errors, its own pings.
    pub stanzas_generated: Counter,
    /// Stanzas addressed to the engine itself.
    pub stanzas_answered: Counter,
    /// Stanzas queued for a stream or not yet acknowledged by their receiver.
    pub stanzas_queued: Gauge,
    /// Dialback verifications that finished.
    pub verifications: Counters<VerificationResult>,
    /// Dialback keys that another server asked to verify.
    pub keys_answered: Counters<VerificationResult>,
    /// Queries to the backend's DNS server.
    pub dns_queries: Counters<DnsResult>,
    /// Requests for a certificate of a remote domain, to be presented to a backend.
    pub minted: Counters<MintResult>,
    /// Connections closed because their source had too many unauthenticated streams.
    pub connections_refused: Counter,
    /// Log lines that were omitted because their source, or all sources together, caused too many.
    pub log_lines_omitted: Counter,
    /// Files that are currently unusable.
    pub problems: Gauge,
    /// Connections and queues that made room.
    pub(crate) shed: Counters<Shed>,
    budget: BudgetGauges,
    peer_limits: Family<PeerLimitLabels, Counter>,
    bounced: Family<Reason, Counter>,
    streams: Family<StreamLabels, Gauge>,
    handshakes: Family<HandshakeLabels, Counter>,
    dials: Family<Outcome, Counter>,
    backend_round_trips: Histogram,
    registry: Registry,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Outcome {
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct StreamLabels {
    leg: &'static str,
    direction: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PeerLimitLabels {
    limit: &'static str,
    enforcement: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct HandshakeLabels {
    leg: &'static str,
    direction: &'static str,
    result: &'static str,
}

/// A metric that is also registered.
fn registered<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn minted(registry: &mut Registry) -> Counters<MintResult> {
    let help = "Certificates of remote domains requested for streams with backends, by result";
    Counters::new(registry, "minted_certificates", help)
}

fn backend_round_trips(registry: &mut Registry) -> Histogram {
    let histogram = Histogram::new(ROUND_TRIP_SECONDS);
    let help = "Duration of the answered pings to the local domains at their backends";
    registry.register("backend_round_trip_seconds", help, histogram.clone());
    histogram
}

impl Default for Metrics {
    /// Registers everything, with every value of the array labels present from the start.
    fn default() -> Self {
        let mut registry = Registry::with_prefix("xmpp_federation");
        registry.register(
            "engine_build",
            "Version of the engine",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self {
            stanzas_received: Counters::new(
                &mut registry,
                "stanzas_received",
                "Stanzas received in full",
            ),
            stanzas_relayed: Counters::new(
                &mut registry,
                "stanzas_relayed",
                "Stanzas that the peer has acknowledged",
            ),
            stanzas_resent: Counters::new(
                &mut registry,
                "stanzas_resent",
                "Stanzas sent again because their stream broke before the peer acknowledged them",
            ),
            stanzas_refused: Counters::new(&mut registry, "stanzas_refused", "Stanzas refused"),
            verifications: Counters::new(
                &mut registry,
                "verifications",
                "Dialback verifications that finished",
            ),
            keys_answered: Counters::new(
                &mut registry,
                "keys_answered",
                "Dialback keys that another server asked to verify",
            ),
            shed: Counters::new(
                &mut registry,
                "shed",
                "Connections closed and queues bounced to stay within the budget of the process",
            ),
            budget: BudgetGauges::new(&mut registry),
            dns_queries: Counters::new(
                &mut registry,
                "dns_queries",
                "Queries to the backend's DNS server, by result",
            ),
            minted: minted(&mut registry),
            stanzas_queued: registered(
                &mut registry,
                "stanzas_queued",
                "Stanzas queued for a stream or not yet acknowledged by their receiver",
            ),
            problems: registered(
                &mut registry,
                "problems",
                "Configuration, certificate and secret files that are currently unusable",
            ),
            stanzas_generated: registered(
                &mut registry,
                "stanzas_generated",
                "Stanzas that the engine generated itself: answers, errors, its own pings",
            ),
            stanzas_answered: registered(
                &mut registry,
                "stanzas_answered",
                "Stanzas addressed to the engine itself",
            ),
            connections_refused: registered(
                &mut registry,
                "connections_refused",
                "Connections closed because their source had too many unauthenticated streams",
            ),
            log_lines_omitted: registered(
                &mut registry,
                "log_lines_omitted",
                "Log lines suppressed because remote hosts caused too many",
            ),
            bounced: registered(
                &mut registry,
                "stanzas_bounced",
                "Stanzas bounced because no stream could be opened",
            ),
            peer_limits: registered(
                &mut registry,
                "peer_limit_reached",
                "Times that peers[].limits stopped reading a stream, or would have stopped it",
            ),
            streams: registered(&mut registry, "streams", "Verified streams"),
            handshakes: registered(
                &mut registry,
                "handshakes",
                "Streams whose negotiation finished, by result",
            ),
            dials: registered(
                &mut registry,
                "dials",
                "Attempts to reach a remote domain, by result",
            ),
            backend_round_trips: backend_round_trips(&mut registry),
            registry,
        }
    }
}

impl Metrics {
    /// Counts stanzas that were answered with an error.
    pub fn bounced(&self, cause: &Failure, stanzas: u64) {
        self.bounced
            .get_or_create(&Reason { reason: cause.word().known().unwrap_or_default() })
            .inc_by(stanzas);
    }

    /// Counts a verified stream for as long as the guard lives.
    #[must_use]
    pub fn stream(&self, leg: Leg, direction: Direction) -> StreamGuard {
        let labels = StreamLabels { leg: leg.value(), direction: direction.label() };
        let gauge = self.streams.get_or_create_owned(&labels);
        gauge.inc();
        StreamGuard(gauge)
    }

    /// Counts the end of a negotiation.
    pub fn handshake(&self, leg: Leg, direction: Direction, result: Result<(), &Failure>) {
        let labels = HandshakeLabels {
            leg: leg.value(),
            direction: direction.label(),
            result: result.err().map_or(SUCCESS, label_of),
        };
        self.handshakes.get_or_create(&labels).inc();
    }

    /// Counts a negotiation that the engine ended; the log has the reason.
    pub fn handshake_refused(&self, leg: Leg, direction: Direction) {
        let labels =
            HandshakeLabels { leg: leg.value(), direction: direction.label(), result: REFUSED };
        self.handshakes.get_or_create(&labels).inc();
    }

    /// Counts the end of an attempt to reach a remote domain.
    pub fn dial(&self, result: Result<(), &Failure>) {
        let result = result.err().map_or(SUCCESS, label_of);
        self.dials.get_or_create(&Outcome { result }).inc();
    }

    /// Records that a backend answered a ping.
    pub fn backend_answered(&self, took: Duration) {
        self.backend_round_trips.observe(took.as_secs_f64());
    }

    /// Counts that a stream has reached a limit of its peer.
    pub fn peer_limit_reached(&self, limit: PeerLimit, enforcement: Enforcement) {
        let labels = PeerLimitLabels { limit: limit.field(), enforcement: enforcement.as_str() };
        self.peer_limits.get_or_create(&labels).inc();
    }

    /// How much of the budget of the process is used.
    pub(crate) fn budget(&self, budget: Budget, usage: Usage, counted: usize, resident: usize) {
        let (bytes, connections) = (budget.bytes, budget.connections);
        let values = [bytes, usage.bytes, counted, resident, connections, usage.connections];
        for (gauge, value) in self.budget.0.iter().zip(values) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// All metrics in the text format of `OpenMetrics`.
    pub fn encode(&self) -> String {
        self.log_lines_omitted.inc_by(crate::log::take_omitted());
        let mut out = String::with_capacity(4096);
        if text::encode(&mut out, &self.registry).is_err() {
            // Only a failing writer causes this, and a String never fails.
            out.clear();
        }
        out
    }
}

/// The budget of the process, its usage, and the resident memory that the kernel reports.
#[derive(Debug)]
struct BudgetGauges([Gauge; 6]);

impl BudgetGauges {
    fn new(registry: &mut Registry) -> Self {
        let mut gauge = |name, help| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        Self([
            gauge("memory_budget_bytes", "Memory that streams and queues may hold"),
            gauge("memory_used_bytes", "Memory in use, counted and estimated"),
            gauge("memory_counted_bytes", "Memory that streams and queues hold, as counted"),
            gauge("memory_resident_bytes", "Resident memory of the process"),
            gauge("connections_budget", "Maximum number of connections of streams"),
            gauge(
                "connections",
                "Connections of streams, authenticated or not, in both directions",
            ),
        ])
    }
}

/// Removes its stream from the gauge when dropped.
#[derive(Debug)]
pub struct StreamGuard(Gauge<i64, AtomicI64>);

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One counter for each value of a label.
#[derive(Debug)]
pub struct Counters<L> {
    cells: Box<[Counter]>,
    label: std::marker::PhantomData<L>,
}

impl<L: Label> Counters<L> {
    fn new(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let cells =
            L::ALL.iter().map(|label| family.get_or_create_owned(&[(L::NAME, label.value())]));
        let cells = cells.collect();
        registry.register(name, help, family);
        Self { cells, label: std::marker::PhantomData }
    }

    /// Counts one.
    pub fn inc(&self, label: L) {
        self.inc_by(label, 1);
    }

    /// Counts several.
    pub fn inc_by(&self, label: L, count: u64) {
        if let Some(cell) = self.cells.get(label.index()) {
            cell.inc_by(count);
        }
    }

    /// The count.
    pub fn get(&self, label: L) -> u64 {
        self.cells.get(label.index()).map_or(0, Counter::get)
    }
}

/// Every word of a failure is a known one.
fn label_of(failure: &Failure) -> &'static str {
    failure.word().known().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use s2s_proto::reason::DnsReason;

    #[test]
    fn every_metric_has_the_prefix_and_only_closed_labels() {
        let metrics = Metrics::default();
        metrics.stanzas_received.inc(Leg::Outer);
        metrics.stanzas_refused.inc_by(Refusal::QueueFull, 3);
        let guard = metrics.stream(Leg::Outer, Direction::Inbound);
        drop(metrics.stream(Leg::Inner, Direction::Outbound));
        metrics.handshake(Leg::Outer, Direction::Inbound, Ok(()));
        let failure = Failure::Dns(DnsReason::DomainNotFound { name: "secret.example".to_owned() });
        metrics.dial(Err(&failure));
        metrics.bounced(&failure, 2);
        let out = metrics.encode();
        for line in [
            concat!(
                "xmpp_federation_engine_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
            "xmpp_federation_stanzas_received_total{leg=\"outer\"} 1",
            "xmpp_federation_stanzas_received_total{leg=\"inner\"} 0",
            "xmpp_federation_stanzas_refused_total{reason=\"QueueFull\"} 3",
            "xmpp_federation_stanzas_refused_total{reason=\"InvalidFrom\"} 0",
            "xmpp_federation_stanzas_bounced_total{reason=\"DomainNotFound\"} 2",
            "xmpp_federation_streams{leg=\"outer\",direction=\"inbound\"} 1",
            "xmpp_federation_streams{leg=\"inner\",direction=\"outbound\"} 0",
            "xmpp_federation_handshakes_total{leg=\"outer\",direction=\"inbound\",result=\"Success\"} 1",
            "xmpp_federation_dials_total{result=\"DomainNotFound\"} 1",
            "xmpp_federation_verifications_total{result=\"TimedOut\"} 0",
            "xmpp_federation_keys_answered_total{result=\"Valid\"} 0",
            "xmpp_federation_dns_queries_total{result=\"Refused\"} 0",
            "xmpp_federation_stanzas_generated_total 0",
            "xmpp_federation_stanzas_queued 0",
        ] {
            assert!(out.lines().any(|found| found == line), "{line}\n{out}");
        }
        assert!(!out.contains("secret.example"));
        let foreign = |line: &&str| !line.starts_with('#') && !line.starts_with("xmpp_federation_");
        assert_eq!(out.lines().find(foreign), None);
        drop(guard);
        assert!(metrics.encode().contains("{leg=\"outer\",direction=\"inbound\"} 0"));
    }
}
