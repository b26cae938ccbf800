//! `CertificateReady`: there is a certificate for every local domain.

use crds::domain::Domain;
use crds::reason::CertificateReadyReason;
use jiff::SignedDuration;

use super::View;
use super::verdict::Verdict;
use crate::evidence::references::CertificateSeen;

/// Remaining validity below which the message warns about the expiry.
const EXPIRY_WARNING_TIME: SignedDuration = SignedDuration::from_hours(14 * 24);

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
    "No certificate is configured, so the operator created a self-signed one. Peers that use dialback accept it. For all other peers, create a Secret of type kubernetes.io/tls and name it in spec.tls.certificate.secretRef."
}

/// Judges the certificate for one domain.
pub fn for_domain(view: View<'_>, domain: &Domain) -> Verdict {
    let secret = view.federation.certificate_secret();
    let (facts, covers) = match &view.seen.references.certificate {
        None => {
            return Verdict::new(
                CertificateReadyReason::Issuing,
                format!("The certificate in Secret {secret} is being issued."),
            );
        }
        Some(CertificateSeen::KeyMismatch(message)) => {
            return Verdict::new(
                CertificateReadyReason::KeyMismatch,
                format!(
                    "{message}. Put the private key that matches the certificate into the Secret."
                ),
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
                "The certificate in Secret {secret} is for {names}; it does not cover {domain}. Issue one that names every domain in spec.domains as a DNS subject alternative name."
            ),
        );
    }
    if facts.not_after <= now {
        return Verdict::new(
            CertificateReadyReason::Expired,
            format!(
                "The certificate in Secret {secret} expired at {}. Replace it in the Secret.",
                facts.not_after
            ),
        );
    }
    if facts.not_before > now {
        return Verdict::new(
            CertificateReadyReason::NotYetValid,
            format!(
                "The certificate in Secret {secret} is not valid before {}. Check the clock of the system that issued it.",
                facts.not_before
            ),
        );
    }
    if facts.not_after.duration_since(now) < EXPIRY_WARNING_TIME && !view.federation.self_signed() {
        return Verdict::new(
            CertificateReadyReason::ExpiringSoon,
            format!(
                "The certificate in Secret {secret} is valid until {}. Renew it before then.",
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
