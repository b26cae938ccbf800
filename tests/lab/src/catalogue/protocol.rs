//! Faults that `PeersReachable` names: a peer's server answers, and the stream fails at a step of the protocol.

use s2s_peer::partners::{cisco_imp, webex_messenger};
use serde_json::{Value, json};

use super::deviating::Deviation;
use super::fault::{Expected, Fault, lost};
use super::fixture::Fixture;
use super::simulated::{self, ORDINARY, Trait};
use super::stage::Stage;
use crate::error::Result;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the peer does not offer STARTTLS",
        fixture: Fixture::Peered,
        inject: |stage| {
            simulated::start(stage, "plain", cisco_imp::NO_TLS, ORDINARY)?;
            peer(stage, "plain", &json!({}))
        },
        expected: some("plain\\.<domain>: STARTTLSNotOffered"),
        consequences: &[],
        repair: |stage| forget(stage, "plain"),
    },
    Fault {
        name: "the peer supports no version of TLS that is still in use",
        fixture: Fixture::Peered,
        inject: |stage| {
            simulated::start(stage, "old", cisco_imp::OLD_TLS, ORDINARY)?;
            peer(stage, "old", &json!({}))
        },
        expected: some("old\\.<domain>: HandshakeFailed, .*ProtocolVersion"),
        consequences: &[],
        repair: |stage| forget(stage, "old"),
    },
    Fault {
        name: "the peer refuses SASL EXTERNAL, and dialback is disabled",
        fixture: Fixture::Peered,
        inject: |stage| {
            deviating(stage, "refuser", Deviation::RefusesExternal)?;
            let peer_settings = json!({"authentication": {"dialback": "Disabled"}});
            peer(stage, "refuser", &peer_settings)
        },
        expected: some("refuser\\.<domain>: SASLExternalRejected, "),
        consequences: &[],
        repair: |stage| forget(stage, "refuser"),
    },
    Fault {
        name: "the peer calls our dialback key invalid although we confirmed it",
        fixture: Fixture::Peered,
        inject: |stage| {
            deviating(stage, "confused", Deviation::DistrustsAnswers)?;
            peer(stage, "confused", &json!({}))
        },
        expected: some("confused\\.<domain>: DialbackInvalid, "),
        consequences: &[],
        repair: |stage| forget(stage, "confused"),
    },
    Fault {
        name: "the peer reports that it cannot connect to us to verify our dialback key",
        fixture: Fixture::Peered,
        inject: |stage| {
            deviating(stage, "isolated", Deviation::CannotCallBack)?;
            peer(stage, "isolated", &json!({}))
        },
        expected: some("isolated\\.<domain>: DialbackError, .*remote-server-not-found"),
        consequences: &[],
        repair: |stage| forget(stage, "isolated"),
    },
    Fault {
        name: "stanzas reach the peer, and nothing comes back",
        fixture: Fixture::Peered,
        inject: |stage| {
            simulated::start(stage, "mute", webex_messenger::WIRE, ORDINARY)?;
            let to = format!("echo@{}", simulated::name(stage, "mute"));
            peer(stage, "mute", &json!({"profile": "WebexMessenger", "probe": {"to": to}}))
        },
        expected: lost(
            "PeersReachable",
            "OneWay",
            "Stanzas reach mute\\.<domain>, but no answer to the ping to echo@mute\\.<domain> comes back",
            "compare InboundReachable, and ask its administrator",
        ),
        consequences: &[],
        repair: |stage| forget(stage, "mute"),
    },
    Fault {
        name: "the peer has IPv6 addresses only, and the cluster has no IPv6",
        fixture: Fixture::Peered,
        inject: |stage| {
            stage.zone(
                "update add target-six.<domain> 1 AAAA 2a00:1450:4001:80b::200e\n\
                 update add _xmpp-server._tcp.six.<domain> 1 SRV 0 5 5269 target-six.<domain>.",
            )?;
            peer(stage, "six", &json!({}))
        },
        expected: some("six\\.<domain>: NoRoute, .*2a00:1450:4001:80b::200e"),
        consequences: &[],
        repair: |stage| forget(stage, "six"),
    },
];

const fn some(culprit: &'static str) -> Expected {
    lost("PeersReachable", "SomePeersFailed", culprit, "status\\.peers")
}

fn deviating(stage: &Stage, label: &str, deviation: Deviation) -> Result<()> {
    let special = Trait { deviation: Some(deviation), ..ORDINARY };
    simulated::start(stage, label, webex_messenger::WIRE, special)
}

/// The simulated partner as a second peer, with these settings.
fn peer(stage: &Stage, label: &str, settings: &Value) -> Result<()> {
    let mut peer = json!({"domain": simulated::name(stage, label)});
    super::json::lay_over(&mut peer, settings);
    stage.respec(&json!({"peers": [{"domain": "partner.example"}, peer]}))
}

fn forget(stage: &Stage, label: &str) -> Result<()> {
    stage.restore_spec()?;
    simulated::stop(stage, label)
}
