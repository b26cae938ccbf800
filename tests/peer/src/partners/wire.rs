//! The behaviour of a system towards other servers.

/// The traits in which partners differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    /// Whether its streams have a version, and features.
    pub version: Version,
    /// Its policy for encryption.
    pub tls: Tls,
    /// Its policy for certificates.
    pub certificate: Certificate,
    /// It offers and uses SASL EXTERNAL (XEP-0178), and also supports dialback.
    pub external: bool,
    /// It announces dialback as a stream feature (XEP-0220 §2.4.2), in addition to the namespace that every system
    /// declares.
    pub announces_dialback: bool,
    /// Hexadecimal digits of its dialback keys, which are opaque to every other server.
    pub key_digits: usize,
    /// It closes idle streams.
    pub closes_idle_streams: bool,
}

/// The version of a stream (RFC 6120 §4.7.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// None: no features follow, and its own headers name only the domain that it connects to.
    None,
    /// 1.0.
    One,
}

/// Encryption of streams, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It does not support STARTTLS.
    Never,
    /// It offers STARTTLS, uses it if offered, and continues without TLS otherwise.
    Optional,
    /// It requires STARTTLS.
    Required,
    /// It offers STARTTLS, but supports no version of TLS that is still in use.
    TooOld,
}

/// The policy for a certificate of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Certificates are not used: it requests none, presents none as a client, and checks none.
    Nothing,
    /// It checks the names of the certificate, but not the issuer.
    Named,
    /// The certificate authenticates the other side if it chains to a root.
    Trusted,
}

impl Wire {
    /// Whether STARTTLS is offered.
    pub fn offers_starttls(&self) -> bool {
        self.version == Version::One && self.tls != Tls::Never
    }
}
