//! Why no verified stream to a domain could be opened, or why it ended.

use std::fmt::Write;
use std::net::SocketAddr;

use crds::word::Word;
use crds::xmpp::{ErrorType, SaslCondition, StanzaCondition, StreamCondition};

use super::{
    CertificateReason, ConnectReason, DnsReason, NoMethod, Records, Setting, StanzaError, Step,
};
use crate::dialback::KeyInquiry;
use crate::stream::redirect::Redirect;

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
    /// The backend is a component, and none is connected (XEP-0114).
    #[error("no component is connected for this domain")]
    ComponentNotConnected,
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
            Self::ComponentNotConnected => Word::ComponentNotConnected,
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
            Self::Connect(_) | Self::Guard(_) | Self::ComponentNotConnected => Step::Tcp,
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
            | Self::ComponentNotConnected
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
