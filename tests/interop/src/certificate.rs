//! The certificates of the matrix: good ones and every kind of bad one.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

use super::cell::Certificate;
use super::error::Result;

/// The name in a certificate that is for another domain.
const OTHER: &str = "other.example";

/// From the first of January of one year to that of another.
#[derive(Debug, Clone, Copy)]
struct Years(i32, i32);

/// Not later than `UTCTime` can express (RFC 5280 §4.1.2.5.1): ejabberd refuses a certificate that is valid until the
/// year 4096.
const VALIDITY: Years = Years(2024, 2049);
const PAST: Years = Years(2020, 2021);

impl Years {
    fn apply(self, params: &mut CertificateParams) {
        params.not_before = date_time_ymd(self.0, 1, 1);
        params.not_after = date_time_ymd(self.1, 1, 1);
    }
}

/// The authority that both sides trust.
#[derive(Debug)]
pub struct Issuer {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Pem {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Issuer {
    /// Makes an authority.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Interoperability CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        VALIDITY.apply(&mut params);
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// Its own certificate in PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its private key in PEM.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate of that kind for a domain.
    pub fn issue(&self, kind: Certificate, domain: &str) -> Result<Pem> {
        self.issue_for(kind, &[domain])
    }

    /// A certificate of that kind for several domains.
    pub fn issue_for(&self, kind: Certificate, domains: &[&str]) -> Result<Pem> {
        let names = if kind == Certificate::WrongName { &[OTHER] } else { domains };
        let mut params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        if let Some(name) = names.first() {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if kind != Certificate::ServerAuthOnly {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        let validity = if kind == Certificate::Expired { PAST } else { VALIDITY };
        validity.apply(&mut params);
        let key = KeyPair::generate()?;
        let certificate = if kind == Certificate::SelfSigned {
            params.self_signed(&key)?
        } else {
            params.use_authority_key_identifier_extension = true;
            params.signed_by(&key, &self.issuer)?
        };
        Ok(Pem { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}
