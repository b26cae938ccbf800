//! A certificate with its key, reduced to the facts that decide whether peers accept it. Pure: the trust anchors and
//! the time are arguments.

use crds::domain::Domain;
use federation_engine::tls::certs::{CertificateError, LocalCertificate};
use jiff::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use s2s_proto::certificate::chain::PeerChain;
use s2s_proto::certificate::facts::{CertificateFacts, parse};
use s2s_proto::certificate::judge::judge;
use s2s_proto::certificate::trust::Trust;
use s2s_proto::reason::CertificateReason;
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS;
use x509_parser::prelude::{ParsedExtension, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Shortest RSA key, in bits, that TLS libraries accept (CA/Browser Forum Baseline Requirements §6.1.5).
const MIN_RSA_BITS: usize = 2048;
/// Maximum certificates of a chain to follow up to the missing issuer.
const MAX_CHAIN: usize = 16;

/// A certificate with its key, or the reason why the two cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CertificateSeen {
    /// A certificate with the matching private key.
    Readable(Readable),
    /// The key belongs to another certificate.
    KeyMismatch(String),
    /// The RSA key is too short. The value is its length in bits.
    WeakKey(usize),
}

/// The facts about a certificate that can be served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Readable {
    /// The fields of the leaf certificate.
    pub facts: CertificateFacts,
    /// Local domains that it names.
    pub covers: Vec<Domain>,
    /// The uses that its extended key usage allows.
    pub purpose: Purpose,
    /// Name of the issuer whose certificate is missing from the chain.
    pub missing_issuer: Option<String>,
}

/// The uses that the extended key usage of a leaf certificate allows (RFC 5280 §4.2.1.12).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// Accepting and opening streams.
    Both,
    /// Only accepting streams: serverAuth without clientAuth, as public CAs issue.
    ServerOnly,
    /// Not accepting streams.
    NotServer,
}

impl CertificateSeen {
    /// The facts, if the certificate can be served.
    pub const fn readable(&self) -> Option<&Readable> {
        match self {
            Self::Readable(readable) => Some(readable),
            Self::KeyMismatch(_) | Self::WeakKey(_) => None,
        }
    }
}

/// Reads a certificate and its key. `object` names them in errors; `trust` has the roots that peers are expected to
/// have.
///
/// # Errors
/// Fails if either cannot be read.
pub fn read(
    object: &str,
    certificate: &[u8],
    private_key: &[u8],
    domains: &[Domain],
    trust: &Trust,
    now: Timestamp,
) -> Result<CertificateSeen, CertificateError> {
    // Checked before the key is read: the TLS library rejects a short key without its length.
    if let Some(bits) = weak_key(certificate) {
        return Ok(CertificateSeen::WeakKey(bits));
    }
    let places = (format!("{object}, key tls.crt"), format!("{object}, key tls.key"));
    match LocalCertificate::from_pem(certificate, &places.0, private_key, &places.1) {
        Ok(found) => Ok(CertificateSeen::Readable(Readable {
            facts: found.facts().clone(),
            covers: domains.iter().filter(|domain| found.covers(domain)).cloned().collect(),
            purpose: purpose(certificate),
            missing_issuer: missing_issuer(certificate, domains, trust, now),
        })),
        Err(error @ CertificateError::KeyMismatch { .. }) => {
            Ok(CertificateSeen::KeyMismatch(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

fn leaf(pem: &[u8]) -> Option<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).next()?.ok()
}

fn weak_key(pem: &[u8]) -> Option<usize> {
    let leaf = leaf(pem)?;
    let certificate = parse(&leaf).ok()?;
    match certificate.public_key().parsed().ok()? {
        PublicKey::RSA(key) => Some(key.key_size()).filter(|bits| *bits < MIN_RSA_BITS),
        _ => None,
    }
}

fn purpose(pem: &[u8]) -> Purpose {
    let Some(leaf) = leaf(pem) else { return Purpose::Both };
    let usage = parse(&leaf).ok().and_then(|certificate| {
        let usage = certificate.extended_key_usage().ok()??;
        Some((usage.value.any, usage.value.server_auth, usage.value.client_auth))
    });
    match usage {
        None | Some((true, _, _) | (_, true, true)) => Purpose::Both,
        Some((_, true, false)) => Purpose::ServerOnly,
        Some((_, false, _)) => Purpose::NotServer,
    }
}

/// The issuer that peers do not find. A chain may end below its root, because peers have the root. An issuer is
/// therefore missing only under two conditions. The roots do not contain it, and the last certificate states where to
/// fetch its issuer (caIssuers, RFC 5280 §4.2.2.1). Certificates below intermediates state this.
fn missing_issuer(pem: &[u8], domains: &[Domain], trust: &Trust, now: Timestamp) -> Option<String> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem).take(MAX_CHAIN).collect::<Result<_, _>>().ok()?;
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        u64::try_from(now.as_second()).unwrap_or_default(),
    ));
    let presented = PeerChain::presented(Some(&chain));
    let Err(CertificateReason::Untrusted { issuer }) =
        judge(&presented, domains.first()?, trust, &[], now)
    else {
        return None;
    };
    let all: Vec<X509Certificate<'_>> = chain.iter().filter_map(|der| parse(der).ok()).collect();
    let mut last = all.first()?;
    for _ in 0..MAX_CHAIN {
        if last.subject().as_raw() == last.issuer().as_raw() {
            // The certificate is a root: nothing is missing, but this program's roots do not contain it.
            return None;
        }
        let Some(above) = all.iter().find(|ca| ca.subject().as_raw() == last.issuer().as_raw())
        else {
            break;
        };
        last = above;
    }
    says_where_its_issuer_is(last).then_some(issuer)
}

fn says_where_its_issuer_is(certificate: &X509Certificate<'_>) -> bool {
    certificate.extensions().iter().any(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => access
            .accessdescs
            .iter()
            .any(|place| place.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS),
        _ => false,
    })
}

#[cfg(test)]
mod tests;
