//! `CertificateReady` with an issuer of cert-manager.

use super::*;
use crate::evidence::issuance::{IssuanceReport, Progress};

fn with_issuer() -> Value {
    let mut spec = smallest();
    spec["tls"] = json!({"certificate": {"issuerRef": {"name": "ca"}}});
    spec
}

fn certificate_ready(change: impl FnOnce(&mut Evidence)) -> Verdict {
    of(&with_issuer(), ConditionType::CertificateReady, change)
}

fn report(message: &str, progress: Progress) -> IssuanceReport {
    let (kind, name) = ("CertificateRequest", "example-tls-issued-1".to_owned());
    IssuanceReport { kind, name, message: message.to_owned(), progress }
}

/// Nothing is issued yet; the self-signed certificate is served.
fn unissued(seen: &mut Evidence, message: &str, progress: Progress) {
    seen.references.certificate = None;
    seen.references.served.as_mut().unwrap().source = Source::SelfSigned;
    seen.references.issuance.report = Some(report(message, progress));
}

#[test]
fn an_issued_certificate_is_judged_as_one_of_a_secret() {
    let verdict = certificate_ready(|_| {});
    assert_eq!(verdict.reason.to_string(), "CertificateValid");
    assert_eq!(
        verdict.message,
        "The certificate in Secret example-tls-issued covers every domain."
    );
    let tls = of(&with_issuer(), ConditionType::TLSVerified, |_| {});
    assert_eq!(tls.reason.to_string(), "CertificateValid");
}

#[test]
fn what_cert_manager_reports_is_quoted_with_what_is_served() {
    let not_found = r#"Referenced "Issuer" not found: issuer.cert-manager.io "ca" not found"#;
    for (message, progress, reason, action) in [
        ("Waiting", Progress::Pending, "Issuing", "Engine pods"),
        (not_found, Progress::IssuerNotFound, "IssuanceFailed", "Create Issuer ca, or correct"),
        ("no", Progress::Failed, "IssuanceFailed", "cmctl renew example-tls-issued -n im"),
    ] {
        let verdict = certificate_ready(|seen| unissued(seen, message, progress));
        assert_eq!(verdict.reason.to_string(), reason);
        let quote = format!("CertificateRequest example-tls-issued-1: {message}. ");
        let served = "keep serving the operator's self-signed certificate, which is valid until";
        for part in [quote.as_str(), action, served] {
            assert!(verdict.message.contains(part), "{part}: {verdict:?}");
        }
    }
    let verdict = certificate_ready(|seen| {
        seen.references.certificate = None;
        seen.references.served = None;
    });
    assert_eq!(verdict.reason.to_string(), "Issuing");
}

#[test]
fn without_cert_manager_the_missing_kind_is_named() {
    let verdict = certificate_ready(|seen| {
        unissued(seen, "", Progress::Pending);
        seen.references.issuance = crate::evidence::issuance::Issuance::default();
    });
    assert_eq!(verdict.reason.to_string(), "CertManagerNotInstalled");
    assert!(verdict.message.contains("kind Certificate of cert-manager.io/v1"), "{verdict:?}");
}

#[test]
fn a_certificate_that_peers_verify_stands_in_while_the_issuer_does_not_issue() {
    let verdict = certificate_ready(|seen| {
        unissued(seen, "no", Progress::Failed);
        serve_old(seen);
    });
    assert_eq!(verdict.reason.to_string(), "PreviousCertificateServed");
    assert!(
        verdict.message.contains("CertificateRequest example-tls-issued-1: no."),
        "{verdict:?}"
    );
    assert!(verdict.message.ends_with(SERVED), "{verdict:?}");
}

#[test]
fn a_certificate_for_fewer_domains_is_reported_with_the_progress_of_the_next() {
    let verdict = certificate_ready(|seen| {
        let Some(CertificateSeen::Readable(found)) = &mut seen.references.certificate else {
            panic!("unreadable")
        };
        found.covers.clear();
        seen.references.issuance.report = Some(report("Waiting", Progress::Pending));
    });
    assert_eq!(verdict.reason.to_string(), "DomainNotCovered");
    assert!(
        verdict.message.ends_with(
            "cert-manager replaces it. CertificateRequest example-tls-issued-1: Waiting."
        ),
        "{verdict:?}"
    );
}

#[test]
fn a_short_validity_is_no_late_renewal() {
    let verdict = |hours_left: i64| {
        certificate_ready(|seen| {
            let Some(CertificateSeen::Readable(found)) = &mut seen.references.certificate else {
                panic!("unreadable")
            };
            // The validity is 144 hours; cert-manager renews 48 hours before its end.
            found.facts.not_before = now() - SignedDuration::from_hours(144 - hours_left);
            found.facts.not_after = now() + SignedDuration::from_hours(hours_left);
            seen.references.issuance.report = Some(report("Waiting", Progress::Pending));
        })
    };
    assert_eq!(verdict(47).reason.to_string(), "CertificateValid");
    let late = verdict(30);
    assert_eq!(late.reason.to_string(), "ExpiringSoon");
    assert!(late.message.contains("CertificateRequest example-tls-issued-1: Waiting."), "{late:?}");
}

#[test]
fn a_missing_issuer_is_a_reference_to_nothing() {
    let verdict = of(&with_issuer(), ConditionType::ResolvedRefs, |seen| {
        seen.references.certificate = None;
        seen.references.problems = vec![ReferenceError {
            reason: ResolvedRefsReason::IssuerNotFound,
            message: "spec.tls.certificate.issuerRef: no".into(),
        }];
    });
    assert_eq!(verdict.reason.to_string(), "IssuerNotFound");
    assert!(verdict.message.contains("keep serving"), "{verdict:?}");
}
