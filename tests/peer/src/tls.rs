//! TLS of scripted servers: one provider, private roots, client certificates requested but not required.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::authority::Identity;
use super::error::{PeerError, Result};

/// The ALPN protocol that Direct TLS between servers negotiates (XEP-0368 §4).
const ALPN: &[u8] = b"xmpp-server";

/// The TLS configuration of an initiating server. Without an identity it presents no certificate.
pub fn client(
    identity: Option<&Identity>,
    roots: &Arc<RootCertStore>,
    direct: bool,
) -> Result<Arc<ClientConfig>> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(Arc::clone(roots));
    let mut config = match identity {
        Some(identity) => config.with_client_auth_cert(identity.chain(), identity.key())?,
        None => config.with_no_client_auth(),
    };
    if direct {
        config.alpn_protocols.push(ALPN.to_vec());
    }
    Ok(Arc::new(config))
}

/// The TLS configuration of a receiving server. A client certificate is optional; if presented, it must chain to the
/// roots.
pub fn server(identity: &Identity, roots: &Arc<RootCertStore>) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| PeerError::Script(format!("roots of trust: {error}")))?;
    Ok(Arc::new(
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain(), identity.key())?,
    ))
}

/// The TLS server name of a domain.
pub fn server_name(domain: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(domain.to_owned())
        .map_err(|error| PeerError::Script(format!("{domain:?} is not a domain: {error}")))
}

/// Whether a certificate that is already verified to chain to a root covers this domain.
pub fn covers(certificate: &CertificateDer<'_>, domain: &str) -> bool {
    let Ok(name) = ServerName::try_from(domain) else { return false };
    webpki::EndEntityCert::try_from(certificate)
        .is_ok_and(|leaf| leaf.verify_is_valid_for_subject_name(&name).is_ok())
}
