//! TLSA records (RFC 6698 §2): a domain's owner publishes the certificate of a server in DNS. Pure.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256, Sha512};

/// Largest certificate or key that a record may contain in full.
const MAX_DATA: usize = 4096;

/// One record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tlsa {
    /// It can be compared with a certificate.
    Usable(Association),
    /// Its numbers are not assigned, or its data does not match them (RFC 6698 §4.1).
    Unusable,
}

/// A usable record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Association {
    /// Which certificate of the chain it matches, and what else must hold.
    pub usage: Usage,
    selector: Selector,
    matching: Matching,
    data: Arc<[u8]>,
}

/// Certificate usage (RFC 6698 §2.1.1, RFC 7218 §2.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Usage {
    /// A CA above the server's certificate, which must also be valid by our own roots.
    PkixTa,
    /// The server's certificate, which must also be valid by our own roots.
    PkixEe,
    /// A CA above the server's certificate, which is trusted for it.
    DaneTa,
    /// The server's certificate; nothing else matters.
    DaneEe,
}

/// Selector (RFC 6698 §2.1.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Selector {
    Certificate,
    PublicKey,
}

/// Matching type (RFC 6698 §2.1.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Matching {
    Exact,
    Sha256,
    Sha512,
}

impl Tlsa {
    /// From the fields of a record (RFC 6698 §2.1).
    pub fn new(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Self {
        Association::new(usage, selector, matching, data).map_or(Self::Unusable, Self::Usable)
    }

    /// Bytes of memory that it holds.
    pub fn size(&self) -> usize {
        match self {
            Self::Usable(association) => association.data.len(),
            Self::Unusable => 0,
        }
    }
}

impl Association {
    /// The numbers are those of RFC 7218 §2.
    fn new(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Option<Self> {
        let usage = match usage {
            0 => Usage::PkixTa,
            1 => Usage::PkixEe,
            2 => Usage::DaneTa,
            3 => Usage::DaneEe,
            _ => return None,
        };
        let selector = match selector {
            0 => Selector::Certificate,
            1 => Selector::PublicKey,
            _ => return None,
        };
        let (matching, lengths) = match matching {
            0 => (Matching::Exact, 1..=MAX_DATA),
            1 => (Matching::Sha256, 32..=32),
            2 => (Matching::Sha512, 64..=64),
            _ => return None,
        };
        lengths.contains(&data.len()).then(|| Self { usage, selector, matching, data: data.into() })
    }

    /// Whether it matches this certificate, whose key is `spki`.
    pub(crate) fn matches(&self, certificate: &[u8], spki: &[u8]) -> bool {
        let selected = match self.selector {
            Selector::Certificate => certificate,
            Selector::PublicKey => spki,
        };
        match self.matching {
            Matching::Exact => selected == &*self.data,
            Matching::Sha256 => Sha256::digest(selected).as_slice() == &*self.data,
            Matching::Sha512 => Sha512::digest(selected).as_slice() == &*self.data,
        }
    }

    /// Whether it matches this key, whose certificate is unknown.
    pub(crate) fn matches_key(&self, spki: &[u8]) -> bool {
        self.selector == Selector::PublicKey && self.matches(&[], spki)
    }

    /// The certificate itself, if the record contains it (RFC 7671 §5.2.2: the server need not send it then).
    pub(crate) fn certificate(&self) -> Option<CertificateDer<'_>> {
        let whole = (self.selector, self.matching) == (Selector::Certificate, Matching::Exact);
        whole.then(|| CertificateDer::from(&*self.data))
    }
}
