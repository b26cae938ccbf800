//! What to do about a peer that the engine cannot reach. Pure.

use crds::peer_certificate;
use crds::status::PeerAction;
use crds::word::Word;

use super::side;

/// One sentence about the engine's reason.
#[expect(
    clippy::unnested_or_patterns,
    reason = "the words about a certificate are a pattern of their own"
)]
pub(super) const fn advice(reason: &Word) -> &'static str {
    match reason {
        Word::BlockedByLocalPolicy => "Change spec.policy to federate with it.",
        Word::DomainNotFound => {
            "Check its name in spec.peers, or ask its administrator to publish SRV records."
        }
        Word::NoAddress => {
            "Ask its administrator to correct the target of its SRV records, or set spec.peers[].route."
        }
        Word::SrvServiceDisabled => {
            "Remove it from spec.peers, or set spec.peers[].route to a server that serves it."
        }
        Word::ResolverUnavailable => {
            "Allow the engine pods to query DNS servers outside the cluster."
        }
        Word::DnssecBogus => "Ask its administrator to correct the DNSSEC records of its zone.",
        Word::ConnectRefused | Word::ConnectTimedOut | Word::ConnectFailed => {
            "Ask its administrator whether the server is running and its firewall admits this cluster."
        }
        Word::NoRoute => {
            "The nodes have no route to that address; for an IPv6 address, the cluster needs IPv6."
        }
        Word::AddressNotAllowed => {
            "Add its network to spec.egress.allowNetworks, if the server is there."
        }
        Word::StartTlsNotOffered | Word::StartTlsRefused | Word::TlsRequired => {
            "Its server must offer STARTTLS, unless spec.peers[].tls.mode is Optional for it."
        }
        Word::HandshakeFailed => {
            "Ask its administrator which TLS versions and certificates the server accepts."
        }
        peer_certificate!() | Word::DaneMismatch => {
            "Ask its administrator for a valid certificate, or add its CA to spec.peers[].tls.bundles."
        }
        Word::PinMismatch => {
            "Add a key of its certificate chain to spec.peers[].tls.pins, if you trust that key."
        }
        Word::HostUnknown | Word::HostGone => {
            "Ask its administrator to add the domain to that server, or to correct its SRV records."
        }
        Word::NoAuthenticationMethod | Word::DialbackDisabled => {
            "Change spec.peers[].tls or authentication, so that both sides share a method."
        }
        Word::SaslExternalRejected => {
            "Set spec.tls.certificate to one that it trusts, or allow dialback for it."
        }
        Word::DialbackInvalid
        | Word::DialbackInvalidUnasked
        | Word::DialbackError
        | Word::DialbackTimedOut => {
            "To verify the key, its server must find and reach this federation: compare SRVResolves and InboundReachable."
        }
        other => match side::of(other) {
            PeerAction::Us => "The cause is on this side.",
            PeerAction::Them => "Ask its administrator for the cause in the log of the server.",
            PeerAction::Nobody => "The engine tries again.",
        },
    }
}

/// The first sentence of the engine's message, without its full stop: the cause. What follows explains the settings, and
/// is in `status.peers`. A full stop inside quotes is the peer's own.
pub(super) fn cause(message: &str) -> &str {
    let mut is_quoted = false;
    for (at, c) in message.char_indices() {
        is_quoted ^= c == '"';
        let rest = message.get(at..).unwrap_or_default();
        if !is_quoted && rest.starts_with(". ") {
            return message.get(..at).unwrap_or(message);
        }
    }
    message.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_the_first_sentence_and_quotes_stay_whole() {
        assert_eq!(
            cause("no key matches a pin. `tls.verification` is Required."),
            "no key matches a pin"
        );
        assert_eq!(cause("it said (\"No. Go away.\")."), "it said (\"No. Go away.\")");
        assert_eq!(cause("198.18.0.1:5269: refused"), "198.18.0.1:5269: refused");
    }

    #[test]
    fn every_reason_leads_to_one_sentence() {
        for word in Word::ALL {
            let advice = advice(word);
            assert!(advice.ends_with('.') && advice.len() < 120, "{word}: {advice}");
        }
    }
}
