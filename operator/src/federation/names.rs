//! Names of the children of a federation. The resource's own name is at most 52 characters, so that each name fits.

/// Outer Service, Deployment, NetworkPolicy, `PodDisruptionBudget` and `ServiceAccount` carry the federation's own name.
pub fn own(name: &str) -> String {
    name.to_owned()
}

/// Service that the backend connects to.
pub fn backend_service(name: &str) -> String {
    format!("{name}-backend")
}

/// ConfigMap with the engine's configuration file.
pub fn engine_config(name: &str) -> String {
    format!("{name}-engine")
}

/// Secret of the dialback keys.
pub fn dialback(name: &str) -> String {
    format!("{name}-dialback")
}

/// Secret with the credentials for the engine's control port.
pub fn control(name: &str) -> String {
    format!("{name}-control")
}

/// Secret (with the private key) and ConfigMap (certificate only) of the backend CA.
pub fn backend_ca(name: &str) -> String {
    format!("{name}-backend-ca")
}

/// Secret with a certificate of the backend CA for the domains of one backend, for it to use: the first server of the spec
/// (`None`), or another one. The name of the backend comes last, so that no other federation is likely to have a child of
/// that name.
pub fn backend_tls(name: &str, backend: Option<&str>) -> String {
    match backend {
        None => format!("{name}-backend-tls"),
        Some(backend) => format!("{name}-backend-tls-{backend}"),
    }
}

/// Secret with the self-signed certificate for the outer leg.
pub fn self_signed(name: &str) -> String {
    format!("{name}-tls-self-signed")
}

/// Certificate of cert-manager, and the Secret that cert-manager writes for it. No user is likely to have a Secret of this
/// name, which cert-manager would overwrite.
pub fn issued(name: &str) -> String {
    format!("{name}-tls-issued")
}

/// Secret with the certificate that the engine pods serve on the outer leg.
pub fn serving(name: &str) -> String {
    format!("{name}-tls-serving")
}

/// DNSEndpoint with the SRV records.
pub fn dns_endpoint(name: &str) -> String {
    format!("{name}-srv")
}
