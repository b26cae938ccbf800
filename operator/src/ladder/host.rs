//! `HostResolves`: the DNS leads from the host to the Service's address.

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
    let wanted: BTreeSet<IpAddr> = match view.seen.cluster.address() {
        Some(Address::Hostname(name)) => {
            return Verdict::new(
                HostResolvesReason::NotNeeded,
                format!(
                    "SRV records lead to the load balancer's own name {name}, so {host} needs no record."
                ),
            );
        }
        Some(Address::Ips(ips)) => ips.iter().copied().collect(),
        None => BTreeSet::new(),
    };
    let told: Vec<(&str, &BTreeSet<IpAddr>)> = evidence.best().collect();
    if told.is_empty() {
        return unavailable(view, &evidence.zone, &evidence.public);
    }
    for (server, found) in &told {
        if let Some(verdict) = mismatch(view, &wanted, server, found) {
            return verdict;
        }
    }
    // The zone is right. A resolver that still has an old answer sends its users there.
    let stale = evidence.public.iter().find_map(|answer| {
        let found = answer.found.as_ref().ok()?;
        mismatch(view, &wanted, &answer.server, found).map(|_| (&answer.server, found))
    });
    if let Some((server, found)) = stale {
        return Verdict::new(
            HostResolvesReason::StaleCache,
            format!(
                "The zone has {host} as wanted, and resolver {server} still answers {}. Wait until its copy ends; nothing has to be changed.",
                or_nothing(found)
            ),
        );
    }
    if wanted.is_empty() {
        return Verdict::new(
            HostResolvesReason::RecordsMatch,
            format!(
                "The host {host} has an address. Whether it leads here is not checked, because spec.service.type is not LoadBalancer."
            ),
        );
    }
    Verdict::new(
        HostResolvesReason::RecordsMatch,
        format!("The host {host} has the address {}, the load balancer's.", list_of(&wanted)),
    )
}

fn mismatch(
    view: View<'_>,
    wanted: &BTreeSet<IpAddr>,
    server: &str,
    found: &BTreeSet<IpAddr>,
) -> Option<Verdict> {
    let host = &view.federation.host;
    let action = match view.federation.spec.dns.mode {
        DnsMode::Manual => "Put the lines of status.zoneSnippet into the zone.",
        DnsMode::ExternalDNS => {
            "external-dns makes it from the annotations of the Service: check that it runs with --source=service, that its --domain-filter covers the name, and its log."
        }
    };
    if found.is_empty() {
        return Some(Verdict::new(
            HostResolvesReason::RecordNotFound,
            format!("DNS server {server} knows no address of {host}. {action}"),
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
                "DNS server {server} has {seen} for {host}; the load balancer has {wanted}. {action}"
            ),
        )
    } else {
        Verdict::new(
            HostResolvesReason::PartialMatch,
            format!(
                "DNS server {server} has {seen} for {host}; the load balancer has {wanted}, so some peers go elsewhere. {action}"
            ),
        )
    })
}

fn unavailable(view: View<'_>, zone: &[Answer<IpAddr>], public: &[Answer<IpAddr>]) -> Verdict {
    Verdict::new(
        HostResolvesReason::ResolverUnavailable,
        format!(
            "No DNS server tells about {}: {}. Check spec.dns.resolvers, and that the operator's pod may reach port 53 outside.",
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
    if all.is_empty() { "none was asked yet".to_owned() } else { all.join("; ") }
}

fn list_of(ips: &BTreeSet<IpAddr>) -> String {
    list(&ips.iter().copied().collect::<Vec<_>>())
}

fn or_nothing(found: &BTreeSet<IpAddr>) -> String {
    if found.is_empty() { "that there is none".to_owned() } else { list_of(found) }
}
