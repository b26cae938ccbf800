//! `CertificateReady`: there is a certificate for every local domain.

use crds::condition::ConditionType;
use crds::domain::Domain;
use crds::federation::tls::CertificateSource;
use crds::reason::CertificateReadyReason;
use jiff::{SignedDuration, Timestamp};

use super::View;
use super::verdict::Verdict;
use crate::evidence::certificate::{CertificateSeen, Purpose, Readable};
use crate::evidence::references::ServedCertificate;
use crate::federation::serving::Source;

/// Remaining validity below which the message warns about the expiry.
const EXPIRY_WARNING_TIME: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The verdict when every domain's is True.
pub fn every_domain(view: View<'_>, verdicts: &[Verdict]) -> Verdict {
    let soon = CertificateReadyReason::ExpiringSoon.into();
    if let Some(expiring) = verdicts.iter().find(|verdict| verdict.reason == soon) {
        return expiring.clone();
    }
    match (&view.seen.references.certificate, verdicts.first()) {
        (Some(CertificateSeen::Readable(found)), _) => {
            let secret = view.federation.certificate_secret().unwrap_or_default();
            valid(secret, "every domain", found)
        }
        (_, Some(first)) => first.clone(),
        (_, None) => issuing(),
    }
}

/// Judges the certificate for one domain.
pub fn for_domain(view: View<'_>, domain: &Domain) -> Verdict {
    let (federation, references) = (view.federation, &view.seen.references);
    let secret = federation.certificate_secret().unwrap_or_default();
    match (&references.certificate, &references.served) {
        (Some(CertificateSeen::Readable(found)), _) => {
            fault(&format!("Secret {secret}"), found, domain, view.seen.now)
                .map(|verdict| with_served(view, verdict))
                .or_else(|| expiring(&format!("Secret {secret}"), found, view.seen.now))
                .unwrap_or_else(|| valid(secret, domain.as_str(), found))
        }
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
        (None, None) if references.problems.is_empty() => issuing(),
        (None, None) => {
            Verdict::waiting(ConditionType::CertificateReady, ConditionType::ResolvedRefs)
        }
    }
}

/// What is served although the spec does not name it, or names nothing.
fn standing_in(view: View<'_>, served: &ServedCertificate, domain: &Domain) -> Verdict {
    let ServedCertificate { source, readable } = served;
    let place = match source {
        Source::SelfSigned => {
            format!("Secret {}", crate::federation::names::self_signed(&view.federation.name))
        }
        Source::Secret(name) => format!("Secret {name}"),
    };
    let wanted = view.federation.spec.tls.certificate.as_ref();
    if let Some(verdict) = fault(&place, readable, domain, view.seen.now) {
        return verdict;
    }
    let not_in_effect = "spec.tls.certificate.issuerRef has no effect yet.";
    match (source, wanted) {
        (Source::SelfSigned, None) => {
            Verdict::new(CertificateReadyReason::SelfSigned, self_signed())
        }
        (Source::SelfSigned, Some(CertificateSource::Issuer(_))) => Verdict::new(
            CertificateReadyReason::SelfSigned,
            format!(
                "{not_in_effect} The operator created a self-signed certificate, which peers that use dialback accept. For all other peers, create a Secret of type kubernetes.io/tls and name it in spec.tls.certificate.secretRef."
            ),
        ),
        (_, wanted) => expiring(&place, readable, view.seen.now).unwrap_or_else(|| {
            let why = match wanted {
                Some(CertificateSource::Issuer(_)) => not_in_effect,
                Some(CertificateSource::Secret(_)) | None => {
                    "The certificate that spec.tls.certificate names cannot be read; see ResolvedRefs."
                }
            };
            let previous = CertificateReadyReason::PreviousCertificateServed;
            Verdict::new(previous, format!("{why} {}", keeps_serving(served)))
        }),
    }
}

/// The first defect of a certificate.
fn fault(place: &str, found: &Readable, domain: &Domain, now: Timestamp) -> Option<Verdict> {
    let Readable { facts, covers, purpose, missing_issuer } = found;
    if !covers.contains(domain) {
        let names = if facts.names.is_empty() {
            "no domain at all".to_owned()
        } else {
            facts.names.join(", ")
        };
        return Some(Verdict::new(
            CertificateReadyReason::DomainNotCovered,
            format!(
                "The certificate in {place} is for {names}; it does not cover {domain}. Issue one that names every domain in spec.domains as a DNS subject alternative name."
            ),
        ));
    }
    if facts.not_after <= now {
        return Some(Verdict::new(
            CertificateReadyReason::Expired,
            format!(
                "The certificate in {place} expired at {}. Replace it in the Secret.",
                facts.not_after
            ),
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
        Verdict::new(
            CertificateReadyReason::ChainIncomplete,
            format!(
                "The certificate chain in {place} lacks the certificate of its issuer {issuer}, so peers cannot verify it. Append the intermediate certificate to tls.crt. If the issuer is a private root that peers have, append it too, or add it to spec.tls.trust.bundles."
            ),
        )
    })
}

fn expiring(place: &str, found: &Readable, now: Timestamp) -> Option<Verdict> {
    let end = found.facts.not_after;
    (end.duration_since(now) < EXPIRY_WARNING_TIME).then(|| {
        Verdict::new(
            CertificateReadyReason::ExpiringSoon,
            format!("The certificate in {place} is valid until {end}. Renew it before then."),
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
    "No certificate is configured, so the operator created a self-signed one. Peers that use dialback accept it. For all other peers, create a Secret of type kubernetes.io/tls and name it in spec.tls.certificate.secretRef."
}

fn issuing() -> Verdict {
    Verdict::new(CertificateReadyReason::Issuing, "The certificate is being issued.")
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
    format!("Engine pods keep serving {source}, which is valid until {}.", readable.facts.not_after)
}
