//! The evidence about a federation: plain data, and the only I/O of the ladder. It contains no verdicts.

pub mod answer;
pub mod background;
pub mod certificate;
pub mod cluster;
pub mod control;
pub mod dns;
pub mod engine;
pub mod inventory;
pub mod issuance;
pub mod networks;
pub mod owner;
pub mod peer_dns;
pub mod pinned;
pub mod probe;
pub mod prober;
pub mod references;
pub mod reported;
pub mod resolvers;
pub mod rounds;
pub mod zone;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crds::domain::Domain;
use federation_engine::observe::evidence::InboundObservation;
use jiff::Timestamp;

use self::cluster::ClusterEvidence;
use self::dns::DnsEvidence;
use self::engine::EngineReport;
use self::networks::ClusterNetworks;
use self::peer_dns::PeerDnsEvidence;
use self::probe::ProbeEvidence;
use self::prober::OutsideEvidence;
use self::references::References;
use self::reported::ReportedProbe;
use crate::dns::publish::Publication;
use crate::reconcile::problem::Applied;
use crate::schema::Difference;

/// All evidence that the ladder is judged by.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// When it was gathered.
    pub now: Timestamp,
    /// Result of applying the children.
    pub applied: Applied,
    /// Objects that the spec refers to.
    pub references: References,
    /// Deployment, pods, Services.
    pub cluster: ClusterEvidence,
    /// Hash of the engine's wanted configuration file, and how long it has been wanted.
    pub config: WantedConfig,
    /// Time since the certificate that the pods serve last changed; pods see a changed file with some delay.
    pub certificate_age: Duration,
    /// Whether the SRV records are written.
    pub publication: Publication,
    /// What the replicas report.
    pub engines: Vec<EngineReport>,
    /// DNS answers.
    pub dns: DnsEvidence,
    /// Addresses of the cluster itself.
    pub networks: ClusterNetworks,
    /// Streams that the operator opened to the engine's listeners.
    pub probes: ProbeEvidence,
    /// What probers outside the cluster see.
    pub outside: OutsideEvidence,
    /// What users report who probed from outside.
    pub reported: Vec<ReportedProbe>,
    /// DNS records of the configured peers. No verdict depends on them.
    pub peer_dns: PeerDnsEvidence,
    /// When the addresses of the outer Service last changed; `None` if they have not changed yet.
    pub address_changed: Option<Timestamp>,
    /// The last evidence from outside that the status has: it survives a restart of the engine and of the operator.
    pub remembered: Option<InboundObservation>,
    /// The senders of inbound streams that other federations of this cluster serve. They are not outside.
    pub neighbours: BTreeSet<Domain>,
    /// When the backends of the domains answered last, as far as this process knows.
    pub backend_answered: HashMap<Domain, Timestamp>,
    /// Why the federation does not get the current engine pods yet; whole sentences.
    pub rollout_waits: Option<String>,
    /// How the definition of the resource differs from the operator's own.
    pub definition: Difference,
}

/// The configuration that every replica should run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WantedConfig {
    /// SHA-256 (hex) of the file.
    pub hash: String,
    /// Time since it was written; pods see a changed file with some delay.
    pub age: Duration,
    /// The operator has not written it, because `spec.paused` is true.
    pub held: bool,
}

/// Time that a changed configuration may take to reach every pod: the kubelet syncs volumes about once a minute.
const SPREAD: Duration = Duration::from_secs(150);

impl WantedConfig {
    /// True while pods may still run an earlier one. A configuration that is not written reaches nobody.
    pub fn is_on_its_way(&self) -> bool {
        self.age < SPREAD && !self.held
    }
}
