//! `HostResolves`: DNS resolves the host to the Service's address.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crds::federation::dns::DnsMode;
use crds::reason::HostResolvesReason;

use super::View;
use super::address::list;
use super::verdict::Verdict;
use crate::build::Address;
use crate::evidence::dns::Answer;

/// Judges the address records.
pub fn check(view: View<'_>) -> Verdict {
    let host = &view.federation.host;
    let evidence = &view.seen.dns.host;
    let wanted: BTreeSet<IpAddr> = match view.published_at() {
        Some(Address::Hostname(name)) => {
            return Verdict::new(
                HostResolvesReason::NotNeeded,
                format!(
                    "The SRV records point to the load balancer's own name {name}, so {host} needs no record."
                ),
            );
        }
        Some(Address::Ips(ips)) => ips.into_iter().collect(),
        None => BTreeSet::new(),
    };
    let reported: Vec<(&str, &BTreeSet<IpAddr>)> = evidence.best().collect();
    if reported.is_empty() {
        return unavailable(view, &evidence.zone, &evidence.public);
    }
    for (server, found) in &reported {
        if let Some(verdict) = mismatch(view, &wanted, server, found) {
            return verdict;
        }
    }
    // The zone is correct. A resolver that still has an old answer cached sends its users to the old address.
    let stale = evidence.public.iter().find_map(|answer| {
        let found = answer.found.as_ref().ok()?;
        mismatch(view, &wanted, &answer.server, found).map(|_| (&answer.server, found))
    });
    if let Some((server, found)) = stale {
        return Verdict::new(
            HostResolvesReason::StaleCache,
            format!(
                "The zone has the expected records for {host}, but resolver {server} still answers with {}. Wait for its cached answer to expire; no action is needed.",
                or_nothing(found)
            ),
        );
    }
    if wanted.is_empty() {
        return Verdict::new(
            HostResolvesReason::RecordsMatch,
            format!(
                "The host {host} has an address. The operator does not check that it is yours, because spec.service.type is not LoadBalancer and spec.service.publicAddresses is not set."
            ),
        );
    }
    Verdict::new(
        HostResolvesReason::RecordsMatch,
        format!("The host {host} resolves to {}, {}.", list_of(&wanted), origin(view)),
    )
}

/// Where the expected addresses come from.
fn origin(view: View<'_>) -> &'static str {
    if view.federation.spec.service.public_addresses.is_empty() {
        "as assigned by the load balancer"
    } else {
        "as set in spec.service.publicAddresses"
    }
}

fn mismatch(
    view: View<'_>,
    wanted: &BTreeSet<IpAddr>,
    server: &str,
    found: &BTreeSet<IpAddr>,
) -> Option<Verdict> {
    let host = &view.federation.host;
    let action = match view.federation.spec.dns.mode {
        DnsMode::Manual => "Add the lines in status.zoneSnippet to the zone.",
        DnsMode::ExternalDNS => {
            "external-dns publishes this record from the annotations of the Service. Check that it runs with --source=service, that its --domain-filter covers the name, and its log."
        }
    };
    if found.is_empty() {
        return Some(Verdict::new(
            HostResolvesReason::RecordNotFound,
            format!("DNS server {server} has no address record for {host}. {action}"),
        ));
    }
    if wanted.is_empty() || found == wanted {
        return None;
    }
    let right: BTreeSet<IpAddr> = found.intersection(wanted).copied().collect();
    let seen = list_of(found);
    let wanted = list_of(wanted);
    Some(if right.is_empty() {
        Verdict::new(
            HostResolvesReason::AddressMismatch,
            format!(
                "DNS server {server} has {seen} for {host}; expected {wanted}, {}. {action}",
                origin(view)
            ),
        )
    } else {
        Verdict::new(
            HostResolvesReason::PartialMatch,
            format!(
                "DNS server {server} has {seen} for {host}; expected {wanted}, {}. Some peers connect elsewhere. {action}",
                origin(view)
            ),
        )
    })
}

fn unavailable(view: View<'_>, zone: &[Answer<IpAddr>], public: &[Answer<IpAddr>]) -> Verdict {
    Verdict::new(
        HostResolvesReason::ResolverUnavailable,
        format!(
            "No DNS server answered the query for {}: {}. Check spec.dns.resolvers, and allow the operator's pod to reach port 53 outside the cluster.",
            view.federation.host,
            failures(zone, public)
        ),
    )
}

/// What went wrong with each server.
pub(crate) fn failures<T>(zone: &[Answer<T>], public: &[Answer<T>]) -> String {
    let all: Vec<String> = zone
        .iter()
        .chain(public)
        .filter_map(|answer| Some(format!("{}: {}", answer.server, answer.found.as_ref().err()?)))
        .collect();
    if all.is_empty() { "no server has been queried yet".to_owned() } else { all.join("; ") }
}

fn list_of(ips: &BTreeSet<IpAddr>) -> String {
    list(&ips.iter().copied().collect::<Vec<_>>())
}

fn or_nothing(found: &BTreeSet<IpAddr>) -> String {
    if found.is_empty() { "no address".to_owned() } else { list_of(found) }
}
