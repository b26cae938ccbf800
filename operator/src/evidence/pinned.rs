//! TLS to an engine's control port: exactly one certificate is accepted, the one that the operator issued for it.

use std::sync::Arc;

use federation_engine::tls::config::provider;
use federation_engine::tls::holds_key::HoldsKey;
use rustls::{ClientConfig, Error};
use rustls_pki_types::CertificateDer;

/// A client configuration that accepts this certificate and no other. Names and validity are not checked: pods come and go
/// with their addresses, and the operator replaces the certificate itself.
///
/// # Errors
/// When the crypto provider supports no TLS version.
pub fn client_config(pinned: CertificateDer<'static>) -> Result<ClientConfig, Error> {
    Ok(ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(HoldsKey::of(pinned))
        .with_no_client_auth())
}
