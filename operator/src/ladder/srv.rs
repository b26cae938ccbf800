//! `SRVResolves`: DNS points from every domain to the host (RFC 6120 §3.2.1, XEP-0368).

mod missing;

use std::collections::BTreeSet;

use crds::domain::Domain;
use crds::reason::{ConditionReason, SRVResolvesReason};

use self::missing::missing;
use super::View;
use super::host::{WAIT_FOR_CACHE, bogus_message, broken_delegation_message, failures};
use super::verdict::Verdict;
use crate::dns::publish::Publication;
use crate::dns::wanted::{self, Srv, WantedSrv};
use crate::evidence::answer::NameEvidence;
use crate::evidence::dns::leads_to;

/// The verdict when every domain's is True.
pub fn every_domain(view: View<'_>, domains: &[Verdict]) -> Verdict {
    let via_alias = ConditionReason::from(SRVResolvesReason::RecordsMatchViaAlias);
    if let Some(alias) = domains.iter().find(|verdict| verdict.reason == via_alias) {
        return alias.clone();
    }
    let others = others_of(view);
    let shared = if others.is_empty() {
        String::new()
    } else {
        format!(" They also point to {others}, as set in spec.dns.srv.otherTargets.")
    };
    Verdict::new(
        SRVResolvesReason::RecordsMatch,
        format!("The SRV records of every domain point to this federation.{shared}"),
    )
}

/// The hosts of the other targets, for a message.
fn others_of(view: View<'_>) -> String {
    let others = &view.federation.spec.dns.srv.other_targets;
    others.iter().map(|other| other.host.to_string()).collect::<Vec<_>>().join(" and ")
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
    let mut via_alias = None;
    for record in records.iter().filter(|record| record.domain == *domain) {
        match fault(view, record) {
            Ok(()) => {}
            Err(verdict) if verdict.reason == SRVResolvesReason::RecordsMatchViaAlias.into() => {
                via_alias.get_or_insert(verdict);
            }
            Err(verdict) => return verdict,
        }
    }
    via_alias.unwrap_or_else(|| {
        Verdict::new(
            SRVResolvesReason::RecordsMatch,
            format!("The SRV records of {domain} point to {target}."),
        )
    })
}

/// What differs from the wanted records.
///
/// # Errors
/// The verdict about it.
fn fault(view: View<'_>, wanted: &WantedSrv) -> Result<(), Verdict> {
    let nothing = NameEvidence::default();
    let evidence = view
        .seen
        .dns
        .services
        .iter()
        .find(|(owner, _)| *owner == wanted.owner)
        .map_or(&nothing, |(_, evidence)| evidence);
    if let Some(resolver) = evidence.bogus() {
        let message = bogus_message(&wanted.owner, resolver);
        return Err(Verdict::new(SRVResolvesReason::DNSSECBogus, message));
    }
    if let Some(message) = broken_delegation_message(&wanted.owner, evidence) {
        return Err(Verdict::new(SRVResolvesReason::DelegationBroken, message));
    }
    if evidence.best().next().is_none() {
        return Err(Verdict::new(
            SRVResolvesReason::ResolverUnavailable,
            format!(
                "No DNS server answered the query for {}: {}. Check spec.dns.resolvers, and allow the operator's pod to reach port 53 outside the cluster.",
                wanted.owner,
                failures(&evidence.zone, &evidence.public)
            ),
        ));
    }
    for (server, found) in evidence.best() {
        judge(view, wanted, server, found)?;
    }
    let stale = evidence.public.iter().find_map(|answer| {
        let found = answer.found.as_ref().ok()?;
        let in_place = found.iter().any(|srv| leads_to(srv, &wanted.srv));
        (!in_place).then_some((&answer.server, found))
    });
    match stale {
        None => Ok(()),
        Some((resolver, found)) => Err(Verdict::new(
            SRVResolvesReason::StaleRecord,
            format!(
                "The zone has the expected records for {}, but resolver {resolver} still answers with {}. {WAIT_FOR_CACHE}",
                wanted.owner,
                show(found)
            ),
        )),
    }
}

fn judge(
    view: View<'_>,
    wanted: &WantedSrv,
    server: &str,
    found: &BTreeSet<Srv>,
) -> Result<(), Verdict> {
    let WantedSrv { owner, srv, domain, .. } = wanted;
    if found.is_empty() {
        return Err(missing(view, wanted, srv, server));
    }
    if found.iter().all(|one| one.target.is_empty() || one.target == ".") {
        return Err(Verdict::new(
            SRVResolvesReason::ServiceDisabled,
            format!(
                "DNS server {server} has {owner} with target \".\", which declares that {domain} does not federate (RFC 2782). Delete that record."
            ),
        ));
    }
    let host = view.federation.host.to_ascii();
    let is_ours = |one: &&Srv| one.target == srv.target || one.target == host;
    let foreign = found.iter().find(|one| !is_ours(one) && !wanted.is_other(&one.target));
    if let Some(foreign) = foreign {
        return Err(claimed(view, wanted, server, foreign));
    }
    let ours: Vec<&Srv> = found.iter().filter(is_ours).collect();
    let in_place = ours.iter().any(|one| leads_to(one, srv));
    match ours.iter().find(|one| !leads_to(one, srv)) {
        None if in_place => {}
        None => return Err(missing(view, wanted, srv, server)),
        Some(stale) if in_place => return Err(old_record(wanted, server, stale)),
        Some(one) if one.target == srv.target => {
            return Err(wrong_port(wanted, server, one, srv));
        }
        Some(one) => {
            let alias = via_alias(view, wanted, one);
            return Err(alias.unwrap_or_else(|| {
                Verdict::new(
                    SRVResolvesReason::SRVTargetMismatch,
                    format!(
                        "DNS server {server} has {owner} {}; expected target {}. Correct the record.",
                        show(found),
                        srv.target
                    ),
                )
            }));
        }
    }
    // A change of priority or weight, where the old record stays beside the new one.
    let mut same = ours.iter().filter(|one| **one != srv);
    if ours.len() > 1
        && let Some(stale) = same.next()
    {
        return Err(old_record(wanted, server, stale));
    }
    for other in &wanted.others {
        let of_host = || found.iter().filter(|one| one.target == other.target);
        if of_host().any(|one| leads_to(one, other)) {
            if let Some(stale) = of_host().find(|one| !leads_to(one, other)) {
                return Err(old_record(wanted, server, stale));
            }
            continue;
        }
        return Err(match of_host().next() {
            Some(one) => wrong_port(wanted, server, one, other),
            None => missing(view, wanted, other, server),
        });
    }
    Ok(())
}

fn wrong_port(wanted: &WantedSrv, server: &str, found: &Srv, expected: &Srv) -> Verdict {
    Verdict::new(
        SRVResolvesReason::SRVPortMismatch,
        format!(
            "DNS server {server} has {} {} with port {}; expected port {}. Correct the record.",
            wanted.owner, found.target, found.port, expected.port
        ),
    )
}

fn old_record(wanted: &WantedSrv, server: &str, stale: &Srv) -> Verdict {
    let owner = &wanted.owner;
    Verdict::new(
        SRVResolvesReason::StaleRecord,
        format!(
            "DNS server {server} has the expected record of {owner} and also an old one: {stale}. Delete the line `{owner}. IN SRV {stale}.` from the zone; external-dns with the rfc2136 provider never deletes SRV records."
        ),
    )
}

/// The record points to a server that the spec does not name.
fn claimed(view: View<'_>, wanted: &WantedSrv, server: &str, foreign: &Srv) -> Verdict {
    let WantedSrv { owner, domain, .. } = wanted;
    let owned = view.seen.dns.owner(owner).map_or_else(String::new, |found| {
        format!(" Its TXT record states that {found} owns the record.")
    });
    let dns = &view.federation.spec.dns;
    let publication = match view.seen.publication {
        Publication::HeldForForeign => {
            " The operator publishes no SRV record while it exists; spec.dns.takeover changes that."
        }
        Publication::Published if dns.takeover => {
            " The operator publishes its own records beside it, as set in spec.dns.takeover. external-dns replaces only records with its own owner ID, and with the rfc2136 provider none."
        }
        _ => "",
    };
    Verdict::new(
        SRVResolvesReason::ClaimedElsewhere,
        format!(
            "DNS server {server} has {owner} {foreign}, which points to another server.{owned}{publication} {}",
            ways_out(domain, foreign)
        ),
    )
}

/// What to do about a record that points to a server that the spec does not name.
pub(super) fn ways_out(domain: &Domain, foreign: &Srv) -> String {
    format!(
        "To move the domain here, delete that record. If {} also serves {domain}, add it to spec.dns.srv.otherTargets; otherwise remove {domain} from spec.domains.",
        foreign.target
    )
}

/// The record points to the host instead of to the load balancer's own name, and the host has the same addresses.
fn via_alias(view: View<'_>, wanted: &WantedSrv, found: &Srv) -> Option<Verdict> {
    let dns = &view.seen.dns;
    let addresses = |found: &NameEvidence<std::net::IpAddr>| -> BTreeSet<std::net::IpAddr> {
        found.best().flat_map(|(_, found)| found).copied().collect()
    };
    let behind = addresses(dns.load_balancer.as_ref()?);
    let same_address = addresses(&dns.host).iter().any(|address| behind.contains(address));
    if !same_address || found.port != wanted.srv.port {
        return None;
    }
    let (host, name) = (&found.target, &wanted.srv.target);
    let message = match &dns.host_alias {
        Some(_) => format!(
            "The SRV records of {} point to {host}, an alias (CNAME) of the load balancer. RFC 2782 forbids an alias as target, and some servers do not follow it. Let them point to {name}, or give {host} address records (ALIAS).",
            wanted.domain
        ),
        None => format!(
            "The SRV records of {} point to {host}, which has the addresses of the load balancer {name}.",
            wanted.domain
        ),
    };
    Some(Verdict::new(SRVResolvesReason::RecordsMatchViaAlias, message))
}

fn show(found: &BTreeSet<Srv>) -> String {
    if found.is_empty() {
        return "no record".to_owned();
    }
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
