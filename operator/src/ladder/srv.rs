//! `SRVResolves`: the DNS leads from every domain to the host (RFC 6120 §3.2.1, XEP-0368).

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

/// Time for external-dns to read a new `DNSEndpoint`, before anything is thought to be wrong: its loop takes a minute
/// without `--events`.
const READING: SignedDuration = SignedDuration::from_secs(75);
/// Time for the SRV records to follow the address records, which external-dns publishes in the same round.
const FOLLOWING: SignedDuration = SignedDuration::from_secs(20);

/// The verdict when every domain's is True.
pub fn every_domain(_: View<'_>, _: &[Verdict]) -> Verdict {
    Verdict::new(SRVResolvesReason::RecordsMatch, "The SRV records of every domain lead here.")
}

/// Judges the SRV records of one domain.
pub fn for_domain(view: View<'_>, domain: &Domain) -> Verdict {
    let Some(target) = wanted::srv_target(view.federation, view.seen.cluster.address()) else {
        return Verdict::new(
            SRVResolvesReason::PublicationHeld,
            "It is not known yet where the records are to lead.",
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
                format!("The SRV records of {domain} lead to {target}."),
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
    let mut told = evidence.best().peekable();
    if told.peek().is_none() {
        return Some(Verdict::new(
            SRVResolvesReason::ResolverUnavailable,
            format!(
                "No DNS server tells about {}: {}. Check spec.dns.resolvers, and that the operator's pod may reach port 53 outside.",
                wanted.owner,
                failures(&evidence.zone, &evidence.public)
            ),
        ));
    }
    if let Some(verdict) = told.find_map(|(server, found)| judge(view, wanted, server, found)) {
        return Some(verdict);
    }
    evidence.public.iter().find_map(|answer| {
        let found = answer.found.as_ref().ok()?;
        let in_place = found.iter().any(|srv| leads_to(srv, &wanted.srv));
        (!in_place).then(|| {
            Verdict::new(
                SRVResolvesReason::StaleRecord,
                format!(
                    "The zone has {} as wanted, and resolver {} still answers with an old copy ({}). Wait until it ends; nothing has to be changed.",
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
                "DNS server {server} has {owner} with the target \".\", which says that {domain} does not federate (RFC 2782). Delete that record."
            ),
        ));
    }
    let host = view.federation.host.to_ascii();
    let ours = |one: &&Srv| one.target == srv.target || one.target == host;
    if let Some(foreign) = found.iter().find(|one| !ours(one)) {
        return Some(Verdict::new(
            SRVResolvesReason::ClaimedElsewhere,
            format!(
                "DNS server {server} has {owner} {foreign}, which leads to somebody else's server. Delete that record when the domain is to move here, or remove {domain} from spec.domains."
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
                "DNS server {server} has the wanted record of {owner}, and beside it an old one: {stale}. Delete the line `{owner}. IN SRV {stale}.` from the zone; external-dns with the rfc2136 provider never deletes SRV records."
            ),
        )),
        (false, Some(one)) if one.target == srv.target => Some(Verdict::new(
            SRVResolvesReason::SRVPortMismatch,
            format!(
                "DNS server {server} has {owner} with port {}; the port is {}. Correct the record.",
                one.port, srv.port
            ),
        )),
        (false, _) => Some(Verdict::new(
            SRVResolvesReason::SRVTargetMismatch,
            format!(
                "DNS server {server} has {owner} {}; the target is {}. Correct the record.",
                show(found),
                srv.target
            ),
        )),
    }
}

/// Why there is no record, as far as it can be seen from here.
fn missing(view: View<'_>, wanted: &WantedSrv, server: &str) -> Verdict {
    let WantedSrv { owner, srv, .. } = wanted;
    let ttl = view.federation.spec.dns.ttl;
    let line = format!("{owner}. {ttl} IN SRV {srv}.");
    let endpoint = view.seen.cluster.dns_endpoint;
    match view.seen.publication {
        Publication::HeldForEngine => Verdict::new(
            SRVResolvesReason::PublicationHeld,
            "The SRV records are published once the engine has been ready (spec.dns.publish).",
        ),
        Publication::Manual => Verdict::new(
            SRVResolvesReason::SRVNotFound,
            format!("DNS server {server} has no SRV record {owner}. Add to the zone: {line}"),
        ),
        Publication::KindMissing => Verdict::new(
            SRVResolvesReason::ExternalDNSCRDMissing,
            format!(
                "The cluster has no kind DNSEndpoint, so the SRV records have no way to external-dns. Install external-dns with its CustomResourceDefinition and --source=crd; or set spec.dns.mode to Manual and add to the zone: {line}"
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
                        "Nobody has read DNSEndpoint {}. Run external-dns with --source=crd (in its chart: sources [service, crd]), watching this namespace, with permission to read dnsendpoints.",
                        names::dns_endpoint(&view.federation.name)
                    ),
                )
            } else if age < READING {
                Verdict::new(
                    SRVResolvesReason::SRVNotFound,
                    format!(
                        "DNS server {server} has no SRV record {owner} yet. The DNSEndpoint is written; external-dns publishes it in its next round."
                    ),
                )
            } else {
                Verdict::new(
                    SRVResolvesReason::SRVNotFound,
                    format!(
                        "DNS server {server} has no SRV record {owner}. external-dns has read the DNSEndpoint and published neither it nor the host: look at its log and its --domain-filter. The line is: {line}"
                    ),
                )
            }
        }
        Publication::NoTarget | Publication::HeldForForeign | Publication::Published => {
            Verdict::new(
                SRVResolvesReason::SRVNotFound,
                format!("DNS server {server} has no SRV record {owner}. The line is: {line}"),
            )
        }
    }
}

fn srv_type_not_managed(owner: &str) -> Verdict {
    Verdict::new(
        SRVResolvesReason::SRVTypeNotManaged,
        format!(
            "external-dns publishes the address records and leaves out {owner}: it manages only the record types it is told to. Start it with --managed-record-types=SRV beside A, AAAA and CNAME (giving the flag replaces the default list). If it has that flag: version 0.21.0 cannot publish SRV records at all, and versions up to 0.20 need spec.dns.trailingDot: false."
        ),
    )
}

fn host_is_published(view: View<'_>) -> bool {
    view.seen.dns.host.best().any(|(_, found)| !found.is_empty())
}

fn show(found: &BTreeSet<Srv>) -> String {
    if found.is_empty() {
        return "nothing".to_owned();
    }
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
