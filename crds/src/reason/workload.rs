//! Reasons of the conditions about the engine, its backends and its Service.

reasons! {
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
            /// The kubelet cannot create the sandbox, a volume or the container of a pod.
            PodStartFailed,
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
            /// The engine closes connections for want of memory.
            MemoryExhausted,
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
            /// A component serves the domain, and another one with the same secret is refused.
            ComponentConflict,
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
            /// The backend has answered pings before, and no longer does.
            BackendDoesNotAnswer,
            /// The backend reports that it does not host the domain.
            DomainNotHosted,
            /// No component is connected.
            ComponentNotConnected,
            /// A component is connected, but does not answer.
            ComponentDoesNotAnswer,
            /// The backend's port does not speak XMPP, or expects TLS from the first byte.
            NotXMPP,
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
}
