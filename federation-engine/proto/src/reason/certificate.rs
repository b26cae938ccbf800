//! Why a certificate does not authenticate a domain.

use crds::domain::Domain;
use crds::word::Word;

/// Why a certificate does not authenticate a domain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateReason {
    /// The peer presented none.
    #[error("no certificate was presented")]
    Missing,
    /// Signed by itself and not pinned.
    #[error("the certificate is self-signed")]
    SelfSigned,
    /// No path to a trusted root.
    #[error("the certificate was issued by {issuer:?}, which is not trusted")]
    Untrusted {
        /// Distinguished name of the last issuer in the chain.
        issuer: String,
    },
    /// Valid, but for other names.
    #[error("the certificate is for {}, not for this domain", names(.found))]
    NameMismatch {
        /// Names that the certificate has.
        found: Vec<String>,
    },
    /// Past its `notAfter`.
    #[error("the certificate expired at {not_after}")]
    Expired {
        /// RFC 3339.
        not_after: String,
    },
    /// Before its `notBefore`.
    #[error("the certificate is not valid before {not_before}")]
    NotYetValid {
        /// RFC 3339.
        not_before: String,
    },
    /// None of the keys in the chain is pinned.
    #[error("no key in the certificate chain matches a pin")]
    PinMismatch,
    /// The peer's own records in DNS, authenticated by DNSSEC, are about other certificates (RFC 7673 §4.2).
    #[error(
        "no TLSA record at {owner} matches the certificate (DANE): either the peer has not yet published a record for this certificate, or another server impersonates the peer"
    )]
    DaneMismatch {
        /// Owner of the TLSA records.
        owner: String,
    },
    /// Also valid for a local domain that another backend serves.
    #[error(
        "the certificate is also valid for {domain}, which this backend does not serve; give each backend a certificate for its own domains only"
    )]
    OtherBackend {
        /// The other domain.
        domain: Domain,
    },
    /// Unreadable, or an algorithm or constraint that is not accepted.
    #[error("the certificate is not acceptable: {detail}")]
    Invalid {
        /// The error of the verifier.
        detail: String,
    },
}

fn names(found: &[String]) -> String {
    if found.is_empty() { "no domain at all".to_owned() } else { found.join(", ") }
}

impl CertificateReason {
    /// The stable word for this reason.
    pub fn word(&self) -> Word {
        match self {
            Self::Missing => Word::CertificateMissing,
            Self::SelfSigned => Word::CertificateSelfSigned,
            Self::Untrusted { .. } => Word::CertificateUntrusted,
            Self::NameMismatch { .. } => Word::CertificateNameMismatch,
            Self::Expired { .. } => Word::CertificateExpired,
            Self::NotYetValid { .. } => Word::CertificateNotYetValid,
            Self::PinMismatch => Word::PinMismatch,
            Self::DaneMismatch { .. } => Word::DaneMismatch,
            Self::OtherBackend { .. } => Word::CertificateForOtherBackend,
            Self::Invalid { .. } => Word::CertificateInvalid,
        }
    }
}
