//! `CertificateReady`: there is a certificate for every local domain.

use crds::domain::Domain;
use crds::reason::CertificateReadyReason;
use jiff::SignedDuration;

use super::View;
use super::verdict::Verdict;
use crate::evidence::references::CertificateSeen;

/// Remaining validity at which the message speaks of it.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The verdict when every domain's is True.
pub fn every_domain(view: View<'_>, verdicts: &[Verdict]) -> Verdict {
    let soon = CertificateReadyReason::ExpiringSoon.into();
    if let Some(expiring) = verdicts.iter().find(|verdict| verdict.reason == soon) {
        return expiring.clone();
    }
    if view.federation.self_signed() {
        return Verdict::new(CertificateReadyReason::SelfSigned, self_signed());
    }
    let secret = view.federation.certificate_secret();
    Verdict::new(
        CertificateReadyReason::CertificateValid,
        format!("The certificate in Secret {secret} covers every domain."),
    )
}

fn self_signed() -> &'static str {
    "No certificate is configured, so the operator made a self-signed one. It is enough for peers that use dialback; for all others create a Secret of type kubernetes.io/tls and name it in spec.tls.certificate.secretRef."
}

/// Judges the certificate for one domain.
pub fn for_domain(view: View<'_>, domain: &Domain) -> Verdict {
    let secret = view.federation.certificate_secret();
    let (facts, covers) = match &view.seen.references.certificate {
        None => {
            return Verdict::new(
                CertificateReadyReason::Issuing,
                format!("The certificate in Secret {secret} is being made."),
            );
        }
        Some(CertificateSeen::KeyMismatch(message)) => {
            return Verdict::new(
                CertificateReadyReason::KeyMismatch,
                format!("{message}. Put the key into the Secret that belongs to the certificate."),
            );
        }
        Some(CertificateSeen::Readable { facts, covers }) => (facts, covers),
    };
    let now = view.seen.now;
    if !covers.contains(domain) {
        let names = if facts.names.is_empty() {
            "no domain at all".to_owned()
        } else {
            facts.names.join(", ")
        };
        return Verdict::new(
            CertificateReadyReason::DomainNotCovered,
            format!(
                "The certificate in Secret {secret} is for {names}; {domain} is not among them. Issue one that names every domain of spec.domains as DNS subject alternative name."
            ),
        );
    }
    if facts.not_after <= now {
        return Verdict::new(
            CertificateReadyReason::Expired,
            format!(
                "The certificate in Secret {secret} ended at {}. Put a current one into the Secret.",
                facts.not_after
            ),
        );
    }
    if facts.not_before > now {
        return Verdict::new(
            CertificateReadyReason::NotYetValid,
            format!(
                "The certificate in Secret {secret} begins at {}. Check the clock of whoever issued it.",
                facts.not_before
            ),
        );
    }
    if facts.not_after.duration_since(now) < SOON && !view.federation.self_signed() {
        return Verdict::new(
            CertificateReadyReason::ExpiringSoon,
            format!(
                "The certificate in Secret {secret} is valid and ends at {}. Renew it before.",
                facts.not_after
            ),
        );
    }
    if view.federation.self_signed() {
        return Verdict::new(CertificateReadyReason::SelfSigned, self_signed());
    }
    Verdict::new(
        CertificateReadyReason::CertificateValid,
        format!("The certificate in Secret {secret} covers {domain}."),
    )
}
