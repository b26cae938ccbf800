//! The rungs that rest on the DNS.

use super::*;
use crate::dns::publish::Publication;
use crate::dns::wanted::Srv;
use crate::evidence::dns::NameEvidence;
use crate::fixtures::reported;

#[test]
fn host_resolves() {
    let rung = ConditionType::HostResolves;
    let found = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
        reason(rung, |seen| seen.dns.host = reported(addresses))
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
    after(ConditionType::SRVResolves, |seen| seen.dns.services[0].1 = reported(records))
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
            seen.dns.services[0].1 = reported([].into());
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
    let neither = missing(|seen| seen.dns.host = reported([].into()));
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
        reason(rung, |seen| seen.dns.services[0].1 = reported(record))
    };
    assert_eq!(found("xmpp.example.com"), "Uncontested");
    assert_eq!(found("im.other.example"), "DomainClaimedElsewhere");
    assert_eq!(found(""), "Uncontested");
    assert_eq!(reason(rung, |seen| seen.dns.services.clear()), "ResolverUnavailable");
    // It is judged before there is an address: the foreign record stands there already.
    let early = after(rung, |seen| {
        seen.cluster.service.as_mut().unwrap().address = None;
        seen.dns.services[0].1 = reported([srv(5269, "im.other.example")].into());
    });
    assert_eq!(early.reason.to_string(), "DomainClaimedElsewhere");
}

/// The service of the note: DNS has the address and the ports of a firewall.
fn behind_nat() -> serde_json::Value {
    let mut spec = smallest();
    spec["service"] = json!({
        "publicAddresses": ["203.0.113.10"], "publicPorts": {"s2s": 15_269, "s2sTls": 443}
    });
    spec
}

#[test]
fn records_are_compared_with_the_public_addresses_and_ports() {
    let host = |found: &str| {
        of(&behind_nat(), ConditionType::HostResolves, |seen| {
            seen.dns.host = reported([found.parse().unwrap()].into());
        })
    };
    assert_eq!(host("203.0.113.10").reason.to_string(), "RecordsMatch");
    // The load balancer's own address.
    let wrong = host(crate::fixtures::ADDRESS);
    assert_eq!(wrong.reason.to_string(), "AddressMismatch");
    let expected = "expected 203.0.113.10, as set in spec.service.publicAddresses.";
    assert!(wrong.message.contains(expected), "{wrong:?}");
    let srv = |port: u16| {
        of(&behind_nat(), ConditionType::SRVResolves, |seen| {
            seen.dns.services[0].1 = reported([srv(port, "xmpp.example.com")].into());
        })
    };
    assert_eq!(srv(15_269).reason.to_string(), "RecordsMatch");
    assert_eq!(srv(5269).reason.to_string(), "SRVPortMismatch");
}

#[test]
fn the_zone_snippet_has_public_addresses_and_never_a_private_one_that_nobody_asked_for() {
    let snippet = |spec: &serde_json::Value| {
        let federation = validated(spec);
        let mut seen = evidence(&federation);
        let private = Address::Ips(vec!["10.1.2.3".parse().unwrap()]);
        seen.cluster.service.as_mut().unwrap().address = Some(private);
        seen.dns.host = reported([].into());
        for (_, found) in &mut seen.dns.services {
            *found = reported([].into());
        }
        let view = View { federation: &federation, seen: &seen };
        crate::dns::zone::snippet(&crate::dns::compare::records(view))
    };
    assert_eq!(
        snippet(&behind_nat()).unwrap(),
        "xmpp.example.com. 300 IN A 203.0.113.10\n\
         _xmpp-server._tcp.example.com. 300 IN SRV 0 5 15269 xmpp.example.com.\n\
         _xmpps-server._tcp.example.com. 300 IN SRV 0 5 443 xmpp.example.com.\n"
    );
    assert_eq!(snippet(&smallest()), None);
    let mut inside = smallest();
    inside["egress"] = json!({"allowNetworks": ["10.0.0.0/8"]});
    assert!(snippet(&inside).unwrap().starts_with("xmpp.example.com. 300 IN A 10.1.2.3\n"));
}
