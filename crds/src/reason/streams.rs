//! Reasons of the conditions about streams from and to other servers.

reasons! {
    /// Reasons of `InboundReachable`.
    InboundReachableReason explains InboundReachable {
        True:
            /// A server outside the cluster opened a stream.
            InboundObserved,
            /// A peer sent a db:verify for a key that the engine issued.
            DialbackObserved,
            /// A prober outside connected.
            ProbeSucceeded,
            /// A user reported a probe from outside that opened a stream to every address and port.
            ProbeReported;
        False:
            /// A prober outside was refused.
            ProbeRefused,
            /// A prober outside got no answer.
            ProbeTimedOut,
            /// The connection of a prober outside was reset or closed.
            ProbeReset,
            /// A prober outside found a server with another certificate.
            ProbeWrongCertificate,
            /// A prober outside found a server that does not speak XMPP.
            ProbeNotXMPP,
            /// The stream of a prober outside failed in another way.
            ProbeFailed;
        Unknown:
            /// A prober outside cannot connect, but another prober or a peer can.
            ProbersDisagree,
            /// No server outside has connected yet.
            NoOutsideEvidence,
            /// The last evidence is too old, or dates from before an address change.
            EvidenceStale,
            /// The engine's evidence cannot be read.
            EvidenceUnavailable;
    }

    /// Reasons of `TLSVerified`.
    TLSVerifiedReason explains TLSVerified {
        True:
            /// The served certificate is valid for every domain.
            CertificateValid,
            /// The operator's self-signed certificate is served, as configured.
            SelfSigned;
        False:
            /// The served certificate does not cover a domain.
            NameMismatch,
            /// The served certificate has expired.
            Expired,
            /// The engine does not offer STARTTLS.
            STARTTLSNotOffered,
            /// The handshake failed.
            HandshakeFailed,
            /// A pod still serves the previous certificate.
            OldCertificateServed;
        Unknown:
            /// The operator cannot connect to the engine's port.
            ConnectFailed,
            /// The engine's evidence cannot be read.
            EvidenceUnavailable;
    }

    /// Reasons of `StreamVerified`.
    StreamVerifiedReason explains StreamVerified {
        True:
            /// The stream features are as configured.
            FeaturesReceived;
        False:
            /// The engine does not know a domain.
            HostUnknown,
            /// The engine answered with a stream error.
            StreamError,
            /// Neither EXTERNAL nor dialback is offered.
            NoAuthMechanism,
            /// Another program answers on the port.
            NotXMPP;
        Unknown:
            /// The operator cannot connect to the engine's port.
            ConnectFailed,
            /// The engine's evidence cannot be read.
            EvidenceUnavailable;
    }

    /// Reasons of `PeersReachable`.
    PeersReachableReason explains PeersReachable {
        True:
            /// Every configured peer was reached.
            AllPeersReachable,
            /// No peer is configured.
            NoPeersConfigured;
        False:
            /// Some peers fail.
            SomePeersFailed,
            /// All peers fail.
            AllPeersFailed,
            /// Stanzas reach a peer, but its answers do not come back.
            OneWay;
        Unknown:
            /// Some peers have not been tried yet, and none has failed.
            Probing,
            /// The engine's evidence cannot be read.
            EvidenceUnavailable;
    }
}
