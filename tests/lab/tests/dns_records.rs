//! What the operator wants in DNS, publishes and judges, before a real API server, BIND and external-dns.

use std::collections::BTreeSet;

use lab::dns_stage::{ADDRESS, DnsStage, ZONE};
use lab::error::Result;
use lab::external_dns::Version;
use lab::parts::OldExternalDns;
use lab::wait::Seen;
use serde_json::{Value, json};

const XMPP: &str = "_xmpp-server._tcp.edge.example";
const XMPPS: &str = "_xmpps-server._tcp.edge.example";

fn ip() -> Value {
    json!({"ip": ADDRESS})
}

/// Deletes all that external-dns wrote: with RFC 2136, it never deletes SRV records.
fn empty(stage: &DnsStage) -> Result<()> {
    let names = [XMPP.to_owned(), XMPPS.to_owned(), format!("xmpp.{ZONE}")];
    let of = |name: &String| {
        let kinds = ["a", "aaaa", "srv", "cname"];
        let texts = kinds.map(|kind| format!("update delete {kind}.{name}"));
        format!("update delete {name}\n{}", texts.join("\n"))
    };
    stage.update(&names.each_ref().map(of).join("\n"))
}

#[test]
fn each_version_of_external_dns_publishes_the_records_or_the_status_says_why_not() {
    let mut stage = DnsStage::start().unwrap();
    // There are no nodes here, so the engine is never ready.
    stage.federate("example", &json!({"dns": {"publish": "WhenEngineReady"}})).unwrap();
    stage.assign("example", &ip()).unwrap();
    stage.until("example", "SRVResolves", "Unknown", "PublicationHeld").unwrap();
    stage.patch("example", &json!({"dns": {"publish": "Always"}})).unwrap();
    let message = stage.until("example", "SRVResolves", "False", "ExternalDNSNotWatching").unwrap();
    assert!(message.contains("Run it with --source=crd"), "{message}");

    // 0.20 refuses a target with trailing dot.
    stage.run_external_dns(Version::Old(OldExternalDns::V0_20)).unwrap();
    stage.until("example", "HostResolves", "True", "RecordsMatch").unwrap();
    let message = stage.until("example", "SRVResolves", "False", "SRVTypeNotManaged").unwrap();
    assert!(message.contains("versions up to 0.20 need spec.dns.trailingDot: false"), "{message}");
    stage.patch("example", &json!({"dns": {"trailingDot": false}})).unwrap();
    stage.until("example", "SRVResolves", "True", "RecordsMatch").unwrap();

    // 0.21 writes no SRV record in either form.
    stage.run_external_dns(Version::Old(OldExternalDns::V0_21)).unwrap();
    empty(&stage).unwrap();
    stage.until("example", "HostResolves", "True", "RecordsMatch").unwrap();
    let message = stage.until("example", "SRVResolves", "False", "SRVTypeNotManaged").unwrap();
    assert!(message.contains("version 0.21.0 cannot publish SRV records at all"), "{message}");

    // 0.22 refuses a target without trailing dot.
    stage.run_external_dns(Version::Current).unwrap();
    let message = stage.until("example", "SRVResolves", "False", "SRVTypeNotManaged").unwrap();
    assert!(message.contains("versions from 0.22 on need spec.dns.trailingDot: true"), "{message}");
    stage.patch("example", &json!({"dns": {"trailingDot": true}})).unwrap();
    stage.until("example", "SRVResolves", "True", "RecordsMatch").unwrap();
    assert_eq!(stage.dig(XMPP, "SRV").unwrap(), ["0 5 5269 xmpp.edge.example."]);
    assert_eq!(stage.dig(XMPPS, "SRV").unwrap(), ["0 5 5270 xmpp.edge.example."]);
}

#[test]
fn two_federations_that_name_each_other_publish_one_set_of_records() {
    let mut stage = DnsStage::start().unwrap();
    stage.run_external_dns(Version::Current).unwrap();
    let west = json!({"host": "west.edge.example", "dns": {"srv": {"otherTargets": [
        {"host": "east.edge.example", "directTlsPort": 5270, "priority": 10}
    ]}}});
    let alone = json!({"host": "east.edge.example", "dns": {"srv": {"priority": 10}}});
    let east = json!({"dns": {"srv": {"otherTargets": [
        {"host": "west.edge.example", "directTlsPort": 5270}
    ]}}});
    stage.federate("west", &west).unwrap();
    stage.assign("west", &ip()).unwrap();
    stage.until("west", "Accepted", "True", "Accepted").unwrap();
    // One side alone cannot share.
    stage.federate("east", &alone).unwrap();
    let message = stage.until("east", "Accepted", "False", "DomainConflict").unwrap();
    assert!(
        message
            .contains("To share it, each must name the other's host in spec.dns.srv.otherTargets"),
        "{message}"
    );
    stage.patch("east", &east).unwrap();
    stage.until("east", "Accepted", "True", "Accepted").unwrap();
    stage.assign("east", &json!({"ip": "198.18.80.2"})).unwrap();
    let both = ["0 5 5269 west.edge.example.", "10 5 5269 east.edge.example."];
    for name in ["west", "east"] {
        let message = stage.until(name, "SRVResolves", "True", "RecordsMatch").unwrap();
        assert!(message.contains("also point to"), "{message}");
        stage.until(name, "DomainUncontested", "True", "Uncontested").unwrap();
        stage.until(name, "HostResolves", "True", "RecordsMatch").unwrap();
    }
    assert_eq!(stage.dig(XMPP, "SRV").unwrap(), both);
    let resolvers = stage.snapshot("east").unwrap().object["status"]["resolvers"].clone();
    assert_eq!(resolvers, json!([stage.dns().to_string()]));

    // A server that neither names is still a stranger.
    stage.update(&format!("update add {XMPP} 30 SRV 0 5 5269 im.stranger.example.")).unwrap();
    for name in ["west", "east"] {
        let message = stage.until(name, "SRVResolves", "False", "ClaimedElsewhere").unwrap();
        assert!(message.contains("im.stranger.example"), "{message}");
    }
}

#[test]
fn a_foreign_record_is_replaced_only_by_a_takeover_and_its_owner_is_quoted() {
    let mut stage = DnsStage::start().unwrap();
    stage.run_external_dns(Version::Current).unwrap();
    let foreign = format!(
        "update add {XMPP} 30 SRV 0 5 5269 old.edge.example.\n\
         update add srv-{XMPP} 30 TXT \"heritage=external-dns,external-dns/owner=west,external-dns/resource=crd/chat/old\"\n\
         update add xmpp.{ZONE} 30 A 198.18.80.9\n\
         update add a-xmpp.{ZONE} 30 TXT \"heritage=external-dns,external-dns/owner=west,external-dns/resource=service/web/nginx\""
    );
    stage.update(&foreign).unwrap();
    stage.federate("example", &json!({})).unwrap();
    // The record was seen before there is a target for ours.
    stage.until("example", "DomainUncontested", "False", "DomainClaimedElsewhere").unwrap();
    stage.assign("example", &ip()).unwrap();
    let message = stage.until("example", "SRVResolves", "False", "ClaimedElsewhere").unwrap();
    assert!(
        message.contains("external-dns with owner ID \"west\" (resource crd/chat/old)"),
        "{message}"
    );
    assert!(message.contains("The operator publishes no SRV record while it exists"), "{message}");
    let message = stage.until("example", "HostResolves", "False", "OwnedByOther").unwrap();
    assert!(message.contains("owner ID \"west\" (resource service/web/nginx)"), "{message}");
    let endpoint = |stage: &DnsStage| {
        let get = ["get", "dnsendpoint", "example-srv", "-n", "im", "-o", "name"];
        stage.server.kubectl().args(get).output().unwrap().status.success()
    };
    assert!(!endpoint(&stage), "published although a foreign record exists");

    stage.patch("example", &json!({"dns": {"takeover": true}})).unwrap();
    stage
        .wait("our record beside the foreign one", |stage| {
            let found: BTreeSet<String> = stage.dig(XMPP, "SRV")?.into_iter().collect();
            Ok(Seen::done_if(found.len() == 2, format!("{found:?}")))
        })
        .unwrap();
    let message = stage
        .wait("the takeover in the message", |stage| {
            let now = stage.snapshot("example")?;
            let found = now.condition("SRVResolves").map(|found| found.message.clone());
            let found = found.unwrap_or_default();
            if found.contains("as set in spec.dns.takeover") {
                return Ok(Seen::Done(found));
            }
            Ok(Seen::NotYet(found))
        })
        .unwrap();
    assert!(message.contains("delete that record"), "{message}");
    stage.update(&format!("update delete {XMPP} SRV 0 5 5269 old.edge.example.")).unwrap();
    stage.until("example", "SRVResolves", "True", "RecordsMatch").unwrap();
    stage.until("example", "DomainUncontested", "True", "Uncontested").unwrap();
}

#[test]
fn a_load_balancer_with_a_host_name_needs_addresses_behind_it() {
    let mut stage = DnsStage::start().unwrap();
    stage.run_external_dns(Version::Current).unwrap();
    stage.federate("example", &json!({})).unwrap();
    stage.assign("example", &json!({"hostname": "lb.edge.example"})).unwrap();
    // SRV records are as wanted, but their target is NXDOMAIN.
    stage.until("example", "SRVResolves", "True", "RecordsMatch").unwrap();
    assert_eq!(stage.dig(XMPP, "SRV").unwrap(), ["0 5 5269 lb.edge.example."]);
    let message = stage.until("example", "HostResolves", "False", "RecordNotFound").unwrap();
    assert!(message.contains("no address record for lb.edge.example"), "{message}");
    stage.update(&format!("update add lb.{ZONE} 30 A {ADDRESS}")).unwrap();
    stage.until("example", "HostResolves", "True", "NotNeeded").unwrap();

    // The other way: records that somebody manages by hand, to the host, which is an alias or has the addresses itself.
    stage.patch("example", &json!({"dns": {"mode": "Manual"}})).unwrap();
    stage.until("example", "Accepted", "True", "Accepted").unwrap();
    let to_host = |alias: &str| {
        format!(
            "update delete {XMPP} SRV\nupdate delete {XMPPS} SRV\nupdate delete xmpp.{ZONE}\n\
             update add {XMPP} 30 SRV 0 5 5269 xmpp.{ZONE}.\nupdate add {XMPPS} 30 SRV 0 5 5270 xmpp.{ZONE}.\n\
             update add xmpp.{ZONE} 30 {alias}"
        )
    };
    stage.update(&to_host(&format!("CNAME lb.{ZONE}."))).unwrap();
    let message = stage.until("example", "SRVResolves", "True", "RecordsMatchViaAlias").unwrap();
    assert!(message.contains("RFC 2782 forbids an alias"), "{message}");
    stage.update(&to_host(&format!("A {ADDRESS}"))).unwrap();
    stage
        .wait("the host's own addresses in the message", |stage| {
            let now = stage.snapshot("example")?;
            let found = now.condition("SRVResolves").map(|found| found.message.clone());
            let found = found.unwrap_or_default();
            Ok(Seen::done_if(
                found.contains("has the addresses of the load balancer"),
                found.clone(),
            ))
        })
        .unwrap();
    // The host has another address, so the records lead to another load balancer.
    stage.update(&to_host("A 198.18.80.9")).unwrap();
    let message = stage.until("example", "SRVResolves", "False", "SRVTargetMismatch").unwrap();
    assert!(message.contains("expected target lb.edge.example"), "{message}");
}

#[test]
fn rfc4035_5_5_a_zone_that_is_bogus_for_one_resolver_is_named() {
    let mut stage = DnsStage::start().unwrap();
    stage.run_external_dns(Version::Current).unwrap();
    let validating = stage.break_signatures().unwrap();
    let resolvers = json!([stage.dns().to_string(), validating.to_string()]);
    stage.federate("example", &json!({"dns": {"resolvers": resolvers}})).unwrap();
    stage.assign("example", &ip()).unwrap();
    for kind in ["HostResolves", "SRVResolves"] {
        let message = stage.until("example", kind, "False", "DNSSECBogus").unwrap();
        let start = format!("Resolver {validating} rejects the DNSSEC signatures of ");
        assert!(message.starts_with(&start), "{message}");
    }
}
