//! The Secrets and `ConfigMaps` that a spec refers to: whether they exist, and whether their content is valid. Only facts
//! are kept, never the content.

use crds::reason::ResolvedRefsReason;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use s2s_proto::certificate::facts::CertificateFacts;

use super::certificate::{CertificateSeen, Readable};
use super::issuance::Issuance;
use crate::federation::serving::{Offer, Source};

/// Shortest dialback secret, in bytes: the length of the keys that are generated with it (XEP-0185 §3).
const MIN_DIALBACK_SECRET: usize = 32;

/// The state of the references.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// The problems, in the order of the spec.
    pub problems: Vec<ReferenceError>,
    /// The certificate of the Secret that the spec names, or that cert-manager issued; `None` if it cannot be read. For a
    /// Secret that the spec names, that is then one of the problems.
    pub certificate: Option<CertificateSeen>,
    /// Progress of cert-manager, if the spec names an issuer.
    pub issuance: Issuance,
    /// The certificate that the pods serve; `None` if there is none.
    pub served: Option<ServedCertificate>,
    /// When backends must have loaded the CA of the federation again; `None` without backends.
    pub ca_renewal: Option<Timestamp>,
}

/// A reference to an object that does not exist or is not valid.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReferenceError {
    /// The reason.
    pub reason: ResolvedRefsReason,
    /// The field, the object, the problem, and what to do.
    pub message: String,
}

/// The certificate that the engine pods serve.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServedCertificate {
    /// Where it comes from.
    pub source: Source,
    /// The facts about it.
    pub readable: Readable,
}

impl From<&Offer> for ServedCertificate {
    fn from(offer: &Offer) -> Self {
        Self { source: offer.source.clone(), readable: offer.readable.clone() }
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

/// Whether a component's secret can be used. The engine trims white space around it.
///
/// # Errors
/// What is wrong with it.
pub fn component_secret(secret: &[u8]) -> Result<(), String> {
    match std::str::from_utf8(secret) {
        Err(_) => Err("is not UTF-8; put the component's secret there as text".to_owned()),
        Ok(text) if text.trim().is_empty() => {
            Err("is empty; put the secret there with which the component is configured".to_owned())
        }
        Ok(_) => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_of_a_component_is_text_that_is_not_empty() {
        assert_eq!(component_secret(b"s3cret\n"), Ok(()));
        for (secret, part) in [(&b" \n"[..], "is empty"), (&b"\xff"[..], "is not UTF-8")] {
            let problem = component_secret(secret).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
