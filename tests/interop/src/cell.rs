//! The settings of one cell of the matrix.

/// Whether streams are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Without TLS there is no stream.
    Required,
    /// TLS if the other side offers it.
    Optional,
    /// TLS is never used.
    Off,
}

/// How the other side must authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// A valid certificate; nothing else is accepted.
    Certificate,
    /// A valid certificate; otherwise dialback.
    CertificateOrDialback,
    /// Dialback, regardless of the certificate.
    Dialback,
}

/// The certificate that a side presents, as server and as client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Issued by the authority that both sides trust, for both ends of a stream.
    Good,
    /// As public authorities issue it: for servers only (RFC 5280 §4.2.1.12).
    ServerAuthOnly,
    /// Self-signed.
    SelfSigned,
    /// For another domain.
    WrongName,
    /// Expired.
    Expired,
}

/// One side of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether streams are encrypted.
    pub encryption: Encryption,
    /// How the other side must authenticate.
    pub demand: Demand,
    /// The certificate that this side presents.
    pub certificate: Certificate,
}

/// How both sides are found and reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `_xmpp-server` over IPv4 (RFC 6120 §3.2.1).
    Ordinary,
    /// Only `_xmpps-server` (XEP-0368).
    DirectTls,
    /// `_xmpp-server`, with IPv6 addresses only.
    Ipv6,
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Its name in the matrix.
    pub name: &'static str,
    /// The engine's side.
    pub ours: Settings,
    /// The real server's side.
    pub theirs: Settings,
    /// How both sides reach each other.
    pub way: Way,
}

const fn side(encryption: Encryption, demand: Demand, certificate: Certificate) -> Settings {
    Settings { encryption, demand, certificate }
}

const fn cell(name: &'static str, way: Way, ours: Settings, theirs: Settings) -> Cell {
    Cell { name, ours, theirs, way }
}

/// Profile `Strict` and matching settings.
const fn strict(certificate: Certificate) -> Settings {
    side(Encryption::Required, Demand::Certificate, certificate)
}

/// Profile `Standards`.
const fn standards(certificate: Certificate) -> Settings {
    side(Encryption::Required, Demand::CertificateOrDialback, certificate)
}

/// The default of most servers: TLS when possible, the certificate or else dialback.
const fn lenient(certificate: Certificate) -> Settings {
    side(Encryption::Optional, Demand::CertificateOrDialback, certificate)
}

/// TCP only, as in profile `LegacyDialback`.
const PLAIN: Settings = side(Encryption::Off, Demand::Dialback, Certificate::Good);
/// TLS without a check of the certificate, as in profile `CiscoExpressway`.
const DIALBACK: Settings = side(Encryption::Required, Demand::Dialback, Certificate::Good);

/// The matrix: every server runs every cell.
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
