//! The certificate verifier, which checks that the peer holds the key of its leaf and builds no path. rustls' own
//! client verifier refuses certificates without clientAuth, but public CAs issue no others. It also has no domain to
//! compare with: the stream header that names the domain comes after the handshake (RFC 6120 §13.7.2.1).

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use s2s_proto::certificate::facts::parse;
use webpki::{EndEntityCert, RawPublicKeyEntity};

use super::config::provider;

/// Accepts a peer that holds the key of its leaf, as server and as client. A client may also present nothing, and gets no
/// hint about CAs (RFC 6120 §5.4.3.1 rule 3).
#[derive(Debug)]
pub struct HoldsKey {
    pinned: Option<CertificateDer<'static>>,
}

impl HoldsKey {
    /// Any certificate: the chain is collected, and verified after the handshake.
    pub fn of_any() -> Arc<Self> {
        Arc::new(Self { pinned: None })
    }

    /// This certificate only. Its names and its validity are not checked.
    pub fn of(pinned: CertificateDer<'static>) -> Arc<Self> {
        Arc::new(Self { pinned: Some(pinned) })
    }

    fn check(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        match &self.pinned {
            Some(pinned) if pinned.as_ref() != leaf.as_ref() => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(()),
        }
    }
}

impl ServerCertVerifier for HoldsKey {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(leaf).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

impl ClientCertVerifier for HoldsKey {
    fn client_auth_mandatory(&self) -> bool {
        self.pinned.is_some()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(leaf).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn algorithms() -> &'static WebPkiSupportedAlgorithms {
    &provider().signature_verification_algorithms
}

/// A certificate that path building cannot parse, such as one of version 1, still has a key: servers that use dialback
/// have such certificates. Whether it authenticates a domain is verified elsewhere, and it never does.
fn key(cert: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    let parsed =
        parse(cert).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    Ok(SubjectPublicKeyInfoDer::from(parsed.public_key().raw.to_vec()))
}

fn tls13_signature(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if EndEntityCert::try_from(cert).is_ok() {
        return verify_tls13_signature(message, cert, dss, algorithms());
    }
    verify_tls13_signature_with_raw_key(message, &key(cert)?, dss, algorithms())
}

fn tls12_signature(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if EndEntityCert::try_from(cert).is_ok() {
        return verify_tls12_signature(message, cert, dss, algorithms());
    }
    let bad = |error| Error::InvalidCertificate(error);
    let spki = key(cert)?;
    let key =
        RawPublicKeyEntity::try_from(&spki).map_err(|_| bad(CertificateError::BadEncoding))?;
    let mapping = algorithms().mapping.iter().find(|(scheme, _)| *scheme == dss.scheme);
    let candidates = mapping.map_or(&[][..], |(_, candidates)| candidates);
    // In TLS 1.2 a scheme does not fix the curve (RFC 8422 §5.10): any algorithm that fits the key counts.
    if candidates.iter().any(|a| key.verify_signature(*a, message, dss.signature()).is_ok()) {
        return Ok(HandshakeSignatureValid::assertion());
    }
    Err(bad(CertificateError::BadSignature))
}
