//! Why a request was refused, a stream failed or was closed, or a stanza was bounced. Closed enums: the `Display` text
//! completes a sentence, and `word()` is the same CamelCase word in the log, the metric, the evidence and the status of
//! the resource.

mod setting;
mod told;

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use crds::word::Word;
use crds::xmpp::{ErrorType, SaslCondition, StanzaCondition, StreamCondition};
use serde::{Deserialize, Serialize};

use crate::dialback::KeyInquiry;
use crate::stream::redirect::Redirect;

pub use setting::{AgainstExternal, NoDialback, NoExternal, NoMethod, SetBy, Setting};

/// How far an attempt to reach a peer came.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
pub enum Step {
    /// Our own policy.
    Policy,
    /// Lookup of the SRV records.
    #[serde(rename = "SRV")]
    Srv,
    /// Lookup of addresses.
    Address,
    /// TCP connection.
    #[serde(rename = "TCP")]
    Tcp,
    /// Stream headers and features.
    Stream,
    /// TLS and the peer's certificate.
    #[serde(rename = "TLS")]
    Tls,
    /// SASL EXTERNAL or dialback.
    Authentication,
    /// Everything is negotiated.
    Established,
}

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
            Self::Invalid { .. } => Word::CertificateInvalid,
        }
    }
}

/// Why DNS gave no target.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DnsReason {
    /// Neither SRV nor address records, or NXDOMAIN.
    #[error("DNS has no SRV or address records for {name}")]
    DomainNotFound {
        /// Queried name.
        name: String,
    },
    /// SRV records exist, their targets have no address (RFC 6120 §3.2.1: then no fallback).
    #[error("the SRV targets of {name} have no address")]
    NoAddress {
        /// Queried name.
        name: String,
    },
    /// The only SRV target is `.` (RFC 2782).
    #[error("{name} does not federate: the target of its SRV record is \".\"")]
    ServiceDisabled {
        /// Queried name.
        name: String,
    },
    /// No usable answer.
    #[error("the resolver returned no usable answer for {name}: {detail}")]
    ResolverUnavailable {
        /// Queried name.
        name: String,
        /// Response code or error.
        detail: String,
    },
    /// The answer fails DNSSEC validation (RFC 7673 §3).
    #[error(
        "the {records} records of {name} fail DNSSEC validation: signatures or keys are missing, wrong or expired. The zone's administrator must repair it; `delv` shows where validation fails. If a private zone hides a signed public one, set a `route` for the peer, or set `dnssec` to \"Off\""
    )]
    Bogus {
        /// Queried name.
        name: String,
        /// Type of the queried records.
        records: Records,
    },
}

/// Kinds of records that lead to a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Records {
    /// SRV.
    Service,
    /// A and AAAA.
    Address,
    /// TLSA.
    Certificate,
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "SRV",
            Self::Address => "address",
            Self::Certificate => "TLSA",
        })
    }
}

impl DnsReason {
    /// The stable word for this reason.
    pub(crate) fn word(&self) -> Word {
        match self {
            Self::DomainNotFound { .. } => Word::DomainNotFound,
            Self::NoAddress { .. } => Word::NoAddress,
            Self::ServiceDisabled { .. } => Word::SrvServiceDisabled,
            Self::ResolverUnavailable { .. } => Word::ResolverUnavailable,
            Self::Bogus { .. } => Word::DnssecBogus,
        }
    }
}

/// Why a connection to an address failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConnectReason {
    /// TCP reset in answer to SYN.
    #[error("connection refused")]
    Refused,
    /// No answer in time.
    #[error("connection timed out")]
    TimedOut,
    /// No route to the network or host.
    #[error("no route to the address")]
    NoRoute,
    /// The dialler's guard refuses it.
    #[error("{address} is {kind}, and `egress.allowNetworks` does not list it")]
    AddressNotAllowed {
        /// The address.
        address: IpAddr,
        /// Such as "a private address".
        kind: &'static str,
    },
    /// Anything else that the operating system reports.
    #[error("{detail}")]
    Other {
        /// Text of the operating system.
        detail: String,
    },
}

impl From<&std::io::Error> for ConnectReason {
    fn from(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::NoRoute,
            _ => Self::Other { detail: error.to_string() },
        }
    }
}

impl ConnectReason {
    /// The stable word for this reason.
    pub(crate) fn word(&self) -> Word {
        match self {
            Self::Refused => Word::ConnectRefused,
            Self::TimedOut => Word::ConnectTimedOut,
            Self::NoRoute => Word::NoRoute,
            Self::AddressNotAllowed { .. } => Word::AddressNotAllowed,
            Self::Other { .. } => Word::ConnectFailed,
        }
    }
}

/// Why no verified stream to a domain could be opened, or why it ended.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Our policy forbids the pair.
    #[error("the policy forbids federation with this domain")]
    BlockedByLocalPolicy,
    /// DNS.
    #[error(transparent)]
    Dns(#[from] DnsReason),
    /// Every address failed; the list is never empty and in the order of the attempts.
    #[error("{}", attempts(.0))]
    Connect(Vec<(SocketAddr, ConnectReason)>),
    /// The dialler's guard refused every address.
    #[error(transparent)]
    Guard(ConnectReason),
    /// TLS is required and the peer does not offer STARTTLS (the engine requested it nevertheless, RFC 7590 §3.1).
    #[error("TLS is required here, and the peer does not offer STARTTLS")]
    StartTlsNotOffered,
    /// `<failure/>` in answer to `<starttls/>`.
    #[error("the peer refused STARTTLS")]
    StartTlsRefused,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Handshake(String),
    /// The peer's certificate does not authenticate its domain, and no other method is allowed.
    #[error("{0}")]
    Certificate(#[from] CertificateReason),
    /// The same, because of a setting that an administrator may change.
    #[error(
        "{0}. `tls.verification` of this peer is Required (from its entry of `peers`, from `peerDefaults` or from its profile). With Preferred, the stream opens and only DNS authenticates the peer"
    )]
    CertificateRequired(CertificateReason),
    /// The peer closed the stream with an error, quoted as received.
    #[error("the peer closed the stream with {condition}{}", quoted(.text))]
    StreamError {
        /// Defined condition (RFC 6120 §4.9.3).
        condition: StreamCondition,
        /// The peer's own words.
        text: String,
    },
    /// The peer closed the stream because another host must serve us (RFC 6120 §4.9.3.19).
    #[error("the peer redirects to another host: {0}")]
    SeeOtherHost(Redirect),
    /// The peer's bytes are not an XMPP stream.
    #[error("the peer does not speak XMPP: {0}")]
    NotXmpp(String),
    /// The peer offers nothing that our settings allow.
    #[error("no authentication method is available: {0}")]
    NoAuthenticationMethod(#[from] NoMethod),
    /// The peer answered `<failure/>` to EXTERNAL.
    #[error("the peer rejected our certificate (SASL EXTERNAL: {condition}{}){}", quoted(.text), no_dialback(*.forbidden))]
    ExternalRejected {
        /// SASL failure condition (RFC 6120 §6.5).
        condition: SaslCondition,
        /// The peer's own words.
        text: String,
        /// The setting that forbids dialback, which would not need our certificate.
        forbidden: Option<Setting>,
    },
    /// `type='invalid'` in answer to our dialback key.
    #[error("the peer reports that our dialback key is invalid{0}")]
    DialbackInvalid(KeyInquiry),
    /// `type='error'` in answer to our dialback key (XEP-0220 §2.5).
    #[error("the peer answered our dialback key with the error {condition}{}", quoted(.text))]
    DialbackError {
        /// Stanza error condition.
        condition: StanzaCondition,
        /// The peer's own words.
        text: String,
    },
    /// No answer to our dialback key in time.
    #[error("the peer did not answer our dialback key in time")]
    DialbackTimedOut,
    /// Negotiation took too long.
    #[error("stream negotiation timed out while {0}")]
    NegotiationTimedOut(&'static str),
    /// TCP ended without an error on the stream.
    #[error("the connection broke while {0}")]
    ConnectionLost(&'static str),
    /// No component or backend accepts the stanza.
    #[error("no backend serves this domain")]
    NoBackend,
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text:?})") }
}

fn no_dialback(forbidden: Option<Setting>) -> String {
    forbidden.map_or_else(String::new, |setting| {
        format!(
            ". Dialback is not attempted because {setting}. Allow dialback there, or present a certificate that the peer trusts"
        )
    })
}

fn attempts(list: &[(SocketAddr, ConnectReason)]) -> String {
    let mut out = String::new();
    for (index, (address, reason)) in list.iter().enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        // Writing to a String cannot fail.
        let _ = write!(out, "{separator}{address}: {reason}");
    }
    out
}

impl Failure {
    /// The stable word for this reason.
    pub fn word(&self) -> Word {
        match self {
            Self::BlockedByLocalPolicy => Word::BlockedByLocalPolicy,
            Self::Dns(reason) => reason.word(),
            Self::Connect(list) => {
                list.first().map_or(Word::ConnectFailed, |(_, reason)| reason.word())
            }
            Self::Guard(reason) => reason.word(),
            Self::StartTlsNotOffered => Word::StartTlsNotOffered,
            Self::StartTlsRefused => Word::StartTlsRefused,
            Self::Handshake(_) => Word::HandshakeFailed,
            Self::Certificate(reason) | Self::CertificateRequired(reason) => reason.word(),
            Self::StreamError { condition: StreamCondition::HostUnknown, .. } => Word::HostUnknown,
            Self::StreamError { condition: StreamCondition::PolicyViolation, .. } => {
                Word::PolicyViolation
            }
            Self::StreamError { .. } | Self::SeeOtherHost(_) => Word::StreamError,
            Self::NotXmpp(_) => Word::NotXmpp,
            Self::NoAuthenticationMethod(_) => Word::NoAuthenticationMethod,
            Self::ExternalRejected { .. } => Word::SaslExternalRejected,
            Self::DialbackInvalid(KeyInquiry::NotSeen) => Word::DialbackInvalidUnasked,
            Self::DialbackInvalid(_) => Word::DialbackInvalid,
            Self::DialbackError { .. } => Word::DialbackError,
            Self::DialbackTimedOut => Word::DialbackTimedOut,
            Self::NegotiationTimedOut(_) => Word::NegotiationTimedOut,
            Self::ConnectionLost(_) => Word::ConnectionLost,
            Self::NoBackend => Word::NoBackend,
            Self::ShuttingDown => Word::ShuttingDown,
        }
    }

    /// Names the setting, if a setting of the peer refuses its certificate. TLSA records are not ours to change.
    #[must_use]
    pub fn by_setting(self) -> Self {
        match self {
            Self::Certificate(reason)
                if !matches!(reason, CertificateReason::DaneMismatch { .. }) =>
            {
                Self::CertificateRequired(reason)
            }
            other => other,
        }
    }

    /// The step that failed.
    pub fn step(&self) -> Step {
        match self {
            Self::BlockedByLocalPolicy | Self::NoBackend | Self::ShuttingDown => Step::Policy,
            Self::Dns(
                DnsReason::NoAddress { .. }
                | DnsReason::Bogus { records: Records::Address | Records::Certificate, .. },
            ) => Step::Address,
            Self::Dns(_) => Step::Srv,
            Self::Connect(_) | Self::Guard(_) => Step::Tcp,
            Self::StartTlsNotOffered
            | Self::StartTlsRefused
            | Self::Handshake(_)
            | Self::Certificate(_)
            | Self::CertificateRequired(_) => Step::Tls,
            Self::StreamError { .. }
            | Self::SeeOtherHost(_)
            | Self::NotXmpp(_)
            | Self::NegotiationTimedOut(_)
            | Self::ConnectionLost(_) => Step::Stream,
            Self::NoAuthenticationMethod(_)
            | Self::ExternalRejected { .. }
            | Self::DialbackInvalid(_)
            | Self::DialbackError { .. }
            | Self::DialbackTimedOut => Step::Authentication,
        }
    }

    /// The address that was tried last, if any was.
    pub fn last_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Connect(list) => list.last().map(|(address, _)| *address),
            _ => None,
        }
    }

    /// Whether the failure is temporary, because something is down, slow or restarting. A failure that results from the
    /// peer, DNS or our own settings for the two domains will not pass within a minute.
    pub fn passes(&self) -> bool {
        match self {
            // The zone may be repaired, or the keys become available; an attack passes as well.
            Self::Dns(DnsReason::ResolverUnavailable { .. } | DnsReason::Bogus { .. })
            | Self::Connect(_)
            | Self::Handshake(_)
            | Self::NegotiationTimedOut(_)
            | Self::DialbackTimedOut
            | Self::ConnectionLost(_)
            // The next stream is opened there.
            | Self::SeeOtherHost(Redirect::To(_)) => true,
            Self::StreamError { condition, .. } => stream_error_passes(condition),
            // RFC 6120 §6.5.11.
            Self::ExternalRejected { condition, .. } => {
                *condition == SaslCondition::TemporaryAuthFailure
            }
            // XEP-0220 §2.5: the peer could not query our authoritative server.
            Self::DialbackError { condition, .. } => matches!(
                condition,
                StanzaCondition::InternalServerError
                    | StanzaCondition::RemoteConnectionFailed
                    | StanzaCondition::RemoteServerTimeout
                    | StanzaCondition::ResourceConstraint
            ),
            Self::Dns(
                DnsReason::DomainNotFound { .. }
                | DnsReason::NoAddress { .. }
                | DnsReason::ServiceDisabled { .. },
            )
            | Self::BlockedByLocalPolicy
            | Self::Guard(_)
            | Self::StartTlsNotOffered
            | Self::StartTlsRefused
            | Self::Certificate(_)
            | Self::CertificateRequired(_)
            | Self::SeeOtherHost(Redirect::NotFollowed { .. })
            | Self::NotXmpp(_)
            | Self::NoAuthenticationMethod(_)
            | Self::DialbackInvalid(_)
            | Self::NoBackend
            | Self::ShuttingDown => false,
        }
    }

    /// The error that a stanza waiting for this stream is bounced with (RFC 6120 §10.4.3, XEP-0220 §2.1.1).
    pub fn stanza_error(&self) -> StanzaError {
        let condition = match self {
            Self::BlockedByLocalPolicy => StanzaCondition::NotAllowed,
            Self::DialbackInvalid(_) => StanzaCondition::InternalServerError,
            Self::Dns(
                DnsReason::DomainNotFound { .. }
                | DnsReason::NoAddress { .. }
                | DnsReason::ServiceDisabled { .. },
            )
            | Self::Guard(_)
            | Self::NoBackend => StanzaCondition::RemoteServerNotFound,
            // The server was found, and there is no stream to it (RFC 6120 §8.3.3.17).
            _ => StanzaCondition::RemoteServerTimeout,
        };
        let kind = match self {
            Self::DialbackInvalid(_) | Self::ShuttingDown => ErrorType::Wait,
            _ if self.passes() => ErrorType::Wait,
            _ => ErrorType::Cancel,
        };
        StanzaError { kind, condition, text: self.to_string() }
    }
}

/// RFC 6120 §4.9.3.
const fn stream_error_passes(condition: &StreamCondition) -> bool {
    use StreamCondition as Condition;
    match condition {
        Condition::ConnectionTimeout
        | Condition::InternalServerError
        | Condition::RemoteConnectionFailed
        | Condition::Reset
        | Condition::ResourceConstraint
        | Condition::SystemShutdown => true,
        Condition::BadFormat
        | Condition::BadNamespacePrefix
        | Condition::Conflict
        | Condition::HostGone
        | Condition::HostUnknown
        | Condition::ImproperAddressing
        | Condition::InvalidFrom
        | Condition::InvalidId
        | Condition::InvalidNamespace
        | Condition::InvalidXml
        | Condition::NotAuthorized
        | Condition::NotWellFormed
        | Condition::PolicyViolation
        | Condition::RestrictedXml
        | Condition::SeeOtherHost
        | Condition::UndefinedCondition
        | Condition::UnsupportedEncoding
        | Condition::UnsupportedFeature
        | Condition::UnsupportedStanzaType
        | Condition::UnsupportedVersion
        | Condition::XmlNotWellFormed
        | Condition::Other(_) => false,
    }
}

/// Why a single stanza was refused. Counted under its word; the sender is notified unless the stanza was itself an
/// error.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, thiserror::Error)]
pub enum Refusal {
    /// No usable `to` or `from` (RFC 6120 §4.9.3.7).
    #[error("the stanza has no usable 'to' or 'from'")]
    ImproperAddressing,
    /// An address that a server refuses when it prepares it, or that it interprets as another one (RFC 6120 §8.3.3.8,
    /// RFC 7622 §3.3).
    #[error(
        "an address has a part that is empty, is too long, contains a forbidden character or mixes writing directions"
    )]
    MalformedAddress,
    /// `from` is not a domain that is authenticated on this stream (RFC 6120 §8.1.2.2).
    #[error("the domain in 'from' is not authenticated on this stream")]
    InvalidFrom,
    /// `to` is not served here; stanzas between two remote domains are not relayed (RFC 6120 §10.4).
    #[error("the domain in 'to' is not served here")]
    HostUnknown,
    /// Before authentication (RFC 6120 §4.3.5).
    #[error("the stream is not authenticated")]
    NotAuthorized,
    /// Denied by policy.
    #[error("federation between these domains is not allowed")]
    PolicyDenied,
    /// Larger than the limit (RFC 6120 §13.12).
    #[error("the stanza is larger than the limit")]
    TooLarge,
    /// Not message, presence or iq (RFC 6120 §4.9.3.24).
    #[error("the element is not a stanza")]
    UnsupportedStanzaType,
    /// The queue of the pair is full.
    #[error("too many stanzas are queued for the remote server")]
    QueueFull,
    /// An error stanza that could not be delivered; errors are never answered (RFC 6120 §8.3.1).
    #[error("an error stanza could not be delivered")]
    UndeliverableError,
    /// The peer has closed two streams on it.
    #[error("the remote server closes its streams when it receives this stanza")]
    EndsStreams,
    /// Too many domains are authenticated by the certificate or from the source of the stream.
    #[error("too many domains are authenticated with this certificate or from this address range")]
    TooManyNames,
}

impl Refusal {
    /// All of them, for metrics.
    pub const ALL: [Self; 12] = [
        Self::ImproperAddressing,
        Self::MalformedAddress,
        Self::InvalidFrom,
        Self::HostUnknown,
        Self::NotAuthorized,
        Self::PolicyDenied,
        Self::TooLarge,
        Self::UnsupportedStanzaType,
        Self::QueueFull,
        Self::UndeliverableError,
        Self::EndsStreams,
        Self::TooManyNames,
    ];

    /// The stable word for this reason.
    pub fn word(self) -> Word {
        match self {
            Self::ImproperAddressing => Word::ImproperAddressing,
            Self::MalformedAddress => Word::MalformedAddress,
            Self::InvalidFrom => Word::InvalidFrom,
            Self::HostUnknown => Word::HostUnknown,
            Self::NotAuthorized => Word::NotAuthorized,
            Self::PolicyDenied => Word::PolicyDenied,
            Self::TooLarge => Word::TooLarge,
            Self::UnsupportedStanzaType => Word::UnsupportedStanzaType,
            Self::QueueFull => Word::QueueFull,
            Self::UndeliverableError => Word::UndeliverableError,
            Self::EndsStreams => Word::EndsStreams,
            Self::TooManyNames => Word::TooManyNames,
        }
    }
}

/// A stanza error to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StanzaError {
    /// `type`.
    pub kind: ErrorType,
    /// Defined condition (RFC 6120 §8.3.3).
    pub condition: StanzaCondition,
    /// The true cause, as text.
    pub text: String,
}

impl StanzaError {
    /// An error of the type that RFC 6120 §8.3.3 states for the condition.
    pub fn new(condition: StanzaCondition, text: impl Into<String>) -> Self {
        Self { kind: condition.default_type(), condition, text: text.into() }
    }
}
