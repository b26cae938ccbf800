//! The lab's certificate authority and its certificates. All of them are deleted with the state directory.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::error::{Error, Result};
use crate::paths::{read, write};

/// A certificate authority in a directory: `NAME.crt` and `NAME.key`, next to the certificates that it issues.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    name: String,
}

/// Usage of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// TLS servers.
    Server,
    /// TLS clients.
    Client,
    /// Both, for kubelets and XMPP servers.
    Both,
}

/// Subject of a certificate: organisation (a Kubernetes group), common name (a Kubernetes user), DNS names and
/// addresses.
#[derive(Debug, Default)]
pub struct Subject<'a> {
    /// Common name.
    pub name: &'a str,
    /// Organisation.
    pub group: Option<&'a str>,
    /// DNS names and IP addresses.
    pub alternative_names: Vec<String>,
}

impl Authority {
    /// Creates a new authority.
    pub fn create(dir: &Path, name: &str) -> Result<Self> {
        let failed = |source| Error::Certificate { what: format!("authority {name}"), source };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = Self::params(name).self_signed(&key).map_err(failed)?;
        let authority = Self { dir: dir.to_owned(), name: name.to_owned() };
        write(&authority.certificate(), certificate.pem())?;
        write(&dir.join(format!("{name}.key")), key.serialize_pem())?;
        Ok(authority)
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.dir.join(format!("{}.crt", self.name))
    }

    /// Creates `FILE.crt` and `FILE.key`.
    pub fn issue(&self, file: &str, subject: &Subject<'_>, usage: Usage) -> Result<()> {
        let failed = |source| Error::Certificate { what: format!("certificate {file}"), source };
        let own_key = KeyPair::from_pem(&read(&self.dir.join(format!("{}.key", self.name)))?);
        let issuer = Issuer::new(Self::params(&self.name), own_key.map_err(failed)?);
        let mut params =
            CertificateParams::new(subject.alternative_names.clone()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, subject.name);
        if let Some(group) = subject.group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if usage != Usage::Client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if usage != Usage::Server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        write(&self.dir.join(format!("{file}.crt")), certificate.pem())?;
        write(&self.dir.join(format!("{file}.key")), key.serialize_pem())
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }
}

/// Creates a key pair without a certificate: `FILE.key` and `FILE.pub`.
pub fn key_pair(dir: &Path, file: &str) -> Result<()> {
    let key = KeyPair::generate()
        .map_err(|source| Error::Certificate { what: format!("key {file}"), source })?;
    write(&dir.join(format!("{file}.key")), key.serialize_pem())?;
    write(&dir.join(format!("{file}.pub")), key.public_key_pem())
}
