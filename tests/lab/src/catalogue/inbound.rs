//! Faults that `InboundReachable` names: whether servers outside the cluster reach the engine.

use serde_json::json;

use super::address;
use super::engine::delete_pods;
use super::fault::{Fault, open};
use super::fixture::Fixture;
use crate::network::Host;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the evidence from outside is about an address that the load balancer no longer has",
        fixture: Fixture::Peered,
        inject: |stage| {
            let last = stage.address()?.to_string().rsplit('.').next().map(str::to_owned);
            let other = format!("198.18.200.2{:0>2}", last.unwrap_or_default());
            stage.respec(&json!({"service": {"annotations": {
                "metallb.universe.tf/loadBalancerIPs": other,
            }}}))
        },
        expected: open(
            "InboundReachable",
            "EvidenceStale",
            "from partner\\.example, came before the addresses or ports of the federation changed",
            "Ask someone at a remote domain to send you a message",
        ),
        consequences: &["HostResolves", "PeersReachable"],
        // New evidence comes with the next stream that the partner verifies, that of a new pod.
        repair: |stage| {
            address::restore(stage)?;
            delete_pods(stage)
        },
    },
    Fault {
        name: "a firewall resets connections to the engine's control port",
        fixture: Fixture::Plain,
        inject: |stage| {
            let pod = stage.pod()?;
            stage.filter(
                Host::Node,
                &format!("ip daddr {pod} tcp dport 9443 reject with tcp reset"),
                "",
            )
        },
        expected: open(
            "InboundReachable",
            "EvidenceUnavailable",
            "Cannot query engine pod example-",
            "9443",
        ),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
];
