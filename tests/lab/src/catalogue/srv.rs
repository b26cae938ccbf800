//! Faults that `SRVResolves` names: the SRV records.

use super::fault::{Fault, lost};
use super::fixture::Fixture;
use super::stage::Stage;
use crate::addons;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the SRV record is missing",
        fixture: Fixture::Plain,
        inject: |stage| stage.zone("update delete _xmpp-server._tcp.<domain> SRV"),
        expected: lost(
            "SRVResolves",
            "SRVNotFound",
            "no SRV record _xmpp-server\\._tcp\\.<domain>",
            "Add this line to the zone: _xmpp-server\\._tcp\\.<domain>\\. 300 IN SRV 0 5 5269 <host>\\.",
        ),
        consequences: &[],
        repair: Stage::publish,
    },
    Fault {
        name: "the SRV record for Direct TLS is missing",
        fixture: Fixture::Plain,
        inject: |stage| stage.zone("update delete _xmpps-server._tcp.<domain> SRV"),
        expected: lost(
            "SRVResolves",
            "SRVNotFound",
            "no SRV record _xmpps-server\\._tcp\\.<domain>",
            "Add this line to the zone: _xmpps-server",
        ),
        consequences: &[],
        repair: Stage::publish,
    },
    Fault {
        name: "the SRV record has another port",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.zone(
                "update delete _xmpp-server._tcp.<domain> SRV\n\
                 update add _xmpp-server._tcp.<domain> 1 SRV 0 5 5222 <host>.",
            )
        },
        expected: lost(
            "SRVResolves",
            "SRVPortMismatch",
            "_xmpp-server\\._tcp\\.<domain> <host> with port 5222; expected port 5269",
            "Correct the record",
        ),
        consequences: &[],
        repair: Stage::publish,
    },
    Fault {
        name: "an old SRV record is left beside the right one",
        fixture: Fixture::Plain,
        inject: |stage| stage.zone("update add _xmpp-server._tcp.<domain> 1 SRV 10 5 5299 <host>."),
        expected: lost(
            "SRVResolves",
            "StaleRecord",
            "an old one: 10 5 5299 <host>",
            "Delete the line `_xmpp-server\\._tcp\\.<domain>\\. IN SRV 10 5 5299 <host>\\.`",
        ),
        consequences: &[],
        repair: Stage::publish,
    },
    Fault {
        name: "the SRV record points to another provider",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.zone(
                "update delete _xmpp-server._tcp.<domain> SRV\n\
                 update add _xmpp-server._tcp.<domain> 1 SRV 0 5 5269 xmpp.partner.example.",
            )
        },
        expected: lost(
            "SRVResolves",
            "ClaimedElsewhere",
            "_xmpp-server\\._tcp\\.<domain> 0 5 5269 xmpp\\.partner\\.example",
            "delete that record",
        ),
        consequences: &["DomainUncontested"],
        repair: Stage::publish,
    },
    Fault {
        name: "the SRV record declares that the domain does not federate",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.zone(
                "update delete _xmpp-server._tcp.<domain> SRV\n\
                 update add _xmpp-server._tcp.<domain> 1 SRV 0 0 0 .",
            )
        },
        expected: lost(
            "SRVResolves",
            "ServiceDisabled",
            "_xmpp-server\\._tcp\\.<domain> with target \"\\.\"",
            "Delete that record",
        ),
        consequences: &[],
        repair: Stage::publish,
    },
    Fault {
        name: "the records of the domain are delegated to a server that does not answer",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.zone(
                "update add ns.<domain> 1 A 198.19.0.30\nupdate add _tcp.<domain> 1 NS ns.<domain>.",
            )
        },
        expected: lost(
            "SRVResolves",
            "DelegationBroken",
            "DNS server 198\\.19\\.0\\.53 delegates the name",
            "Correct the NS records of the delegation",
        ),
        consequences: &[],
        repair: |stage| stage.zone("update delete _tcp.<domain> NS\nupdate delete ns.<domain>"),
    },
    Fault {
        name: "external-dns does not manage SRV records",
        fixture: Fixture::Published,
        inject: |stage| {
            addons::restart_external_dns(&stage.paths, &["A", "AAAA", "CNAME"])?;
            stage.zone(
                "update delete _xmpp-server._tcp.<domain> SRV\n\
                 update delete _xmpps-server._tcp.<domain> SRV",
            )
        },
        expected: lost(
            "SRVResolves",
            "SRVTypeNotManaged",
            "does not publish _xmpp-server\\._tcp\\.<domain>",
            "--managed-record-types=SRV",
        ),
        consequences: &[],
        repair: |stage| addons::restart_external_dns(&stage.paths, &addons::RECORD_TYPES),
    },
];
