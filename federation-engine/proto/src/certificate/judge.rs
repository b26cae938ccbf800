//! Verifies whether a presented chain authenticates a domain. Pure: the chain, the trust and the time are arguments.

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext, VerifiedPath, anchor_from_trusted_cert, spki_for_anchor,
};
use x509_parser::prelude::X509Certificate;

use super::chain::{Excess, PeerChain};
use super::facts::{is_self_signed, parse, timestamp};
use super::identity::{Forms, Identity};
use super::pin::Pin;
use super::trust::Trust;
use crate::Domain;
use crate::reason::CertificateReason;

/// Maximum characters of an issuer's name in a message.
const MAX_ISSUER: usize = 256;

/// Verifies whether `chain` authenticates `name`: a path to a root of `trust` and the right name. With `pins`, one of
/// the keys on the path must be pinned; a pinned key of the chain then stands for the root (RFC 7469 §2.6), never for
/// the name or the dates.
///
/// # Errors
/// The first failure, in the order: presence, dates and constraints, issuer or pin, name.
pub fn judge(
    chain: &PeerChain,
    name: &Domain,
    trust: &Trust,
    pins: &[Pin],
    now: UnixTime,
) -> Result<(), CertificateReason> {
    judge_references(chain, &References { domain: name, host: None }, trust, pins, now)
}

/// Names of which the certificate must have one (RFC 9525 §6.1).
pub(super) struct References<'a> {
    /// The domain that the stream is for.
    pub(super) domain: &'a Domain,
    /// The server's own name, if DNSSEC authenticates that it serves the domain (RFC 7673 §4.1).
    pub(super) host: Option<&'a Domain>,
}

impl References<'_> {
    /// A host is only a DNS name, so the other forms do not count for it.
    pub(super) fn check(&self, identity: &Identity, forms: Forms) -> Result<(), CertificateReason> {
        let is_host = |host: &Domain| identity.matches_by(host, Forms::DnsId);
        if identity.matches_by(self.domain, forms) || self.host.is_some_and(is_host) {
            Ok(())
        } else {
            Err(CertificateReason::NameMismatch { found: identity.names() })
        }
    }
}

/// As [`judge`].
pub(super) fn judge_references(
    chain: &PeerChain,
    names: &References<'_>,
    trust: &Trust,
    pins: &[Pin],
    now: UnixTime,
) -> Result<(), CertificateReason> {
    let (leaf, intermediates) = chain.split().ok_or(CertificateReason::Missing)?;
    // The path is verified once; only the names differ between calls.
    let forms = chain.path_verdict(trust, pins, now, || {
        let parsed = parse(leaf).map_err(|error| invalid(&error))?;
        let excess = chain.excess();
        let candidate = Candidate { leaf, parsed: &parsed, intermediates, excess, now };
        if pins.is_empty() {
            candidate
                .lead_to(trust.anchors(), trust.holds(leaf))
                .map_err(|error| candidate.explain(&error))
        } else {
            candidate.pinned(trust, pins)
        }
    })?;
    names.check(chain.identity(), forms)
}

/// A leaf and the certificates that came with it.
pub(super) struct Candidate<'a> {
    pub(super) leaf: &'a CertificateDer<'static>,
    pub(super) parsed: &'a X509Certificate<'a>,
    pub(super) intermediates: &'a [CertificateDer<'static>],
    pub(super) excess: Option<Excess>,
    pub(super) now: UnixTime,
}

impl Candidate<'_> {
    /// A path from the leaf to one of the anchors; returns which name forms it can authenticate. `is_trusted`: this
    /// very certificate is one of those of which the anchors consist.
    ///
    /// Path building refuses a leaf with CA:TRUE, as the self-signed certificates of many servers have, and finds no
    /// issuer for a single certificate that is trusted by configuration. Such a certificate is accepted only byte for
    /// byte. The holder of an anchor's key can make one with the same name and key, but without the anchor's name
    /// constraints (RFC 5280 §4.2.1.10).
    pub(super) fn lead_to(
        &self,
        anchors: &[TrustAnchor<'_>],
        is_trusted: bool,
    ) -> Result<Forms, Error> {
        match self.path(anchors, |path| Ok(forms(path))) {
            Err(error @ (Error::CaUsedAsEndEntity | Error::UnknownIssuer)) if is_trusted => {
                self.stands_alone(error)
            }
            outcome => outcome,
        }
    }

    /// The checks of path building for a certificate that needs no issuer, or `error`, why there is no path.
    fn stands_alone(&self, error: Error) -> Result<Forms, Error> {
        self.dates()?;
        // Constraints on the certificates that it issues do not apply to its own names, so nothing authenticates those.
        if !matches!(self.parsed.name_constraints(), Ok(None)) {
            return Err(error);
        }
        match self.parsed.extended_key_usage() {
            Ok(None) => Ok(Forms::All),
            Ok(Some(usage)) if usage.value.server_auth || usage.value.client_auth => Ok(Forms::All),
            _ => Err(Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext {
                required: KeyUsage::server_auth(),
                present: Vec::new(),
            })),
        }
    }

    pub(super) fn path<T>(
        &self,
        anchors: &[TrustAnchor<'_>],
        read: impl Fn(&VerifiedPath<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self.excess {
            Some(Excess::TooMany) => return Err(Error::MaximumPathDepthExceeded),
            Some(Excess::SameSubject) => return Err(Error::MaximumSignatureChecksExceeded),
            None => {}
        }
        let leaf = EndEntityCert::try_from(self.leaf)?;
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let path = leaf.verify_for_usage(
            algorithms,
            anchors,
            self.intermediates,
            self.now,
            ServerToServer,
            None,
            None,
        )?;
        read(&path)
    }

    /// Dates of the leaf, when no path is built that would check them.
    fn dates(&self) -> Result<(), Error> {
        let seconds = i64::try_from(self.now.as_secs()).unwrap_or(i64::MAX);
        let validity = self.parsed.validity();
        let unix = |seconds: i64| {
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(
                u64::try_from(seconds).unwrap_or(0),
            ))
        };
        let (not_before, not_after) =
            (validity.not_before.timestamp(), validity.not_after.timestamp());
        if seconds < not_before {
            return Err(Error::CertNotValidYet { time: self.now, not_before: unix(not_before) });
        }
        if seconds > not_after {
            return Err(Error::CertExpired { time: self.now, not_after: unix(not_after) });
        }
        Ok(())
    }

    fn pinned(&self, trust: &Trust, pins: &[Pin]) -> Result<Forms, CertificateReason> {
        if pins.contains(&Pin::of_spki(self.parsed.public_key().raw)) {
            return self.dates().map(|()| Forms::All).map_err(|error| self.explain(&error));
        }
        let pinned_cas: Vec<TrustAnchor<'_>> = self
            .intermediates
            .iter()
            .filter(|der| {
                parse(der)
                    .is_ok_and(|ca| ca.is_ca() && pins.contains(&Pin::of_spki(ca.public_key().raw)))
            })
            .filter_map(|der| anchor_from_trusted_cert(der).ok())
            .collect();
        if !pinned_cas.is_empty() {
            return self.lead_to(&pinned_cas, false).map_err(|error| self.explain(&error));
        }
        // The root is usually not presented, but a pin may name it.
        let root = self.path(trust.anchors(), |path| {
            Ok((Pin::of_spki(spki_for_anchor(path.anchor()).as_ref()), forms(path)))
        });
        match root {
            Ok((pin, forms)) if pins.contains(&pin) => Ok(forms),
            _ => Err(CertificateReason::PinMismatch),
        }
    }

    pub(super) fn explain(&self, error: &Error) -> CertificateReason {
        match error {
            Error::CertExpired { not_after, .. } => {
                CertificateReason::Expired { not_after: rfc3339(*not_after) }
            }
            Error::CertNotValidYet { not_before, .. } => {
                CertificateReason::NotYetValid { not_before: rfc3339(*not_before) }
            }
            // Path building refuses a self-signed CA:TRUE leaf before it looks for an issuer.
            Error::UnknownIssuer | Error::CaUsedAsEndEntity if is_self_signed(self.parsed) => {
                CertificateReason::SelfSigned
            }
            Error::UnknownIssuer => CertificateReason::Untrusted { issuer: self.last_issuer() },
            other => invalid(&describe(other)),
        }
    }

    /// Follows the presented chain upwards and names the issuer that is missing at its end.
    fn last_issuer(&self) -> String {
        let presented: Vec<_> =
            self.intermediates.iter().filter_map(|der| parse(der).ok()).collect();
        let mut issuer = self.parsed.issuer();
        // At most one step for each certificate: a loop of issuers ends as well.
        for _ in &presented {
            let above = presented.iter().find(|ca| ca.subject().as_raw() == issuer.as_raw());
            let Some(above) = above else { break };
            issuer = above.issuer();
        }
        issuer.to_string().chars().take(MAX_ISSUER).collect()
    }
}

/// RFC 5280 §4.2.1.10: see [`Forms::DnsId`].
pub(super) fn forms(path: &VerifiedPath<'_>) -> Forms {
    let constrained = path.anchor().name_constraints.is_some()
        || path.intermediate_certificates().any(|ca| {
            parse(&ca.der()).map_or(true, |ca| !matches!(ca.name_constraints(), Ok(None)))
        });
    if constrained { Forms::DnsId } else { Forms::All }
}

/// In a stream between servers either side may connect, and public CAs issue for serverAuth only. So clientAuth,
/// serverAuth or no extended key usage at all is sufficient.
struct ServerToServer;

impl ExtendedKeyUsageValidator for ServerToServer {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let mut present = Vec::new();
        for purpose in purposes {
            let purpose = purpose?.to_decoded_oid();
            if purpose == KeyUsage::SERVER_AUTH_REPR || purpose == KeyUsage::CLIENT_AUTH_REPR {
                return Ok(());
            }
            present.push(purpose);
        }
        if present.is_empty() {
            return Ok(());
        }
        Err(Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext {
            required: KeyUsage::server_auth(),
            present,
        }))
    }
}

fn describe(error: &Error) -> String {
    match error {
        Error::CaUsedAsEndEntity => "it is a CA certificate, not a server certificate".to_owned(),
        Error::RequiredEkuNotFoundContext(_) => {
            "its extended key usage allows neither serverAuth nor clientAuth".to_owned()
        }
        Error::InvalidSignatureForPublicKey => "a signature in the chain is invalid".to_owned(),
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "a signature in the chain uses an algorithm that is not accepted".to_owned()
        }
        Error::UnsupportedCertVersion => {
            "it has X.509 version 1 or 2, which cannot contain domain names".to_owned()
        }
        Error::UnsupportedCriticalExtension => {
            "it has an unsupported critical extension".to_owned()
        }
        Error::NameConstraintViolation => {
            "the name constraints of a CA in the chain do not permit its names".to_owned()
        }
        Error::PathLenConstraintViolated | Error::EndEntityUsedAsCa => {
            "a certificate in the chain is not permitted to issue the next one".to_owned()
        }
        Error::MaximumPathDepthExceeded => "the chain is too long".to_owned(),
        Error::MaximumSignatureChecksExceeded => {
            "too many certificates in the chain have the same subject".to_owned()
        }
        other => other.to_string(),
    }
}

pub(super) fn invalid(detail: &impl ToString) -> CertificateReason {
    CertificateReason::Invalid { detail: detail.to_string() }
}

fn rfc3339(time: UnixTime) -> String {
    timestamp(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)).to_string()
}

#[cfg(test)]
mod tests;
