//! State of one federation that is kept between reconciles. It is not needed for correctness: after a restart, the
//! operator determines it again.

use std::collections::HashMap;

use crds::condition::ConditionType;
use crds::domain::Domain;
use federation_engine::dial::backoff::Backoff;
use jiff::Timestamp;

use crate::evidence::dns::DnsEvidence;
use crate::evidence::probe::ProbeEvidence;

/// Conditions of the federation (`None`) and of its domains that are still shown as True although they fail, and since
/// when they fail.
pub type Failing = HashMap<(ConditionType, Option<Domain>), Timestamp>;

/// Kept state of one federation.
#[derive(Debug, Default)]
pub struct Memory {
    /// The children as last applied, by kind and name.
    pub applied: HashMap<(String, String), AppliedChild>,
    /// Digest of the content that pods load without a restart, and since when it is wanted.
    pub content: Option<(String, Timestamp)>,
    /// Last DNS answers.
    pub dns: Option<DnsEvidence>,
    /// Last probes of the engine's listeners.
    pub probes: Option<ProbeEvidence>,
    /// Rungs that are still shown as True, and since when they fail.
    pub failing: Failing,
    /// Consecutive failed reconciles, and the pause after the next one.
    pub errors: Backoff,
}

/// A child as it was applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AppliedChild {
    /// Digest of the object that was sent.
    pub digest: String,
    /// Version of the object after it was sent; see [`crate::children::version`].
    pub version: Option<String>,
}
