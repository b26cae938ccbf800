//! The names in a certificate that can authenticate an XMPP domain (RFC 6120 §13.7.1.2.1, RFC 9525 §6). Only
//! subjectAltName counts; the common name never does.

use rustls_pki_types::CertificateDer;
use x509_parser::der_parser::asn1_rs::{Any, FromDer, Ia5String, Tag, Utf8String};
use x509_parser::der_parser::{Oid, oid};
use x509_parser::prelude::{GeneralName, X509Certificate};

use super::facts::{Unreadable, parse};
use crate::Domain;

/// id-on-xmppAddr (RFC 6120 §13.7.1.4).
const XMPP_ADDR: Oid<'static> = oid!(1.3.6.1.5.5.7.8.5);
/// id-on-dnsSRV (RFC 4985 §2).
const DNS_SRV: Oid<'static> = oid!(1.3.6.1.5.5.7.8.7);
/// Service of an SRV-ID that authenticates a server to a server.
const SRV_SERVICE: &str = "_xmpp-server.";
/// Maximum names kept of one certificate. Certificates of shared hosts have many, and messages do not need them all.
const MAX_NAMES: usize = 1024;
/// Maximum names, and characters of a name, in a message.
const MAX_SHOWN: usize = 16;

/// Which names of a certificate count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Forms {
    /// DNS-ID, SRV-ID and `XmppAddr`.
    All,
    /// DNS-ID only: a CA above has name constraints, which restrict only the name forms that they mention (RFC 5280
    /// §4.2.1.10). A CA that is restricted to its own DNS names could otherwise certify any domain by another form.
    DnsId,
}

/// Identifiers of a certificate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    ids: Vec<Id>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Id {
    /// DNS-ID, lower case.
    Dns(String),
    /// DNS-ID `*.` followed by this, lower case.
    Wildcard(String),
    /// SRV-ID for `_xmpp-server`, lower case, without the service.
    Srv(String),
    /// `XmppAddr` that is a bare domain.
    Xmpp(Domain),
    /// A name that authenticates nothing here, escaped, kept for the message.
    Unusable(String),
}

impl Identity {
    /// Parses the names of a certificate. A malformed or duplicate extension yields no names.
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let names = match certificate.subject_alternative_name() {
            Ok(Some(extension)) => &extension.value.general_names,
            Ok(None) | Err(_) => return Self::default(),
        };
        Self { ids: names.iter().filter_map(id).take(MAX_NAMES).collect() }
    }

    /// Parses the names from DER.
    ///
    /// # Errors
    /// When the DER is not a certificate.
    pub fn of_der(der: &CertificateDer<'_>) -> Result<Self, Unreadable> {
        Ok(Self::of(&parse(der)?))
    }

    /// Whether any identifier names this domain.
    pub fn matches(&self, domain: &Domain) -> bool {
        self.matches_by(domain, Forms::All)
    }

    /// Whether an identifier of the admitted forms names this domain. DNS names are compared as A-labels without regard
    /// to case; a wildcard stands for exactly one whole label, the left-most.
    pub(crate) fn matches_by(&self, domain: &Domain, forms: Forms) -> bool {
        let ascii = domain.to_ascii();
        let above = ascii.split_once('.').map(|(_, above)| above);
        self.ids.iter().any(|id| match (id, forms) {
            (Id::Wildcard(suffix), _) => above == Some(suffix),
            (Id::Dns(name), _) | (Id::Srv(name), Forms::All) => *name == ascii,
            (Id::Xmpp(name), Forms::All) => name == domain,
            (Id::Srv(_) | Id::Xmpp(_), Forms::DnsId) | (Id::Unusable(_), _) => false,
        })
    }

    /// The names for a message: printable, without duplicates, bounded.
    pub fn names(&self) -> Vec<String> {
        let mut shown: Vec<String> = Vec::new();
        for id in &self.ids {
            let name = match id {
                Id::Dns(name) | Id::Unusable(name) => name.clone(),
                Id::Wildcard(suffix) => format!("*.{suffix}"),
                Id::Srv(name) => format!("{SRV_SERVICE}{name}"),
                Id::Xmpp(domain) => domain.to_string(),
            };
            if !shown.contains(&name) {
                shown.push(name);
            }
            if shown.len() == MAX_SHOWN {
                break;
            }
        }
        shown
    }
}

fn id(name: &GeneralName<'_>) -> Option<Id> {
    match name {
        GeneralName::DNSName(text) => Some(dns_id(text)),
        GeneralName::OtherName(kind, value) if *kind == DNS_SRV => {
            let (_, text) = Ia5String::from_der(explicit(value)?).ok()?;
            Some(srv_id(text.as_ref()))
        }
        GeneralName::OtherName(kind, value) if *kind == XMPP_ADDR => {
            let (_, text) = Utf8String::from_der(explicit(value)?).ok()?;
            Some(xmpp_addr(text.as_ref()))
        }
        GeneralName::Invalid(tag, bytes) if *tag == Tag(2) => {
            Some(unusable(&String::from_utf8_lossy(bytes)))
        }
        _ => None,
    }
}

/// Content of `[0] EXPLICIT` (RFC 5280 §4.2.1.6, `OtherName`).
fn explicit(value: &[u8]) -> Option<&[u8]> {
    let (rest, any) = Any::from_der(value).ok()?;
    (rest.is_empty() && any.header.is_contextspecific() && any.tag() == Tag(0)).then_some(any.data)
}

fn dns_id(text: &str) -> Id {
    if let Some(suffix) = text.strip_prefix("*.") {
        // A wildcard for a whole top-level domain authenticates no domain.
        return match host(suffix) {
            Some(suffix) if suffix.contains('.') => Id::Wildcard(suffix),
            _ => unusable(text),
        };
    }
    host(text).map_or_else(|| unusable(text), Id::Dns)
}

fn srv_id(text: &str) -> Id {
    let service = text.get(..SRV_SERVICE.len()).unwrap_or_default();
    let name = text.get(SRV_SERVICE.len()..).unwrap_or_default();
    match host(name) {
        Some(name) if service.eq_ignore_ascii_case(SRV_SERVICE) => Id::Srv(name),
        _ => unusable(text),
    }
}

/// A server's `XmppAddr` is a domain; one with a localpart or resource names an account.
fn xmpp_addr(text: &str) -> Id {
    Domain::parse(text).map_or_else(|_| unusable(text), Id::Xmpp)
}

/// A host name in the preferred name syntax (RFC 5280 §4.2.1.6): letters, digits, hyphens, returned in lower case. A
/// name with a trailing dot, an empty label, a NUL or a U-label is not a host name.
fn host(text: &str) -> Option<String> {
    let valid = text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    valid.then(|| text.to_ascii_lowercase())
}

fn unusable(text: &str) -> Id {
    Id::Unusable(text.chars().take(255).flat_map(char::escape_debug).collect())
}
