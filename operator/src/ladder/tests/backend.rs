//! `BackendReady`.

use super::*;

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
        (BackendOutcome::DoesNotAnswer, "BackendDoesNotAnswer"),
        (BackendOutcome::AnswerAwaited, "Probing"),
        (BackendOutcome::ComponentNotConnected, "ComponentNotConnected"),
        (BackendOutcome::NotXmpp, "NotXMPP"),
        (BackendOutcome::StreamFailed, "StreamFailed"),
        (BackendOutcome::RoundTripSeen, "RoundTripSeen"),
    ] {
        assert_eq!(outcome(seen).reason.to_string(), word);
    }
    for seen in [BackendOutcome::NotXmpp, BackendOutcome::StreamFailed] {
        let message = outcome(seen).message;
        for part in ["TLS from the first byte", "port", "5269"] {
            assert!(message.contains(part), "{part}: {message}");
        }
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
    let one_of_two = component_of_two_pods(BackendOutcome::ComponentNotConnected);
    assert_eq!(one_of_two.reason.to_string(), "ComponentNotConnected");
    for part in [
        "Backend im for example.com at engine pod example-2:",
        "Engine pods with a connection: example-1.",
        "run one instance of the component for each pod, or set spec.replicas to 1",
    ] {
        assert!(one_of_two.message.contains(part), "{part}: {}", one_of_two.message);
    }
    let both = component_of_two_pods(BackendOutcome::RoundTripSeen);
    assert_eq!(both.reason.to_string(), "RoundTripSeen");
    let conflict = bot(1, BackendOutcome::ComponentConflict);
    assert_eq!(conflict.reason.to_string(), "ComponentConflict");
    for part in ["as many instances as engine pods (1)", "key secret of Secret bot"] {
        assert!(conflict.message.contains(part), "{part}: {}", conflict.message);
    }
    let second = component_of_two_pods(BackendOutcome::ComponentConflict);
    assert_eq!(second.reason.to_string(), "ComponentConflict");
    let silent = bot(1, BackendOutcome::NoAnswer);
    assert_eq!(silent.reason.to_string(), "ComponentDoesNotAnswer");
    assert!(!silent.message.contains("DNS"), "{}", silent.message);
    assert!(silent.message.contains("It must answer every iq"), "{}", silent.message);
    // Its answer would come back on the same stream, whatever happens to other pods.
    let spec = json!({
        "domains": [{"name": "example.com"}],
        "backends": [{"name": "im", "component": {"secretRef": {"name": "bot"}}}]
    });
    let beside = of(&spec, rung, |seen| {
        engine(seen, |report| report.backends[0].outcome = BackendOutcome::NoAnswer);
        seen.cluster.pods[0].terminating = true;
    });
    assert_eq!(beside.reason.to_string(), "ComponentDoesNotAnswer");

    assert_eq!(reason(rung, |seen| engine(seen, |r| r.backends.clear())), "Probing");
    let unreachable = |seen: &mut Evidence| {
        seen.engines[0].report = Report::Unreachable("refused".into());
    };
    assert_eq!(reason(rung, unreachable), "EvidenceUnavailable");
    let alone = json!({"domains": [{"name": "example.com"}]});
    assert_eq!(of(&alone, rung, |_| {}).reason.to_string(), "NoBackendConfigured");
}

/// The verdict about a component that is connected to the first of two pods, and for which the second one has this outcome.
fn component_of_two_pods(second: BackendOutcome) -> Verdict {
    let spec = json!({
        "domains": [{"name": "example.com"}],
        "backends": [{"name": "im", "component": {"secretRef": {"name": "bot"}}}],
        "replicas": 2
    });
    of(&spec, ConditionType::BackendReady, |seen| {
        seen.engines.truncate(1);
        seen.engines[0].replica.name = "example-1".into();
        seen.engines.push(seen.engines[0].clone());
        seen.engines[1].replica.name = "example-2".into();
        if let Report::Seen(report) = &mut seen.engines[1].report {
            Arc::make_mut(report).backends[0].outcome = second;
        }
    })
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
    for sent in
        [BackendOutcome::AnswerAwaited, BackendOutcome::NoAnswer, BackendOutcome::DoesNotAnswer]
    {
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
fn what_keeps_the_backend_from_the_engine_is_named() {
    let message = |contacts: &[(ContactKind, Option<&str>, i64)], answered: Option<i64>| {
        let ago = |seconds: i64| now() - SignedDuration::from_secs(seconds);
        let verdict = after(ConditionType::BackendReady, |seen| {
            let domain: Domain = "example.com".parse().unwrap();
            let times = answered.map(|seconds| (domain, ago(seconds)));
            seen.backend_answered = times.into_iter().collect();
            engine(seen, |report| {
                report.backends[0].outcome = BackendOutcome::NoAnswer;
                let contact =
                    |(kind, domain, seconds): &(ContactKind, Option<&str>, i64)| BackendContact {
                        kind: *kind,
                        source: "10.244.0.9".parse().unwrap(),
                        domain: domain.and_then(|domain| domain.parse().ok()),
                        detail: "TLS handshake failed: UnknownCA".to_owned(),
                        at: ago(*seconds),
                    };
                report.contacts = contacts.iter().map(contact).collect();
            });
        });
        assert_eq!(verdict.reason.to_string(), "BackendDoesNotReachEngine");
        verdict.message
    };
    let has = |message: &str, parts: &[&str]| {
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    };
    let (refused, answered, stream) =
        (ContactKind::QueryRefused, ContactKind::QueryAnswered, ContactKind::StreamRefused);
    let no_query = ["has received no query", "must use DNS server 10.96.0.7"];
    has(&message(&[], None), &no_query);
    has(
        &message(&[(refused, None, 5)], None),
        &["refused a query from 10.244.0.9", "spec.dns.clients"],
    );
    has(
        &message(&[(answered, None, 5), (refused, None, 1)], None),
        &["told 10.244.0.9", "NetworkPolicy", "10.96.0.7, port 5269"],
    );
    let own = Some("example.com");
    has(
        &message(&[(stream, own, 9), (answered, None, 5)], None),
        &[
            "from 10.244.0.9 failed: TLS handshake failed: UnknownCA",
            "ConfigMap example-backend-ca",
        ],
    );
    // The stream of another domain, one from before the last answer, and one of long ago.
    has(&message(&[(stream, Some("other.example"), 5)], None), &no_query);
    has(&message(&[(stream, own, 70)], Some(60)), &no_query);
    has(&message(&[(stream, own, 130)], None), &no_query);
}
