//! `ResolvedRefs` and `CertificateReady`.

use super::*;

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
    // All other conditions are still judged, by the certificate that is served.
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
