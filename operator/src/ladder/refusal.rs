//! What the engines refused of a configured peer that is not connected to us. Who it was is not proven, so it explains and
//! decides nothing.

use crds::domain::Domain;
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
fn advice(reason: &str) -> &'static str {
    match reason {
        "TLSRequired" => {
            "it has to use STARTTLS, unless peers[].tls.mode is set to Optional for it"
        }
        "PolicyDenied" => "spec.policy forbids it",
        "HostUnknown" => "it asked for a domain that is not in spec.domains",
        "DialbackDisabled" | "NoAuthenticationMethod" => {
            "its own settings and peers[].authentication have no way in common"
        }
        "DialbackInvalid" | "DialbackError" => {
            "the server that DNS names for it has to confirm its keys, and the engine has to reach that server"
        }
        "HandshakeFailed" => {
            "an alert about an unknown CA or a bad certificate is its verdict on the certificate of spec.tls.certificate, any other one is about versions and algorithms"
        }
        "NegotiationTimedOut" => "it opened a stream and did not prove who it is",
        "PinMismatch" => "peers[].tls.pins has to name a key of its certificate chain",
        certificate if certificate.starts_with("Certificate") => {
            "it has to present a certificate for its domain that leads to spec.tls.trust or peers[].tls.bundles"
        }
        _ => "the engine's log and /v1/evidence say more",
    }
}
