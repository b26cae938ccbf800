//! Metrics of the operator under the prefix `xmpp_federation_`. Label values come from closed sets, or name an existing
//! object; series of a deleted object are removed.

mod details;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crds::status::{DnsRecord, DnsRecordState, PeerState, PeerStatus};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::details::Details;

/// Upper bounds of the reconcile histogram, in seconds: a reconcile without changes takes milliseconds, one that waits
/// for DNS takes seconds.
const RECONCILE_SECONDS: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0];

/// Handles of all metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    conditions: Family<ConditionLabels, Gauge>,
    certificate_expiry: Family<ObjectLabels, Gauge>,
    peers: Family<PeerStateLabels, Gauge>,
    peer_up: Details<PeerLabels>,
    dns_record_present: Details<RecordLabels>,
    reconciles: Family<ResultLabels, Counter>,
    reconcile_seconds: Histogram,
    api_requests: Family<ApiLabels, Counter>,
    leader: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ConditionLabels {
    namespace: String,
    name: String,
    r#type: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ObjectLabels {
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PeerStateLabels {
    namespace: String,
    name: String,
    state: PeerCount,
}

/// State of a configured peer in `xmpp_federation_peers`.
#[derive(Clone, Copy, Debug, EncodeLabelValue, Eq, Hash, PartialEq)]
pub enum PeerCount {
    /// A verified stream exists or existed at the last attempt.
    Reachable,
    /// The last attempt failed.
    Failing,
    /// The peer has not been tried yet.
    Unknown,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PeerLabels {
    namespace: String,
    name: String,
    peer: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RecordLabels {
    namespace: String,
    name: String,
    record: String,
    r#type: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ResultLabels {
    result: ReconcileResult,
}

/// Result of the reconcile of one object.
#[derive(Clone, Copy, Debug, EncodeLabelValue, Eq, Hash, PartialEq)]
pub enum ReconcileResult {
    /// All children were applied and all conditions judged.
    Ok,
    /// Another client changed an object at the same time; the operator retries immediately.
    Conflict,
    /// A call to the API server failed.
    Failed,
    /// The reconcile timed out.
    TimedOut,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ApiLabels {
    method: String,
    resource: String,
    code: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct BuildLabels {
    version: &'static str,
}

impl Metrics {
    /// Registers every metric.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("xmpp_federation");
        let conditions = Family::default();
        let certificate_expiry = Family::default();
        let peers = Family::default();
        let peer_up = Details::default();
        let dns_record_present = Details::default();
        let reconciles = Family::default();
        let reconcile_seconds = Histogram::new(RECONCILE_SECONDS);
        let api_requests = Family::default();
        let leader: Gauge = Gauge::default();
        registry.register(
            "condition",
            "Condition of an XmppFederation: 1 for its current status",
            conditions.clone(),
        );
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "Expiry of the certificate presented to peers, in Unix time",
            certificate_expiry.clone(),
        );
        registry.register("peers", "Configured peers by state", peers.clone());
        registry.register(
            "peer_up",
            "1 if the last stream to this peer was established, 0 if the last attempt failed",
            peer_up.family(),
        );
        registry.register(
            "dns_record_present",
            "1 if the public DNS has this wanted record, 0 if it is missing or different",
            dns_record_present.family(),
        );
        registry.register("reconciles", "Reconciles of an XmppFederation", reconciles.clone());
        registry.register(
            "reconcile_duration_seconds",
            "Duration of a reconcile",
            reconcile_seconds.clone(),
        );
        registry.register(
            "api_requests",
            "Requests to the API server; code 0 means no answer",
            api_requests.clone(),
        );
        registry.register("leader", "1 while this process is the leader", leader.clone());
        registry.register(
            "build",
            "Version of the operator",
            Info::new(BuildLabels { version: env!("CARGO_PKG_VERSION") }),
        );
        Self {
            registry: Arc::new(registry),
            conditions,
            certificate_expiry,
            peers,
            peer_up,
            dns_record_present,
            reconciles,
            reconcile_seconds,
            api_requests,
            leader,
        }
    }

    /// All metrics in the `OpenMetrics` text format.
    ///
    /// # Errors
    /// When a metric cannot be formatted.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Records that a condition of an object has this status and no other.
    pub fn condition(
        &self,
        namespace: &str,
        name: &str,
        r#type: &'static str,
        status: &'static str,
    ) {
        for candidate in ["True", "False", "Unknown"] {
            let labels = ConditionLabels {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                r#type,
                status: candidate,
            };
            self.conditions.get_or_create(&labels).set(i64::from(candidate == status));
        }
    }

    /// Records that an object does not have this condition, as `Stalled` while all is well.
    pub fn no_condition(&self, namespace: &str, name: &str, r#type: &'static str) {
        for status in ["True", "False", "Unknown"] {
            self.conditions.remove(&ConditionLabels {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                r#type,
                status,
            });
        }
    }

    /// Records the expiry of the certificate in use; `None` if there is none.
    pub fn certificate_expiry(&self, namespace: &str, name: &str, seconds: Option<i64>) {
        let labels = ObjectLabels { namespace: namespace.to_owned(), name: name.to_owned() };
        match seconds {
            Some(seconds) => {
                self.certificate_expiry.get_or_create(&labels).set(seconds);
            }
            None => {
                self.certificate_expiry.remove(&labels);
            }
        }
    }

    /// Records how many configured peers are in a state.
    pub fn peers(&self, namespace: &str, name: &str, state: PeerCount, count: u32) {
        let labels =
            PeerStateLabels { namespace: namespace.to_owned(), name: name.to_owned(), state };
        self.peers.get_or_create(&labels).set(i64::from(count));
    }

    /// Records the state of each peer that was tried. An attempt in progress keeps the last state. The series of all other
    /// peers are removed.
    pub fn peer_up(&self, namespace: &str, name: &str, peers: &[PeerStatus]) {
        let up = |state| match state {
            PeerState::Connected => Some(Some(true)),
            PeerState::Failed => Some(Some(false)),
            PeerState::Connecting => Some(None),
            PeerState::Blocked | PeerState::Unknown => None,
        };
        let series = peers.iter().filter_map(|peer| {
            let labels = PeerLabels {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                peer: peer.domain.clone(),
            };
            Some((labels, up(peer.state)?))
        });
        self.peer_up.replace((namespace.to_owned(), name.to_owned()), series.collect());
    }

    /// Records whether the wanted DNS records of each name and type exist. If no resolver answers, the last state is kept.
    pub fn dns_records(&self, namespace: &str, name: &str, records: &[DnsRecord]) {
        let mut sets: BTreeMap<(&str, &str), Option<bool>> = BTreeMap::new();
        for record in records {
            let present = match record.state {
                DnsRecordState::Present => Some(true),
                DnsRecordState::Missing | DnsRecordState::Mismatch => Some(false),
                DnsRecordState::Unknown => None,
            };
            let set = sets.entry((&record.name, &record.type_)).or_insert(present);
            if *set != Some(false) && present != Some(true) {
                *set = present;
            }
        }
        let series = sets.into_iter().map(|((record, type_), present)| {
            let labels = RecordLabels {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                record: record.to_owned(),
                r#type: type_.to_owned(),
            };
            (labels, present)
        });
        self.dns_record_present.replace((namespace.to_owned(), name.to_owned()), series.collect());
    }

    /// Removes the series of a deleted object.
    pub fn forget(&self, namespace: &str, name: &str, types: &[&'static str]) {
        for r#type in types {
            self.no_condition(namespace, name, r#type);
        }
        self.certificate_expiry(namespace, name, None);
        self.peer_up(namespace, name, &[]);
        self.dns_records(namespace, name, &[]);
        for state in [PeerCount::Reachable, PeerCount::Failing, PeerCount::Unknown] {
            self.peers.remove(&PeerStateLabels {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                state,
            });
        }
    }

    /// Records one reconcile.
    pub fn reconciled(&self, result: ReconcileResult, took: Duration) {
        self.reconciles.get_or_create(&ResultLabels { result }).inc();
        self.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// Records one request to the API server; `code` 0 means no answer.
    pub fn api_request(&self, method: &str, resource: &str, code: u16) {
        let labels = ApiLabels { method: method.to_owned(), resource: resource.to_owned(), code };
        let counter: &Counter<u64, AtomicU64> = &self.api_requests.get_or_create(&labels);
        counter.inc();
    }

    /// Records whether this process is the leader.
    pub fn leading(&self, leading: bool) {
        self.leader.set(i64::from(leading));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_has_one_status_and_goes_with_its_object() {
        let metrics = Metrics::new();
        metrics.condition("im", "example", "Ready", "Unknown");
        metrics.condition("im", "example", "Ready", "True");
        let text = metrics.encode().unwrap();
        let series = "xmpp_federation_condition{namespace=\"im\",name=\"example\",type=\"Ready\"";
        assert!(text.contains(&format!("{series},status=\"True\"}} 1")), "{text}");
        assert!(text.contains(&format!("{series},status=\"Unknown\"}} 0")), "{text}");
        metrics.dns_records("im", "example", &[record(DnsRecordState::Present)]);
        metrics.forget("im", "example", &["Ready"]);
        assert!(!metrics.encode().unwrap().contains("name=\"example\""));
    }

    fn record(state: DnsRecordState) -> DnsRecord {
        DnsRecord {
            name: "xmpp.example.com.".to_owned(),
            type_: "A".to_owned(),
            ttl: 300,
            value: "198.18.0.1".to_owned(),
            state,
            found: None,
        }
    }

    #[test]
    fn records_of_one_name_and_type_are_present_only_if_all_are() {
        use DnsRecordState::{Mismatch, Missing, Present, Unknown};
        let metrics = Metrics::new();
        let shown = |states: &[DnsRecordState]| {
            let records: Vec<DnsRecord> = states.iter().copied().map(record).collect();
            metrics.dns_records("im", "example", &records);
            let text = metrics.encode().unwrap();
            let line = text.lines().find(|line| line.contains("dns_record_present{"))?.to_owned();
            line.rsplit(' ').next().map(str::to_owned)
        };
        assert_eq!(shown(&[Unknown]), None);
        assert_eq!(shown(&[Present, Present]).as_deref(), Some("1"));
        assert_eq!(shown(&[Present, Unknown]).as_deref(), Some("1"), "the last state is kept");
        assert_eq!(shown(&[Present, Missing]).as_deref(), Some("0"));
        assert_eq!(shown(&[Mismatch, Unknown, Present]).as_deref(), Some("0"));
        assert_eq!(shown(&[]), None);
    }
}
