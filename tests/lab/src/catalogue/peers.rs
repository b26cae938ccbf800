//! Faults that `PeersReachable` names: the servers of others.

use serde_json::{Value, json};

use super::fault::{Expected, Fault, lost};
use super::fixture::Fixture;
use super::stage::Stage;
use crate::error::Result;
use crate::network::Host;

/// What is True again when the peer is removed.
const SEE: &str = "status\\.peers";

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the peer's domain does not exist",
        fixture: Fixture::Peered,
        inject: |stage| with(stage, &json!({"domain": "nobody.example"})),
        expected: some("nobody\\.example: DomainNotFound"),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "nothing listens at the peer",
        fixture: Fixture::Peered,
        inject: |stage| {
            peer(stage, "0 5 5299 target.<domain>.", Some("198.19.0.30"))?;
            with(stage, &json!({"domain": name(stage)}))
        },
        expected: some("peer\\.<domain>: ConnectRefused, .*198\\.19\\.0\\.30"),
        consequences: &[],
        repair: forget,
    },
    Fault {
        name: "a firewall drops connections to the peer",
        fixture: Fixture::Peered,
        inject: |stage| {
            stage.filter(Host::Other, "tcp dport 5298 drop", "")?;
            peer(stage, "0 5 5298 target.<domain>.", Some("198.19.0.30"))?;
            with(stage, &json!({"domain": name(stage)}))
        },
        expected: some("peer\\.<domain>: ConnectTimedOut, .*198\\.19\\.0\\.30"),
        consequences: &[],
        repair: |stage| {
            stage.no_filter(Host::Other)?;
            forget(stage)
        },
    },
    Fault {
        name: "the peer's server does not host its domain",
        fixture: Fixture::Peered,
        inject: |stage| {
            peer(stage, "0 5 5269 xmpp.partner.example.", None)?;
            with(stage, &json!({"domain": name(stage)}))
        },
        expected: some("peer\\.<domain>: HostUnknown"),
        consequences: &[],
        repair: forget,
    },
    Fault {
        name: "the peer's SRV record points to a host without address",
        fixture: Fixture::Peered,
        inject: |stage| {
            peer(stage, "0 5 5269 target.<domain>.", None)?;
            with(stage, &json!({"domain": name(stage)}))
        },
        expected: some("peer\\.<domain>: NoAddress"),
        consequences: &[],
        repair: forget,
    },
    Fault {
        name: "the peer declares that it does not federate",
        fixture: Fixture::Peered,
        inject: |stage| {
            peer(stage, "0 0 0 .", None)?;
            with(stage, &json!({"domain": name(stage)}))
        },
        expected: some("peer\\.<domain>: SrvServiceDisabled"),
        consequences: &[],
        repair: forget,
    },
    Fault {
        name: "the peer has a private address",
        fixture: Fixture::Peered,
        inject: |stage| {
            peer(stage, "0 5 5269 target.<domain>.", Some("10.1.2.3"))?;
            with(stage, &json!({"domain": name(stage)}))
        },
        expected: some("peer\\.<domain>: AddressNotAllowed, .*10\\.1\\.2\\.3"),
        consequences: &[],
        repair: forget,
    },
    Fault {
        name: "the policy denies the peer",
        fixture: Fixture::Peered,
        inject: |stage| {
            stage.respec(&json!({"policy": {"rules": [
                {"domains": ["partner.example"], "action": "Deny"},
            ]}}))
        },
        expected: some("partner\\.example: BlockedByLocalPolicy"),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "the peer's certificate is of an authority that is not trusted",
        fixture: Fixture::Peered,
        inject: |stage| {
            stage.respec(&json!({"peers": [{"domain": "partner.example", "profile": "Strict"}]}))
        },
        expected: some("partner\\.example: CertificateUntrusted"),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "the peer's key is not the pinned one",
        fixture: Fixture::Peered,
        inject: |stage| {
            stage.respec(&json!({"peers": [{"domain": "partner.example", "tls": {
                "verification": "Required",
                "pins": ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],
            }}]}))
        },
        expected: some("partner\\.example: PinMismatch"),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "a required peer cannot be reached",
        fixture: Fixture::Peered,
        inject: |stage| with(stage, &json!({"domain": "nobody.example", "required": true})),
        expected: lost(
            "Ready",
            "PeersReachable",
            "Required peer nobody\\.example is not reachable: DomainNotFound",
            "",
        ),
        consequences: &["PeersReachable"],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "a firewall resets connections from the cluster to the peer",
        fixture: Fixture::Peered,
        inject: |stage| {
            let (pod, partner) = (stage.pod()?, Host::Partner.address());
            let rule = format!("ip saddr {pod} ip daddr {partner} meta l4proto tcp reject with tcp reset");
            stage.filter(Host::Node, &rule, "")
        },
        expected: some("partner\\.example: Connect"),
        consequences: &[],
        repair: |stage| stage.no_filter(Host::Node),
    },
];

const fn some(culprit: &'static str) -> Expected {
    lost("PeersReachable", "SomePeersFailed", culprit, SEE)
}

/// The partner, and one more peer.
fn with(stage: &Stage, peer: &Value) -> Result<()> {
    stage.respec(&json!({"peers": [{"domain": "partner.example"}, peer]}))
}

fn name(stage: &Stage) -> String {
    format!("peer.{}", stage.domain)
}

/// Writes the records of a peer.
fn peer(stage: &Stage, srv: &str, address: Option<&str>) -> Result<()> {
    let address = address
        .map_or_else(String::new, |address| format!("\nupdate add target.<domain> 1 A {address}"));
    stage.zone(&format!("update add _xmpp-server._tcp.peer.<domain> 1 SRV {srv}{address}"))
}

fn forget(stage: &Stage) -> Result<()> {
    stage.restore_spec()?;
    stage.zone("update delete _xmpp-server._tcp.peer.<domain>\nupdate delete target.<domain>")
}
