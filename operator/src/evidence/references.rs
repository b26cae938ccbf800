//! The Secrets and `ConfigMaps` that a spec refers to: whether they exist, and whether their content is valid. Only facts
//! are kept, never the content.

use crds::domain::Domain;
use crds::reason::ResolvedRefsReason;
use federation_engine::tls::certs::{CertificateError, LocalCertificate};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use s2s_proto::certificate::facts::CertificateFacts;

/// Shortest dialback secret, in bytes: the length of the keys that are generated with it (XEP-0185 §3).
const MIN_DIALBACK_SECRET: usize = 32;

/// The state of the references.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// The problems, in the order of the spec.
    pub problems: Vec<ReferenceProblem>,
    /// The certificate for the outer leg; `None` if there is none yet.
    pub certificate: Option<CertificateSeen>,
}

/// A reference to an object that does not exist or is not valid.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReferenceProblem {
    /// The reason.
    pub reason: ResolvedRefsReason,
    /// The field, the object, the problem, and what to do.
    pub message: String,
}

/// A certificate with its key, or why the two do not match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CertificateSeen {
    /// A certificate with the matching private key.
    Readable {
        /// The fields of the leaf certificate.
        facts: CertificateFacts,
        /// Local domains that it names.
        covers: Vec<Domain>,
    },
    /// The key belongs to another certificate.
    KeyMismatch(String),
}

/// Reads a certificate and its key.
///
/// # Errors
/// When either cannot be read.
pub fn certificate(
    object: &str,
    certificate: &[u8],
    private_key: &[u8],
    domains: &[Domain],
) -> Result<CertificateSeen, CertificateError> {
    let places = (format!("{object}, key tls.crt"), format!("{object}, key tls.key"));
    match LocalCertificate::from_pem(certificate, &places.0, private_key, &places.1) {
        Ok(found) => Ok(CertificateSeen::Readable {
            facts: found.facts().clone(),
            covers: domains.iter().filter(|domain| found.covers(domain)).cloned().collect(),
        }),
        Err(error @ CertificateError::KeyMismatch { .. }) => {
            Ok(CertificateSeen::KeyMismatch(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// Whether a CA bundle contains certificates.
///
/// # Errors
/// What is wrong with it.
pub fn bundle(pem: &[u8]) -> Result<(), String> {
    let mut found = CertificateDer::pem_slice_iter(pem);
    match found.next() {
        None => Err("has no PEM block `-----BEGIN CERTIFICATE-----`".to_owned()),
        Some(Err(error)) => Err(format!("is not valid PEM: {error}")),
        Some(Ok(first)) => match CertificateFacts::of(&first) {
            Err(error) => Err(format!("has an unreadable certificate: {error}")),
            Ok(_) => Ok(()),
        },
    }
}

/// Whether a dialback secret is long enough.
///
/// # Errors
/// What is wrong with it.
pub fn dialback_secret(secret: &[u8]) -> Result<(), String> {
    if secret.len() < MIN_DIALBACK_SECRET {
        return Err(format!(
            "has {} bytes; a dialback secret needs at least {MIN_DIALBACK_SECRET} random bytes",
            secret.len()
        ));
    }
    Ok(())
}
