//! The settings of one cell of the matrix.

/// Whether streams are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Without TLS there is no stream.
    Required,
    /// TLS when the other side has it.
    Optional,
    /// Never.
    Off,
}

/// What the other side must prove itself by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// A valid certificate, and nothing else will do.
    Certificate,
    /// A valid certificate, or else dialback.
    CertificateOrDialback,
    /// Dialback, whatever the certificate says.
    Dialback,
}

/// The certificate that a side presents, as server and as client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Signed by the authority that both sides trust, for both ends of a stream.
    Good,
    /// As public authorities issue them: for servers only (RFC 5280 §4.2.1.12).
    ServerAuthOnly,
    /// Self-signed.
    SelfSigned,
    /// For another domain.
    WrongName,
    /// No longer valid.
    Expired,
}

/// One side of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether streams are encrypted.
    pub encryption: Encryption,
    /// What the other side must prove itself by.
    pub demand: Demand,
    /// What this side presents.
    pub certificate: Certificate,
}

/// How both sides are found and reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `_xmpp-server` over IPv4 (RFC 6120 §3.2.1).
    Ordinary,
    /// Only `_xmpps-server` (XEP-0368).
    DirectTls,
    /// `_xmpp-server`, and addresses of IPv6 only.
    Ipv6,
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What it is called in the matrix.
    pub name: &'static str,
    /// The engine's side.
    pub ours: Settings,
    /// The real server's side.
    pub theirs: Settings,
    /// How they reach each other.
    pub way: Way,
}

const fn side(encryption: Encryption, demand: Demand, certificate: Certificate) -> Settings {
    Settings { encryption, demand, certificate }
}

const fn cell(name: &'static str, way: Way, ours: Settings, theirs: Settings) -> Cell {
    Cell { name, ours, theirs, way }
}

/// Profile `Strict` and what matches it.
const fn strict(certificate: Certificate) -> Settings {
    side(Encryption::Required, Demand::Certificate, certificate)
}

/// Profile `Standards`.
const fn standards(certificate: Certificate) -> Settings {
    side(Encryption::Required, Demand::CertificateOrDialback, certificate)
}

/// As most servers come: TLS when possible, the certificate or else dialback.
const fn lenient(certificate: Certificate) -> Settings {
    side(Encryption::Optional, Demand::CertificateOrDialback, certificate)
}

/// TCP only, as profile `LegacyDialback` has it.
const PLAIN: Settings = side(Encryption::Off, Demand::Dialback, Certificate::Good);
/// TLS without a look at the certificate, as profile `CiscoExpressway` has it.
const DIALBACK: Settings = side(Encryption::Required, Demand::Dialback, Certificate::Good);

/// The matrix: every server goes through every cell.
pub(crate) const CELLS: [Cell; 16] = {
    use Certificate::{Expired, Good, SelfSigned, ServerAuthOnly, WrongName};
    use Way::{DirectTls, Ipv6, Ordinary};
    [
        cell("TLS + EXTERNAL", Ordinary, strict(Good), strict(Good)),
        cell("TLS + dialback", Ordinary, DIALBACK, lenient(Good)),
        cell("plain dialback", Ordinary, PLAIN, PLAIN),
        cell("Direct TLS", DirectTls, standards(Good), strict(Good)),
        cell("Direct TLS, lenient", DirectTls, standards(Good), lenient(Good)),
        cell("serverAuth only", Ordinary, strict(ServerAuthOnly), strict(ServerAuthOnly)),
        cell(
            "serverAuth only, lenient",
            Ordinary,
            standards(ServerAuthOnly),
            lenient(ServerAuthOnly),
        ),
        cell("self-signed + dialback", Ordinary, standards(SelfSigned), lenient(SelfSigned)),
        cell("self-signed, strict", Ordinary, strict(Good), lenient(SelfSigned)),
        cell("wrong name, strict", Ordinary, strict(Good), lenient(WrongName)),
        cell("wrong name, lenient", Ordinary, standards(Good), lenient(WrongName)),
        cell("expired, strict", Ordinary, strict(Good), lenient(Expired)),
        cell("expired, lenient", Ordinary, standards(Good), lenient(Expired)),
        cell("ours expired", Ordinary, standards(Expired), strict(Good)),
        cell("TLS against plain", Ordinary, standards(Good), PLAIN),
        cell("IPv6 only", Ipv6, standards(Good), lenient(Good)),
    ]
};
