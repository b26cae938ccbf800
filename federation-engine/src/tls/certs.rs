//! The certificates of the local domains. The `to` of the stream header selects the certificate (RFC 6120 §5.4.3.1 rule
//! 4), because servers send no SNI with STARTTLS; SNI decides only on Direct TLS.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use s2s_proto::certificate::facts::CertificateFacts;
use s2s_proto::certificate::identity::Identity;

use super::config::{Presented, provider};
use super::issue::{IssueError, self_signed};
use crate::Domain;

/// Why a certificate cannot be used, or does not match a domain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{place}: {detail}")]
    Unreadable {
        /// The file.
        place: String,
        /// The error of the operating system.
        detail: String,
    },
    /// No certificate in the file.
    #[error(
        "{place}: contains no certificate; expected PEM blocks `-----BEGIN CERTIFICATE-----`, leaf first"
    )]
    NoCertificate {
        /// File or object.
        place: String,
    },
    /// No private key in the file.
    #[error(
        "{place}: contains no private key; expected an unencrypted PEM block such as `-----BEGIN PRIVATE KEY-----`"
    )]
    NoPrivateKey {
        /// File or object.
        place: String,
    },
    /// Broken PEM or DER, or an algorithm that is not supported.
    #[error("{place}: {detail}")]
    Malformed {
        /// File or object.
        place: String,
        /// The error of the parser.
        detail: String,
    },
    /// Key and certificate do not belong together.
    #[error("{place}: the private key does not belong to the first certificate of {certificate}")]
    KeyMismatch {
        /// Where the key is.
        place: String,
        /// Where the certificate is.
        certificate: String,
    },
    /// No certificate has the domain's name.
    #[error("no certificate covers {domain}; the loaded certificates are for {}", names(.found))]
    DoesNotCover {
        /// Local domain.
        domain: Domain,
        /// Names of all certificates.
        found: Vec<String>,
    },
    /// The certificate that covers the domain has expired.
    #[error("{place}: the certificate of {domain} expired at {not_after}")]
    Expired {
        /// File or object.
        place: String,
        /// Local domain.
        domain: Domain,
        /// End of validity.
        not_after: jiff::Timestamp,
    },
    /// The certificate that covers the domain is not valid yet.
    #[error("{place}: the certificate of {domain} is not valid before {not_before}")]
    NotYetValid {
        /// File or object.
        place: String,
        /// Local domain.
        domain: Domain,
        /// Start of validity.
        not_before: jiff::Timestamp,
    },
}

fn names(found: &[String]) -> String {
    if found.is_empty() { "no domain at all".to_owned() } else { found.join(", ") }
}

/// One certificate chain with its key.
#[derive(Debug)]
pub struct LocalCertificate {
    place: String,
    presented: Presented,
    identity: Identity,
    facts: CertificateFacts,
}

impl LocalCertificate {
    /// Reads PEM files.
    ///
    /// # Errors
    /// See [`CertificateError`]; names and dates are not checked here.
    pub fn load(certificate: &Path, private_key: &Path) -> Result<Self, CertificateError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| CertificateError::Unreadable {
                place: path.display().to_string(),
                detail: error.to_string(),
            })
        };
        Self::from_pem(
            &read(certificate)?,
            &certificate.display().to_string(),
            &read(private_key)?,
            &private_key.display().to_string(),
        )
    }

    /// Parses PEM texts; the places name them in errors.
    ///
    /// # Errors
    /// See [`CertificateError`]; names and dates are not checked here.
    pub fn from_pem(
        certificate: &[u8],
        certificate_place: &str,
        private_key: &[u8],
        key_place: &str,
    ) -> Result<Self, CertificateError> {
        let malformed = |place: &str, detail: String| CertificateError::Malformed {
            place: place.to_owned(),
            detail,
        };
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, PemError>>()
            .map_err(|error| malformed(certificate_place, error.to_string()))?;
        let Some(leaf) = chain.first() else {
            return Err(CertificateError::NoCertificate { place: certificate_place.to_owned() });
        };
        let in_leaf = |error: s2s_proto::certificate::facts::Unreadable| {
            malformed(certificate_place, error.to_string())
        };
        let facts = CertificateFacts::of(leaf).map_err(in_leaf)?;
        let identity = Identity::of_der(leaf).map_err(in_leaf)?;
        let key = match PrivateKeyDer::from_pem_slice(private_key) {
            Ok(key) => key,
            Err(PemError::NoItemsFound) => {
                return Err(CertificateError::NoPrivateKey { place: key_place.to_owned() });
            }
            Err(error) => return Err(malformed(key_place, error.to_string())),
        };
        let key = match CertifiedKey::from_der(chain, key, provider()) {
            Ok(key) => Arc::new(key),
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(CertificateError::KeyMismatch {
                    place: key_place.to_owned(),
                    certificate: certificate_place.to_owned(),
                });
            }
            Err(error) => return Err(malformed(key_place, error.to_string())),
        };
        let presented =
            Presented::new(key).map_err(|error| malformed(certificate_place, error.to_string()))?;
        Ok(Self { place: certificate_place.to_owned(), presented, identity, facts })
    }

    /// A fresh self-signed certificate for development and for peers that use dialback.
    ///
    /// # Errors
    /// When signing fails.
    pub fn self_signed(
        domains: &[Domain],
        lifetime: Duration,
        now: UnixTime,
    ) -> Result<Self, IssueError> {
        let pair = self_signed(domains, lifetime, now)?;
        let place = "self-signed";
        Self::from_pem(pair.certificate.as_bytes(), place, pair.private_key.as_bytes(), place)
            .map_err(|error| IssueError::Certificate(error.to_string()))
    }

    /// The key and chain for rustls.
    pub fn presented(&self) -> &Presented {
        &self.presented
    }

    /// The facts of the leaf.
    pub fn facts(&self) -> &CertificateFacts {
        &self.facts
    }

    /// Whether the leaf has the domain's name.
    pub fn covers(&self, domain: &Domain) -> bool {
        self.identity.matches(domain)
    }

    /// The error of the dates, if any, for `domain`.
    fn dates(&self, domain: &Domain, now: jiff::Timestamp) -> Result<(), CertificateError> {
        let (place, domain) = (self.place.clone(), domain.clone());
        if now > self.facts.not_after {
            return Err(CertificateError::Expired {
                place,
                domain,
                not_after: self.facts.not_after,
            });
        }
        if now < self.facts.not_before {
            let not_before = self.facts.not_before;
            return Err(CertificateError::NotYetValid { place, domain, not_before });
        }
        Ok(())
    }
}

/// The certificate for each local domain.
#[derive(Clone, Debug, Default)]
pub struct LocalCertificates {
    by_domain: HashMap<Domain, Arc<LocalCertificate>>,
    default: Option<Arc<LocalCertificate>>,
}

impl LocalCertificates {
    /// Assigns certificates to domains: a valid one that covers the domain, else an outdated one that does. The
    /// problems are returned beside the set, because dialback works with any certificate.
    pub fn assign(
        certificates: &[Arc<LocalCertificate>],
        domains: &[Domain],
        now: UnixTime,
    ) -> (Self, Vec<CertificateError>) {
        let now = s2s_proto::certificate::facts::timestamp(
            i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        );
        let mut set = Self { by_domain: HashMap::new(), default: certificates.first().cloned() };
        let mut problems = Vec::new();
        for domain in domains {
            let covering = || certificates.iter().filter(|c| c.covers(domain));
            let valid = covering().find(|c| c.dates(domain, now).is_ok());
            let Some(chosen) = valid.or_else(|| covering().next()) else {
                if !certificates.is_empty() {
                    let found = certificates.iter().flat_map(|c| c.facts.names.clone()).collect();
                    problems.push(CertificateError::DoesNotCover { domain: domain.clone(), found });
                }
                continue;
            };
            problems.extend(chosen.dates(domain, now).err());
            set.by_domain.insert(domain.clone(), Arc::clone(chosen));
        }
        (set, problems)
    }

    /// The certificate to present for a domain. One that covers it, else the first of all: its name is wrong, and peers
    /// that use dialback do not check it. `None` when there is no certificate.
    pub fn present(&self, domain: &Domain) -> Option<&Arc<LocalCertificate>> {
        self.by_domain.get(domain).or(self.default.as_ref())
    }

    /// The certificate for a Direct TLS handshake, by SNI.
    pub fn present_for_sni(&self, name: Option<&str>) -> Option<&Arc<LocalCertificate>> {
        name.and_then(|name| Domain::parse(name).ok())
            .and_then(|domain| self.by_domain.get(&domain))
            .or(self.default.as_ref())
    }

    /// The certificate that covers a domain; `None` when EXTERNAL cannot succeed for it.
    pub fn covering(&self, domain: &Domain) -> Option<&Arc<LocalCertificate>> {
        self.by_domain.get(domain)
    }

    /// Domains and the certificates that cover them.
    pub fn iter(&self) -> impl Iterator<Item = (&Domain, &Arc<LocalCertificate>)> {
        self.by_domain.iter()
    }
}

#[cfg(test)]
mod tests;
