//! `CertificateReady`: there is a certificate for every local domain.

use crds::condition::ConditionType;
use crds::domain::Domain;
use crds::federation::tls::CertificateSource;
use crds::reason::CertificateReadyReason;
use jiff::SignedDuration;

use super::verdict::Verdict;
use super::{View, issuance};
use crate::evidence::certificate::{CertificateSeen, Purpose, Readable};
use crate::evidence::references::ServedCertificate;
use crate::federation::names;
use crate::federation::serving::Source;

/// Remaining validity below which the message warns about the expiry.
const EXPIRY_WARNING_TIME: SignedDuration = SignedDuration::from_hours(14 * 24);
/// For a certificate of cert-manager, which renews at a third of the validity, this part of the validity if it is shorter.
const EXPIRY_WARNING_PART: i32 = 4;

/// The verdict when every domain's is True.
pub fn every_domain(view: View<'_>, verdicts: &[Verdict]) -> Verdict {
    let soon = CertificateReadyReason::ExpiringSoon.into();
    if let Some(expiring) = verdicts.iter().find(|verdict| verdict.reason == soon) {
        return expiring.clone();
    }
    match (&view.seen.references.certificate, verdicts.first()) {
        (Some(CertificateSeen::Readable(found)), _) => {
            valid(&secret_of(view, &configured(view)), "every domain", found)
        }
        (_, Some(first)) => first.clone(),
        (_, None) => issuing(),
    }
}

/// The source that the spec names.
fn configured(view: View<'_>) -> Source {
    match &view.federation.spec.tls.certificate {
        None => Source::SelfSigned,
        Some(CertificateSource::Secret(reference)) => Source::Secret(reference.name.clone()),
        Some(CertificateSource::Issuer(_)) => {
            Source::Certificate(names::issued(&view.federation.name))
        }
    }
}

/// The Secret with the certificate of a source.
fn secret_of(view: View<'_>, source: &Source) -> String {
    match source {
        Source::SelfSigned => names::self_signed(&view.federation.name),
        // cert-manager writes a Secret of the Certificate's name.
        Source::Secret(name) | Source::Certificate(name) => name.clone(),
    }
}

/// Judges the certificate for one domain.
pub fn for_domain(view: View<'_>, domain: &Domain) -> Verdict {
    let references = &view.seen.references;
    let source = configured(view);
    let secret = secret_of(view, &source);
    match (&references.certificate, &references.served) {
        (Some(CertificateSeen::Readable(found)), _) => fault(view, &source, found, domain)
            .map(|verdict| with_served(view, with_report(view, verdict)))
            .or_else(|| expiring(view, &source, found).map(|verdict| with_report(view, verdict)))
            .unwrap_or_else(|| valid(&secret, domain.as_str(), found)),
        (Some(CertificateSeen::KeyMismatch(message)), _) => with_served(
            view,
            Verdict::new(
                CertificateReadyReason::KeyMismatch,
                format!(
                    "{message}. Put the private key that matches the certificate into the Secret."
                ),
            ),
        ),
        (Some(CertificateSeen::WeakKey(bits)), _) => with_served(
            view,
            Verdict::new(
                CertificateReadyReason::WeakKey,
                format!(
                    "The certificate in Secret {secret} has an RSA key of {bits} bits; TLS libraries reject RSA keys under 2048 bits. Issue one with a new key, for example ECDSA P-256."
                ),
            ),
        ),
        (None, Some(served)) => standing_in(view, served, domain),
        (None, None) if matches!(source, Source::Certificate(_)) => issuance::missing(view),
        (None, None) if references.problems.is_empty() => issuing(),
        (None, None) => {
            Verdict::waiting(ConditionType::CertificateReady, ConditionType::ResolvedRefs)
        }
    }
}

/// What is served although the spec does not name it, or names nothing.
fn standing_in(view: View<'_>, served: &ServedCertificate, domain: &Domain) -> Verdict {
    let ServedCertificate { source, readable } = served;
    let wanted = view.federation.spec.tls.certificate.as_ref();
    if let Some(verdict) = fault(view, source, readable, domain) {
        return with_report(view, verdict);
    }
    match (source, wanted) {
        (Source::SelfSigned, None) => {
            Verdict::new(CertificateReadyReason::SelfSigned, self_signed())
        }
        // Peers that verify certificates were never served one that they accept.
        (Source::SelfSigned, Some(CertificateSource::Issuer(_))) => {
            with_served(view, issuance::missing(view))
        }
        (_, wanted) => expiring(view, source, readable).unwrap_or_else(|| {
            let why = match wanted {
                Some(CertificateSource::Issuer(_)) => issuance::missing(view).message,
                Some(CertificateSource::Secret(_)) | None => {
                    "The certificate that spec.tls.certificate names cannot be read; see ResolvedRefs.".to_owned()
                }
            };
            let previous = CertificateReadyReason::PreviousCertificateServed;
            Verdict::new(previous, format!("{why} {}", keeps_serving(served)))
        }),
    }
}

/// The first defect of a certificate.
fn fault(view: View<'_>, source: &Source, found: &Readable, domain: &Domain) -> Option<Verdict> {
    let Readable { facts, covers, purpose, missing_issuer } = found;
    let now = view.seen.now;
    let place = format!("Secret {}", secret_of(view, source));
    let is_issued = matches!(source, Source::Certificate(_));
    let action = |by_user: &'static str, by_issuer: &'static str| {
        if is_issued { by_issuer } else { by_user }
    };
    if !covers.contains(domain) {
        let names = if facts.names.is_empty() {
            "no domain at all".to_owned()
        } else {
            facts.names.join(", ")
        };
        let action = action(
            "Issue one that names every domain in spec.domains as a DNS subject alternative name.",
            "cert-manager replaces it.",
        );
        return Some(Verdict::new(
            CertificateReadyReason::DomainNotCovered,
            format!(
                "The certificate in {place} is for {names}; it does not cover {domain}. {action}"
            ),
        ));
    }
    if facts.not_after <= now {
        let action = action(
            "Replace it in the Secret.",
            "cert-manager has not renewed it; check the issuer.",
        );
        return Some(Verdict::new(
            CertificateReadyReason::Expired,
            format!("The certificate in {place} expired at {}. {action}", facts.not_after),
        ));
    }
    if facts.not_before > now {
        return Some(Verdict::new(
            CertificateReadyReason::NotYetValid,
            format!(
                "The certificate in {place} is not valid before {}. Check the clock of the system that issued it.",
                facts.not_before
            ),
        ));
    }
    if *purpose == Purpose::NotServer {
        return Some(Verdict::new(
            CertificateReadyReason::PurposeMismatch,
            format!(
                "The certificate in {place} is not for servers: its extended key usage lacks serverAuth. Issue one with serverAuth, and with clientAuth if the CA permits it."
            ),
        ));
    }
    missing_issuer.as_ref().map(|issuer| {
        let action = action(
            "Append the intermediate certificate to tls.crt.",
            "Append the intermediate certificate to tls.crt in the Secret of the issuer.",
        );
        Verdict::new(
            CertificateReadyReason::ChainIncomplete,
            format!(
                "The certificate chain in {place} lacks the certificate of its issuer {issuer}, so peers cannot verify it. {action} If the issuer is a private root that peers have, append it too, or add it to spec.tls.trust.bundles."
            ),
        )
    })
}

fn expiring(view: View<'_>, source: &Source, found: &Readable) -> Option<Verdict> {
    let (begin, end) = (found.facts.not_before, found.facts.not_after);
    let (warn, action) = match source {
        Source::Certificate(_) => (
            EXPIRY_WARNING_TIME.min(end.duration_since(begin) / EXPIRY_WARNING_PART),
            "cert-manager has not renewed it; check the issuer.",
        ),
        Source::SelfSigned | Source::Secret(_) => (EXPIRY_WARNING_TIME, "Renew it before then."),
    };
    (end.duration_since(view.seen.now) < warn).then(|| {
        let secret = secret_of(view, source);
        Verdict::new(
            CertificateReadyReason::ExpiringSoon,
            format!("The certificate in Secret {secret} is valid until {end}. {action}"),
        )
    })
}

fn valid(secret: &str, what: &str, found: &Readable) -> Verdict {
    let consequence = match found.purpose {
        Purpose::ServerOnly => {
            " It is for serverAuth only, as public CAs issue: a peer that requires clientAuth refuses SASL EXTERNAL and needs dialback."
        }
        Purpose::Both | Purpose::NotServer => "",
    };
    Verdict::new(
        CertificateReadyReason::CertificateValid,
        format!("The certificate in Secret {secret} covers {what}.{consequence}"),
    )
}

fn self_signed() -> &'static str {
    "No certificate is configured, so the operator created a self-signed one. Peers that use dialback accept it. For all other peers, name a Secret of type kubernetes.io/tls in spec.tls.certificate.secretRef, or an issuer of cert-manager in issuerRef."
}

fn issuing() -> Verdict {
    Verdict::new(CertificateReadyReason::Issuing, "The certificate is being issued.")
}

/// Adds what cert-manager reports about the replacement.
fn with_report(view: View<'_>, mut verdict: Verdict) -> Verdict {
    if let Some(report) = &view.seen.references.issuance.report {
        verdict.message = format!("{} {}", verdict.message, issuance::quoted(report));
    }
    verdict
}

/// Adds which certificate is served instead of the one with the defect.
fn with_served(view: View<'_>, mut verdict: Verdict) -> Verdict {
    let references = &view.seen.references;
    let named = references.certificate.as_ref().and_then(CertificateSeen::readable);
    if let Some(served) = &references.served
        && named.is_none_or(|named| named.facts.sha256 != served.readable.facts.sha256)
    {
        verdict.message = format!("{} {}", verdict.message, keeps_serving(served));
    }
    verdict
}

/// Which certificate is served until its replacement is valid.
pub(super) fn keeps_serving(served: &ServedCertificate) -> String {
    let ServedCertificate { source, readable } = served;
    let source = source.to_string().replacen("the certificate", "the previous certificate", 1);
    format!("Engine pods keep serving {source}, which is valid until {}.", readable.facts.not_after)
}
