//! Faults that `DomainUncontested` names: a partner hosts the domain itself.

use s2s_peer::partners::partner::{Claim, Unknown};
use s2s_peer::partners::{cisco_imp, google_talk, webex_messenger};
use serde_json::json;

use super::deviating::Deviation;
use super::fault::{Expected, Fault, lost, open};
use super::fixture::Fixture;
use super::simulated::{self, ORDINARY, Trait};
use super::stage::Stage;
use crate::error::Result;

/// The refused stream makes the peer unreachable.
const REFUSED: &[&str] = &["PeersReachable"];

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "Google hosts the domain for a customer",
        fixture: Fixture::Peered,
        inject: |stage| {
            let google = Trait { claim: Some(google_talk::CLAIM), ..ORDINARY };
            simulated::start(stage, "google", google_talk::WIRE, google)?;
            peer(stage, "google", "LegacyDialback")
        },
        expected: claimed(
            "google\\.<domain> appears to host <domain> itself: .*<domain> is a Google Apps Domain with Talk service enabled",
        ),
        consequences: REFUSED,
        repair: |stage| forget(stage, "google"),
    },
    Fault {
        name: "the domain is registered with WebEx, which calls our dialback key invalid",
        fixture: Fixture::Peered,
        inject: |stage| {
            let webex = Trait { claim: Some(webex_messenger::CLAIM), ..ORDINARY };
            simulated::start(stage, "webex", webex_messenger::WIRE, webex)?;
            peer(stage, "webex", "WebexMessenger")
        },
        expected: claimed("webex\\.<domain> appears to host <domain> itself: "),
        consequences: REFUSED,
        repair: |stage| forget(stage, "webex"),
    },
    Fault {
        name: "a partner answers our dialback key with an error, because it hosts the domain",
        fixture: Fixture::Peered,
        inject: |stage| {
            let claim = Claim::Error { condition: "forbidden", text: "{} is hosted here" };
            let hoster = Trait { claim: Some(claim), ..ORDINARY };
            simulated::start(stage, "hoster", webex_messenger::WIRE, hoster)?;
            peer(stage, "hoster", "WebexMessenger")
        },
        expected: claimed("hoster\\.<domain> appears to host <domain> itself: .*forbidden"),
        consequences: REFUSED,
        repair: |stage| forget(stage, "hoster"),
    },
    Fault {
        name: "a partner accepts streams for the domain, as the claim check shows",
        fixture: Fixture::Peered,
        inject: |stage| {
            let host = Trait { hosts_us: true, unknown: Unknown::HostUnknown, ..ORDINARY };
            simulated::start(stage, "claimer", cisco_imp::TLS_OPTIONAL, host)?;
            check(stage, "claimer")
        },
        expected: claimed(
            "claimer\\.<domain> appears to host <domain> itself: it accepts a stream to <domain>",
        ),
        consequences: &[],
        repair: |stage| forget(stage, "claimer"),
    },
    Fault {
        name: "a partner judges the dialback keys of the domain, as the claim check shows",
        fixture: Fixture::Peered,
        inject: |stage| {
            let host = Trait { hosts_us: true, unknown: Unknown::Greeted, ..ORDINARY };
            simulated::start(stage, "judge", cisco_imp::TLS_OPTIONAL, host)?;
            check(stage, "judge")
        },
        expected: claimed(
            "judge\\.<domain> appears to host <domain> itself: it judges dialback keys of <domain>",
        ),
        consequences: &[],
        repair: |stage| forget(stage, "judge"),
    },
    Fault {
        name: "the answers of a partner to the claim check prove nothing",
        fixture: Fixture::Peered,
        inject: |stage| {
            let any = Trait { deviation: Some(Deviation::JudgesAnyKey), ..ORDINARY };
            simulated::start(stage, "vague", cisco_imp::TLS_OPTIONAL, any)?;
            check(stage, "vague")
        },
        expected: open(
            "DomainUncontested",
            "ControlProbeInconclusive",
            "The answers of vague\\.<domain> do not show whether it hosts <domain> itself: it accepts a stream to any domain",
            "Ask its administrator, or remove it from spec\\.verification\\.claimCheck\\.peers",
        ),
        consequences: &[],
        repair: |stage| forget(stage, "vague"),
    },
];

const fn claimed(culprit: &'static str) -> Expected {
    lost(
        "DomainUncontested",
        "DomainClaimedElsewhere",
        culprit,
        "Ask the administrator of .*, or the support of its hosting provider, to release <domain>",
    )
}

/// The simulated partner as a second peer.
fn peer(stage: &Stage, label: &str, profile: &str) -> Result<()> {
    stage.respec(&json!({"peers": [
        {"domain": "partner.example"},
        {"domain": simulated::name(stage, label), "profile": profile},
    ]}))
}

/// The simulated partner is asked whether it hosts the domain.
fn check(stage: &Stage, label: &str) -> Result<()> {
    let partner = simulated::name(stage, label);
    stage.respec(&json!({"verification": {"claimCheck": {"peers": [partner]}}}))
}

fn forget(stage: &Stage, label: &str) -> Result<()> {
    stage.restore_spec()?;
    simulated::stop(stage, label)
}
