//! Roots to which a peer's certificate may lead.

use std::collections::HashSet;
use std::sync::Arc;

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, TrustAnchor};
use sha2::{Digest, Sha256};
use webpki::anchor_from_trusted_cert;

/// Trust anchors. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    anchors: Arc<[TrustAnchor<'static>]>,
    /// SHA-256 of the parsed certificates: a certificate is one of them only if it is equal byte for byte.
    certificates: Arc<HashSet<[u8; 32]>>,
}

/// Why a bundle of roots cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It holds no certificate.
    #[error("{place}: contains no certificate; expected PEM blocks `-----BEGIN CERTIFICATE-----`")]
    NoCertificate {
        /// File or object.
        place: String,
    },
    /// PEM or DER is broken.
    #[error("{place}: certificate {index} is malformed: {detail}")]
    Malformed {
        /// File or object.
        place: String,
        /// Which one, from 1.
        index: usize,
        /// The error of the parser.
        detail: String,
    },
}

impl Trust {
    /// Trusts no certificate.
    pub fn none() -> Self {
        Self::default()
    }

    /// These anchors, whose certificates are unknown.
    pub fn of_anchors(anchors: &[TrustAnchor<'static>]) -> Self {
        Self { anchors: anchors.into(), ..Self::default() }
    }

    /// Those of the certificates that can be anchors.
    pub fn of_certificates(certificates: &[CertificateDer<'_>]) -> Self {
        let usable = || certificates.iter().filter_map(|der| Some((der, anchor(der).ok()?)));
        Self {
            anchors: usable().map(|(_, anchor)| anchor).collect(),
            certificates: Arc::new(usable().map(|(der, _)| digest(der)).collect()),
        }
    }

    /// The certificates of a PEM text. `place` names it in errors.
    ///
    /// # Errors
    /// When it contains no certificate or a malformed one.
    pub fn from_pem(pem: &[u8], place: &str) -> Result<Self, TrustError> {
        let (mut anchors, mut certificates) = (Vec::new(), HashSet::new());
        for (index, der) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let malformed = |detail: String| TrustError::Malformed {
                place: place.to_owned(),
                index: index + 1,
                detail,
            };
            let der = der.map_err(|error: PemError| malformed(error.to_string()))?;
            anchors.push(anchor(&der).map_err(|error| malformed(error.to_string()))?);
            certificates.insert(digest(&der));
        }
        if anchors.is_empty() {
            return Err(TrustError::NoCertificate { place: place.to_owned() });
        }
        Ok(Self { anchors: anchors.into(), certificates: Arc::new(certificates) })
    }

    /// Both sets together: a peer's own bundles are added to the federation's.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => Self {
                anchors: self.anchors.iter().chain(&*other.anchors).cloned().collect(),
                certificates: Arc::new(&*self.certificates | &*other.certificates),
            },
        }
    }

    /// Number of roots.
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Trusts no certificate.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// Whether the other is a clone of this one. A set that is loaded again is a different one, even from the same
    /// files.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.anchors, &other.anchors)
            && Arc::ptr_eq(&self.certificates, &other.certificates)
    }

    /// Whether this very certificate is among the loaded ones.
    pub(crate) fn holds(&self, der: &CertificateDer<'_>) -> bool {
        self.certificates.contains(&digest(der))
    }
}

fn digest(der: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(der.as_ref()).into()
}

fn anchor(der: &CertificateDer<'_>) -> Result<TrustAnchor<'static>, webpki::Error> {
    anchor_from_trusted_cert(der).map(|anchor| anchor.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::testing::Ca;

    #[test]
    fn a_bundle_is_read_and_what_is_wrong_with_one_is_named_with_its_place() {
        let (one, two) = (Ca::root("One").certificate.pem(), Ca::root("Two").certificate.pem());
        let read = |pem: &str| Trust::from_pem(pem.as_bytes(), "the bundle");
        let good = read(&format!("# comment\n{one}{two}")).unwrap();
        assert_eq!(good.and(&good).len(), 4);
        assert!(Trust::none().and(&Trust::none()).is_empty());
        for (pem, expected) in [
            ("nothing here".to_owned(), "the bundle: contains no certificate"),
            (
                format!("{one}{}", two.replace("MIIB", "AAAA")),
                "the bundle: certificate 2 is malformed",
            ),
        ] {
            let error = read(&pem).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
