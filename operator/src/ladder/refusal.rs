//! Refused inbound attempts in the name of a configured peer that is not connected to us. The sender is not authenticated,
//! so a refusal explains a state but never changes a verdict.

use crds::domain::Domain;
use crds::peer_certificate;
use crds::word::Word;
use federation_engine::observe::evidence::{InboundRefusal, PeerEvidence};

use super::View;
use super::peers;

/// The last refusal of a peer, and what to do. It has no time and no address, because both differ with every attempt.
pub fn of(view: View<'_>, domain: &Domain) -> Option<String> {
    let refusal = last(view, domain)?;
    let message = refusal.message.trim_end_matches('.');
    let advice = advice(&refusal.reason);
    Some(format!(
        "A server claiming to be {domain} was refused on its last attempt: {}, {message}. {advice}.",
        refusal.reason
    ))
}

/// The last refusal at any replica, unless the peer is connected to one of them or was connected since.
fn last<'a>(view: View<'a>, domain: &Domain) -> Option<&'a InboundRefusal> {
    let replicas: Vec<&PeerEvidence> = peers::reports(view, domain).collect();
    let inbound = || replicas.iter().filter_map(|peer| peer.inbound.as_ref());
    if inbound().any(|stream| stream.connected) {
        return None;
    }
    let authenticated = inbound().map(|stream| stream.since).max();
    let all = replicas.iter().flat_map(|peer| &peer.refusals);
    all.filter(|refusal| Some(refusal.at) > authenticated).max_by_key(|refusal| refusal.at)
}

/// What to do about the engine's reason; one sentence without its full stop.
fn advice(reason: &Word) -> &'static str {
    match reason {
        Word::TlsRequired => {
            "It must use STARTTLS, unless spec.peers[].tls.mode is Optional for it"
        }
        Word::PolicyDenied => "spec.policy denies its domain",
        Word::HostUnknown => "It requested a domain that is not in spec.domains",
        Word::DialbackDisabled | Word::NoAuthenticationMethod => {
            "It and spec.peers[].authentication share no authentication method"
        }
        Word::DialbackInvalid | Word::DialbackError => {
            "The server that DNS names for it must confirm its keys, and the engine must be able to reach that server"
        }
        Word::HandshakeFailed => {
            "An alert about an unknown CA or a bad certificate rejects spec.tls.certificate; any other alert concerns TLS versions or algorithms"
        }
        Word::NegotiationTimedOut => "It opened a stream but did not authenticate",
        Word::PinMismatch => {
            "Add a key of its certificate chain to spec.peers[].tls.pins, if you trust that key"
        }
        Word::BackendUnreachable => {
            "The backend of the requested domain is down; BackendReady shows why"
        }
        peer_certificate!() => {
            "It must present a certificate for its domain that chains to spec.tls.trust or spec.peers[].tls.bundles"
        }
        // The cause is what the peer sends, or a limit; the message names it. A newer engine may report other reasons.
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
        | Word::CertificateForOtherBackend
        | Word::NotXmpp
        | Word::StreamError
        | Word::PolicyViolation
        | Word::SaslExternalRejected
        | Word::DialbackInvalidUnasked
        | Word::DialbackTimedOut
        | Word::TooManyVerifications
        | Word::TooManyConnections
        | Word::ProxyHeaderMissing
        | Word::ProxyHeaderUntrusted
        | Word::ProxyHeaderInvalid
        | Word::TooManyStreams
        | Word::TooManyNames
        | Word::ComponentNotConnected
        | Word::Conflict
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
        | Word::Other(_) => "See the engine's log and /v1/evidence for details",
    }
}
