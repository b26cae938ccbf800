//! `HostResolves`: DNS resolves the host to the Service's address.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use crds::federation::dns::DnsMode;
use crds::reason::HostResolvesReason;

use super::View;
use super::address::list;
use super::verdict::Verdict;
use crate::build::Address;
use crate::evidence::answer::{Answer, NameEvidence};
use crate::evidence::owner::RecordOwner;
use crate::federation::names;
use crate::federation::reach::unreachable_kind;

/// What to do about a resolver that does not answer as the zone does.
pub(crate) const WAIT_FOR_CACHE: &str = "Wait for its cached answer to expire. If this persists, the resolver has a zone of its own for the name (split-horizon DNS): correct that zone, or set spec.dns.resolvers to resolvers that show what the internet sees.";

/// What to do about a DNS server that has a zone of its own for the inside.
const INNER_VIEW: &str = "Private addresses are the inner view of split-horizon DNS: set spec.dns.resolvers to resolvers that show what the internet sees. If the internet sees them too, correct the record.";

/// Judges the address records.
pub fn check(view: View<'_>) -> Verdict {
    let host = &view.federation.host;
    let evidence = &view.seen.dns.host;
    let wanted: BTreeSet<IpAddr> = match view.published_at() {
        Some(Address::Hostname(name)) => return load_balancer(view, &name),
        Some(Address::Ips(ips)) => ips.into_iter().collect(),
        None => BTreeSet::new(),
    };
    if let Some(resolver) = evidence.bogus() {
        return bogus(host, resolver);
    }
    let reported: Vec<(&str, &BTreeSet<IpAddr>)> = evidence.best().collect();
    if let Some(message) = broken_delegation_message(host, evidence) {
        return Verdict::new(HostResolvesReason::DelegationBroken, message);
    }
    if reported.is_empty() {
        return unavailable(host, evidence);
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
                "The zone has the expected records for {host}, but resolver {server} still answers with {}. {WAIT_FOR_CACHE}",
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

/// The SRV records point to the name of the load balancer, which must have addresses.
fn load_balancer(view: View<'_>, name: &str) -> Verdict {
    let nothing = NameEvidence::default();
    let evidence = view.seen.dns.load_balancer.as_ref().unwrap_or(&nothing);
    if let Some(resolver) = evidence.bogus() {
        return bogus(name, resolver);
    }
    let mut reported = evidence.best().peekable();
    if reported.peek().is_none() {
        return unavailable(name, evidence);
    }
    if let Some((server, _)) = reported.find(|(_, found)| found.is_empty()) {
        return Verdict::new(
            HostResolvesReason::RecordNotFound,
            format!(
                "DNS server {server} has no address record for {name}, the host name that the load balancer reports. If the load balancer is new, wait until its provider publishes the name. Otherwise check that it still exists."
            ),
        );
    }
    let empty = |answer: &&Answer<IpAddr>| answer.found.as_ref().is_ok_and(BTreeSet::is_empty);
    if let Some(stale) = evidence.public.iter().find(empty) {
        return Verdict::new(
            HostResolvesReason::StaleCache,
            format!(
                "The zone has addresses for {name}, but resolver {} still answers with no record. {WAIT_FOR_CACHE}",
                stale.server
            ),
        );
    }
    Verdict::new(
        HostResolvesReason::NotNeeded,
        format!(
            "The SRV records point to the load balancer's own name {name}, which has addresses, so {} needs no record.",
            view.federation.host
        ),
    )
}

/// A validating resolver finds nothing below a zone with wrong signatures.
fn bogus(name: impl fmt::Display, resolver: &str) -> Verdict {
    Verdict::new(HostResolvesReason::DNSSECBogus, bogus_message(name, resolver))
}

/// The message about a zone with wrong signatures.
pub(crate) fn bogus_message(name: impl fmt::Display, resolver: &str) -> String {
    format!(
        "Resolver {resolver} rejects the DNSSEC signatures of {name} (bogus): it answers SERVFAIL, and answers only without validation. Servers with a validating resolver cannot find the federation. Sign the zone again, or correct the DS records in its parent zone."
    )
}

/// The message about a zone whose servers nobody reaches.
pub(crate) fn broken_delegation_message<T>(
    name: impl fmt::Display,
    evidence: &NameEvidence<T>,
) -> Option<String> {
    let (above, resolver) = evidence.broken_delegation()?;
    Some(format!(
        "Resolver {resolver} answers SERVFAIL for {name}: DNS server {above} delegates the name to servers that do not answer for it. Correct the NS records of the delegation and their addresses, or start the DNS servers that they name."
    ))
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
    // Only a DNS server for the inside has private addresses of a host that the world connects to.
    let inner = found.iter().all(|ip| unreachable_kind(*ip).is_some())
        && wanted.iter().any(|ip| unreachable_kind(*ip).is_none());
    let wrong: BTreeSet<IpAddr> = found.difference(wanted).copied().collect();
    let action = match view.federation.spec.dns.mode {
        _ if inner => INNER_VIEW.to_owned(),
        DnsMode::Manual if found.is_superset(wanted) => {
            format!("Delete {} from the zone.", list_of(&wrong))
        }
        DnsMode::Manual if !wrong.is_empty() => {
            format!("Delete {} from the zone. {action}", list_of(&wrong))
        }
        DnsMode::Manual | DnsMode::ExternalDNS => action.to_owned(),
    };
    let right: BTreeSet<IpAddr> = found.intersection(wanted).copied().collect();
    let seen = list_of(found);
    let expected = format!("expected {}, {}", list_of(wanted), origin(view));
    if let Some(owner) = foreign_owner(view) {
        return Some(Verdict::new(
            HostResolvesReason::OwnedByOther,
            format!(
                "DNS server {server} has {seen} for {host}; {expected}. Its TXT record states that {owner} owns the record, and external-dns changes no record of another owner. Delete the record and its TXT record, or set a different spec.host."
            ),
        ));
    }
    Some(if right.is_empty() {
        Verdict::new(
            HostResolvesReason::AddressMismatch,
            format!("DNS server {server} has {seen} for {host}; {expected}. {action}"),
        )
    } else {
        Verdict::new(
            HostResolvesReason::PartialMatch,
            format!(
                "DNS server {server} has {seen} for {host}; {expected}. Some peers connect elsewhere. {action}"
            ),
        )
    })
}

/// The owner of the host's record, unless the record comes from this federation's Service.
fn foreign_owner(view: View<'_>) -> Option<&RecordOwner> {
    let federation = view.federation;
    let own = format!("service/{}/{}", federation.namespace, names::own(&federation.name));
    view.seen
        .dns
        .owner(&federation.host.to_ascii())
        .filter(|owner| owner.resource.as_deref() != Some(own.as_str()))
}

fn unavailable(name: impl fmt::Display, evidence: &NameEvidence<IpAddr>) -> Verdict {
    Verdict::new(
        HostResolvesReason::ResolverUnavailable,
        format!(
            "No DNS server answered the query for {name}: {}. Check spec.dns.resolvers, and allow the operator's pod to reach port 53 outside the cluster.",
            failures(&evidence.zone, &evidence.public)
        ),
    )
}

/// What went wrong with each server.
pub(crate) fn failures<T>(zone: &[Answer<T>], public: &[Answer<T>]) -> String {
    let all: Vec<String> = zone
        .iter()
        .chain(public)
        .filter_map(|answer| {
            let why = answer.found.as_ref().err()?.to_string();
            // The error of a connection begins with the address.
            let named = why.starts_with(&answer.server);
            Some(if named { why } else { format!("{}: {why}", answer.server) })
        })
        .collect();
    if all.is_empty() { "no server has been queried yet".to_owned() } else { all.join("; ") }
}

fn list_of(ips: &BTreeSet<IpAddr>) -> String {
    list(&ips.iter().copied().collect::<Vec<_>>())
}

fn or_nothing(found: &BTreeSet<IpAddr>) -> String {
    if found.is_empty() { "no address".to_owned() } else { list_of(found) }
}
