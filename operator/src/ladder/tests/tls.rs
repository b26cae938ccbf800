//! `TLSVerified` during a renewal.

use std::time::Duration;

use super::*;
use crate::evidence::probe::Served;

/// The reason while a pod serves another certificate than the current one, which is that old.
fn during_a_renewal(age: Duration, change: fn(&mut Served)) -> String {
    reason(ConditionType::TLSVerified, |seen| {
        seen.certificate_age = age;
        let ProbeOutcome::Features { served, .. } = &mut seen.probes.probes[0].outcome else {
            panic!("no features")
        };
        served.sha256 = "bb".into();
        change(served);
    })
}

#[test]
fn a_renewal_is_no_fault_until_every_pod_had_time_to_load_it() {
    let soon = Duration::from_secs(119);
    assert_eq!(during_a_renewal(soon, |_| ()), "SelfSigned");
    assert_eq!(during_a_renewal(Duration::from_mins(2), |_| ()), "OldCertificateServed");
    // The earlier certificate must be as good.
    assert_eq!(
        during_a_renewal(soon, |served| served.covers_domain = false),
        "OldCertificateServed"
    );
    assert_eq!(during_a_renewal(soon, |served| served.not_after = now()), "OldCertificateServed");
}

/// The verdict right after a renewal that a pod has not loaded.
fn right_after(paused: bool, change: impl FnOnce(&mut Evidence)) -> Verdict {
    let mut spec = with_peer();
    spec["paused"] = json!(paused);
    of(&spec, ConditionType::TLSVerified, |seen| {
        seen.certificate_age = Duration::from_secs(1);
        let ProbeOutcome::Features { served, .. } = &mut seen.probes.probes[0].outcome else {
            panic!("no features")
        };
        served.sha256 = "bb".into();
        change(seen);
    })
}

#[test]
fn a_pod_that_can_never_load_the_renewed_certificate_is_named_at_once_with_the_cause() {
    let frozen = right_after(true, |seen| seen.cluster.pods[0].certificate_frozen = true);
    assert_eq!(frozen.reason.to_string(), "OldCertificateServed");
    for part in [
        "has a subPath",
        "Secret example-tls-serving",
        "Remove that mount from Deployment example, and set spec.paused to false",
    ] {
        assert!(frozen.message.contains(part), "{part}: {frozen:?}");
    }
    let problem = |seen: &mut Evidence, unusable: bool| {
        engine(seen, |report| {
            report.problems = vec![LoadError {
                place: "/etc/xmpp-federation/tls/tls.crt".into(),
                message: "the private key does not match".into(),
                unusable,
            }];
        });
    };
    let unreadable = |seen: &mut Evidence| problem(seen, true);
    // The file is in effect, and covers not every domain: the kubelet has not updated the volume yet.
    let waiting = right_after(false, |seen| problem(seen, false));
    assert_eq!(waiting.reason.to_string(), "SelfSigned");
    let refused = right_after(false, unreadable);
    assert_eq!(refused.reason.to_string(), "OldCertificateServed");
    for part in ["tls.crt: the private key does not match. Undo what others changed", "example-1"] {
        assert!(refused.message.contains(part), "{part}: {refused:?}");
    }
    let bare = after(ConditionType::TLSVerified, |seen| {
        unreadable(seen);
        seen.probes.probes[0].outcome = ProbeOutcome::StartTlsNotOffered;
    });
    assert!(bare.message.contains("because it cannot load its certificate: "), "{bare:?}");
}

#[test]
fn tls_and_stream_verified() {
    let outcome = |outcome: ProbeOutcome| {
        let of = |rung| reason(rung, |seen| seen.probes.probes[0].outcome = outcome.clone());
        (of(ConditionType::TLSVerified), of(ConditionType::StreamVerified))
    };
    let pair = |tls: &str, stream: &str| (tls.to_owned(), stream.to_owned());
    let refused = ProbeOutcome::ConnectFailed("refused".into());
    assert_eq!(outcome(refused), pair("ConnectFailed", "ConnectFailed"));
    let bare = ProbeOutcome::StartTlsNotOffered;
    assert_eq!(outcome(bare), pair("STARTTLSNotOffered", "EvidenceUnavailable"));
    let alert = ProbeOutcome::HandshakeFailed("alert".into());
    assert_eq!(outcome(alert), pair("HandshakeFailed", "EvidenceUnavailable"));
    let unknown = ProbeOutcome::StreamError("host-unknown".into(), String::new());
    assert_eq!(outcome(unknown), pair("EvidenceUnavailable", "HostUnknown"));
    let during_a_change = |seconds: u64, outdated: &str| {
        of(&with_peer(), ConditionType::StreamVerified, |seen| {
            seen.config.age = std::time::Duration::from_secs(seconds);
            seen.probes.wanted.outdated = vec![outdated.to_owned()];
            let outcome = ProbeOutcome::StreamError("host-unknown".into(), String::new());
            seen.probes.probes[0].outcome = outcome;
        })
    };
    let pod = during_a_change(300, "").message.split(' ').nth(2).unwrap_or_default().to_owned();
    let waits = during_a_change(10, &pod);
    assert_eq!(waits.reason.to_string(), "EvidenceUnavailable", "{waits:?}");
    assert!(waits.message.contains("has not read the configuration with"), "{waits:?}");
    assert_eq!(during_a_change(300, &pod).reason.to_string(), "HostUnknown");
    assert_eq!(during_a_change(10, "another").reason.to_string(), "HostUnknown");
    let other = ProbeOutcome::StreamError("policy-violation".into(), "no".into());
    assert_eq!(outcome(other), pair("EvidenceUnavailable", "StreamError"));
    let http = ProbeOutcome::NotXmpp("HTTP".into());
    assert_eq!(outcome(http), pair("EvidenceUnavailable", "NotXMPP"));

    let served = |change: fn(&mut crate::evidence::probe::Served)| {
        reason(ConditionType::TLSVerified, |seen| {
            let ProbeOutcome::Features { served, .. } = &mut seen.probes.probes[0].outcome else {
                panic!("no features")
            };
            change(served);
        })
    };
    assert_eq!(served(|_| {}), "SelfSigned");
    assert_eq!(served(|served| served.sha256 = "bb".into()), "OldCertificateServed");
    assert_eq!(served(|served| served.covers_domain = false), "NameMismatch");
    assert_eq!(served(|served| served.not_after = now()), "Expired");

    let silent = |spec: &Value| {
        of(spec, ConditionType::StreamVerified, |seen| {
            let ProbeOutcome::Features { dialback, .. } = &mut seen.probes.probes[0].outcome else {
                panic!("no features")
            };
            *dialback = false;
        })
    };
    assert_eq!(silent(&with_peer()).reason.to_string(), "NoAuthMechanism");
    let mut strict = with_peer();
    strict["peerDefaults"] = json!({"profile": "Strict"});
    assert_eq!(silent(&strict).reason.to_string(), "FeaturesReceived");

    let nothing = reason(ConditionType::TLSVerified, |seen| seen.probes = ProbeEvidence::default());
    assert_eq!(nothing, "EvidenceUnavailable");
}

#[test]
fn an_engine_without_a_certificate_that_closes_connections_is_no_other_program() {
    let federation = validated(&with_peer());
    let mut seen = evidence(&federation);
    engine(&mut seen, |report| {
        report.problems = vec![LoadError {
            place: "/etc/xmpp-federation/tls/tls.crt".into(),
            message: "permission denied".into(),
            unusable: true,
        }];
    });
    seen.probes.probes[0].outcome = ProbeOutcome::NotXmpp("the connection broke".into());
    let all = verdicts(View { federation: &federation, seen: &seen });
    let of = |type_| all.iter().find(|verdict| verdict.type_() == type_).unwrap();
    let tls = of(ConditionType::TLSVerified);
    assert_eq!(tls.reason.to_string(), "STARTTLSNotOffered");
    assert!(tls.message.contains("tls.crt: permission denied"), "{tls:?}");
    let stream = of(ConditionType::StreamVerified);
    assert_eq!(stream.reason.to_string(), "EvidenceUnavailable", "{stream:?}");
}
