//! The Secrets and `ConfigMaps` that a spec refers to: whether they exist, and whether their content is what it should be.
//! Content is looked at and left behind; only facts stay.

use crds::domain::Domain;
use crds::reason::ResolvedRefsReason;
use federation_engine::tls::certs::{CertificateError, LocalCertificate};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use s2s_proto::certificate::facts::CertificateFacts;

/// Shortest dialback secret, in octets: as much as the keys that are made of it (XEP-0185 §3).
const MIN_DIALBACK_SECRET: usize = 32;

/// What is known of the references.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// What is wrong with them, in the order of the spec.
    pub problems: Vec<ReferenceProblem>,
    /// The certificate for the outer leg; `None` while there is none.
    pub certificate: Option<CertificateSeen>,
}

/// A reference that leads nowhere, or to something else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReferenceProblem {
    /// Its class.
    pub reason: ResolvedRefsReason,
    /// The field, the object, what is wrong, what to do.
    pub message: String,
}

/// A certificate, or why the two halves are none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CertificateSeen {
    /// A certificate with its own key.
    Readable {
        /// What the leaf says.
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
/// When either is unreadable.
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

/// Whether a CA bundle holds certificates.
///
/// # Errors
/// What is wrong with it.
pub fn bundle(pem: &[u8]) -> Result<(), String> {
    let mut found = CertificateDer::pem_slice_iter(pem);
    match found.next() {
        None => Err("holds no PEM block `-----BEGIN CERTIFICATE-----`".to_owned()),
        Some(Err(error)) => Err(format!("is no PEM text: {error}")),
        Some(Ok(first)) => match CertificateFacts::of(&first) {
            Err(error) => Err(format!("holds {error}")),
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
            "has {} octets; a dialback secret needs at least {MIN_DIALBACK_SECRET} random ones",
            secret.len()
        ));
    }
    Ok(())
}
