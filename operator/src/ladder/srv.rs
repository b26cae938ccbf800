//! `SRVResolves`: DNS points from every domain to the host (RFC 6120 §3.2.1, XEP-0368).

use std::collections::BTreeSet;

use crds::domain::Domain;
use crds::federation::dns::DnsMode;
use crds::reason::SRVResolvesReason;
use jiff::SignedDuration;

use super::View;
use super::host::failures;
use super::verdict::Verdict;
use crate::dns::publish::Publication;
use crate::dns::wanted::{self, Srv, WantedSrv};
use crate::evidence::dns::{NameEvidence, leads_to};
use crate::federation::names;

/// Time that external-dns may take to read a new `DNSEndpoint` before this counts as a failure: without `--events`, it
/// syncs once a minute.
const READING: SignedDuration = SignedDuration::from_secs(75);
/// Time that the SRV records may take to follow the address records, which external-dns publishes in the same sync.
const FOLLOWING: SignedDuration = SignedDuration::from_secs(20);

/// The verdict when every domain's is True.
pub fn every_domain(_: View<'_>, _: &[Verdict]) -> Verdict {
    Verdict::new(
        SRVResolvesReason::RecordsMatch,
        "The SRV records of every domain point to this federation.",
    )
}

/// Judges the SRV records of one domain.
pub fn for_domain(view: View<'_>, domain: &Domain) -> Verdict {
    let Some(target) = wanted::srv_target(view.federation, view.published_at().as_ref()) else {
        return Verdict::new(
            SRVResolvesReason::PublicationHeld,
            "The target of the SRV records is not known yet.",
        );
    };
    let records = wanted::srv_records(view.federation, &target);
    records
        .iter()
        .filter(|record| record.domain == *domain)
        .find_map(|record| fault(view, record))
        .unwrap_or_else(|| {
            Verdict::new(
                SRVResolvesReason::RecordsMatch,
                format!("The SRV records of {domain} point to {target}."),
            )
        })
}

fn fault(view: View<'_>, wanted: &WantedSrv) -> Option<Verdict> {
    let nothing = NameEvidence::default();
    let evidence = view
        .seen
        .dns
        .services
        .iter()
        .find(|(owner, _)| *owner == wanted.owner)
        .map_or(&nothing, |(_, evidence)| evidence);
    let mut reported = evidence.best().peekable();
    if reported.peek().is_none() {
        return Some(Verdict::new(
            SRVResolvesReason::ResolverUnavailable,
            format!(
                "No DNS server answered the query for {}: {}. Check spec.dns.resolvers, and allow the operator's pod to reach port 53 outside the cluster.",
                wanted.owner,
                failures(&evidence.zone, &evidence.public)
            ),
        ));
    }
    if let Some(verdict) = reported.find_map(|(server, found)| judge(view, wanted, server, found)) {
        return Some(verdict);
    }
    evidence.public.iter().find_map(|answer| {
        let found = answer.found.as_ref().ok()?;
        let in_place = found.iter().any(|srv| leads_to(srv, &wanted.srv));
        (!in_place).then(|| {
            Verdict::new(
                SRVResolvesReason::StaleRecord,
                format!(
                    "The zone has the expected records for {}, but resolver {} still answers with {}. Wait for its cached answer to expire; no action is needed.",
                    wanted.owner,
                    answer.server,
                    show(found)
                ),
            )
        })
    })
}

fn judge(
    view: View<'_>,
    wanted: &WantedSrv,
    server: &str,
    found: &BTreeSet<Srv>,
) -> Option<Verdict> {
    let WantedSrv { owner, srv, domain } = wanted;
    if found.is_empty() {
        return Some(missing(view, wanted, server));
    }
    if found.iter().all(|one| one.target.is_empty() || one.target == ".") {
        return Some(Verdict::new(
            SRVResolvesReason::ServiceDisabled,
            format!(
                "DNS server {server} has {owner} with target \".\", which declares that {domain} does not federate (RFC 2782). Delete that record."
            ),
        ));
    }
    let host = view.federation.host.to_ascii();
    let ours = |one: &&Srv| one.target == srv.target || one.target == host;
    if let Some(foreign) = found.iter().find(|one| !ours(one)) {
        return Some(Verdict::new(
            SRVResolvesReason::ClaimedElsewhere,
            format!(
                "DNS server {server} has {owner} {foreign}, which points to another server. To move the domain here, delete that record; otherwise remove {domain} from spec.domains."
            ),
        ));
    }
    let in_place = found.iter().any(|one| leads_to(one, srv));
    let other = found.iter().find(|one| !leads_to(one, srv));
    match (in_place, other) {
        (true, None) => None,
        (true, Some(stale)) => Some(Verdict::new(
            SRVResolvesReason::StaleRecord,
            format!(
                "DNS server {server} has the expected record of {owner} and also an old one: {stale}. Delete the line `{owner}. IN SRV {stale}.` from the zone; external-dns with the rfc2136 provider never deletes SRV records."
            ),
        )),
        (false, Some(one)) if one.target == srv.target => Some(Verdict::new(
            SRVResolvesReason::SRVPortMismatch,
            format!(
                "DNS server {server} has {owner} with port {}; expected port {}. Correct the record.",
                one.port, srv.port
            ),
        )),
        (false, _) => Some(Verdict::new(
            SRVResolvesReason::SRVTargetMismatch,
            format!(
                "DNS server {server} has {owner} {}; expected target {}. Correct the record.",
                show(found),
                srv.target
            ),
        )),
    }
}

/// Why there is no record, as far as the operator can see.
fn missing(view: View<'_>, wanted: &WantedSrv, server: &str) -> Verdict {
    let WantedSrv { owner, srv, .. } = wanted;
    let ttl = view.federation.spec.dns.ttl;
    let line = format!("{owner}. {ttl} IN SRV {srv}.");
    let endpoint = view.seen.cluster.dns_endpoint;
    match view.seen.publication {
        Publication::HeldForEngine => Verdict::new(
            SRVResolvesReason::PublicationHeld,
            "The operator publishes the SRV records as soon as the engine has been ready once (spec.dns.publish).",
        ),
        Publication::Manual => Verdict::new(
            SRVResolvesReason::SRVNotFound,
            format!(
                "DNS server {server} has no SRV record {owner}. Add this line to the zone: {line}"
            ),
        ),
        Publication::KindMissing => Verdict::new(
            SRVResolvesReason::ExternalDNSCRDMissing,
            format!(
                "The cluster has no kind DNSEndpoint, so external-dns cannot read the SRV records. Install external-dns with its CustomResourceDefinition and --source=crd. Or set spec.dns.mode to Manual and add this line to the zone: {line}"
            ),
        ),
        Publication::NoTarget | Publication::HeldForForeign | Publication::Published
            if view.federation.spec.dns.mode == DnsMode::ExternalDNS =>
        {
            let age = endpoint
                .created
                .map_or(SignedDuration::ZERO, |at| view.seen.now.duration_since(at));
            if endpoint.observed && host_is_published(view) && age >= FOLLOWING {
                srv_type_not_managed(owner)
            } else if !endpoint.observed && age >= READING {
                Verdict::new(
                    SRVResolvesReason::ExternalDNSNotWatching,
                    format!(
                        "external-dns has not read DNSEndpoint {}. Run it with --source=crd (in its chart: sources [service, crd]). It must watch this namespace and have permission to read dnsendpoints.",
                        names::dns_endpoint(&view.federation.name)
                    ),
                )
            } else if age < READING {
                Verdict::new(
                    SRVResolvesReason::SRVNotFound,
                    format!(
                        "DNS server {server} has no SRV record {owner} yet. The operator has written the DNSEndpoint; external-dns publishes it in its next sync."
                    ),
                )
            } else {
                Verdict::new(
                    SRVResolvesReason::SRVNotFound,
                    format!(
                        "DNS server {server} has no SRV record {owner}. external-dns has read the DNSEndpoint but published neither it nor the host: check its log and its --domain-filter. The expected record is: {line}"
                    ),
                )
            }
        }
        Publication::NoTarget | Publication::HeldForForeign | Publication::Published => {
            Verdict::new(
                SRVResolvesReason::SRVNotFound,
                format!(
                    "DNS server {server} has no SRV record {owner}. Add this line to the zone: {line}"
                ),
            )
        }
    }
}

fn srv_type_not_managed(owner: &str) -> Verdict {
    Verdict::new(
        SRVResolvesReason::SRVTypeNotManaged,
        format!(
            "external-dns publishes the address records but not {owner}, because it manages only the configured record types. Start it with --managed-record-types=SRV in addition to A, AAAA and CNAME; the flag replaces the default list. If the flag is set: version 0.21.0 cannot publish SRV records at all, and versions up to 0.20 need spec.dns.trailingDot: false."
        ),
    )
}

fn host_is_published(view: View<'_>) -> bool {
    view.seen.dns.host.best().any(|(_, found)| !found.is_empty())
}

fn show(found: &BTreeSet<Srv>) -> String {
    if found.is_empty() {
        return "no record".to_owned();
    }
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
