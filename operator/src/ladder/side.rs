//! Which side must act for a peer that is not reachable. Pure.

use crds::peer_certificate;
use crds::status::PeerAction;
use crds::word::Word;

/// Who must act for streams to a peer that ended for this reason.
#[expect(
    clippy::unnested_or_patterns,
    reason = "the words about a certificate are a pattern of their own"
)]
pub const fn of(reason: &Word) -> PeerAction {
    match reason {
        Word::Connected | Word::Valid | Word::ValidByDane | Word::ShuttingDown | Word::Reset => {
            PeerAction::Nobody
        }
        // A setting of ours, our resolver, our certificate, or the way back to us.
        Word::BlockedByLocalPolicy
        | Word::PolicyDenied
        | Word::ResolverUnavailable
        | Word::NoRoute
        | Word::AddressNotAllowed
        | Word::PinMismatch
        | Word::NoAuthenticationMethod
        | Word::SaslExternalRejected
        | Word::DialbackDisabled
        | Word::DialbackInvalid
        | Word::DialbackError
        | Word::DialbackTimedOut
        | Word::NoBackend
        | Word::ComponentNotConnected
        | Word::BackendUnreachable
        | Word::CertificateForOtherBackend
        | Word::Conflict
        | Word::TooManyVerifications
        | Word::TooManyConnections
        | Word::TooManyStreams
        | Word::TooManyNames
        | Word::ResourceConstraint
        | Word::QueueFull
        | Word::ProxyHeaderMissing
        | Word::ProxyHeaderUntrusted
        | Word::ProxyHeaderInvalid => PeerAction::Us,
        // Its DNS, its server, its certificate, its policy, or its claim on our domain.
        Word::DomainNotFound
        | Word::NoAddress
        | Word::SrvServiceDisabled
        | Word::DnssecBogus
        | Word::ConnectRefused
        | Word::ConnectTimedOut
        | Word::ConnectFailed
        | Word::ConnectionLost
        | Word::StartTlsNotOffered
        | Word::StartTlsRefused
        | Word::TlsRequired
        | Word::HandshakeFailed
        | peer_certificate!()
        | Word::DaneMismatch
        | Word::NotXmpp
        | Word::StreamError
        | Word::HostUnknown
        | Word::PolicyViolation
        | Word::NegotiationTimedOut
        | Word::DialbackInvalidUnasked
        | Word::ImproperAddressing
        | Word::MalformedAddress
        | Word::InvalidFrom
        | Word::NotAuthorized
        | Word::TooLarge
        | Word::UnsupportedStanzaType
        | Word::UndeliverableError
        | Word::EndsStreams
        | Word::BadNamespacePrefix
        | Word::HostGone
        | Word::InvalidNamespace
        | Word::NotWellFormed
        | Word::RestrictedXml
        | Word::UndefinedCondition
        | Word::UnsupportedEncoding
        | Word::UnsupportedVersion
        | Word::Other(_) => PeerAction::Them,
    }
}
