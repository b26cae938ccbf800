//! How a system behaves towards other servers.

/// The traits in which partners differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    /// Its streams have a version, and features.
    pub version: Version,
    /// What it does about encryption.
    pub tls: Tls,
    /// What a certificate is to it.
    pub certificate: Certificate,
    /// It offers and uses SASL EXTERNAL (XEP-0178), and knows dialback besides.
    pub external: bool,
    /// It announces dialback as a stream feature (XEP-0220 §2.4.2), besides declaring its namespace as all do.
    pub announces_dialback: bool,
    /// Hexadecimal digits of its dialback keys, which are opaque to everybody else.
    pub key_digits: usize,
    /// It closes streams that are idle.
    pub closes_idle_streams: bool,
}

/// RFC 6120 §4.7.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// None: no features follow, and its own headers name nobody but the domain that is wanted.
    None,
    /// 1.0.
    One,
}

/// Encryption of streams, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It knows no STARTTLS.
    Never,
    /// It offers STARTTLS and uses it where it is offered, and does without.
    Optional,
    /// It insists on STARTTLS.
    Required,
    /// It offers STARTTLS, and knows no version of TLS that is still in use.
    TooOld,
}

/// What a certificate of the other side is to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Nothing: it asks for none, presents none as a client, and looks at none.
    Nothing,
    /// Its names are looked at, its issuer is not.
    Named,
    /// It proves the other side when it leads to a root.
    Trusted,
}

impl Wire {
    /// Whether STARTTLS is offered.
    pub fn offers_starttls(&self) -> bool {
        self.version == Version::One && self.tls != Tls::Never
    }
}
