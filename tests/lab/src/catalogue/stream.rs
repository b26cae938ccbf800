//! Faults that `StreamVerified` names: what answers on the engine's port.

use super::fault::{Fault, lost};
use super::fixture::Fixture;
use super::stage::Stage;
use crate::error::Result;
use crate::network::Host;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "another engine answers at the pod's address",
        fixture: Fixture::Plain,
        inject: |stage| {
            let other = Stage::new(&stage.paths, Fixture::Healthy, 0).pod()?;
            divert(stage, &other.to_string())
        },
        expected: lost(
            "StreamVerified",
            "HostUnknown",
            "Engine pod example-.* does not know <domain>",
            "Check its log",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
    Fault {
        name: "another program answers at the pod's address",
        fixture: Fixture::Plain,
        inject: |stage| {
            // The API server: it answers anything but TLS with an alert.
            divert(stage, &format!("{}:6443", Host::Node.address()))
        },
        expected: lost(
            "StreamVerified",
            "NotXMPP",
            "engine pod example-.* does not speak XMPP",
            "Check that nothing else uses the pod's address",
        ),
        consequences: &["TLSVerified"],
        repair: |stage| stage.no_filter(Host::Node),
    },
    Fault {
        name: "another engine answers at the pod's port for Direct TLS",
        fixture: Fixture::Plain,
        inject: |stage| {
            let other = Stage::new(&stage.paths, Fixture::Healthy, 0).pod()?;
            divert_port(stage, "5270", &other.to_string())
        },
        expected: lost(
            "StreamVerified",
            "HostUnknown",
            "Engine pod example-.* does not know <domain>",
            "Check its log",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
    Fault {
        name: "the server of another domain answers at the pod's address",
        fixture: Fixture::Plain,
        inject: |stage| divert_port(stage, "5269", &Host::Partner.address().to_string()),
        expected: lost(
            "StreamVerified",
            "HostUnknown",
            "Engine pod example-.* does not know <domain>",
            "Check its log",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
];

/// Leads connections to the engine pod elsewhere.
fn divert(stage: &Stage, to: &str) -> Result<()> {
    divert_port(stage, "{ 5269, 5270 }", to)
}

fn divert_port(stage: &Stage, ports: &str, to: &str) -> Result<()> {
    let pod = stage.pod()?;
    let rule = format!("ip daddr {pod} tcp dport {ports} dnat to {to}");
    stage.filter(Host::Node, "", &rule)
}
