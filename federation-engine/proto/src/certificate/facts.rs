//! The content of a certificate.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::identity::Identity;

/// Facts for logs, evidence and messages. Not verified: a certificate may claim anything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFacts {
    /// Names that are usable for XMPP, printable.
    pub names: Vec<String>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// SHA-256 of the DER, lower-case hex.
    pub sha256: String,
    /// Subject and issuer are the same and its own key verifies the signature.
    pub self_signed: bool,
    /// Its basic constraints mark it as a CA.
    pub is_ca: bool,
}

/// The bytes are not an X.509 certificate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cannot parse the X.509 certificate: {0}")]
pub struct Unreadable(pub String);

impl CertificateFacts {
    /// Parses a certificate.
    ///
    /// # Errors
    /// When the DER is malformed.
    pub fn of(der: &CertificateDer<'_>) -> Result<Self, Unreadable> {
        let certificate = parse(der)?;
        let validity = certificate.validity();
        Ok(Self {
            names: Identity::of(&certificate).names(),
            not_before: timestamp(validity.not_before.timestamp()),
            not_after: timestamp(validity.not_after.timestamp()),
            sha256: HEXLOWER.encode(&Sha256::digest(der.as_ref())),
            self_signed: is_self_signed(&certificate),
            is_ca: certificate.is_ca(),
        })
    }
}

/// End of validity only.
pub(crate) fn not_after(der: &CertificateDer<'_>) -> Result<Timestamp, Unreadable> {
    Ok(timestamp(parse(der)?.validity().not_after.timestamp()))
}

/// Parses DER; trailing bytes are an error.
pub fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Unreadable> {
    match X509Certificate::from_der(der.as_ref()) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(Unreadable("it is followed by extra bytes".to_owned())),
        Err(error) => Err(Unreadable(error.to_string())),
    }
}

/// Equal subject and issuer are not sufficient: two certificates of one careless CA may share an empty name.
pub(crate) fn is_self_signed(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
        && certificate.verify_signature(None).is_ok()
}

/// Dates outside the range of a timestamp are clamped to its ends.
pub fn timestamp(unix_seconds: i64) -> Timestamp {
    Timestamp::from_second(unix_seconds).unwrap_or(if unix_seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
