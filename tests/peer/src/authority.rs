//! A private certificate authority in memory, and the certificates that it signs.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::error::{PeerError, Result};

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate for some domains, and its key.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    /// The certificates that TLS sends after it.
    intermediates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

impl Authority {
    /// Creates an authority with that common name.
    pub fn new(name: &str) -> Result<Self> {
        Self::with_key(name, KeyPair::generate()?)
    }

    /// The authority with that common name and this key, in PEM. A party that trusts a certificate made from both also
    /// trusts the certificates that this authority signs.
    pub fn from_key_pem(name: &str, key: &str) -> Result<Self> {
        Self::with_key(name, KeyPair::from_pem(key)?)
    }

    fn with_key(name: &str, key: KeyPair) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key)? })
    }

    /// Signs a leaf certificate for these domains, valid for both ends of a stream. Public authorities no longer issue
    /// such certificates; private ones do. Peers differ in the extended key usage that they require.
    pub fn issue(&self, domains: &[&str]) -> Result<Identity> {
        self.issue_with(domains, |_| {})
    }

    /// The same, with a change before the certificate is signed.
    pub fn issue_with(
        &self,
        domains: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Identity> {
        let names: Vec<String> = domains.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate: certificate.der().clone(),
            intermediates: Vec::new(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// A self-signed certificate, like the one that a federation gets when it names none.
    pub fn self_signed(domains: &[&str]) -> Result<Identity> {
        let names: Vec<String> = domains.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(names)?.self_signed(&key)?;
        Ok(Identity {
            certificate: certificate.der().clone(),
            intermediates: Vec::new(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// The authority as the only root of trust.
    pub fn roots(&self) -> Result<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        Ok(Arc::new(roots))
    }

    /// The authority's certificate, in PEM.
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// The authority's key, in PEM.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }
}

impl Identity {
    /// The certificate chain as TLS sends it.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        std::iter::once(&self.certificate).chain(&self.intermediates).cloned().collect()
    }

    /// The same identity, with these certificates after its own.
    #[must_use]
    pub fn with_intermediates(self, intermediates: Vec<CertificateDer<'static>>) -> Self {
        Self { intermediates, ..self }
    }

    /// The identity from the content of PEM files: the certificate with the certificates that follow it, and the
    /// private key.
    pub fn from_pem(certificates: &str, key: &str) -> Result<Self> {
        let unreadable = |error| PeerError::Script(format!("not a PEM file: {error}"));
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(certificates.as_bytes()).collect();
        let mut chain = chain.map_err(unreadable)?.into_iter();
        let none = || PeerError::Script("there is no certificate in the file".to_owned());
        Ok(Self {
            certificate: chain.next().ok_or_else(none)?,
            intermediates: chain.collect(),
            key: PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unreadable)?,
            certificate_pem: certificates.to_owned(),
            key_pem: key.to_owned(),
        })
    }

    /// The private key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// The certificate, in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key, in PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }
}
