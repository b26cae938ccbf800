//! What is remembered of one federation from pass to pass. Nothing here is needed for correctness: after a restart it is
//! found out again.

use std::collections::HashMap;

use crds::condition::ConditionType;
use crds::domain::Domain;
use jiff::Timestamp;

use crate::evidence::dns::DnsEvidence;
use crate::evidence::probe::ProbeEvidence;

/// Conditions that are shown as True although they fail, of the federation (`None`) and of single domains, and since when.
pub type Failing = HashMap<(ConditionType, Option<Domain>), Timestamp>;

/// Remembered of one federation.
#[derive(Debug, Default)]
pub struct Memory {
    /// What was applied last, by kind and name.
    pub applied: HashMap<(String, String), AppliedChild>,
    /// Content that pods take over by themselves, and since when it is wanted.
    pub content: Option<(String, Timestamp)>,
    /// Last answers of the DNS.
    pub dns: Option<DnsEvidence>,
    /// Last probes of the engine's listeners.
    pub probes: Option<ProbeEvidence>,
    /// Rungs that are still shown as True, and since when they fail.
    pub failing: Failing,
    /// Failed passes in a row.
    pub errors: u32,
}

/// A child as it was applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AppliedChild {
    /// Digest of what was sent.
    pub digest: String,
    /// Version of the object after that; see [`crate::children::version`].
    pub version: Option<String>,
}
