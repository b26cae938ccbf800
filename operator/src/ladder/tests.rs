//! The ladder as a table: evidence in, verdicts out, at one fixed moment.

mod claimed;
mod delegation;
mod dns;
mod engine;
mod issuance;
mod links;
mod peer_streams;
mod tls;

use std::sync::Arc;

use crds::condition::{ConditionStatus, ConditionType};
use crds::reason::ResolvedRefsReason;
use crds::word::Word;
use federation_engine::observe::evidence::{
    BackendAnswer, BackendOutcome, BackendRoundTrip, EngineEvidence, InboundKind,
    InboundObservation, InboundRefusal, LoadError, PeerStream,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::build::Address;
use crate::evidence::Evidence;
use crate::evidence::certificate::{CertificateSeen, Purpose, Readable};
use crate::evidence::cluster::{EnginePod, ServiceEvents};
use crate::evidence::engine::Report;
use crate::evidence::networks::Gap;
use crate::evidence::probe::{ProbeEvidence, ProbeOutcome};
use crate::evidence::references::ReferenceError;
use crate::federation::serving::Source;
use crate::fixtures::{evidence, now, readable, refusal, reported, smallest, validated};
use crate::reconcile::problem::{Cause, Problem, Step};
use crate::reconcile::replacement::{Replacement, ReplacementState};

fn with_peer() -> Value {
    let mut spec = smallest();
    spec["peers"] = json!([{"domain": "partner.example"}]);
    spec
}

/// The federation's verdicts.
fn verdicts(view: View<'_>) -> Vec<Verdict> {
    climb(view).into_iter().map(|judged| judged.verdict).collect()
}

/// The verdict about one rung after a change of the evidence in which everything works.
fn after(rung: ConditionType, change: impl FnOnce(&mut Evidence)) -> Verdict {
    of(&with_peer(), rung, change)
}

fn of(spec: &Value, rung: ConditionType, change: impl FnOnce(&mut Evidence)) -> Verdict {
    let federation = validated(spec);
    let mut seen = evidence(&federation);
    change(&mut seen);
    let verdicts = verdicts(View { federation: &federation, seen: &seen });
    verdicts.into_iter().find(|verdict| verdict.type_() == rung).unwrap()
}

fn reason(rung: ConditionType, change: impl FnOnce(&mut Evidence)) -> String {
    after(rung, change).reason.to_string()
}

/// Changes what the only replica reports.
fn engine(seen: &mut Evidence, change: impl FnOnce(&mut EngineEvidence)) {
    let Report::Seen(report) = &mut seen.engines[0].report else { panic!("no report") };
    change(Arc::make_mut(report));
}

#[test]
fn when_everything_works_every_rung_is_true_and_in_order() {
    let federation = validated(&with_peer());
    let seen = evidence(&federation);
    let verdicts = verdicts(View { federation: &federation, seen: &seen });
    let types: Vec<_> = verdicts.iter().map(Verdict::type_).collect();
    assert_eq!(types, ConditionType::LADDER);
    for verdict in &verdicts {
        assert_eq!(verdict.status(), ConditionStatus::True, "{verdict:?}");
    }
    assert_eq!(ready::check(&verdicts, &ready::Gates::default()).reason.to_string(), "Federated");
}

#[test]
fn a_rung_waits_for_what_it_needs_and_never_shows_a_stale_true() {
    let verdict = after(ConditionType::HostResolves, |seen| {
        seen.cluster.service.as_mut().unwrap().address = None;
    });
    assert_eq!(verdict.status(), ConditionStatus::Unknown);
    assert_eq!(verdict.reason.to_string(), "WaitingForAddressAssigned");
    let verdict = after(ConditionType::TLSVerified, |seen| {
        seen.cluster.workload.as_mut().unwrap().ready = 0;
        seen.cluster.pods.clear();
    });
    assert_eq!(verdict.reason.to_string(), "WaitingForEngineReady");
}

#[test]
fn a_rejected_federation_has_all_rungs_and_judges_none() {
    let accepted = Verdict::new(crds::reason::AcceptedReason::InvalidSpec, "no");
    let verdicts = rejected(accepted);
    assert_eq!(verdicts.len(), ConditionType::LADDER.len());
    assert!(verdicts.iter().skip(1).all(|v| v.reason.to_string() == "WaitingForAccepted"));
}

#[test]
fn accepted() {
    let rung = ConditionType::Accepted;
    for (cause, word, advice) in [
        (Cause::Foreign, "AdoptionConflict", "Delete or rename it"),
        (Cause::NotPermitted, "NotPermitted", "Bind the chart's role"),
        (Cause::Invalid, "InvalidSpec", "Correct that field of the spec"),
        (Cause::Quota, "ApplyFailed", "Raise the resource quota of namespace im"),
        (Cause::Denied, "ApplyFailed", "exempt namespace im"),
        (Cause::WebhookFailed, "ApplyFailed", "Repair the webhook"),
        (Cause::KindMissing, "ApplyFailed", "CustomResourceDefinition"),
        (Cause::Failed, "ApplyFailed", "The operator retries"),
    ] {
        let verdict = after(rung, |seen| seen.applied.problems = vec![refused("Service", cause)]);
        assert_eq!(verdict.reason.to_string(), word);
        assert!(verdict.message.contains(advice), "{verdict:?}");
        let quoted = verdict.message.contains("the server's own words");
        assert!(quoted || cause == Cause::Foreign, "{verdict:?}");
    }
    // The most specific cause is named first, and every other object after it.
    let several = after(rung, |seen| {
        seen.applied.problems =
            vec![refused("Secret", Cause::Failed), refused("Service", Cause::Quota)];
    });
    assert!(several.message.starts_with("Cannot apply Service example"), "{several:?}");
    assert!(several.message.ends_with("Also affected: Secret example."), "{several:?}");
    assert_eq!(reason(rung, |seen| seen.applied.pending = true), "Pending");
    let mut spec = smallest();
    spec["peerDefaults"] = json!({"probe": {"to": "echo@partner.example"}});
    let verdict = of(&spec, rung, |_| {});
    assert_eq!(verdict.reason.to_string(), "Accepted");
    assert!(verdict.message.contains("Not in effect yet: peerDefaults.probe.to."), "{verdict:?}");
}

fn refused(kind: &str, cause: Cause) -> Problem {
    Problem {
        step: Step::Apply,
        kind: kind.into(),
        name: "example".into(),
        cause,
        message: "the server's own words".into(),
    }
}

#[test]
fn what_the_api_server_refuses_never_hides_another_verdict() {
    let federation = validated(&with_peer());
    let mut seen = evidence(&federation);
    seen.applied.problems = vec![refused("Deployment", Cause::WebhookFailed)];
    let judged = verdicts(View { federation: &federation, seen: &seen });
    for verdict in judged.iter().skip(1) {
        assert_eq!(verdict.status(), ConditionStatus::True, "{verdict:?}");
    }
    // Nobody serves, and the Deployment cannot be repaired: that is what the status says.
    seen.cluster.workload.as_mut().unwrap().ready = 0;
    seen.cluster.pods.clear();
    let judged = verdicts(View { federation: &federation, seen: &seen });
    let engine = judged.iter().find(|v| v.type_() == ConditionType::EngineReady).unwrap();
    assert_eq!(engine.status(), ConditionStatus::False);
    let ready = ready::check(&judged, &ready::Gates::default());
    assert_eq!(ready.status(), ConditionStatus::False);
    assert!(ready.message.contains("the server's own words"), "{ready:?}");
}

#[test]
fn what_cannot_be_read_is_unknown_in_the_words_of_the_api_server() {
    for (kind, rung) in [
        ("Secret", ConditionType::ResolvedRefs),
        ("Secret", ConditionType::CertificateReady),
        ("Secret", ConditionType::TLSVerified),
        ("Deployment", ConditionType::EngineReady),
        ("Pod", ConditionType::EngineReady),
        ("Service", ConditionType::AddressAssigned),
    ] {
        let verdict = after(rung, |seen| {
            let problem = refused(kind, Cause::NotPermitted);
            seen.applied.problems = vec![Problem { step: Step::Read, ..problem }];
        });
        assert_eq!(verdict.reason.to_string(), "EvidenceUnavailable", "{kind} {rung}");
        assert!(verdict.message.contains("the server's own words"), "{verdict:?}");
    }
}

#[test]
fn a_rollout_that_cannot_go_on_is_named_while_earlier_pods_serve() {
    let rung = ConditionType::EngineReady;
    let rollout = |age: i64, change: fn(&mut EnginePod)| {
        after(rung, |seen| {
            seen.cluster.pods[0].revision = Some("old".into());
            let mut pod = EnginePod {
                name: "example-2".into(),
                created: Some(now() - SignedDuration::from_secs(age)),
                revision: Some("new".into()),
                ..EnginePod::default()
            };
            change(&mut pod);
            seen.cluster.pods.push(pod);
        })
    };
    let pulls = |pod: &mut EnginePod| {
        let words = "Back-off pulling image \"x\": ErrImagePull: x: not found".to_owned();
        pod.waiting = Some(("ImagePullBackOff".into(), words));
    };
    let stuck = rollout(15, pulls);
    assert_eq!(stuck.reason.to_string(), "ImagePullFailed");
    let words = "The image of engine pod example-2 cannot be pulled (ErrImagePull): x: not found.";
    assert!(stuck.message.starts_with(words), "{stuck:?}");
    assert!(stuck.message.contains("1 pod of an earlier revision still serves"), "{stuck:?}");
    assert_eq!(rollout(2, pulls).reason.to_string(), "EngineAvailable", "the first attempt");
    let starts =
        |pod: &mut EnginePod| pod.waiting = Some(("ContainerCreating".into(), String::new()));
    assert_eq!(rollout(15, starts).reason.to_string(), "EngineAvailable");
    let nowhere = |pod: &mut EnginePod| pod.unschedulable = Some("0/1 nodes".into());
    assert_eq!(rollout(15, nowhere).reason.to_string(), "Unschedulable");
    // A pod of an earlier revision that fails while it is being replaced is no stuck rollout.
    let earlier = after(rung, |seen| {
        seen.cluster.pods[0].revision = Some("new".into());
        seen.cluster.pods.push(EnginePod {
            waiting: Some(("CrashLoopBackOff".into(), String::new())),
            created: Some(now() - SignedDuration::from_hours(2)),
            revision: Some("old".into()),
            ..EnginePod::default()
        });
    });
    assert_eq!(earlier.reason.to_string(), "EngineAvailable");
    let quota = after(rung, |seen| {
        seen.cluster.workload.as_mut().unwrap().replica_failure =
            Some("pods x is forbidden: exceeded quota: small".into());
    });
    assert_eq!(quota.reason.to_string(), "QuotaExceeded");
}

#[test]
fn what_still_serves_is_judged_although_the_rollout_is_stuck() {
    let federation = validated(&with_peer());
    let mut seen = evidence(&federation);
    seen.cluster.workload.as_mut().unwrap().replica_failure = Some("exceeded quota".into());
    let verdicts = verdicts(View { federation: &federation, seen: &seen });
    for verdict in &verdicts {
        let expected = match verdict.type_() {
            ConditionType::EngineReady => ConditionStatus::False,
            _ => ConditionStatus::True,
        };
        assert_eq!(verdict.status(), expected, "{verdict:?}");
    }
    let gates = ready::Gates { rolling_out: true, rollout_stuck: true, ..ready::Gates::default() };
    let stalled = ready::stalled(&verdicts, &gates).unwrap();
    assert_eq!(stalled.reason.to_string(), "RolloutStuck");
    let ready = ready::check(&verdicts, &gates);
    assert_eq!(ready::reconciling(&verdicts, &gates, &ready), None);
}

#[test]
fn evidence_from_outside_survives_new_pods() {
    let rung = ConditionType::InboundReachable;
    let with = |change: fn(&mut InboundObservation)| {
        reason(rung, |seen| {
            let Report::Seen(report) = &mut seen.engines[0].report else { panic!("no report") };
            let mut known = Arc::make_mut(report).inbound.remove(0);
            change(&mut known);
            seen.remembered = Some(known);
        })
    };
    assert_eq!(with(|_| {}), "InboundObserved");
    assert_eq!(with(|known| known.source = "10.1.0.9".parse().unwrap()), "NoOutsideEvidence");
    assert_eq!(with(|known| known.at = now() - SignedDuration::from_hours(25)), "EvidenceStale");
}

#[test]
fn a_federation_of_the_same_cluster_is_not_outside_whatever_it_shows() {
    use InboundKind::{DialbackVerified, StreamAuthenticated, StreamOpened};
    for kind in [DialbackVerified, StreamAuthenticated, StreamOpened] {
        let with = |is_neighbour: bool| {
            after(ConditionType::InboundReachable, |seen| {
                engine(seen, |report| {
                    let observation = &mut report.inbound[0];
                    observation.kind = kind;
                    // The address of the load balancer's or of a NAT.
                    observation.source = "203.0.113.9".parse().unwrap();
                });
                let Report::Seen(report) = &seen.engines[0].report else { panic!("no report") };
                let peer = report.inbound[0].peer.clone();
                seen.neighbours = is_neighbour.then_some(peer).into_iter().collect();
            })
        };
        assert_ne!(with(false).reason.to_string(), "NoOutsideEvidence", "{kind:?}");
        let inside = with(true);
        assert_eq!(inside.reason.to_string(), "NoOutsideEvidence", "{kind:?}");
        assert!(
            inside.message.contains("another federation of this cluster"),
            "{}",
            inside.message
        );
    }
}

#[test]
fn resolved_refs() {
    let verdict = after(ConditionType::ResolvedRefs, |seen| {
        seen.references.problems = vec![ReferenceError {
            reason: ResolvedRefsReason::SecretNotFound,
            message: "Secret own does not exist".into(),
        }];
    });
    assert_eq!(verdict.reason.to_string(), "SecretNotFound");
}

fn with_secret() -> Value {
    let mut spec = smallest();
    spec["tls"] = json!({"certificate": {"secretRef": {"name": "own"}}});
    spec
}

/// The verdict about the certificate in Secret own, after a change of it.
fn certificate(change: impl FnOnce(&mut Readable)) -> Verdict {
    of(&with_secret(), ConditionType::CertificateReady, |seen| {
        let Some(CertificateSeen::Readable(found)) = &mut seen.references.certificate else {
            panic!("unreadable")
        };
        change(found);
    })
}

/// The pods serve the certificate of an earlier Secret.
fn serve_old(seen: &mut Evidence) {
    let served = seen.references.served.as_mut().unwrap();
    served.source = Source::Secret("old".into());
    served.readable.facts.sha256 = "bb".into();
}

const SERVED: &str = "Engine pods keep serving the certificate from Secret old, which is valid until 2027-01-30T12:00:00Z.";

/// What is wrong with a certificate.
type Change = fn(&mut Readable);

#[test]
fn certificate_ready() {
    let rung = ConditionType::CertificateReady;
    let hour = SignedDuration::from_hours(1);
    assert_eq!(certificate(|_| {}).reason.to_string(), "CertificateValid");
    assert_eq!(after(rung, |_| {}).reason.to_string(), "SelfSigned");
    let cases: [(&str, Change); 7] = [
        ("DomainNotCovered", |found| found.covers.clear()),
        ("Expired", |found| found.facts.not_after = now()),
        ("NotYetValid", |found| found.facts.not_before = now() + SignedDuration::from_hours(1)),
        ("ExpiringSoon", |found| {
            found.facts.not_after = now() + SignedDuration::from_hours(24 * 3);
        }),
        ("PurposeMismatch", |found| found.purpose = Purpose::NotServer),
        ("ChainIncomplete", |found| found.missing_issuer = Some("CN=Intermediate".into())),
        ("CertificateValid", |found| found.purpose = Purpose::ServerOnly),
    ];
    for (reason, change) in cases {
        assert_eq!(certificate(change).reason.to_string(), reason);
    }
    let unusable = |found: CertificateSeen| {
        of(&with_secret(), rung, |seen| seen.references.certificate = Some(found)).reason
    };
    assert_eq!(unusable(CertificateSeen::KeyMismatch("no".into())).to_string(), "KeyMismatch");
    assert_eq!(unusable(CertificateSeen::WeakKey(1024)).to_string(), "WeakKey");
    // The one that expires soon is the one that is served: nothing to add about another.
    let expired = certificate(|found| found.facts.not_after = now() - hour);
    assert!(!expired.message.contains("keep serving"), "{expired:?}");
}

#[test]
fn a_certificate_for_servers_alone_is_valid_and_its_consequence_is_stated() {
    let verdict = certificate(|found| found.purpose = Purpose::ServerOnly);
    assert!(verdict.message.contains("refuses SASL EXTERNAL"), "{verdict:?}");
    let verdict = of(&with_secret(), ConditionType::CertificateReady, |seen| {
        let Some(CertificateSeen::Readable(found)) = &mut seen.references.certificate else {
            panic!("unreadable")
        };
        found.missing_issuer = Some("CN=Intermediate".into());
    });
    assert!(verdict.message.contains("its issuer CN=Intermediate"), "{verdict:?}");
}

#[test]
fn a_reference_to_nothing_is_reported_with_the_certificate_that_is_served() {
    let typo = |seen: &mut Evidence| {
        seen.references.problems = vec![ReferenceError {
            reason: ResolvedRefsReason::SecretNotFound,
            message: "spec.tls.certificate.secretRef: Secret own does not exist; create it".into(),
        }];
        seen.references.certificate = None;
        serve_old(seen);
        let probes = &mut seen.probes.probes;
        for probe in probes.iter_mut() {
            let ProbeOutcome::Features { served, .. } = &mut probe.outcome else { panic!() };
            served.sha256 = "bb".into();
        }
    };
    let verdict = of(&with_secret(), ConditionType::ResolvedRefs, typo);
    assert_eq!(verdict.reason.to_string(), "SecretNotFound");
    assert!(verdict.message.ends_with(&format!("create it. {SERVED}")), "{verdict:?}");
    let verdict = of(&with_secret(), ConditionType::CertificateReady, typo);
    assert_eq!(verdict.reason.to_string(), "PreviousCertificateServed");
    assert!(verdict.message.ends_with(SERVED), "{verdict:?}");
    // Everything else goes on to be judged, by what is served.
    for rung in ConditionType::LADDER.into_iter().skip(2) {
        let verdict = of(&with_secret(), rung, typo);
        assert_eq!(verdict.status(), ConditionStatus::True, "{verdict:?}");
    }
    let verdict = of(&with_secret(), ConditionType::CertificateReady, |seen| {
        typo(seen);
        seen.references.served = None;
    });
    assert_eq!(verdict.reason.to_string(), "WaitingForResolvedRefs");
}

#[test]
fn a_defect_of_the_new_certificate_is_reported_with_the_one_that_is_served() {
    let verdict = |found: CertificateSeen| {
        of(&with_secret(), ConditionType::CertificateReady, |seen| {
            seen.references.certificate = Some(found);
            serve_old(seen);
        })
    };
    let mut short = readable(&validated(&with_secret()));
    short.covers.clear();
    for (found, reason) in [
        (CertificateSeen::Readable(short), "DomainNotCovered"),
        (CertificateSeen::KeyMismatch("no".into()), "KeyMismatch"),
        (CertificateSeen::WeakKey(1024), "WeakKey"),
    ] {
        let verdict = verdict(found);
        assert_eq!(verdict.reason.to_string(), reason);
        assert!(verdict.message.ends_with(SERVED), "{verdict:?}");
    }
    let served_is_expired = of(&with_secret(), ConditionType::CertificateReady, |seen| {
        seen.references.certificate = None;
        serve_old(seen);
        seen.references.served.as_mut().unwrap().readable.facts.not_after = now();
    });
    assert_eq!(served_is_expired.reason.to_string(), "Expired");
}

#[test]
fn the_uncovered_domain_is_named() {
    let mut spec = with_secret();
    spec["domains"] = json!([{"name": "example.com"}, {"name": "chat.example.com"}]);
    let verdict = of(&spec, ConditionType::CertificateReady, |seen| {
        let Some(CertificateSeen::Readable(found)) = &mut seen.references.certificate else {
            panic!("unreadable")
        };
        found.facts.names = vec!["example.com".into()];
        found.covers.truncate(1);
    });
    assert_eq!(verdict.reason.to_string(), "DomainNotCovered");
    assert!(
        verdict.message.contains("is for example.com; it does not cover chat.example.com"),
        "{verdict:?}"
    );
}

#[test]
fn engine_ready() {
    let rung = ConditionType::EngineReady;
    let pod = |pod: EnginePod| {
        reason(rung, |seen| {
            seen.cluster.workload.as_mut().unwrap().ready = 0;
            seen.cluster.pods = vec![pod];
        })
    };
    let waits = |word: &str| EnginePod {
        waiting: Some((word.into(), "message".into())),
        ..EnginePod::default()
    };
    assert_eq!(reason(rung, |seen| seen.cluster.workload = None), "RollingOut");
    assert_eq!(pod(waits("ContainerCreating")), "RollingOut");
    assert_eq!(pod(waits("ErrImageNeverPull")), "ImagePullFailed");
    assert_eq!(pod(waits("CrashLoopBackOff")), "CrashLooping");
    let refused = EnginePod { ended: Some((2, "bad".into())), ..waits("CrashLoopBackOff") };
    assert_eq!(pod(refused), "ConfigRejected");
    let nowhere = EnginePod { unschedulable: Some("0/1 nodes".into()), ..EnginePod::default() };
    assert_eq!(pod(nowhere), "Unschedulable");
    let silent = EnginePod {
        ip: Some("10.1.0.1".parse().unwrap()),
        created: Some(now() - SignedDuration::from_mins(5)),
        ..EnginePod::default()
    };
    assert_eq!(pod(silent), "ProbeFailing");
    let failure = |text: &str| {
        reason(rung, |seen| {
            let workload = seen.cluster.workload.as_mut().unwrap();
            workload.ready = 0;
            workload.replica_failure = Some(text.into());
        })
    };
    assert_eq!(failure("pods x is forbidden: exceeded quota: small"), "QuotaExceeded");
    assert_eq!(
        failure("pods x is forbidden: violates PodSecurity \"restricted\""),
        "PodSecurityRejected"
    );
}

#[test]
fn half_of_the_engine_pods_are_enough_and_an_old_configuration_is_not() {
    let rung = ConditionType::EngineReady;
    assert_eq!(
        reason(rung, |seen| seen.cluster.workload.as_mut().unwrap().ready = 1),
        "EngineAvailable"
    );
    assert_eq!(
        reason(rung, |seen| engine(seen, |report| report.problems = vec![LoadError {
            place: "/etc/xmpp-federation/config/engine.yaml:3".into(),
            message: "unknown field".into(),
        }])),
        "ConfigRejected"
    );
    let old_after = |seconds: u64| {
        reason(rung, |seen| {
            seen.config.hash = "new".into();
            seen.config.age = std::time::Duration::from_secs(seconds);
            engine(seen, |report| report.config_hash = "old".into());
        })
    };
    assert_eq!(old_after(10), "EngineAvailable");
    assert_eq!(old_after(300), "ReplicaOutOfSync");
}

#[test]
fn backend_ready() {
    let rung = ConditionType::BackendReady;
    let outcome = |outcome: BackendOutcome| {
        after(rung, |seen| engine(seen, |report| report.backends[0].outcome = outcome))
    };
    for (seen, word) in [
        (BackendOutcome::HostNotFound, "HostNotFound"),
        (BackendOutcome::ConnectRefused, "ConnectRefused"),
        (BackendOutcome::ConnectTimedOut, "ConnectTimedOut"),
        (BackendOutcome::BackendRejectsMintedCertificate, "BackendRejectsMintedCertificate"),
        (BackendOutcome::BackendCertificateUntrusted, "BackendCertificateUntrusted"),
        (BackendOutcome::BackendDialbackFailed, "BackendDialbackFailed"),
        (BackendOutcome::DomainNotHosted, "DomainNotHosted"),
        (BackendOutcome::NoAnswer, "BackendDoesNotReachEngine"),
        (BackendOutcome::AnswerAwaited, "Probing"),
        (BackendOutcome::ComponentNotConnected, "ComponentNotConnected"),
        (BackendOutcome::StreamFailed, "StreamFailed"),
        (BackendOutcome::RoundTripSeen, "RoundTripSeen"),
    ] {
        assert_eq!(outcome(seen).reason.to_string(), word);
    }
    // The answer may have ended at a pod that was killed just now.
    let killed = |change: fn(&mut EnginePod)| {
        reason(rung, |seen| {
            engine(seen, |report| report.backends[0].outcome = BackendOutcome::NoAnswer);
            change(&mut seen.cluster.pods[0]);
        })
    };
    assert_eq!(killed(|pod| pod.terminating = true), "Probing");
    let turned = |seconds: i64| Some(now() - SignedDuration::from_secs(seconds));
    assert_eq!(killed(|pod| pod.turned = Some(now() - SignedDuration::from_secs(3))), "Probing");
    let settled = reason(rung, |seen| {
        engine(seen, |report| report.backends[0].outcome = BackendOutcome::NoAnswer);
        seen.cluster.pods[0].turned = turned(40);
    });
    assert_eq!(settled, "BackendDoesNotReachEngine");
    let silent = outcome(BackendOutcome::NoAnswer).message;
    assert!(silent.contains("DNS server 10.96.0.7"), "{silent}");
    assert!(silent.contains("ConfigMap example-backend-ca"), "{silent}");

    let bot = |replicas: u16, outcome: BackendOutcome| {
        let spec = json!({
            "domains": [{"name": "example.com"}],
            "backends": [{"name": "im", "component": {"secretRef": {"name": "bot"}}}],
            "replicas": replicas
        });
        of(&spec, rung, |seen| engine(seen, |report| report.backends[0].outcome = outcome))
    };
    for outcome in [BackendOutcome::ComponentNotConnected, BackendOutcome::ComponentRejected] {
        let missing = bot(1, outcome);
        assert_eq!(missing.reason.to_string(), "ComponentNotConnected");
        for part in ["example-backend.im.svc, port 5347", "key secret of Secret bot"] {
            assert!(missing.message.contains(part), "{part}: {}", missing.message);
        }
        assert!(!missing.message.contains("spec.replicas"), "{}", missing.message);
        assert!(bot(2, outcome).message.contains("set spec.replicas to 1"));
    }
    let silent = bot(1, BackendOutcome::NoAnswer);
    assert_eq!(silent.reason.to_string(), "BackendDoesNotReachEngine");
    assert!(!silent.message.contains("DNS"), "{}", silent.message);

    assert_eq!(reason(rung, |seen| engine(seen, |r| r.backends.clear())), "Probing");
    let unreachable = |seen: &mut Evidence| {
        seen.engines[0].report = Report::Unreachable("refused".into());
    };
    assert_eq!(reason(rung, unreachable), "EvidenceUnavailable");
    let alone = json!({"domains": [{"name": "example.com"}]});
    assert_eq!(of(&alone, rung, |_| {}).reason.to_string(), "NoBackendConfigured");
}

#[test]
fn an_answer_may_come_back_to_another_replica_than_the_one_that_pinged() {
    let rung = ConditionType::BackendReady;
    let two = |ping: BackendOutcome, other: Option<Report>| {
        reason(rung, |seen| {
            engine(seen, |report| report.backends[0].outcome = ping);
            let mut second = seen.engines[0].clone();
            second.replica.name = "example-2".into();
            if let Some(report) = other {
                second.report = report;
            } else if let Report::Seen(report) = &mut second.report {
                let report = Arc::make_mut(report);
                let BackendRoundTrip { domain, ping, .. } = report.backends.remove(0);
                report.answers = vec![BackendAnswer { domain, ping }];
            }
            seen.engines.push(second);
        })
    };
    for sent in [BackendOutcome::AnswerAwaited, BackendOutcome::NoAnswer] {
        assert_eq!(two(sent, None), "RoundTripSeen");
        assert_eq!(two(sent, Some(Report::Waiting)), "Probing", "who has the answer is not known");
    }
    let gone = Report::Unreachable("refused".into());
    assert_eq!(two(BackendOutcome::NoAnswer, Some(gone)), "EvidenceUnavailable");
    assert_eq!(two(BackendOutcome::ConnectRefused, None), "ConnectRefused");
    let other_ping = |seen: &mut Evidence| {
        engine(seen, |report| {
            report.backends[0].outcome = BackendOutcome::NoAnswer;
            let domain = report.backends[0].domain.clone();
            report.answers = vec![BackendAnswer { domain, ping: "another".into() }];
        });
    };
    assert_eq!(reason(rung, other_ping), "BackendDoesNotReachEngine");
}

#[test]
fn address_assigned() {
    let rung = ConditionType::AddressAssigned;
    let given = |address: &str| {
        let address = Address::Ips(vec![address.parse().unwrap()]);
        reason(rung, |seen| seen.cluster.service.as_mut().unwrap().address = Some(address))
    };
    assert_eq!(given("203.0.113.7"), "AddressAssigned");
    for unusable in
        ["10.0.0.7", "100.64.0.7", "169.254.0.7", "127.0.0.1", "fd00::7", "fe80::7", "::1"]
    {
        assert_eq!(given(unusable), "AddressNotUsable", "{unusable}");
    }
    let mut spec = smallest();
    spec["egress"] = json!({"allowNetworks": ["10.0.0.0/8"]});
    let private = Address::Ips(vec!["10.0.0.7".parse().unwrap()]);
    let allowed =
        of(&spec, rung, |seen| seen.cluster.service.as_mut().unwrap().address = Some(private));
    assert_eq!(allowed.reason.to_string(), "AddressAssigned");

    let pending = |seconds: i64, events: ServiceEvents| {
        after(rung, |seen| {
            let service = seen.cluster.service.as_mut().unwrap();
            service.address = None;
            service.created = Some(now() - SignedDuration::from_secs(seconds));
            service.events = events;
        })
    };
    let silent = ServiceEvents::default();
    assert_eq!(pending(10, silent.clone()).reason.to_string(), "AddressNotAssigned");
    assert_eq!(pending(25, silent).reason.to_string(), "NoLoadBalancerController");
    let begun = ServiceEvents { any: true, warning: None };
    assert_eq!(pending(300, begun).reason.to_string(), "AddressNotAssigned");
    let warning = Some(("AllocationFailed".to_owned(), "no available IPs".to_owned()));
    let failed = pending(1, ServiceEvents { any: true, warning });
    assert_eq!(failed.reason.to_string(), "AllocationFailed");
    assert!(failed.message.contains("AllocationFailed: no available IPs"), "{failed:?}");

    let mut spec = smallest();
    spec["service"] = json!({"type": "NodePort"});
    let unknown = of(&spec, rung, |_| {});
    assert_eq!(unknown.reason.to_string(), "NotNeeded");
    assert!(unknown.message.contains("spec.service.publicAddresses"), "{unknown:?}");
}

/// The network of the note: the load balancer has a private address, and a firewall forwards to it.
fn behind_nat(service: &Value) -> Value {
    let mut spec = smallest();
    spec["service"] = service.clone();
    spec["service"]["publicAddresses"] = json!(["203.0.113.10"]);
    spec
}

fn assign(seen: &mut Evidence, ip: &str) {
    let address = Some(Address::Ips(vec![ip.parse().unwrap()]));
    seen.cluster.service.as_mut().unwrap().address = address;
}

#[test]
fn a_private_address_behind_a_firewall_becomes_ready_with_its_public_address() {
    let spec = behind_nat(&json!({}));
    for rung in ConditionType::LADDER {
        let verdict = of(&spec, rung, |seen| assign(seen, "10.1.2.3"));
        assert_eq!(verdict.status(), ConditionStatus::True, "{verdict:?}");
    }
    let verdict = of(&spec, ConditionType::AddressAssigned, |seen| assign(seen, "10.1.2.3"));
    assert_eq!(
        verdict.message,
        "Servers connect to 203.0.113.10, as set in spec.service.publicAddresses. Forward TCP 5269 and \
         5270 of each address to the load balancer's 10.1.2.3."
    );
    // The firewall has nothing to forward to.
    let verdict = of(&spec, ConditionType::AddressAssigned, |seen| {
        seen.cluster.service.as_mut().unwrap().address = None;
    });
    assert_eq!(verdict.reason.to_string(), "NoLoadBalancerController");
}

#[test]
fn without_a_public_address_the_message_about_a_private_one_names_the_field() {
    let verdict = after(ConditionType::AddressAssigned, |seen| assign(seen, "10.1.2.3"));
    assert_eq!(verdict.reason.to_string(), "AddressNotUsable");
    assert!(verdict.message.contains("set spec.service.publicAddresses"), "{verdict:?}");
}

#[test]
fn services_without_a_load_balancer_become_ready_with_public_addresses() {
    for (type_, node_ports, to) in [
        ("NodePort", vec![30_269, 30_270], "each address to TCP 30269 and 30270 of the nodes."),
        ("ClusterIP", vec![], "each address to TCP 5269 and 5270 of Service example."),
    ] {
        let ports = json!({"type": type_, "publicPorts": {"s2s": 15_269}});
        let spec = behind_nat(&ports);
        let change = |seen: &mut Evidence| {
            let service = seen.cluster.service.as_mut().unwrap();
            service.address = None;
            service.node_ports.clone_from(&node_ports);
        };
        for rung in ConditionType::LADDER {
            let verdict = of(&spec, rung, change);
            assert_eq!(verdict.status(), ConditionStatus::True, "{verdict:?}");
        }
        let verdict = of(&spec, ConditionType::AddressAssigned, change);
        assert_eq!(verdict.reason.to_string(), "AddressAssigned");
        assert!(verdict.message.contains("Forward TCP 15269 and 5270 of"), "{verdict:?}");
        assert!(verdict.message.ends_with(to), "{verdict:?}");
    }
}

#[test]
fn a_private_public_address_is_used_and_its_consequence_is_stated() {
    let mut spec = behind_nat(&json!({}));
    spec["service"]["publicAddresses"] = json!(["10.9.9.9"]);
    let verdict = of(&spec, ConditionType::AddressAssigned, |_| {});
    assert_eq!(verdict.status(), ConditionStatus::True);
    assert!(verdict.message.contains("10.9.9.9 is a private address"), "{verdict:?}");
}

#[test]
fn the_setting_that_stops_the_connections_of_a_proxy_is_named() {
    let mut spec = smallest();
    spec["service"] = json!({"proxyProtocol": {"trustedSources": ["192.0.2.0/24"]}});
    let after = |reason: Word, source: &str, minutes: i64| {
        of(&spec, ConditionType::InboundReachable, |seen| {
            let at = seen.now - SignedDuration::from_mins(minutes);
            engine(seen, |report| {
                report.inbound.clear();
                report.refusals = vec![InboundRefusal {
                    peer: None,
                    local: None,
                    source: source.parse().unwrap(),
                    reason,
                    message: String::new(),
                    count: 1,
                    at,
                }];
            });
        })
    };
    let advice = "Enable the PROXY protocol on the load balancer";
    for (reason, source, minutes, expected) in [
        (Word::ProxyHeaderMissing, "192.0.2.7", 1, advice),
        (Word::ProxyHeaderInvalid, "192.0.2.7", 1, "that the engine cannot read"),
        (Word::ProxyHeaderUntrusted, "198.51.100.7", 1, "does not contain that address"),
        (Word::ProxyHeaderMissing, "192.0.2.7", 60, "Ask someone"),
        // The setting has changed since.
        (Word::ProxyHeaderMissing, "198.51.100.7", 1, "Ask someone"),
        (Word::ProxyHeaderUntrusted, "192.0.2.7", 1, "Ask someone"),
    ] {
        let verdict = after(reason.clone(), source, minutes);
        assert_eq!(verdict.reason.to_string(), "NoOutsideEvidence");
        assert!(verdict.message.contains(expected), "{reason} {source}: {}", verdict.message);
    }
}

#[test]
fn an_address_of_a_trusted_proxy_is_no_evidence() {
    let mut spec = smallest();
    spec["service"] = json!({"proxyProtocol": {"trustedSources": ["203.0.113.0/28"]}});
    let inbound = |source: &str| {
        let verdict = of(&spec, ConditionType::InboundReachable, |seen| {
            engine(seen, |report| report.inbound[0].source = source.parse().unwrap());
        });
        verdict.reason.to_string()
    };
    assert_eq!(inbound("203.0.113.9"), "NoOutsideEvidence");
    assert_eq!(inbound("203.0.113.19"), "InboundObserved");
}

#[test]
fn inbound_reachable() {
    let rung = ConditionType::InboundReachable;
    let inbound = |kind: InboundKind, source: &str| {
        reason(rung, |seen| {
            engine(seen, |report| {
                report.inbound[0].kind = kind;
                report.inbound[0].source = source.parse().unwrap();
            });
        })
    };
    assert_eq!(inbound(InboundKind::StreamAuthenticated, "203.0.113.9"), "InboundObserved");
    assert_eq!(inbound(InboundKind::StreamOpened, "203.0.113.9"), "InboundObserved");
    assert_eq!(inbound(InboundKind::StreamAuthenticated, "10.1.0.9"), "NoOutsideEvidence");
    assert_eq!(inbound(InboundKind::StreamAuthenticated, "::ffff:10.1.0.9"), "NoOutsideEvidence");
    assert_eq!(inbound(InboundKind::DialbackVerified, "10.1.0.9"), "DialbackObserved");
    let stale = reason(rung, |seen| {
        engine(seen, |r| r.inbound[0].at = now() - SignedDuration::from_hours(25));
    });
    assert_eq!(stale, "EvidenceStale");
    let changed = |after: SignedDuration| {
        reason(rung, |seen| {
            let at = seen.now - SignedDuration::from_mins(10);
            seen.address_changed = Some(at);
            engine(seen, |r| r.inbound[0].at = at + after);
        })
    };
    assert_eq!(changed(SignedDuration::from_secs(-1)), "EvidenceStale");
    assert_eq!(changed(SignedDuration::from_secs(1)), "InboundObserved");
    let unreachable = reason(rung, |seen| seen.engines[0].report = Report::Unreachable("x".into()));
    assert_eq!(unreachable, "EvidenceUnavailable");
}

#[test]
fn private_sources_do_not_count_while_networks_of_the_cluster_are_unknown() {
    use InboundKind::{DialbackVerified, StreamAuthenticated, StreamOpened};
    let no_pod_cidrs = || Gap::PodCidrs { node: "worker-1".into() };
    let listed = json!({"clusterNetworks": ["10.0.0.0/8"]});
    for (gap, verification, kind, source, expected) in [
        (None, json!({}), StreamAuthenticated, "192.168.7.9", "InboundObserved"),
        (Some(no_pod_cidrs()), json!({}), StreamAuthenticated, "192.168.7.9", "NoOutsideEvidence"),
        (Some(no_pod_cidrs()), json!({}), StreamOpened, "::ffff:100.64.3.1", "NoOutsideEvidence"),
        (Some(no_pod_cidrs()), json!({}), StreamAuthenticated, "fd00:7::9", "NoOutsideEvidence"),
        (Some(no_pod_cidrs()), json!({}), StreamAuthenticated, "203.0.113.9", "InboundObserved"),
        (Some(no_pod_cidrs()), json!({}), DialbackVerified, "192.168.7.9", "DialbackObserved"),
        (
            Some(no_pod_cidrs()),
            listed.clone(),
            StreamAuthenticated,
            "192.168.7.9",
            "InboundObserved",
        ),
        (
            Some(no_pod_cidrs()),
            listed.clone(),
            StreamAuthenticated,
            "10.1.0.9",
            "NoOutsideEvidence",
        ),
        (Some(Gap::Nodes), json!({}), StreamAuthenticated, "192.168.7.9", "NoOutsideEvidence"),
        (
            Some(Gap::ServiceCidrs),
            json!({}),
            StreamAuthenticated,
            "192.168.7.9",
            "NoOutsideEvidence",
        ),
    ] {
        let mut spec = with_peer();
        spec["verification"] = verification.clone();
        let case = format!("{gap:?} {verification} {kind:?} {source}");
        let verdict = of(&spec, ConditionType::InboundReachable, |seen| {
            seen.networks.gap = gap.clone();
            engine(seen, |report| {
                report.inbound[0].kind = kind;
                report.inbound[0].source = source.parse().unwrap();
            });
        });
        assert_eq!(verdict.reason.to_string(), expected, "{case}");
        if expected == "NoOutsideEvidence" {
            let named = verdict.message.contains("spec.verification.clusterNetworks");
            assert_eq!(named, verification == json!({}), "{case}: {verdict:?}");
            let why = gap.filter(|_| named).map(|gap| gap.to_string()).unwrap_or_default();
            assert!(verdict.message.contains(&why), "{case}: {verdict:?}");
        }
    }
}

#[test]
fn a_service_that_must_be_replaced_is_named_with_its_address_and_the_annotation() {
    let of = |state: ReplacementState| {
        after(ConditionType::AddressAssigned, |seen| {
            seen.applied.replacement = Some(Replacement {
                name: "example".into(),
                addresses: vec!["192.0.2.7".into()],
                state,
            });
        })
    };
    let refusal = "spec.loadBalancerClass: may not change once set".to_owned();
    let needed = of(ReplacementState::Needed { refusal });
    assert_eq!(needed.reason.to_string(), "ReplacementNeeded");
    for part in
        ["192.0.2.7", "spec.loadBalancerClass", "xmppfederation.dev/allow-service-replacement"]
    {
        assert!(needed.message.contains(part), "{part}: {needed:?}");
    }
    let finalizers = vec!["service.kubernetes.io/load-balancer-cleanup".to_owned()];
    let deleting = of(ReplacementState::Deleting { finalizers });
    assert_eq!(deleting.reason.to_string(), "ReplacementInProgress");
    assert!(
        deleting.message.contains("service.kubernetes.io/load-balancer-cleanup"),
        "{deleting:?}"
    );
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
fn peers_reachable() {
    let rung = ConditionType::PeersReachable;
    let fails = |seen: &mut Evidence| {
        engine(seen, |report| {
            let stream = report.peers[0].outbound.as_mut().unwrap();
            stream.connected = false;
            stream.reason = Word::ConnectRefused;
            stream.message = "203.0.113.9:5269: connection refused".into();
        });
    };
    let failed = after(rung, fails);
    assert_eq!(failed.reason.to_string(), "SomePeersFailed", "one peer says nothing about egress");
    for part in ["partner.example", "ConnectRefused", "connection refused"] {
        assert!(failed.message.contains(part), "{failed:?}");
    }
    let mut two = with_peer();
    two["peers"] = json!([{"domain": "partner.example"}, {"domain": "good.example"}]);
    assert_eq!(of(&two, rung, fails).reason.to_string(), "SomePeersFailed");
    let idle = reason(rung, |seen| {
        engine(seen, |r| r.peers[0].outbound.as_mut().unwrap().connected = false);
    });
    assert_eq!(idle, "AllPeersReachable");
    // What one replica reached before another one failed says nothing about now.
    let replicas = |open: bool| {
        reason(rung, |seen| {
            let mut second = seen.engines[0].clone();
            second.replica.name = "example-2".into();
            seen.engines.push(second);
            engine(seen, |report| {
                let stream = report.peers[0].outbound.as_mut().unwrap();
                (stream.connected, stream.since) = (open, now() - SignedDuration::from_mins(1));
            });
            let Report::Seen(report) = &mut seen.engines[1].report else { panic!("no report") };
            let stream = Arc::make_mut(report).peers[0].outbound.as_mut().unwrap();
            (stream.connected, stream.since) = (false, now());
            stream.reason = Word::ConnectRefused;
        })
    };
    assert_eq!(replicas(false), "SomePeersFailed");
    assert_eq!(replicas(true), "AllPeersReachable", "it has a stream now");
    let untried = |seen: &mut Evidence| engine(seen, |report| report.peers.clear());
    assert_eq!(reason(rung, untried), "Probing");
    let mut suffix = smallest();
    suffix["peers"] = json!([{"domain": "*.partner.example"}]);
    assert_eq!(of(&suffix, rung, |_| {}).reason.to_string(), "NoPeersConfigured");
}

#[test]
fn a_configured_peer_that_was_refused_is_named_with_the_cause_and_changes_no_verdict() {
    let rung = ConditionType::PeersReachable;
    let refused = |refusals: &[(&str, i64)], inbound: Option<(bool, i64)>| {
        after(rung, |seen| {
            engine(seen, |report| {
                let peer = &mut report.peers[0];
                peer.refusals = refusals.iter().map(|(why, ago)| refusal(why, *ago)).collect();
                peer.inbound = inbound.map(|(connected, ago)| PeerStream {
                    connected,
                    since: now() - SignedDuration::from_secs(ago),
                    ..peer.outbound.clone().unwrap()
                });
            });
        })
    };
    let why =
        "the certificate does not authenticate partner.example: the certificate is self-signed";
    let verdict = refused(&[("an older cause", 99), (why, 5)], None);
    assert_eq!(
        (verdict.reason.to_string().as_str(), verdict.status()),
        ("AllPeersReachable", ConditionStatus::True)
    );
    assert_eq!(
        verdict.message,
        format!(
            "Every configured peer was reached. A server claiming to be partner.example was refused on its last \
             attempt: CertificateUntrusted, {why}. It must present a certificate for its domain that chains to \
             spec.tls.trust or spec.peers[].tls.bundles."
        )
    );
    assert_eq!(verdict, refused(&[(why, 1)], None), "the message is stable");
    assert_eq!(verdict, refused(&[(why, 1)], Some((false, 60))), "connected before that");
    let unreported = refused(&[], None);
    assert_eq!(unreported, refused(&[(why, 5)], Some((true, 60))), "it is connected");
    assert_eq!(unreported, refused(&[(why, 5)], Some((false, 1))), "it was connected since");

    // A stream to any replica counts.
    let elsewhere = after(rung, |seen| {
        let mut second = seen.engines[0].clone();
        second.replica.name = "example-2".into();
        let Report::Seen(report) = &mut second.report else { panic!("no report") };
        let peer = &mut Arc::make_mut(report).peers[0];
        peer.inbound.clone_from(&peer.outbound);
        seen.engines.push(second);
        engine(seen, |report| report.peers[0].refusals.push(refusal(why, 5)));
    });
    assert_eq!(unreported, elsewhere);

    // Who names a peer that is not configured, or fails otherwise, does not hide the rest.
    let failing = after(rung, |seen| {
        engine(seen, |report| {
            let peer = &mut report.peers[0];
            let stream = peer.outbound.as_mut().unwrap();
            (stream.connected, stream.reason) = (false, Word::ConnectRefused);
            peer.refusals.push(refusal(why, 5));
            report.refusals.push(refusal("a stranger", 5));
        });
    });
    assert_eq!(failing.reason.to_string(), "SomePeersFailed");
    for part in ["ConnectRefused", "See status.peers.", why] {
        assert!(failing.message.contains(part), "{failing:?}");
    }
    assert!(!failing.message.contains("a stranger"), "{failing:?}");
}

#[test]
fn every_word_for_a_refusal_leads_to_advice() {
    let reported = |reason: &str| {
        let verdict = after(ConditionType::PeersReachable, |seen| {
            let refusal = InboundRefusal { reason: reason.into(), ..refusal("why", 5) };
            engine(seen, |report| report.peers[0].refusals.push(refusal));
        });
        verdict.message.rsplit_once(". ").unwrap().1.to_owned()
    };
    for (reason, advice) in [
        ("TLSRequired", "STARTTLS"),
        ("PolicyDenied", "spec.policy"),
        ("HostUnknown", "spec.domains"),
        ("DialbackInvalid", "confirm its keys"),
        ("DialbackDisabled", "peers[].authentication"),
        ("CertificateExpired", "certificate for its domain"),
        ("PinMismatch", "peers[].tls.pins"),
        ("NegotiationTimedOut", "did not authenticate"),
        ("RestrictedXML", "/v1/evidence"),
    ] {
        assert!(reported(reason).contains(advice), "{reason}: {}", reported(reason));
    }
}

/// The verdict `Ready` for a spec after a change of the evidence.
fn ready_after(spec: &Value, change: impl FnOnce(&mut Evidence)) -> Verdict {
    let federation = validated(spec);
    let mut seen = evidence(&federation);
    change(&mut seen);
    let view = View { federation: &federation, seen: &seen };
    let gates = ready::Gates {
        require_outside_evidence: federation.spec.verification.require_outside_evidence,
        required_peer: peers::required_failing(view),
        ..ready::Gates::default()
    };
    ready::check(&verdicts(view), &gates)
}

#[test]
fn ready_follows_from_the_rungs() {
    let no_evidence = |seen: &mut Evidence| engine(seen, |report| report.inbound.clear());
    let no_peer = |seen: &mut Evidence| {
        engine(seen, |r| {
            let stream = r.peers[0].outbound.as_mut().unwrap();
            stream.connected = false;
            stream.reason = Word::ConnectRefused;
        });
    };
    let outcome = |verdict: Verdict| (verdict.status(), verdict.reason.to_string());
    let spec = with_peer();
    let federated = outcome(ready_after(&spec, |_| {}));
    assert_eq!(federated, (ConditionStatus::True, "Federated".into()));
    let unverified = outcome(ready_after(&spec, no_evidence));
    assert_eq!(unverified, (ConditionStatus::True, "FederatedUnverified".into()));
    let mut strict = with_peer();
    strict["verification"] = json!({"requireOutsideEvidence": true});
    let blocked = outcome(ready_after(&strict, no_evidence));
    assert_eq!(blocked, (ConditionStatus::Unknown, "Unverified".into()));

    assert_eq!(outcome(ready_after(&spec, no_peer)).0, ConditionStatus::True);
    let mut required = with_peer();
    required["peers"][0]["required"] = json!(true);
    let lost = outcome(ready_after(&required, no_peer));
    assert_eq!(lost, (ConditionStatus::False, "PeersReachable".into()));

    let first = outcome(ready_after(&spec, |seen| {
        seen.dns.host = reported([].into());
        seen.dns.services[0].1 = reported([].into());
    }));
    assert_eq!(first, (ConditionStatus::False, "HostResolves".into()));
    let open = outcome(ready_after(&spec, |seen| seen.probes = ProbeEvidence::default()));
    assert_eq!(open, (ConditionStatus::Unknown, "Progressing".into()));
}
