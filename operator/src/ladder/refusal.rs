//! What the engines refused of a configured peer that is not connected to us. Who it was is not proven, so it explains and
//! decides nothing.

use crds::domain::Domain;
use crds::word::Word;
use federation_engine::observe::evidence::{InboundRefusal, PeerEvidence};

use super::View;
use super::peers;

/// What was refused of a peer, and what to do; no time and no address, as both differ with every attempt.
pub fn of(view: View<'_>, domain: &Domain) -> Option<String> {
    let refusal = last(view, domain)?;
    let message = refusal.message.trim_end_matches('.');
    let advice = advice(&refusal.reason);
    Some(format!(
        "What says it is {domain} was refused on its last attempt: {}, {message}; {advice}.",
        refusal.reason
    ))
}

/// The last refusal of all replicas, unless the peer is connected to one of them or was since.
fn last<'a>(view: View<'a>, domain: &Domain) -> Option<&'a InboundRefusal> {
    let replicas: Vec<&PeerEvidence> = peers::reports(view, domain).collect();
    let inbound = || replicas.iter().filter_map(|peer| peer.inbound.as_ref());
    if inbound().any(|stream| stream.connected) {
        return None;
    }
    let proven = inbound().map(|stream| stream.since).max();
    let all = replicas.iter().flat_map(|peer| &peer.refusals);
    all.filter(|refusal| Some(refusal.at) > proven).max_by_key(|refusal| refusal.at)
}

/// What to do about the engine's word for a reason.
fn advice(reason: &Word) -> &'static str {
    match reason {
        Word::TlsRequired => {
            "it has to use STARTTLS, unless peers[].tls.mode is set to Optional for it"
        }
        Word::PolicyDenied => "spec.policy forbids it",
        Word::HostUnknown => "it asked for a domain that is not in spec.domains",
        Word::DialbackDisabled | Word::NoAuthenticationMethod => {
            "its own settings and peers[].authentication have no way in common"
        }
        Word::DialbackInvalid | Word::DialbackError => {
            "the server that DNS names for it has to confirm its keys, and the engine has to reach that server"
        }
        Word::HandshakeFailed => {
            "an alert about an unknown CA or a bad certificate is its verdict on the certificate of spec.tls.certificate, any other one is about versions and algorithms"
        }
        Word::NegotiationTimedOut => "it opened a stream and did not prove who it is",
        Word::PinMismatch => "peers[].tls.pins has to name a key of its certificate chain",
        Word::CertificateMissing
        | Word::CertificateSelfSigned
        | Word::CertificateUntrusted
        | Word::CertificateNameMismatch
        | Word::CertificateExpired
        | Word::CertificateNotYetValid
        | Word::CertificateInvalid => {
            "it has to present a certificate for its domain that leads to spec.tls.trust or peers[].tls.bundles"
        }
        // What it sends is at fault, or a limit; the message names it. A newer engine may say something else.
        Word::Connected
        | Word::Valid
        | Word::ValidByDane
        | Word::BlockedByLocalPolicy
        | Word::DomainNotFound
        | Word::NoAddress
        | Word::SrvServiceDisabled
        | Word::ResolverUnavailable
        | Word::DnssecBogus
        | Word::ConnectRefused
        | Word::ConnectTimedOut
        | Word::NoRoute
        | Word::AddressNotAllowed
        | Word::ConnectFailed
        | Word::ConnectionLost
        | Word::StartTlsNotOffered
        | Word::StartTlsRefused
        | Word::DaneMismatch
        | Word::NotXmpp
        | Word::StreamError
        | Word::PolicyViolation
        | Word::SaslExternalRejected
        | Word::DialbackInvalidUnasked
        | Word::DialbackTimedOut
        | Word::TooManyVerifications
        | Word::TooManyConnections
        | Word::TooManyStreams
        | Word::TooManyNames
        | Word::NoBackend
        | Word::ShuttingDown
        | Word::ImproperAddressing
        | Word::MalformedAddress
        | Word::InvalidFrom
        | Word::NotAuthorized
        | Word::TooLarge
        | Word::UnsupportedStanzaType
        | Word::QueueFull
        | Word::UndeliverableError
        | Word::EndsStreams
        | Word::BadNamespacePrefix
        | Word::HostGone
        | Word::InvalidNamespace
        | Word::NotWellFormed
        | Word::Reset
        | Word::ResourceConstraint
        | Word::RestrictedXml
        | Word::UndefinedCondition
        | Word::UnsupportedEncoding
        | Word::UnsupportedVersion
        | Word::Other(_) => "the engine's log and /v1/evidence say more",
    }
}
