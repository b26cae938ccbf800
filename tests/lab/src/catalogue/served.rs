//! Faults that `TLSVerified` names: what the engine's port serves.

use super::fault::{Fault, lost, open};
use super::fixture::Fixture;
use crate::network::Host;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "a network policy drops the operator's connections to the engine",
        fixture: Fixture::Plain,
        inject: |stage| {
            let pod = stage.pod()?;
            stage.filter(Host::Node, &format!("ip daddr {pod} tcp dport {{ 5269, 5270 }} drop"), "")
        },
        expected: open(
            "TLSVerified",
            "ConnectFailed",
            "cannot connect to engine pod example-.*timed out",
            "Check that NetworkPolicies allow it",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
    Fault {
        name: "a network policy permits the operator STARTTLS but not Direct TLS",
        fixture: Fixture::Plain,
        inject: |stage| {
            let pod = stage.pod()?;
            stage.filter(Host::Node, &format!("ip daddr {pod} tcp dport 5270 drop"), "")
        },
        expected: open(
            "TLSVerified",
            "ConnectFailed",
            "cannot connect to engine pod example-.* over Direct TLS on port 5270",
            "Check that NetworkPolicies allow it",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
    Fault {
        name: "another program answers at the pod's port for Direct TLS",
        fixture: Fixture::Plain,
        inject: |stage| {
            let (pod, other) = (stage.pod()?, Host::Node.address());
            let rule = format!("ip daddr {pod} tcp dport 5270 dnat to {other}:6443");
            stage.filter(Host::Node, "", &rule)
        },
        expected: lost(
            "TLSVerified",
            "HandshakeFailed",
            "Direct TLS on port 5270\\) with engine pod example-.* for <domain> failed",
            "Check the pod's log",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
    Fault {
        name: "a firewall resets the operator's connections to the engine",
        fixture: Fixture::Plain,
        inject: |stage| {
            let pod = stage.pod()?;
            stage.filter(
                Host::Node,
                &format!("ip daddr {pod} tcp dport {{ 5269, 5270 }} reject with tcp reset"),
                "",
            )
        },
        expected: open(
            "TLSVerified",
            "ConnectFailed",
            "cannot connect to engine pod example-.*refused",
            "Check that NetworkPolicies allow it",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
];
