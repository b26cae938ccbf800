//! Reasons of the conditions about what the spec refers to and what is made from it.

reasons! {
    /// Reasons of `Accepted`.
    AcceptedReason explains Accepted {
        True:
            /// The spec is valid and has no conflict.
            Accepted,
            /// So it is, and the installed CRD lacks fields that the operator has.
            DefinitionOutdated,
            /// So it is, and the installed CRD has fields that the operator lacks.
            OperatorOutdated;
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
}
