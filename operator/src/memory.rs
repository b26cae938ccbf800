//! State of one federation that is kept between reconciles. It is not needed for correctness: after a restart, the
//! operator determines it again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crds::XmppFederationStatus;
use crds::condition::{ConditionStatus, ConditionType};
use crds::domain::Domain;
use federation_engine::dial::backoff::Backoff;
use federation_engine::observe::evidence::{BackendOutcome, BackendRoundTrip};
use jiff::Timestamp;

use crate::children::Version;
use crate::contest::Contest;
use crate::evidence::cluster::ServiceEvents;
use crate::kept::Kept;
use crate::reconcile::problem::Applied;

/// Conditions of the federation (`None`) and of its domains that are still shown although newer evidence differs, and since
/// when it differs.
pub type Failing = HashMap<(ConditionType, Option<Domain>), Timestamp>;
/// The status of each condition that the last event about it reported.
pub type Reports = HashMap<ConditionType, ConditionStatus>;

/// Pauses after a pass that could not do everything: short, because a repaired cause must be noticed within 10 s.
const RETRY: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(8));

/// Kept state of one federation.
#[derive(Debug)]
pub struct Memory {
    /// UID of the federation: another one of the same name starts from nothing.
    pub uid: Option<String>,
    /// The children as last applied, by kind and name.
    pub applied: HashMap<(String, String), AppliedChild>,
    /// Children that others change as well, by kind and name.
    pub contests: HashMap<(String, String), Contest>,
    /// Generation and result of the last run of apply.
    pub last_applied: Option<(Option<i64>, Applied)>,
    /// What the spec refers to and what was issued before, as it was read last.
    pub contents: Kept,
    /// Digest of the content that pods load without a restart, and since when it is wanted.
    pub content: Option<(String, Timestamp)>,
    /// Digest of the certificate that the pods serve, and since when it is known.
    pub certificate: Option<(String, Timestamp)>,
    /// When the backends of the domains answered last.
    pub backend_answered: HashMap<Domain, Timestamp>,
    /// Events about the outer Service, and when they were read.
    pub service_events: Option<(Instant, ServiceEvents)>,
    /// What the last event about a pod without a container warned of, by UID of the pod, and when it was read.
    pub pod_warnings: HashMap<String, (Instant, Option<(String, String)>)>,
    /// Interval of DNS queries and probes.
    pub every: Duration,
    /// Conditions that are still shown, and since when newer evidence differs.
    pub failing: Failing,
    /// What events have reported; `None` until the first pass of this process.
    pub reported: Option<Reports>,
    /// The last status that was written, and the one that it replaced.
    pub written: Option<(XmppFederationStatus, XmppFederationStatus)>,
    /// Consecutive passes that could not do everything, and the pause after the next one.
    pub errors: Backoff,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            uid: None,
            applied: HashMap::new(),
            contests: HashMap::new(),
            last_applied: None,
            contents: Kept::default(),
            content: None,
            certificate: None,
            backend_answered: HashMap::new(),
            service_events: None,
            pod_warnings: HashMap::new(),
            every: Duration::ZERO,
            failing: Failing::new(),
            reported: None,
            written: None,
            errors: RETRY,
        }
    }
}

impl Memory {
    /// Notes the answers of backends that the engines have seen. Returns when the backend of each domain answered last.
    pub fn note_answers<'a>(
        &mut self,
        trips: impl Iterator<Item = &'a BackendRoundTrip>,
        is_local: impl Fn(&Domain) -> bool,
    ) -> HashMap<Domain, Timestamp> {
        self.backend_answered.retain(|domain, _| is_local(domain));
        for trip in trips.filter(|trip| trip.outcome == BackendOutcome::RoundTripSeen) {
            let last = self.backend_answered.entry(trip.domain.clone()).or_insert(trip.at);
            *last = trip.at.max(*last);
        }
        self.backend_answered.clone()
    }

    /// The status as it is now, given the store's, which may not have the last write yet.
    pub fn current(&self, shown: &XmppFederationStatus) -> XmppFederationStatus {
        match &self.written {
            Some((before, after)) if before == shown => after.clone(),
            _ => shown.clone(),
        }
    }
}

/// A child as it was applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AppliedChild {
    /// Digest of the object that was sent.
    pub digest: String,
    /// Version of the object after it was sent; see [`crate::children::version`].
    pub version: Option<Version>,
    /// Resource version of the object after it was sent.
    pub revision: Option<String>,
}
