//! The rungs that rest on the DNS.

use super::*;
use crate::dns::publish::Publication;
use crate::dns::wanted::Srv;
use crate::evidence::answer::{NameEvidence, NoAnswer};
use crate::evidence::owner::RecordOwner;
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
}

/// The load balancer has a host name, as on AWS, with these addresses.
fn with_host_name(seen: &mut Evidence, addresses: &[&str]) {
    let name = Some(Address::Hostname("lb.cloud.example".into()));
    seen.cluster.service.as_mut().unwrap().address = name;
    seen.dns.load_balancer = Some(reported(addresses.iter().map(|a| a.parse().unwrap()).collect()));
    seen.dns.host = NameEvidence::default();
}

#[test]
fn the_host_name_of_a_load_balancer_must_have_addresses() {
    let rung = ConditionType::HostResolves;
    let verdict = after(rung, |seen| with_host_name(seen, &["192.0.2.7"]));
    assert_eq!(verdict.reason.to_string(), "NotNeeded");
    // NXDOMAIN: nothing leads to the load balancer, whatever the SRV records are.
    let verdict = after(rung, |seen| with_host_name(seen, &[]));
    assert_eq!(verdict.reason.to_string(), "RecordNotFound");
    assert!(verdict.message.contains("no address record for lb.cloud.example"), "{verdict:?}");
    let verdict = after(rung, |seen| {
        with_host_name(seen, &["192.0.2.7"]);
        seen.dns.load_balancer.as_mut().unwrap().public[0].found = Ok([].into());
    });
    assert_eq!(verdict.reason.to_string(), "StaleCache");
    let verdict = after(rung, |seen| {
        with_host_name(seen, &[]);
        seen.dns.load_balancer = None;
    });
    assert_eq!(verdict.reason.to_string(), "ResolverUnavailable");
}

#[test]
fn rfc2782_records_that_point_to_an_alias_of_the_load_balancer_are_named() {
    let verdict = |alias: Option<&str>, addresses: &[&str], target: &str| {
        after(ConditionType::SRVResolves, |seen| {
            with_host_name(seen, &["192.0.2.7", "192.0.2.8"]);
            let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
            seen.dns.host = reported(addresses);
            seen.dns.host_alias = alias.map(str::to_owned);
            for (index, (_, found)) in seen.dns.services.iter_mut().enumerate() {
                *found = reported([srv([5269, 5270][index], target)].into());
            }
        })
    };
    let direct = verdict(None, &[], "lb.cloud.example");
    assert_eq!(direct.reason.to_string(), "RecordsMatch");
    let cname = verdict(Some("lb.cloud.example"), &["192.0.2.8"], "xmpp.example.com");
    assert_eq!(cname.reason.to_string(), "RecordsMatchViaAlias");
    assert!(cname.message.contains("RFC 2782 forbids an alias"), "{cname:?}");
    assert!(cname.message.contains("point to lb.cloud.example"), "{cname:?}");
    let alias = verdict(None, &["192.0.2.7"], "xmpp.example.com");
    assert_eq!(alias.reason.to_string(), "RecordsMatchViaAlias");
    assert!(!alias.message.contains("RFC 2782"), "{alias:?}");
    for elsewhere in [&["192.0.2.99"][..], &[]] {
        let verdict = verdict(None, elsewhere, "xmpp.example.com");
        assert_eq!(verdict.reason.to_string(), "SRVTargetMismatch");
    }
}

#[test]
fn a_zone_whose_signatures_a_resolver_rejects_is_named_with_the_resolver() {
    let host = after(ConditionType::HostResolves, |seen| {
        seen.dns.host.public[0].found = Err(NoAnswer::Bogus);
    });
    assert_eq!(
        (host.reason.to_string().as_str(), host.status()),
        ("DNSSECBogus", ConditionStatus::False)
    );
    assert!(host.message.starts_with("Resolver 198.51.100.53 rejects the DNSSEC"), "{host:?}");
    let srv = after(ConditionType::SRVResolves, |seen| {
        // The resolver does not name the zone's servers either.
        let evidence = &mut seen.dns.services[0].1;
        evidence.zone[0].found = Err("resolver 198.51.100.53 answers SERVFAIL".into());
        evidence.public[0].found = Err(NoAnswer::Bogus);
    });
    assert_eq!(
        (srv.reason.to_string().as_str(), srv.status()),
        ("DNSSECBogus", ConditionStatus::False)
    );
    assert!(srv.message.contains("_xmpp-server._tcp.example.com (bogus)"), "{srv:?}");
    // Any other failure of one resolver says nothing about the zone.
    let silent = reason(ConditionType::SRVResolves, |seen| {
        seen.dns.services[0].1.public[0].found = Err("timed out".into());
    });
    assert_eq!(silent, "RecordsMatch");
}

/// external-dns of another cluster.
fn stranger(name: &str, resource: &str) -> Vec<(String, RecordOwner)> {
    let owner = RecordOwner { id: "west".into(), resource: Some(resource.into()) };
    vec![(name.to_owned(), owner)]
}

#[test]
fn the_owner_in_the_registry_of_external_dns_is_quoted() {
    let host = |resource: &str| {
        after(ConditionType::HostResolves, |seen| {
            seen.dns.host = reported(["192.0.2.8".parse().unwrap()].into());
            seen.dns.owners = stranger("xmpp.example.com", resource);
        })
    };
    let other = host("service/web/nginx");
    assert_eq!(other.reason.to_string(), "OwnedByOther");
    let quoted = "external-dns with owner ID \"west\" (resource service/web/nginx) owns the record";
    assert!(other.message.contains(quoted), "{other:?}");
    // Our own record of before.
    assert_eq!(host("service/im/example").reason.to_string(), "AddressMismatch");
    let claimed = after(ConditionType::SRVResolves, |seen| {
        seen.dns.services[0].1 = reported([srv(5269, "im.other.example")].into());
        seen.dns.owners = stranger("_xmpp-server._tcp.example.com", "crd/im/example-srv");
    });
    assert_eq!(claimed.reason.to_string(), "ClaimedElsewhere");
    assert!(
        claimed.message.contains("owner ID \"west\" (resource crd/im/example-srv)"),
        "{claimed:?}"
    );
}

#[test]
fn a_takeover_is_named_while_the_foreign_record_exists() {
    let claimed = |takeover: bool, publication: Publication| {
        let mut spec = with_peer();
        spec["dns"] = json!({"takeover": takeover});
        of(&spec, ConditionType::SRVResolves, |seen| {
            seen.publication = publication;
            let both = [srv(5269, "im.other.example"), srv(5269, "xmpp.example.com")];
            seen.dns.services[0].1 = reported(both.into());
        })
    };
    let held = claimed(false, Publication::HeldForForeign);
    assert!(held.message.contains("publishes no SRV record while it exists"), "{held:?}");
    let beside = claimed(true, Publication::Published);
    assert!(beside.message.contains("as set in spec.dns.takeover"), "{beside:?}");
    for verdict in [held, beside] {
        assert_eq!(verdict.reason.to_string(), "ClaimedElsewhere");
    }
}

/// The second cluster has both services, the old server only STARTTLS on a port of its own.
fn shared() -> serde_json::Value {
    let mut spec = smallest();
    spec["dns"] = json!({"srv": {"otherTargets": [
        {"host": "west.example.com", "directTlsPort": 5270},
        {"host": "Old.example.net.", "port": 15_269, "priority": 20, "weight": 0}
    ]}});
    spec
}

#[test]
fn other_targets_are_wanted_and_not_foreign() {
    let found = |records: &[Srv]| {
        let records: std::collections::BTreeSet<Srv> = records.iter().cloned().collect();
        of(&shared(), ConditionType::SRVResolves, |seen| seen.dns.services[0].1 = reported(records))
    };
    let (ours, west) = (srv(5269, "xmpp.example.com"), srv(5269, "west.example.com"));
    let old = Srv { priority: 20, weight: 0, ..srv(15_269, "old.example.net") };
    for (records, word) in [
        (vec![ours.clone(), west.clone(), old.clone()], "RecordsMatch"),
        (vec![ours.clone(), west.clone()], "SRVNotFound"),
        (vec![west.clone(), old.clone()], "SRVNotFound"),
        (vec![ours.clone(), west.clone(), srv(5269, "old.example.net")], "SRVPortMismatch"),
        (vec![ours.clone(), west.clone(), old.clone(), srv(5269, "x.example")], "ClaimedElsewhere"),
        // An old priority beside the new one decides where peers connect.
        (vec![ours.clone(), Srv { priority: 9, ..ours.clone() }, west, old.clone()], "StaleRecord"),
    ] {
        let verdict = found(&records);
        assert_eq!(verdict.reason.to_string(), word, "{verdict:?}");
    }
    let verdict = of(&shared(), ConditionType::SRVResolves, |_| {});
    assert!(
        verdict.message.contains("also point to west.example.com and old.example.net"),
        "{verdict:?}"
    );
    let uncontested = of(&shared(), ConditionType::DomainUncontested, |_| {});
    assert_eq!(uncontested.reason.to_string(), "Uncontested");
}

#[test]
fn the_zone_snippet_and_the_records_in_the_status_have_the_other_targets() {
    let federation = validated(&shared());
    let mut seen = evidence(&federation);
    for (_, found) in &mut seen.dns.services {
        *found = reported([].into());
    }
    let view = View { federation: &federation, seen: &seen };
    let snippet = crate::dns::zone::snippet(&crate::dns::compare::records(view)).unwrap();
    assert_eq!(
        snippet,
        "_xmpp-server._tcp.example.com. 300 IN SRV 0 5 5269 xmpp.example.com.\n\
         _xmpp-server._tcp.example.com. 300 IN SRV 0 5 5269 west.example.com.\n\
         _xmpp-server._tcp.example.com. 300 IN SRV 20 0 15269 old.example.net.\n\
         _xmpps-server._tcp.example.com. 300 IN SRV 0 5 5270 xmpp.example.com.\n\
         _xmpps-server._tcp.example.com. 300 IN SRV 0 5 5270 west.example.com.\n"
    );
}

#[test]
fn xep0220_2_3_a_target_that_does_not_know_the_dialback_secret_is_named() {
    let verdict = of(&shared(), ConditionType::Accepted, |_| {});
    assert!(verdict.message.contains("verify dialback keys at west.example.com"), "{verdict:?}");
    let mut known = shared();
    known["dialback"] = json!({"secretRef": {"name": "shared"}});
    let mut standby = shared();
    standby["dns"]["srv"]["otherTargets"] = json!([{"host": "west.example.com", "priority": 10}]);
    for spec in [known, standby] {
        let verdict = of(&spec, ConditionType::Accepted, |_| {});
        assert_eq!(verdict.message, "The resource is valid.");
    }
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
    let mut spec = with_peer();
    spec["dns"] = json!({"trailingDot": false});
    let without_dot = of(&spec, ConditionType::SRVResolves, |seen| {
        seen.dns.services[0].1 = reported([].into());
    });
    let cure = "versions from 0.22 on need spec.dns.trailingDot: true";
    assert!(without_dot.message.contains(cure), "{without_dot:?}");
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
