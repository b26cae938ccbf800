//! Roots that a peer's certificate may lead to.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, TrustAnchor};
use sha2::{Digest, Sha256};
use webpki::anchor_from_trusted_cert;

/// Trust anchors. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    anchors: Arc<[TrustAnchor<'static>]>,
    /// SHA-256 of the certificates that were read: a certificate is one of them only as it is, byte for byte.
    certificates: Arc<HashSet<[u8; 32]>>,
}

/// Why a bundle of roots cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It holds no certificate.
    #[error("{place}: no certificate in it; it must hold PEM blocks `-----BEGIN CERTIFICATE-----`")]
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
        /// What the parser said.
        detail: String,
    },
}

impl Trust {
    /// Trusts nobody.
    pub fn none() -> Self {
        Self::default()
    }

    /// The roots of the operating system (or of `SSL_CERT_FILE`). Where there are none, as in an image without files,
    /// Mozilla's roots as they were when this program was built.
    pub fn system() -> Self {
        let native = rustls_native_certs::load_native_certs();
        let anchors: Arc<[_]> = native.certs.iter().filter_map(|der| anchor(der).ok()).collect();
        if anchors.is_empty() {
            return Self { anchors: webpki_roots::TLS_SERVER_ROOTS.into(), ..Self::default() };
        }
        let certificates = native.certs.iter().map(digest).collect();
        Self { anchors, certificates: Arc::new(certificates) }
    }

    /// The certificates of a PEM text. `place` names it in errors.
    ///
    /// # Errors
    /// When it holds no certificate or a malformed one.
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

    /// Reads bundles from PEM files and, if wanted, the system's roots.
    ///
    /// # Errors
    /// The first file that cannot be used; see [`TrustError`].
    pub fn load<P: AsRef<Path>>(system_roots: bool, bundles: &[P]) -> Result<Self, TrustError> {
        let mut trust = if system_roots { Self::system() } else { Self::none() };
        for path in bundles {
            let path = path.as_ref();
            let pem = std::fs::read(path)
                .map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
            trust = trust.and(&Self::from_pem(&pem, &path.display().to_string())?);
        }
        Ok(trust)
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

    /// Trusts nobody.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// Whether the other is a clone of this one. What is read again is another one, also from the same files.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.anchors, &other.anchors)
            && Arc::ptr_eq(&self.certificates, &other.certificates)
    }

    /// Whether this very certificate is among those that were read.
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
    use crate::tls::testing::Ca;

    #[test]
    fn bundles_are_read_and_what_is_wrong_with_one_is_named_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let (one, two) = (Ca::root("One").certificate.pem(), Ca::root("Two").certificate.pem());
        let good = file("good.crt", &format!("# comment\n{one}{two}"));
        assert_eq!(Trust::load(false, &[&good, &good]).unwrap().len(), 4);
        let empty = file("empty.crt", "nothing here");
        let broken = file("broken.crt", &format!("{one}{}", two.replace("MIIB", "AAAA")));
        for (path, expected) in [
            (&directory.path().join("absent.crt"), "absent.crt: No such file"),
            (&empty, "empty.crt: no certificate in it"),
            (&broken, "broken.crt: certificate 2 is malformed"),
        ] {
            let error = Trust::load(false, &[&good, path]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn there_are_system_roots_even_where_the_system_has_none() {
        assert!(Trust::system().len() > 50);
        assert!(Trust::none().and(&Trust::none()).is_empty());
    }
}
