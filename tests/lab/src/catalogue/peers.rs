//! Faults that `PeersReachable` names: the servers of others.

use serde_json::{Value, json};

use super::engine::delete_pods;
use super::fault::{Expected, Fault, kept, lost};
use super::fixture::Fixture;
use super::stage::Stage;
use crate::error::Result;
use crate::network::Host;

/// What every message names.
const SEE: &str = "status\\.peers";
/// A new pod opens a new stream.
const NEW_POD: &[&str] = &["EngineReady", "TLSVerified", "StreamVerified"];
/// The names of the peers below the domain of the stage.
const PEERS: [&str; 6] = ["closed", "filtered", "unknown", "nowhere", "disabled", "private"];

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
        name: "no peer can be reached",
        fixture: Fixture::Peered,
        inject: |stage| {
            let peers = [json!({"domain": "nobody.example"}), json!({"domain": "no-one.example"})];
            stage.respec(&json!({"peers": peers}))
        },
        expected: lost(
            "PeersReachable",
            "AllPeersFailed",
            "nobody\\.example: DomainNotFound.*no-one\\.example fails as well",
            SEE,
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "the peer's users have other addresses in federation than the one that is pinged",
        fixture: Fixture::Peered,
        inject: |stage| {
            // Prosody answers for a whole account whether it exists or not.
            let probe = json!({"to": "nobody@partner.example/desk"});
            stage.respec(&json!({"peers": [{"domain": "partner.example", "probe": probe}]}))
        },
        expected: kept(
            "PeersReachable",
            "AllPeersReachable",
            "partner\\.example answered the ping to nobody@partner\\.example/desk with an error",
            "other addresses in federation, for example their email addresses",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "nothing listens at the peer",
        fixture: Fixture::Peered,
        inject: |stage| {
            peer(stage, "closed", "0 5 5299 target.<domain>.", Some("198.19.0.30"))?;
            with(stage, &json!({"domain": name(stage, "closed")}))
        },
        expected: some("closed\\.<domain>: ConnectRefused, .*198\\.19\\.0\\.30"),
        consequences: &[],
        repair: forget,
    },
    Fault {
        name: "a firewall drops connections to the peer",
        fixture: Fixture::Peered,
        inject: |stage| {
            stage.filter(Host::Other, "tcp dport 5298 drop", "")?;
            peer(stage, "filtered", "0 5 5298 target.<domain>.", Some("198.19.0.30"))?;
            with(stage, &json!({"domain": name(stage, "filtered")}))
        },
        expected: some("filtered\\.<domain>: ConnectTimedOut, .*198\\.19\\.0\\.30"),
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
            peer(stage, "unknown", "0 5 5269 xmpp.partner.example.", None)?;
            with(stage, &json!({"domain": name(stage, "unknown")}))
        },
        expected: some("unknown\\.<domain>: HostUnknown"),
        consequences: &[],
        repair: forget,
    },
    Fault {
        name: "the peer's SRV record points to a host without address",
        fixture: Fixture::Peered,
        inject: |stage| {
            peer(stage, "nowhere", "0 5 5269 target.<domain>.", None)?;
            with(stage, &json!({"domain": name(stage, "nowhere")}))
        },
        expected: some("nowhere\\.<domain>: NoAddress"),
        consequences: &[],
        repair: forget,
    },
    Fault {
        name: "the peer declares that it does not federate",
        fixture: Fixture::Peered,
        inject: |stage| {
            peer(stage, "disabled", "0 0 0 .", None)?;
            with(stage, &json!({"domain": name(stage, "disabled")}))
        },
        expected: some("disabled\\.<domain>: SRVServiceDisabled"),
        consequences: &[],
        repair: forget,
    },
    Fault {
        name: "the peer has a private address",
        fixture: Fixture::Peered,
        inject: |stage| {
            peer(stage, "private", "0 5 5269 target.<domain>.", Some("10.1.2.3"))?;
            with(stage, &json!({"domain": name(stage, "private")}))
        },
        expected: some("private\\.<domain>: AddressNotAllowed, .*10\\.1\\.2\\.3"),
        consequences: &[],
        repair: forget,
    },
    Fault {
        name: "the policy denies the peer",
        fixture: Fixture::Peered,
        inject: |stage| {
            stage.respec(&json!({
                "peers": [{"domain": "partner.example"}, {"domain": "denied.example"}],
                "policy": {"rules": [{"domains": ["denied.example"], "action": "Deny"}]},
            }))
        },
        expected: some("denied\\.example: BlockedByLocalPolicy"),
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
            stage.respec(
                &json!({"peers": [{"domain": "partner.example", "profile": "Strict", "tls": {
                    "pins": ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],
                }}]}),
            )
        },
        expected: some("partner\\.example: PinMismatch"),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "dialback is disabled, and nobody trusts the peer's certificate",
        fixture: Fixture::Peered,
        inject: |stage| {
            stage.respec(&json!({"peers": [
                {"domain": "partner.example", "authentication": {"dialback": "Disabled"}},
            ]}))
        },
        expected: some(
            "partner\\.example: NoAuthenticationMethod, .*authentication\\.dialback` is Disabled",
        ),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "the peer requires TLS, and our settings disable it",
        fixture: Fixture::Peered,
        inject: |stage| {
            stage.respec(&json!({"peers": [
                {"domain": "partner.example", "profile": "LegacyDialback"},
            ]}))
        },
        expected: some("partner\\.example: NoAuthenticationMethod, .*the peer requires TLS"),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "a firewall resets connections from the peer, so that it cannot call back",
        fixture: Fixture::Peered,
        inject: |stage| {
            let address = stage.address()?;
            let rule =
                format!("ip daddr {address} tcp dport {{ 5269, 5270 }} reject with tcp reset");
            stage.filter(Host::Router, &rule, "")?;
            delete_pods(stage)
        },
        expected: some("partner\\.example: Dialback"),
        consequences: NEW_POD,
        repair: |stage| stage.no_filter(Host::Router),
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
            let rule =
                format!("ip saddr {pod} ip daddr {partner} meta l4proto tcp reject with tcp reset");
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

/// Each fault has a peer of its own, because the engine keeps DNS answers and what it knows of a peer.
fn name(stage: &Stage, label: &str) -> String {
    format!("{label}.{}", stage.domain)
}

/// Writes the records of a peer.
fn peer(stage: &Stage, label: &str, srv: &str, address: Option<&str>) -> Result<()> {
    let srv = srv.replace("target", &format!("target-{label}"));
    let address = address.map_or_else(String::new, |address| {
        format!("\nupdate add target-{label}.<domain> 1 A {address}")
    });
    stage.zone(&format!("update add _xmpp-server._tcp.{label}.<domain> 1 SRV {srv}{address}"))
}

/// Removes the peer and its records.
fn forget(stage: &Stage) -> Result<()> {
    stage.restore_spec()?;
    PEERS.iter().try_for_each(|label| {
        stage.zone(&format!(
            "update delete _xmpp-server._tcp.{label}.<domain>\nupdate delete target-{label}.<domain>"
        ))
    })
}
