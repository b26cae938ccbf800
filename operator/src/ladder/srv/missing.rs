//! Why an SRV record does not exist: each cause has its own cure.

use crds::federation::dns::DnsMode;
use crds::reason::SRVResolvesReason;
use jiff::SignedDuration;

use super::super::View;
use super::super::verdict::Verdict;
use crate::dns::publish::Publication;
use crate::dns::wanted::{Srv, WantedSrv};
use crate::evidence::answer::NameEvidence;
use crate::federation::names;

/// Time that external-dns may take to read a new `DNSEndpoint` before this counts as a failure: without `--events`, it
/// syncs once a minute.
const READING: SignedDuration = SignedDuration::from_secs(75);
/// Time that the SRV records may take to follow the address records, which external-dns publishes in the same sync.
const FOLLOWING: SignedDuration = SignedDuration::from_secs(20);

/// Why a wanted record does not exist, as far as the operator can see.
pub(super) fn missing(view: View<'_>, wanted: &WantedSrv, srv: &Srv, server: &str) -> Verdict {
    let owner = &wanted.owner;
    let ttl = view.federation.spec.dns.ttl;
    let line = format!("{owner}. {ttl} IN SRV {srv}.");
    let endpoint = view.seen.cluster.dns_endpoint;
    let services = &view.seen.dns.services;
    let exists = |found: &NameEvidence<Srv>| found.best().any(|(_, found)| !found.is_empty());
    let is_ours_to_write =
        !matches!(view.seen.publication, Publication::HeldForEngine | Publication::KindMissing);
    if is_ours_to_write && services.iter().any(|(known, found)| known == owner && exists(found)) {
        return beside_others(view, owner, srv, (server, &line));
    }
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
            // No address record shows that external-dns works if the load balancer has a host name.
            let others_are_published = match view.seen.dns.looked_for.load_balancer {
                Some(_) => age >= READING,
                None => host_is_published(view) && age >= FOLLOWING,
            };
            if endpoint.observed && others_are_published {
                srv_type_not_managed(view, owner)
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

/// The name has records of other targets, but not this one.
fn beside_others(view: View<'_>, owner: &str, srv: &Srv, (server, line): (&str, &str)) -> Verdict {
    let action = match (view.seen.publication, view.seen.dns.owner(owner)) {
        (Publication::Published, Some(found)) => format!(
            "The TXT record states that {found} owns the records, and no other instance changes them: the federation behind it must list the same targets."
        ),
        (Publication::Published, None) => {
            "external-dns adds it in its next sync, unless another instance owns the records: that one must list the same targets.".to_owned()
        }
        _ => "Add it to the zone.".to_owned(),
    };
    Verdict::new(
        SRVResolvesReason::SRVNotFound,
        format!(
            "DNS server {server} has SRV records {owner}, but none with target {}. {action} The expected record is: {line}",
            srv.target
        ),
    )
}

/// external-dns drops records that it does not manage or cannot read with a line in its log only. From outside, versions
/// differ only in what they publish, so the message has the cause for each.
fn srv_type_not_managed(view: View<'_>, owner: &str) -> Verdict {
    let dot = if view.federation.spec.dns.trailing_dot {
        "versions up to 0.20 need spec.dns.trailingDot: false"
    } else {
        "versions from 0.22 on need spec.dns.trailingDot: true"
    };
    Verdict::new(
        SRVResolvesReason::SRVTypeNotManaged,
        format!(
            "external-dns has read the DNSEndpoint but does not publish {owner}, because it manages only the configured record types. Start it with --managed-record-types=SRV in addition to A, AAAA and CNAME; the flag replaces the default list. If the flag is set: {dot}, and version 0.21.0 cannot publish SRV records at all."
        ),
    )
}

fn host_is_published(view: View<'_>) -> bool {
    view.seen.dns.host.best().any(|(_, found)| !found.is_empty())
}
