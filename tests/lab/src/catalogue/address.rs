//! Faults that `AddressAssigned` names: the address of the load balancer.

use std::time::Duration;

use serde_json::json;

use super::fault::{Fault, lost};
use super::fixture::Fixture;
use super::stage::{NAME, Stage};
use crate::error::Result;
use crate::wait::{Seen, Wait};

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the pool of addresses does not exist",
        fixture: Fixture::Plain,
        inject: |stage| annotate(stage, "metallb.universe.tf/address-pool", "missing"),
        expected: lost(
            "AddressAssigned",
            "AllocationFailed",
            "Service example.*AllocationFailed: .*missing",
            "Give it a free address",
        ),
        consequences: &[],
        repair: restore,
    },
    Fault {
        name: "the requested address is in no pool",
        fixture: Fixture::Plain,
        inject: |stage| annotate(stage, "metallb.universe.tf/loadBalancerIPs", "203.0.113.7"),
        expected: lost(
            "AddressAssigned",
            "AllocationFailed",
            "Service example.*AllocationFailed: .*203\\.0\\.113\\.7",
            "Give it a free address",
        ),
        consequences: &[],
        repair: restore,
    },
    Fault {
        name: "another Service has the requested address",
        fixture: Fixture::Plain,
        inject: |stage| {
            let taken = Stage::new(&stage.paths, Fixture::Healthy, 0).address()?.to_string();
            annotate(stage, "metallb.universe.tf/loadBalancerIPs", &taken)
        },
        expected: lost(
            "AddressAssigned",
            "AllocationFailed",
            "Service example.*AllocationFailed: .*in use by catalogue-healthy-0/example",
            "Give it a free address",
        ),
        consequences: &[],
        repair: restore,
    },
    Fault {
        name: "the load balancer has a private address, and no NAT is configured",
        fixture: Fixture::Plain,
        inject: |stage| annotate(stage, "metallb.universe.tf/loadBalancerIPs", "10.18.200.20"),
        expected: lost(
            "AddressAssigned",
            "AddressNotUsable",
            "assigned 10\\.18\\.200\\.20",
            "set spec\\.service\\.publicAddresses to the firewall's address",
        ),
        consequences: &[],
        repair: restore,
    },
    Fault {
        name: "the class of the load balancer was changed",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.respec(&json!({"service": {"loadBalancerClass": "example.com/fast"}}))
        },
        expected: lost(
            "AddressAssigned",
            "ReplacementNeeded",
            "Service example in place: .*loadBalancerClass",
            "allow-service-replacement",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
];

fn annotate(stage: &Stage, name: &str, value: &str) -> Result<()> {
    stage.respec(&json!({"service": {"annotations": {name: value}}}))
}

/// Gives the Service an address of the public pool again, and publishes it. The controller keeps an address that is in any
/// pool, so the pool is requested first.
pub(super) fn restore(stage: &Stage) -> Result<()> {
    annotate(stage, "metallb.universe.tf/address-pool", "internet")?;
    Wait::new("an address of the public pool", Duration::from_mins(1)).until(|| {
        let service = stage.get("service", NAME)?;
        let annotations = service.pointer("/metadata/annotations").and_then(|all| all.as_object());
        let requested = annotations.and_then(|all| all.get("metallb.universe.tf/address-pool"));
        let done = requested.is_some_and(|pool| pool == "internet")
            && !annotations
                .is_some_and(|all| all.keys().any(|key| key.ends_with("/loadBalancerIPs")));
        let address = stage.address().map(|address| address.to_string()).unwrap_or_default();
        Ok(Seen::done_if(done && address.starts_with("198.18.200."), address))
    })?;
    stage.restore_spec()?;
    stage.publish()
}
