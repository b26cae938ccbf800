//! Faults that `DomainUncontested` names: somebody else claims the domain.

use serde_json::json;

use super::fault::{Fault, lost, open};
use super::fixture::Fixture;
use super::stage::Stage;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "another server is named beside ours",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.zone("update add _xmpp-server._tcp.<domain> 1 SRV 0 5 5269 xmpp.partner.example.")
        },
        expected: lost(
            "DomainUncontested",
            "DomainClaimedElsewhere",
            "_xmpp-server\\._tcp\\.<domain> 0 5 5269 xmpp\\.partner\\.example points to another server",
            "add it to spec\\.dns\\.srv\\.otherTargets",
        ),
        consequences: &["SRVResolves"],
        repair: Stage::publish,
    },
    Fault {
        name: "another server is named for Direct TLS",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.zone(
                "update delete _xmpps-server._tcp.<domain> SRV\n\
                 update add _xmpps-server._tcp.<domain> 1 SRV 0 5 443 xmpp.partner.example.",
            )
        },
        expected: lost(
            "DomainUncontested",
            "DomainClaimedElsewhere",
            "_xmpps-server\\._tcp\\.<domain> 0 5 443 xmpp\\.partner\\.example points to another server",
            "remove <domain> from spec\\.domains",
        ),
        consequences: &["SRVResolves"],
        repair: Stage::publish,
    },
    Fault {
        name: "an older federation of the cluster has one of the domains",
        fixture: Fixture::Plain,
        inject: |stage| {
            let healthy = Stage::new(&stage.paths, Fixture::Healthy, 0);
            stage.respec(&json!({"domains": [{"name": stage.domain}, {"name": healthy.domain}]}))
        },
        expected: lost("DomainUncontested", "DomainConflict", "healthy-0\\.", "[Rr]emove"),
        consequences: &["Accepted"],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "no resolver answers the question who has the domain",
        fixture: Fixture::Plain,
        inject: |stage| stage.respec(&json!({"dns": {"resolvers": ["198.19.0.30:5398"]}})),
        expected: open(
            "DomainUncontested",
            "ResolverUnavailable",
            "SRV records of <domain>: .*198\\.19\\.0\\.30:5398",
            "Check spec\\.dns\\.resolvers",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
];
