//! The names of the engine's reasons in its log, metrics and evidence. They are stable API.

use crate::named::named;

named! {
    /// The reason why the engine refused, failed, closed or bounced something, or why it did not.
    Word {
        /// A stream was established and authenticated.
        Connected = "Connected",

        /// The peer's certificate is valid for its domain.
        Valid = "Valid",
        /// The peer's certificate is valid for its domain by its TLSA records.
        ValidByDane = "ValidByDANE",

        /// The engine's own policy denies the pair of domains, to the peer.
        BlockedByLocalPolicy = "BlockedByLocalPolicy",
        /// The engine's own policy denies the pair of domains, from the peer.
        PolicyDenied = "PolicyDenied",

        /// DNS has no server for the domain.
        DomainNotFound = "DomainNotFound",
        /// The SRV targets have no address.
        NoAddress = "NoAddress",
        /// An SRV record with target "." states that the domain does not federate (RFC 2782).
        SrvServiceDisabled = "SRVServiceDisabled",
        /// No resolver answered.
        ResolverUnavailable = "ResolverUnavailable",
        /// The answer fails DNSSEC validation.
        DnssecBogus = "DNSSECBogus",

        /// TCP connection refused.
        ConnectRefused = "ConnectRefused",
        /// TCP connection timed out.
        ConnectTimedOut = "ConnectTimedOut",
        /// No route to the address.
        NoRoute = "NoRoute",
        /// `egress.allowNetworks` does not list the address.
        AddressNotAllowed = "AddressNotAllowed",
        /// Any other failure to connect.
        ConnectFailed = "ConnectFailed",
        /// The connection broke.
        ConnectionLost = "ConnectionLost",

        /// The peer does not offer STARTTLS, and TLS is required.
        StartTlsNotOffered = "STARTTLSNotOffered",
        /// The peer refused STARTTLS.
        StartTlsRefused = "STARTTLSRefused",
        /// TLS is required, and the peer does not use it.
        TlsRequired = "TLSRequired",
        /// The TLS handshake failed.
        HandshakeFailed = "HandshakeFailed",

        /// The peer presented no certificate.
        CertificateMissing = "CertificateMissing",
        /// The certificate is self-signed.
        CertificateSelfSigned = "CertificateSelfSigned",
        /// No trusted root issued the certificate.
        CertificateUntrusted = "CertificateUntrusted",
        /// The certificate is for other names.
        CertificateNameMismatch = "CertificateNameMismatch",
        /// The certificate has expired.
        CertificateExpired = "CertificateExpired",
        /// The certificate is not valid yet.
        CertificateNotYetValid = "CertificateNotYetValid",
        /// The certificate cannot be read, or breaks a constraint.
        CertificateInvalid = "CertificateInvalid",
        /// The certificate is also valid for a domain of another backend.
        CertificateForOtherBackend = "CertificateForOtherBackend",
        /// No key of the chain is pinned.
        PinMismatch = "PinMismatch",
        /// No TLSA record matches the certificate.
        DaneMismatch = "DANEMismatch",

        /// The peer does not speak XMPP.
        NotXmpp = "NotXMPP",
        /// The peer closed the stream with an error that has no reason of its own.
        StreamError = "StreamError",
        /// The domain is not served.
        HostUnknown = "HostUnknown",
        /// The peer states a violation of its policy.
        PolicyViolation = "PolicyViolation",
        /// Stream negotiation timed out.
        NegotiationTimedOut = "NegotiationTimedOut",

        /// Both sides' settings share no authentication method.
        NoAuthenticationMethod = "NoAuthenticationMethod",
        /// The peer refused SASL EXTERNAL.
        SaslExternalRejected = "SASLExternalRejected",
        /// The settings do not allow dialback.
        DialbackDisabled = "DialbackDisabled",
        /// A dialback key is invalid.
        DialbackInvalid = "DialbackInvalid",
        /// The peer states that a key is invalid, and did not query this replica about it.
        DialbackInvalidUnasked = "DialbackInvalidUnasked",
        /// A dialback request was answered with an error.
        DialbackError = "DialbackError",
        /// A dialback request was not answered in time.
        DialbackTimedOut = "DialbackTimedOut",
        /// A stream, or its source, waits for too many verifications.
        TooManyVerifications = "TooManyVerifications",
        /// Too many unauthenticated connections, from the source or in total.
        TooManyConnections = "TooManyConnections",
        /// A connection of a trusted proxy has no header of the PROXY protocol.
        ProxyHeaderMissing = "ProxyHeaderMissing",
        /// A connection has a header of the PROXY protocol, and its source is no trusted proxy.
        ProxyHeaderUntrusted = "ProxyHeaderUntrusted",
        /// The header that a trusted proxy sent is malformed or too long.
        ProxyHeaderInvalid = "ProxyHeaderInvalid",
        /// The streams of one peer have reached their limit.
        TooManyStreams = "TooManyStreams",
        /// One certificate or source has authenticated too many domains.
        TooManyNames = "TooManyNames",
        /// The backend of the domain is down.
        BackendUnreachable = "BackendUnreachable",

        /// No backend serves the domain.
        NoBackend = "NoBackend",
        /// No component is connected for the domain.
        ComponentNotConnected = "ComponentNotConnected",
        /// Another stream of a component has the domain.
        Conflict = "Conflict",
        /// The engine is shutting down.
        ShuttingDown = "ShuttingDown",

        /// A stanza has no usable `to` or `from`.
        ImproperAddressing = "ImproperAddressing",
        /// An address breaks the rules of RFC 7622.
        MalformedAddress = "MalformedAddress",
        /// The stream is not authenticated for the domain in `from`.
        InvalidFrom = "InvalidFrom",
        /// The stream is not authenticated.
        NotAuthorized = "NotAuthorized",
        /// A stanza is larger than the limit.
        TooLarge = "TooLarge",
        /// An element is not a stanza.
        UnsupportedStanzaType = "UnsupportedStanzaType",
        /// The queue of a pair is full.
        QueueFull = "QueueFull",
        /// An error stanza could not be delivered.
        UndeliverableError = "UndeliverableError",
        /// The peer closes its streams at this stanza.
        EndsStreams = "EndsStreams",

        /// A stream error that the engine sent: `bad-namespace-prefix`.
        BadNamespacePrefix = "BadNamespacePrefix",
        /// `host-gone`.
        HostGone = "HostGone",
        /// `invalid-namespace`.
        InvalidNamespace = "InvalidNamespace",
        /// `not-well-formed`.
        NotWellFormed = "NotWellFormed",
        /// `reset`.
        Reset = "Reset",
        /// `resource-constraint`.
        ResourceConstraint = "ResourceConstraint",
        /// `restricted-xml`.
        RestrictedXml = "RestrictedXML",
        /// `undefined-condition`.
        UndefinedCondition = "UndefinedCondition",
        /// `unsupported-encoding`.
        UnsupportedEncoding = "UnsupportedEncoding",
        /// `unsupported-version`.
        UnsupportedVersion = "UnsupportedVersion",
    }
}

/// A pattern of the words about the certificate that a peer presented. A match that lists the words names this group in place
/// of them, and stays exhaustive.
#[macro_export]
macro_rules! peer_certificate {
    () => {
        $crate::word::Word::CertificateMissing
            | $crate::word::Word::CertificateSelfSigned
            | $crate::word::Word::CertificateUntrusted
            | $crate::word::Word::CertificateNameMismatch
            | $crate::word::Word::CertificateExpired
            | $crate::word::Word::CertificateNotYetValid
            | $crate::word::Word::CertificateInvalid
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_certificates_has_the_words_that_the_peer_can_cure_with_another_certificate() {
        let group = Word::ALL.iter().filter(|word| matches!(word, peer_certificate!()));
        let named = Word::ALL.iter().filter(|word| {
            word.as_str().starts_with("Certificate") && **word != Word::CertificateForOtherBackend
        });
        assert!(group.eq(named));
    }

    #[test]
    fn a_word_is_its_string_and_unknown_ones_are_kept() {
        for word in Word::ALL {
            assert_eq!(Word::from(word.as_str()), *word);
            assert_eq!(word.known(), Some(word.as_str()));
            let text = serde_json::to_string(word).unwrap();
            assert_eq!(text, format!("\"{word}\""));
            assert_eq!(serde_json::from_str::<Word>(&text).unwrap(), *word);
        }
        let newer: Word = serde_json::from_str("\"FromANewerEngine\"").unwrap();
        assert_eq!(newer, Word::Other("FromANewerEngine".into()));
        assert_eq!(newer.to_string(), "FromANewerEngine");
        assert_eq!(Word::from("ü".repeat(1000).as_str()).as_str().len(), crate::named::MAX_OTHER);
    }

    #[test]
    fn no_two_words_are_alike() {
        let mut names: Vec<_> = Word::ALL.iter().map(Word::as_str).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Word::ALL.len());
    }
}
