//! The rungs that rest on the DNS.

use super::*;
use crate::dns::publish::Publication;
use crate::dns::wanted::Srv;
use crate::evidence::dns::NameEvidence;
use crate::fixtures::told;

#[test]
fn host_resolves() {
    let rung = ConditionType::HostResolves;
    let found = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        reason(rung, |seen| seen.dns.host = told(addresses))
    };
    assert_eq!(found(&["192.0.2.7"]), "RecordsMatch");
    assert_eq!(found(&[]), "RecordNotFound");
    assert_eq!(found(&["192.0.2.8"]), "AddressMismatch");
    assert_eq!(found(&["192.0.2.7", "192.0.2.8"]), "PartialMatch");
    // An address of the other family is one more place where peers go.
    assert_eq!(found(&["192.0.2.7", "2001:db8::8"]), "PartialMatch");
    let stale = reason(rung, |seen| {
        seen.dns.host.public[0].found = Ok(["192.0.2.8".parse().unwrap()].into());
    });
    assert_eq!(stale, "StaleCache");
    let nobody = |seen: &mut Evidence| {
        seen.dns.host = NameEvidence::default();
    };
    assert_eq!(reason(rung, nobody), "ResolverUnavailable");
    // No server of the zone answers: the resolvers decide.
    let behind = reason(rung, |seen| seen.dns.host.zone[0].found = Err("timed out".into()));
    assert_eq!(behind, "RecordsMatch");
    let hostname = reason(rung, |seen| {
        let name = Some(Address::Hostname("lb.cloud.example".into()));
        seen.cluster.service.as_mut().unwrap().address = name;
    });
    assert_eq!(hostname, "NotNeeded");
}

fn srv(port: u16, target: &str) -> Srv {
    Srv { priority: 0, weight: 5, port, target: target.into() }
}

/// The verdict when the first SRV record set is found like this.
fn srv_found(records: &[Srv]) -> Verdict {
    let records = records.iter().cloned().collect();
    after(ConditionType::SRVResolves, |seen| seen.dns.services[0].1 = told(records))
}

#[test]
fn srv_resolves() {
    let ours = srv(5269, "xmpp.example.com");
    for (records, word) in [
        (vec![ours.clone()], "RecordsMatch"),
        (vec![Srv { priority: 10, weight: 0, ..ours.clone() }], "RecordsMatch"),
        (vec![srv(5222, "xmpp.example.com")], "SRVPortMismatch"),
        (vec![ours.clone(), srv(5275, "xmpp.example.com")], "StaleRecord"),
        (vec![srv(5269, "im.other.example")], "ClaimedElsewhere"),
        (vec![ours.clone(), srv(5269, "im.other.example")], "ClaimedElsewhere"),
        (vec![srv(0, "")], "ServiceDisabled"),
    ] {
        let verdict = srv_found(&records);
        assert_eq!(verdict.reason.to_string(), word, "{verdict:?}");
    }
    let hostname = after(ConditionType::SRVResolves, |seen| {
        let name = Some(Address::Hostname("lb.cloud.example".into()));
        seen.cluster.service.as_mut().unwrap().address = name;
    });
    assert_eq!(hostname.reason.to_string(), "SRVTargetMismatch");
    let stale = reason(ConditionType::SRVResolves, |seen| {
        seen.dns.services[0].1.public[0].found = Ok([].into());
    });
    assert_eq!(stale, "StaleRecord");
    let nobody = |seen: &mut Evidence| seen.dns.services.clear();
    assert_eq!(reason(ConditionType::SRVResolves, nobody), "ResolverUnavailable");
}

#[test]
fn the_cause_of_a_missing_srv_record_is_named() {
    let missing = |change: fn(&mut Evidence)| {
        after(ConditionType::SRVResolves, |seen| {
            seen.dns.services[0].1 = told([].into());
            change(seen);
        })
    };
    let not_managed = missing(|_| {});
    assert_eq!(not_managed.reason.to_string(), "SRVTypeNotManaged");
    assert!(not_managed.message.contains("--managed-record-types=SRV"), "{not_managed:?}");
    assert!(not_managed.message.contains("0.21.0"), "{not_managed:?}");
    assert!(not_managed.message.contains("spec.dns.trailingDot: false"), "{not_managed:?}");
    let unread = missing(|seen| seen.cluster.dns_endpoint.observed = false);
    assert_eq!(unread.reason.to_string(), "ExternalDNSNotWatching");
    let young = missing(|seen| seen.cluster.dns_endpoint.created = Some(now()));
    assert_eq!(young.reason.to_string(), "SRVNotFound");
    let neither = missing(|seen| seen.dns.host = told([].into()));
    assert_eq!(neither.reason.to_string(), "SRVNotFound");
    let no_kind = missing(|seen| seen.publication = Publication::KindMissing);
    assert_eq!(no_kind.reason.to_string(), "ExternalDNSCRDMissing");
    let line = "_xmpp-server._tcp.example.com. 300 IN SRV 0 5 5269 xmpp.example.com.";
    assert!(no_kind.message.contains(line), "{no_kind:?}");
    let held = missing(|seen| seen.publication = Publication::HeldForEngine);
    assert_eq!(held.reason.to_string(), "PublicationHeld");
    let manual = missing(|seen| seen.publication = Publication::Manual);
    assert_eq!(manual.reason.to_string(), "SRVNotFound");
    assert!(manual.message.contains(line), "{manual:?}");
}

#[test]
fn domain_uncontested() {
    let rung = ConditionType::DomainUncontested;
    let found = |target: &str| {
        let record = [srv(5269, target)].into();
        reason(rung, |seen| seen.dns.services[0].1 = told(record))
    };
    assert_eq!(found("xmpp.example.com"), "Uncontested");
    assert_eq!(found("im.other.example"), "DomainClaimedElsewhere");
    assert_eq!(found(""), "Uncontested");
    assert_eq!(reason(rung, |seen| seen.dns.services.clear()), "ResolverUnavailable");
    // It is judged before there is an address: the foreign record stands there already.
    let early = after(rung, |seen| {
        seen.cluster.service.as_mut().unwrap().address = None;
        seen.dns.services[0].1 = told([srv(5269, "im.other.example")].into());
    });
    assert_eq!(early.reason.to_string(), "DomainClaimedElsewhere");
}
