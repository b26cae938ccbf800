//! Reasons of conditions: one closed set for each condition. Reasons are stable API, and each explains exactly one status.

use std::fmt;

use crate::condition::{ConditionStatus, ConditionType};

/// A word of one condition.
pub trait Reason: Copy {
    /// The condition that it explains.
    const TYPE: ConditionType;

    /// The status that it explains.
    fn status(self) -> ConditionStatus;

    /// The word in the status.
    fn as_str(self) -> &'static str;

    /// What it means, in one sentence.
    fn meaning(self) -> &'static str;
}

macro_rules! reasons {
    ($($(#[$about:meta])* $name:ident explains $type:ident {
        $($status:ident: $($(#[doc = $doc:literal])+ $reason:ident),+;)+
    })+) => {
        $(
            $(#[$about])*
            #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
            pub enum $name {
                $($($(#[doc = $doc])+ $reason,)+)+
            }

            impl $name {
                /// Every reason.
                pub const ALL: &'static [Self] = &[$($(Self::$reason,)+)+];
            }

            impl Reason for $name {
                const TYPE: ConditionType = ConditionType::$type;

                fn status(self) -> ConditionStatus {
                    match self {
                        $($(Self::$reason)|+ => ConditionStatus::$status,)+
                    }
                }

                fn as_str(self) -> &'static str {
                    match self {
                        $($(Self::$reason => stringify!($reason),)+)+
                    }
                }

                fn meaning(self) -> &'static str {
                    match self {
                        $($(Self::$reason => concat!($($doc),+).trim_ascii(),)+)+
                    }
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(self.as_str())
                }
            }

            impl From<$name> for ConditionReason {
                fn from(reason: $name) -> Self {
                    Self::$type(reason)
                }
            }
        )+

        /// A reason of any condition. It is typed until it is written into the status.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum ConditionReason {
            $(
                #[doc = concat!("A reason of `", stringify!($type), "`.")]
                $type($name),
            )+
            /// A reason of `Ready`.
            Ready(ReadyReason),
            /// The condition cannot be judged before another one is True.
            WaitingFor {
                /// The condition that waits.
                rung: ConditionType,
                /// The condition that must be True first.
                on: ConditionType,
            },
        }

        impl ConditionReason {
            /// The condition that it explains.
            pub const fn condition(self) -> ConditionType {
                match self {
                    $(Self::$type(_) => ConditionType::$type,)+
                    Self::Ready(_) => ConditionType::Ready,
                    Self::WaitingFor { rung, .. } => rung,
                }
            }

            /// The status that it explains.
            pub fn status(self) -> ConditionStatus {
                match self {
                    $(Self::$type(reason) => reason.status(),)+
                    Self::Ready(reason) => reason.status(),
                    Self::WaitingFor { .. } => ConditionStatus::Unknown,
                }
            }

            /// The reason of that name, if `condition` has one.
            pub fn from_name(condition: ConditionType, name: &str) -> Option<Self> {
                if let Some(on) = name.strip_prefix(WAITING_FOR) {
                    let on = ConditionType::from_name(on)?;
                    return Some(Self::WaitingFor { rung: condition, on });
                }
                match condition {
                    $(ConditionType::$type => $name::ALL
                        .iter()
                        .find(|known| known.as_str() == name)
                        .map(|known| Self::$type(*known)),)+
                    ConditionType::Ready => ReadyReason::from_name(name).map(Self::Ready),
                }
            }
        }

        impl fmt::Display for ConditionReason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$type(reason) => f.write_str(reason.as_str()),)+
                    Self::Ready(reason) => f.write_str(reason.as_str()),
                    Self::WaitingFor { on, .. } => write!(f, "{WAITING_FOR}{on}"),
                }
            }
        }
    };
}

/// Prefix of the reason of a condition that waits for another one.
const WAITING_FOR: &str = "WaitingFor";

reasons! {
    /// Reasons of `Accepted`.
    AcceptedReason explains Accepted {
        True:
            /// The spec is valid and has no conflict.
            Accepted;
        False:
            /// The spec contradicts itself.
            InvalidSpec,
            /// An older federation has one of the domains.
            DomainConflict,
            /// An older federation has the host.
            HostConflict,
            /// The administrator's list does not permit a domain or the host in this namespace.
            DomainNotAllowed,
            /// An object with the name of a child exists and does not belong to the federation.
            AdoptionConflict,
            /// Another program changes a child again and again.
            ObjectContested,
            /// The operator lacks a permission.
            NotPermitted,
            /// The API server refuses a child, or cannot be reached.
            ApplyFailed;
        Unknown:
            /// The API server has not answered yet.
            Pending;
    }

    /// Reasons of `ResolvedRefs`.
    ResolvedRefsReason explains ResolvedRefs {
        True:
            /// Every referenced object exists and is valid.
            ResolvedRefs;
        False:
            /// A Secret does not exist.
            SecretNotFound,
            /// A Secret lacks a key, or the content of the key is not a certificate, private key or secret.
            SecretInvalid,
            /// A ConfigMap does not exist.
            ConfigMapNotFound,
            /// A ConfigMap lacks a key, or the content of the key is not a certificate.
            ConfigMapInvalid,
            /// An issuer does not exist.
            IssuerNotFound,
            /// The operator has no permission to read a referenced object.
            RefNotPermitted;
        Unknown:
            /// The operator cannot read a Secret.
            EvidenceUnavailable;
    }

    /// Reasons of `CertificateReady`.
    CertificateReadyReason explains CertificateReady {
        True:
            /// The certificate covers every domain.
            CertificateValid,
            /// No certificate is configured; the operator created a self-signed one.
            SelfSigned,
            /// The certificate covers every domain, but expires soon.
            ExpiringSoon,
            /// The configured certificate cannot be read or issued; the last valid one is served.
            PreviousCertificateServed;
        False:
            /// cert-manager is issuing the certificate.
            Issuing,
            /// cert-manager failed to issue the certificate.
            IssuanceFailed,
            /// cert-manager is not installed.
            CertManagerNotInstalled,
            /// The certificate does not cover a domain.
            DomainNotCovered,
            /// The private key does not match the certificate.
            KeyMismatch,
            /// The key is an RSA key under 2048 bits.
            WeakKey,
            /// An intermediate certificate is missing.
            ChainIncomplete,
            /// The extended key usage does not permit servers.
            PurposeMismatch,
            /// The certificate has expired.
            Expired,
            /// The certificate is not valid yet.
            NotYetValid;
        Unknown:
            /// The operator cannot read a Secret.
            EvidenceUnavailable;
    }

    /// Reasons of `EngineReady`.
    EngineReadyReason explains EngineReady {
        True:
            /// Enough pods are ready.
            EngineAvailable;
        False:
            /// Pods are being replaced, and too few are ready.
            RollingOut,
            /// The image cannot be pulled.
            ImagePullFailed,
            /// The engine is crash-looping.
            CrashLooping,
            /// The pods cannot be scheduled.
            Unschedulable,
            /// A resource quota blocks the pods.
            QuotaExceeded,
            /// The engine rejects its configuration.
            ConfigRejected,
            /// The engine is running but does not become ready.
            ProbeFailing,
            /// Pod security admission rejects the pods.
            PodSecurityRejected,
            /// The API server rejects the pods for another reason, such as an admission policy or a missing priority class.
            PodsRejected,
            /// The Deployment has no replicas.
            ScaledDown,
            /// A replica does not run the current configuration.
            ReplicaOutOfSync;
        Unknown:
            /// The operator cannot read the Deployment or its pods.
            EvidenceUnavailable;
    }

    /// Reasons of `BackendReady`.
    BackendReadyReason explains BackendReady {
        True:
            /// A ping from the probe domain came back through every backend.
            RoundTripSeen,
            /// There is no backend; the engine answers itself.
            NoBackendConfigured;
        False:
            /// The backend's host name does not resolve.
            HostNotFound,
            /// The TCP connection was refused.
            ConnectRefused,
            /// The TCP connection timed out.
            ConnectTimedOut,
            /// The backend does not accept the certificates that the engine mints.
            BackendRejectsMintedCertificate,
            /// The engine does not accept the backend's certificate.
            BackendCertificateUntrusted,
            /// Dialback between engine and backend fails.
            BackendDialbackFailed,
            /// The engine reaches the backend, but no answer comes back.
            BackendDoesNotReachEngine,
            /// The backend reports that it does not host the domain.
            DomainNotHosted,
            /// No component is connected.
            ComponentNotConnected,
            /// Any other failure of the stream.
            StreamFailed;
        Unknown:
            /// No round trip has completed yet.
            Probing,
            /// The engine's evidence cannot be read.
            EvidenceUnavailable;
    }

    /// Reasons of `AddressAssigned`.
    AddressAssignedReason explains AddressAssigned {
        True:
            /// The Service has an address or a host name.
            AddressAssigned,
            /// The Service is not of type `LoadBalancer`; the operator does not check its address.
            NotNeeded;
        False:
            /// The load balancer controller has not assigned an address yet.
            AddressNotAssigned,
            /// The load balancer controller reports why it cannot assign an address.
            AllocationFailed,
            /// The address cannot be reached from the internet.
            AddressNotUsable,
            /// No load balancer controller responds.
            NoLoadBalancerController,
            /// The Service must be deleted and created anew, and the user has not allowed it.
            ReplacementNeeded,
            /// The old Service is being deleted.
            ReplacementInProgress;
        Unknown:
            /// The operator cannot read the Service.
            EvidenceUnavailable;
    }

    /// Reasons of `HostResolves`.
    HostResolvesReason explains HostResolves {
        True:
            /// DNS has the Service's addresses.
            RecordsMatch,
            /// SRV records point to the load balancer's own host name.
            NotNeeded;
        False:
            /// DNS has no address record.
            RecordNotFound,
            /// DNS has other addresses.
            AddressMismatch,
            /// Only some addresses are correct.
            PartialMatch,
            /// The record belongs to another instance of external-dns.
            OwnedByOther,
            /// The zone is correct, but a resolver still has the old answer cached.
            StaleCache,
            /// The resolvers answer, but none reaches a server of the zone.
            DelegationBroken,
            /// A resolver rejects the DNSSEC signatures of the zone.
            DNSSECBogus;
        Unknown:
            /// No resolver answers.
            ResolverUnavailable;
    }

    /// Reasons of `SRVResolves`.
    SRVResolvesReason explains SRVResolves {
        True:
            /// DNS has the expected records.
            RecordsMatch,
            /// DNS has the expected records behind an alias.
            RecordsMatchViaAlias;
        False:
            /// DNS has no SRV record.
            SRVNotFound,
            /// The cluster has no DNSEndpoint kind.
            ExternalDNSCRDMissing,
            /// external-dns does not read the DNSEndpoint.
            ExternalDNSNotWatching,
            /// external-dns publishes address records but no SRV records.
            SRVTypeNotManaged,
            /// The record points to another host.
            SRVTargetMismatch,
            /// The record points to another port.
            SRVPortMismatch,
            /// The record points to another party's server.
            ClaimedElsewhere,
            /// The record declares that there is no service.
            ServiceDisabled,
            /// An old record exists next to the expected one.
            StaleRecord,
            /// The resolvers answer, but none reaches a server of the zone.
            DelegationBroken,
            /// A resolver rejects the DNSSEC signatures of the zone.
            DNSSECBogus;
        Unknown:
            /// No resolver answers.
            ResolverUnavailable,
            /// The records are not published until the engine has been ready.
            PublicationHeld;
    }

    /// Reasons of `InboundReachable`.
    InboundReachableReason explains InboundReachable {
        True:
            /// A server outside the cluster opened a stream.
            InboundObserved,
            /// A peer sent a db:verify for a key that the engine issued.
            DialbackObserved,
            /// A prober outside connected.
            ProbeSucceeded;
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

    /// Reasons of `DomainUncontested`.
    DomainUncontestedReason explains DomainUncontested {
        True:
            /// No other claim was found.
            Uncontested;
        False:
            /// According to DNS or a partner, another server has the domain.
            DomainClaimedElsewhere,
            /// Another federation of this cluster claims the domain.
            DomainConflict;
        Unknown:
            /// No resolver answers.
            ResolverUnavailable,
            /// The partner's answer is inconclusive.
            ControlProbeInconclusive;
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

    /// Reasons of `Reconciling`.
    ReconcilingReason explains Reconciling {
        True:
            /// Children are being applied.
            Applying,
            /// Pods are being replaced.
            RollingOut,
            /// Conditions are still being verified.
            Verifying;
    }

    /// Reasons of `Stalled`.
    StalledReason explains Stalled {
        True:
            /// The spec must be corrected.
            InvalidSpec,
            /// The user must act outside the spec.
            NeedsUserAction,
            /// The pods of the wanted revision do not become ready.
            RolloutStuck;
    }

    /// Reasons of `Paused`.
    PausedReason explains Paused {
        True:
            /// spec.paused is true.
            PausedByUser;
    }
}

/// Reasons of `Ready`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ReadyReason {
    /// All checks pass, and a server outside has connected.
    Federated,
    /// All checks from inside the cluster pass; no server outside has connected yet.
    FederatedUnverified,
    /// As before, but `verification.requireOutsideEvidence` requires evidence from outside.
    Unverified,
    /// A rung cannot be judged yet, and none is False.
    Progressing,
    /// The first rung that is False.
    Failing(ConditionType),
}

impl ReadyReason {
    /// The reason of that name, if there is one.
    fn from_name(name: &str) -> Option<Self> {
        [Self::Federated, Self::FederatedUnverified, Self::Unverified, Self::Progressing]
            .into_iter()
            .chain(ConditionType::LADDER.map(Self::Failing))
            .find(|known| known.as_str() == name)
    }
}

impl From<ReadyReason> for ConditionReason {
    fn from(reason: ReadyReason) -> Self {
        Self::Ready(reason)
    }
}

impl Reason for ReadyReason {
    const TYPE: ConditionType = ConditionType::Ready;

    fn status(self) -> ConditionStatus {
        match self {
            Self::Federated | Self::FederatedUnverified => ConditionStatus::True,
            Self::Unverified | Self::Progressing => ConditionStatus::Unknown,
            Self::Failing(_) => ConditionStatus::False,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Federated => "Federated",
            Self::FederatedUnverified => "FederatedUnverified",
            Self::Unverified => "Unverified",
            Self::Progressing => "Progressing",
            Self::Failing(rung) => rung.as_str(),
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Federated => "All checks pass, and a server outside has connected.",
            Self::FederatedUnverified => {
                "All checks from inside the cluster pass; no server outside has connected yet."
            }
            Self::Unverified => {
                "All checks from inside the cluster pass, but evidence from outside is required and missing."
            }
            Self::Progressing => "A condition cannot be judged yet, and none is False.",
            Self::Failing(_) => "The first condition that is False.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_fit_the_pattern_of_a_reason_and_explain_one_status() {
        fn check<R: Reason>(all: &[R]) {
            let mut words: Vec<_> = all.iter().map(|reason| reason.as_str()).collect();
            for word in &words {
                assert!(word.starts_with(|c: char| c.is_ascii_uppercase()), "{word}");
                assert!(word.chars().all(|c| c.is_ascii_alphanumeric()), "{word}");
            }
            words.sort_unstable();
            words.dedup();
            assert_eq!(words.len(), all.len(), "{}: a word twice", R::TYPE);
            assert!(all.iter().any(|r| r.status() == ConditionStatus::True), "{}", R::TYPE);
        }
        check(AcceptedReason::ALL);
        check(ResolvedRefsReason::ALL);
        check(CertificateReadyReason::ALL);
        check(EngineReadyReason::ALL);
        check(BackendReadyReason::ALL);
        check(AddressAssignedReason::ALL);
        check(HostResolvesReason::ALL);
        check(SRVResolvesReason::ALL);
        check(InboundReachableReason::ALL);
        check(TLSVerifiedReason::ALL);
        check(StreamVerifiedReason::ALL);
        check(DomainUncontestedReason::ALL);
        check(PeersReachableReason::ALL);
        check(ReconcilingReason::ALL);
        check(StalledReason::ALL);
        check(PausedReason::ALL);
        assert_eq!(ReadyReason::Failing(ConditionType::SRVResolves).as_str(), "SRVResolves");
        assert_eq!(ReadyReason::FederatedUnverified.status(), ConditionStatus::True);
    }

    #[test]
    fn a_reason_is_found_again_by_its_condition_and_name() {
        for rung in ConditionType::LADDER {
            for on in ConditionType::LADDER {
                let waiting = ConditionReason::WaitingFor { rung, on };
                assert_eq!(waiting.condition(), rung);
                assert_eq!(waiting.status(), ConditionStatus::Unknown);
                assert_eq!(ConditionReason::from_name(rung, &waiting.to_string()), Some(waiting));
            }
            let failing = ConditionReason::from(ReadyReason::Failing(rung));
            let found = ConditionReason::from_name(ConditionType::Ready, rung.as_str());
            assert_eq!(found, Some(failing));
        }
        for reason in EngineReadyReason::ALL {
            let reason = ConditionReason::from(*reason);
            let found = ConditionReason::from_name(ConditionType::EngineReady, &reason.to_string());
            assert_eq!(found, Some(reason));
        }
        // The same name, of two conditions.
        let names = [ConditionType::HostResolves, ConditionType::SRVResolves]
            .map(|rung| ConditionReason::from_name(rung, "RecordsMatch"));
        assert_ne!(names[0], names[1]);
        assert_eq!(ConditionReason::from_name(ConditionType::Ready, "RecordsMatch"), None);
        assert_eq!(ConditionReason::from_name(ConditionType::Ready, "WaitingForGodot"), None);
    }
}
