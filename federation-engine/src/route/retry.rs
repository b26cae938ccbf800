//! Which of the stanzas that waited for a stream keep waiting after a failure. Pure.

use s2s_proto::reason::Failure;

/// The users of a link's stanzas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Errand {
    /// Relayed between users: late delivery is better than none.
    Relay,
    /// The engine's own check of a backend: late delivery is useless.
    Probe,
}

/// The kind of failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// No stream could be opened.
    Attempt,
    /// A stream ended before it took a stanza; the next one may be better.
    Stream,
    /// The peer closed the stream on a stanza. The other stanzas are not the cause.
    Stanza,
}

/// What a failure means for the waiting stanzas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// They wait for the next attempt, until they are too old.
    Keep,
    /// They wait, except those that fail fast ([`fails_fast`](s2s_proto::stanza::fail_fast::fails_fast)).
    FailFast,
    /// They are bounced now.
    Bounce,
}

/// Decides about the waiting stanzas. They are kept after a temporary failure: something is down, slow or restarting. A
/// failure that results from the peer, DNS or our own settings for the two domains will not pass within a minute, and
/// the sender is notified at once (RFC 6120 §10.4.3).
pub(crate) fn fate(failure: &Failure, errand: Errand, stage: Stage) -> Fate {
    match (errand, stage) {
        (Errand::Probe, _) => Fate::Bounce,
        (Errand::Relay, Stage::Stanza) => Fate::Keep,
        (Errand::Relay, _) if !failure.passes() => Fate::Bounce,
        (Errand::Relay, Stage::Attempt) => Fate::FailFast,
        (Errand::Relay, Stage::Stream) => Fate::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use s2s_proto::dialback::KeyInquiry;
    use s2s_proto::reason::{CertificateReason, ConnectReason, DnsReason, NoMethod};

    fn stream_error(condition: &str) -> Failure {
        Failure::StreamError { condition: condition.into(), text: String::new() }
    }

    fn dialback_error(condition: &str) -> Failure {
        Failure::DialbackError { condition: condition.into(), text: String::new() }
    }

    fn rejected(condition: &str) -> Failure {
        Failure::ExternalRejected {
            condition: condition.into(),
            text: String::new(),
            forbidden: None,
        }
    }

    #[test]
    fn what_passes_by_itself_is_waited_for_and_the_rest_is_notified_at_once() {
        let name = || "peer.example".to_owned();
        let address = "198.18.0.9:5269".parse().unwrap();
        let detail = || "SERVFAIL".to_owned();
        let private = ConnectReason::AddressNotAllowed {
            address: "10.0.0.1".parse().unwrap(),
            kind: "a private address",
        };
        for (failure, expected) in [
            (DnsReason::ResolverUnavailable { name: name(), detail: detail() }.into(), Fate::Keep),
            (DnsReason::DomainNotFound { name: name() }.into(), Fate::Bounce),
            (DnsReason::NoAddress { name: name() }.into(), Fate::Bounce),
            (DnsReason::ServiceDisabled { name: name() }.into(), Fate::Bounce),
            (Failure::Connect(vec![(address, ConnectReason::Refused)]), Fate::Keep),
            (Failure::Connect(vec![(address, ConnectReason::TimedOut)]), Fate::Keep),
            (Failure::Guard(private), Fate::Bounce),
            (Failure::Handshake("eof".into()), Fate::Keep),
            (Failure::StartTlsNotOffered, Fate::Bounce),
            (Failure::StartTlsRefused, Fate::Bounce),
            (Failure::Certificate(CertificateReason::SelfSigned), Fate::Bounce),
            (Failure::CertificateRequired(CertificateReason::SelfSigned), Fate::Bounce),
            (Failure::NegotiationTimedOut("anything"), Fate::Keep),
            (Failure::ConnectionLost("anything"), Fate::Keep),
            (stream_error("system-shutdown"), Fate::Keep),
            (stream_error("resource-constraint"), Fate::Keep),
            (stream_error("host-unknown"), Fate::Bounce),
            (stream_error("not-authorized"), Fate::Bounce),
            (stream_error("policy-violation"), Fate::Bounce),
            (Failure::NotXmpp("HTTP/1.1".into()), Fate::Bounce),
            (NoMethod::TlsDisabled.into(), Fate::Bounce),
            (rejected("not-authorized"), Fate::Bounce),
            (rejected("temporary-auth-failure"), Fate::Keep),
            (Failure::DialbackInvalid(KeyInquiry::NotSeen), Fate::Bounce),
            (dialback_error("remote-server-timeout"), Fate::Keep),
            (dialback_error("item-not-found"), Fate::Bounce),
            (dialback_error("remote-server-not-found"), Fate::Bounce),
            (Failure::DialbackTimedOut, Fate::Keep),
            (Failure::BlockedByLocalPolicy, Fate::Bounce),
            (Failure::NoBackend, Fate::Bounce),
            (Failure::ComponentNotConnected, Fate::Keep),
            (Failure::ShuttingDown, Fate::Bounce),
        ] {
            let fate_at = |stage| fate(&failure, Errand::Relay, stage);
            assert_eq!(fate_at(Stage::Stream), expected, "{}: {failure}", failure.word());
            // A sender that waits for an answer gets one when there is no stream.
            let attempt = if expected == Fate::Keep { Fate::FailFast } else { expected };
            assert_eq!(fate_at(Stage::Attempt), attempt, "{}: {failure}", failure.word());
            assert_eq!(fate_at(Stage::Stanza), Fate::Keep, "{failure}");
            for stage in [Stage::Attempt, Stage::Stream, Stage::Stanza] {
                assert_eq!(fate(&failure, Errand::Probe, stage), Fate::Bounce, "{failure}");
            }
        }
    }

    #[test]
    fn rfc6120_10_4_3_the_error_says_whether_the_server_was_found_and_whether_waiting_helps() {
        let unknown = Failure::Dns(DnsReason::DomainNotFound { name: "peer.example".into() });
        for (failure, kind, condition) in [
            (unknown, "cancel", "remote-server-not-found"),
            (Failure::NoBackend, "cancel", "remote-server-not-found"),
            (Failure::ComponentNotConnected, "wait", "remote-server-timeout"),
            (Failure::Handshake("eof".into()), "wait", "remote-server-timeout"),
            (stream_error("system-shutdown"), "wait", "remote-server-timeout"),
            (stream_error("host-unknown"), "cancel", "remote-server-timeout"),
            (Failure::StartTlsNotOffered, "cancel", "remote-server-timeout"),
            (Failure::BlockedByLocalPolicy, "cancel", "not-allowed"),
            // XEP-0220 §2.1.1.
            (Failure::DialbackInvalid(KeyInquiry::NotSeen), "wait", "internal-server-error"),
            (Failure::ShuttingDown, "wait", "remote-server-timeout"),
        ] {
            let error = failure.stanza_error();
            let seen = (error.kind.as_str(), error.condition.as_str());
            assert_eq!(seen, (kind, condition));
        }
    }
}
