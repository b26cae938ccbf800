//! The suite on real parts that produces each reason. The recorded runs of this catalogue produce most; other suites, which
//! need no node or a cluster of their own, produce the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::paths::{Paths, read, write};

/// The reasons by condition.
pub type Shown = BTreeMap<String, BTreeSet<String>>;

/// Reasons that another suite produces, and its file in `tests/lab/tests`.
pub const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("Accepted", "DomainNotAllowed", "apiserver_tenants.rs"),
    ("Accepted", "DefinitionOutdated", "apiserver_upgrades.rs"),
    ("Accepted", "OperatorOutdated", "apiserver_upgrades.rs"),
    ("ResolvedRefs", "EvidenceUnavailable", "apiserver_failures.rs"),
    ("CertificateReady", "EvidenceUnavailable", "apiserver_failures.rs"),
    ("AddressAssigned", "EvidenceUnavailable", "apiserver_failures.rs"),
    ("ResolvedRefs", "IssuerNotFound", "certificates.rs"),
    ("ResolvedRefs", "RefNotPermitted", "apiserver_failures.rs"),
    ("CertificateReady", "PreviousCertificateServed", "certificates.rs"),
    ("CertificateReady", "Issuing", "certificates.rs"),
    ("CertificateReady", "IssuanceFailed", "certificates.rs"),
    ("EngineReady", "EvidenceUnavailable", "apiserver_failures.rs"),
    ("BackendReady", "EvidenceUnavailable", "apiserver_timings.rs"),
    ("AddressAssigned", "AddressNotAssigned", "faults.rs"),
    ("AddressAssigned", "NoLoadBalancerController", "faults.rs"),
    ("AddressAssigned", "ReplacementInProgress", "apiserver_rbac.rs"),
    ("AddressAssigned", "NotNeeded", "apiserver_rbac.rs"),
    ("HostResolves", "NotNeeded", "dns_records.rs"),
    ("HostResolves", "OwnedByOther", "dns_records.rs"),
    ("SRVResolves", "RecordsMatchViaAlias", "dns_records.rs"),
    ("SRVResolves", "SRVTargetMismatch", "dns_records.rs"),
    ("SRVResolves", "ExternalDNSNotWatching", "dns_records.rs"),
    ("SRVResolves", "PublicationHeld", "dns_records.rs"),
    ("SRVResolves", "DNSSECBogus", "dns_records.rs"),
    ("InboundReachable", "ProbeReported", "outside.rs"),
    ("InboundReachable", "DialbackObserved", "outside.rs"),
    ("Stalled", "RolloutStuck", "steady.rs"),
];

fn file(paths: &Paths) -> PathBuf {
    paths.source.join("shown.json")
}

/// The reasons that recorded runs of the catalogue have shown.
pub fn recorded(paths: &Paths) -> Result<Shown> {
    serde_json::from_str(&read(&file(paths))?).map_err(Error::json("tests/lab/shown.json"))
}

/// Adds what a run has shown.
pub fn update(paths: &Paths, new: BTreeSet<(String, String)>) -> Result<()> {
    let mut all = recorded(paths).unwrap_or_default();
    for (condition, reason) in new {
        // It follows from the reason of another condition.
        if !reason.starts_with("WaitingFor") {
            all.entry(condition).or_default().insert(reason);
        }
    }
    let text = serde_json::to_string_pretty(&all).map_err(Error::json("the reasons"))?;
    write(&file(paths), format!("{text}\n"))
}
