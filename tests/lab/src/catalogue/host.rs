//! Faults that `HostResolves` names: the address records.

use serde_json::json;

use super::fault::{Fault, lost, open};
use super::fixture::Fixture;
use super::resolver::{self, CACHING, SPLIT, VALIDATING};
use super::stage::Stage;
use crate::error::Error;
use crate::network::Host;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the host has no address record",
        fixture: Fixture::Plain,
        inject: |stage| stage.zone("update delete <host> A"),
        expected: lost(
            "HostResolves",
            "RecordNotFound",
            "no address record for <host>",
            "zoneSnippet",
        ),
        consequences: &[],
        repair: Stage::publish,
    },
    Fault {
        name: "the host's record has the address of an old load balancer",
        fixture: Fixture::Plain,
        inject: |stage| stage.zone("update delete <host> A\nupdate add <host> 1 A 198.18.200.250"),
        expected: lost(
            "HostResolves",
            "AddressMismatch",
            "198\\.18\\.200\\.250 for <host>; expected <address>",
            "Delete 198\\.18\\.200\\.250 from the zone.*zoneSnippet",
        ),
        consequences: &[],
        repair: Stage::publish,
    },
    Fault {
        name: "the host's record has an old address beside the right one",
        fixture: Fixture::Plain,
        inject: |stage| stage.zone("update add <host> 1 A 198.18.200.250"),
        expected: lost(
            "HostResolves",
            "PartialMatch",
            "198\\.18\\.200\\.250.* for <host>; expected <address>",
            "Delete 198\\.18\\.200\\.250 from the zone",
        ),
        consequences: &[],
        repair: Stage::publish,
    },
    Fault {
        name: "the load balancer's address changed",
        fixture: Fixture::Plain,
        inject: |stage| {
            let last = stage.address()?.to_string().rsplit('.').next().map(str::to_owned);
            let other = format!("198.18.200.1{:0>2}", last.unwrap_or_default());
            stage.respec(&json!({"service": {"annotations": {
                "metallb.universe.tf/loadBalancerIPs": other,
            }}}))
        },
        expected: lost(
            "HostResolves",
            "AddressMismatch",
            "for <host>; expected <address>",
            "zoneSnippet",
        ),
        consequences: &[],
        repair: |stage| {
            stage.restore_spec()?;
            stage.publish()
        },
    },
    Fault {
        name: "the public address of the firewall is not in DNS",
        fixture: Fixture::Plain,
        inject: |stage| stage.respec(&json!({"service": {"publicAddresses": ["198.19.0.100"]}})),
        expected: lost(
            "HostResolves",
            "AddressMismatch",
            "for <host>; expected 198\\.19\\.0\\.100, as set in spec\\.service\\.publicAddresses",
            "zoneSnippet",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "a resolver of split-horizon DNS has an inner address",
        fixture: Fixture::Plain,
        inject: |stage| {
            let resolver = format!("{}:{SPLIT}", Host::Other.address());
            stage.respec(&json!({"dns": {"resolvers": [resolver]}}))
        },
        expected: lost(
            "HostResolves",
            "AddressMismatch",
            "DNS server 198\\.19\\.0\\.30:5353 has 10\\.18\\.0\\.77 for <host>",
            "split-horizon DNS: set spec\\.dns\\.resolvers",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "a resolver still has the old address cached",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.zone("update delete <host> A\nupdate add <host> 120 A 198.18.200.250")?;
            let cached = resolver::cache(&stage.host)?;
            stage.zone("update delete <host> A\nupdate add <host> 1 A <address>")?;
            if cached != "198.18.200.250" {
                return Err(Error::State(format!("the resolver caches {cached:?}")));
            }
            let resolver = format!("{}:{CACHING}", Host::Other.address());
            stage.respec(&json!({"dns": {"resolvers": [resolver]}}))
        },
        expected: lost(
            "HostResolves",
            "StaleCache",
            "resolver 198\\.19\\.0\\.30:5355 still answers with 198\\.18\\.200\\.250",
            "cached answer",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "a validating resolver rejects the signatures of the zone",
        fixture: Fixture::Plain,
        inject: |stage| {
            let resolver = format!("{}:{VALIDATING}", Host::Other.address());
            stage.respec(&json!({"dns": {"resolvers": [resolver]}}))
        },
        expected: lost(
            "HostResolves",
            "DNSSECBogus",
            "Resolver 198\\.19\\.0\\.30:5354 rejects the DNSSEC signatures of <host>",
            "Sign the zone again, or correct the DS records in its parent zone",
        ),
        consequences: &["SRVResolves"],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "the resolver is down",
        fixture: Fixture::Plain,
        inject: |stage| stage.respec(&json!({"dns": {"resolvers": ["198.19.0.30:5399"]}})),
        expected: open(
            "HostResolves",
            "ResolverUnavailable",
            "<host>: .*198\\.19\\.0\\.30:5399",
            "spec\\.dns\\.resolvers",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "the zone is delegated to a server that does not answer",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.zone(
                "update add ns.<domain> 1 A 198.19.0.30\nupdate add <domain> 1 NS ns.<domain>.",
            )
        },
        expected: lost(
            "HostResolves",
            "DelegationBroken",
            "DNS server 198\\.19\\.0\\.53 delegates the name",
            "Correct the NS records of the delegation",
        ),
        consequences: &["SRVResolves"],
        repair: |stage| stage.zone("update delete <domain> NS\nupdate delete ns.<domain>"),
    },
];
