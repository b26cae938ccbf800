//! Issuing certificates: the backend CA, leaves of it, and self-signed ones. Keys are P-256.

use std::fmt;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::Domain;

/// Time by which validity begins before now, because clocks differ.
const MAX_CLOCK_SKEW: Duration = Duration::from_hours(1);
/// ub-common-name (RFC 5280 appendix A.1).
const MAX_COMMON_NAME: usize = 64;
/// 9999-12-31T23:59:59Z, the last moment that X.509 can express (RFC 5280 §4.1.2.5).
const LAST_SECOND: u64 = 253_402_300_799;

/// A certificate chain and its private key, both PEM.
#[derive(Clone, Eq, PartialEq)]
pub struct PemPair {
    /// Certificates, leaf first.
    pub certificate: String,
    /// PKCS #8.
    pub private_key: String,
}

/// Never shows the key.
impl fmt::Debug for PemPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PemPair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The CA's certificate cannot be used.
    #[error("cannot use the CA certificate: {0}")]
    Certificate(String),
    /// The CA's key cannot be used.
    #[error("cannot use the CA's private key: {0}; it must be PKCS #8 in PEM")]
    Key(String),
    /// The CA's key does not belong to its certificate.
    #[error("the CA's private key does not belong to its certificate")]
    KeyMismatch,
    /// The CA has expired.
    #[error("the CA certificate expired at {0}; replace it")]
    Expired(jiff::Timestamp),
    /// Signing failed.
    #[error("cannot sign: {0}")]
    Sign(#[from] rcgen::Error),
}

/// Makes a CA of that name.
///
/// # Errors
/// When signing fails.
pub fn new_ca(common_name: &str, lifetime: Duration, now: UnixTime) -> Result<PemPair, IssueError> {
    let key = KeyPair::generate()?;
    let mut params = dated(now, now.as_secs().saturating_add(lifetime.as_secs()));
    params.distinguished_name = common(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok(PemPair { certificate: certificate.pem(), private_key: key.serialize_pem() })
}

/// Issues a leaf for the domains; the chain includes the CA's certificate.
///
/// # Errors
/// When the CA is unusable or signing fails.
pub fn issue(
    ca: &PemPair,
    domains: &[Domain],
    lifetime: Duration,
    now: UnixTime,
) -> Result<PemPair, IssueError> {
    let authority = Authority::from_pem(ca)?;
    let (certificate, key) = authority.leaf(domains, lifetime, now)?;
    Ok(PemPair {
        certificate: format!("{}{}", certificate.pem(), ca.certificate),
        private_key: key.serialize_pem(),
    })
}

/// A self-signed certificate for the domains: sufficient for peers that use dialback.
///
/// # Errors
/// When signing fails.
pub fn self_signed(
    domains: &[Domain],
    lifetime: Duration,
    now: UnixTime,
) -> Result<PemPair, IssueError> {
    let key = KeyPair::generate()?;
    let until = now.as_secs().saturating_add(lifetime.as_secs());
    let certificate = leaf_params(domains, now, until)?.self_signed(&key)?;
    Ok(PemPair { certificate: certificate.pem(), private_key: key.serialize_pem() })
}

/// A CA that can sign.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    not_after: jiff::Timestamp,
}

impl Authority {
    pub(crate) fn from_pem(ca: &PemPair) -> Result<Self, IssueError> {
        let certificate = CertificateDer::from_pem_slice(ca.certificate.as_bytes())
            .map_err(|error| IssueError::Certificate(error.to_string()))?;
        let parsed = s2s_proto::certificate::facts::parse(&certificate)
            .map_err(|error| IssueError::Certificate(error.to_string()))?;
        if !parsed.is_ca() {
            return Err(IssueError::Certificate("its basic constraints are CA:FALSE".to_owned()));
        }
        let key = KeyPair::from_pem(&ca.private_key)
            .map_err(|error| IssueError::Key(error.to_string()))?;
        if key.public_key_raw() != &*parsed.public_key().subject_public_key.data {
            return Err(IssueError::KeyMismatch);
        }
        let not_after =
            s2s_proto::certificate::facts::timestamp(parsed.validity().not_after.timestamp());
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|error| IssueError::Certificate(error.to_string()))?;
        Ok(Self { issuer, certificate, not_after })
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// It has not expired.
    pub(crate) fn is_valid_at(&self, now: UnixTime) -> bool {
        u64::try_from(self.not_after.as_second()).unwrap_or(0) > now.as_secs()
    }

    /// A fresh key and a leaf for it that expires no later than the CA does.
    pub(crate) fn leaf(
        &self,
        domains: &[Domain],
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<(rcgen::Certificate, KeyPair), IssueError> {
        if !self.is_valid_at(now) {
            return Err(IssueError::Expired(self.not_after));
        }
        let ca_end = u64::try_from(self.not_after.as_second()).unwrap_or(0);
        let key = KeyPair::generate()?;
        let until = now.as_secs().saturating_add(lifetime.as_secs()).min(ca_end);
        let mut params = leaf_params(domains, now, until)?;
        params.use_authority_key_identifier_extension = true;
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }
}

fn leaf_params(
    domains: &[Domain],
    now: UnixTime,
    until: u64,
) -> Result<CertificateParams, IssueError> {
    let mut params = dated(now, until);
    for domain in domains {
        params.subject_alt_names.push(SanType::DnsName(domain.to_ascii().try_into()?));
    }
    let first = domains.first().map(Domain::to_ascii).unwrap_or_default();
    params.distinguished_name = common(&first);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // ejabberd before 25.08 refuses a client certificate without clientAuth.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn dated(now: UnixTime, until: u64) -> CertificateParams {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    // LAST_SECOND can be represented.
    #[allow(clippy::arithmetic_side_effects)]
    let at = |seconds: u64| epoch + Duration::from_secs(seconds.min(LAST_SECOND));
    let mut params = CertificateParams::default();
    params.not_before = at(now.as_secs().saturating_sub(MAX_CLOCK_SKEW.as_secs()));
    params.not_after = at(until);
    params
}

/// The common name is informational; a name that does not fit is omitted.
fn common(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    let shown = if (1..=MAX_COMMON_NAME).contains(&name.len()) { name } else { "xmpp" };
    distinguished.push(DnType::CommonName, shown);
    distinguished
}
