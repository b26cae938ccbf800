//! rustls configurations for one of our certificates, made once and shared by every connection that presents it.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, Error, ServerConfig};
use rustls_pki_types::ServerName;
use s2s_proto::certificate::chain::first_expiry;
use s2s_proto::plan::TlsStart;

use super::holds_key::HoldsKey;
use crate::Domain;

/// ALPN identifier of server-to-server streams over Direct TLS (XEP-0368 §4).
pub const ALPN: &[u8] = b"xmpp-server";

/// The only cryptographic provider; the process default is never used.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    &PROVIDER
}

/// One of our certificates with the configurations that present it, as server and as client.
#[derive(Clone, Debug)]
pub struct Presented {
    key: Arc<CertifiedKey>,
    server: [Arc<ServerConfig>; 2],
    client: [Arc<ClientConfig>; 2],
}

impl Presented {
    /// Builds the configurations.
    ///
    /// # Errors
    /// When the provider does not support the protocol versions.
    pub fn new(key: Arc<CertifiedKey>) -> Result<Self, Error> {
        Ok(Self {
            server: [server(&key, TlsStart::StartTls)?, server(&key, TlsStart::Direct)?],
            client: [
                client(Some(&key), TlsStart::StartTls)?,
                client(Some(&key), TlsStart::Direct)?,
            ],
            key,
        })
    }

    /// The certificate chain and its key.
    pub fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// When the first certificate of the chain expires; see [`first_expiry`].
    pub fn first_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        first_expiry(&self.key.cert, now)
    }

    /// For accepting TLS: the peer is asked for a certificate, and sessions are never resumed, so that every stream is
    /// verified by a chain from its own handshake.
    pub fn server(&self, start: TlsStart) -> Arc<ServerConfig> {
        let [start_tls, direct] = &self.server;
        Arc::clone(if start == TlsStart::Direct { direct } else { start_tls })
    }

    /// For starting TLS, with our certificate as client certificate.
    pub fn client(&self, start: TlsStart) -> Arc<ClientConfig> {
        let [start_tls, direct] = &self.client;
        Arc::clone(if start == TlsStart::Direct { direct } else { start_tls })
    }
}

/// For starting TLS without a certificate of ours: dialback still works.
///
/// # Errors
/// When the provider does not support the protocol versions.
pub fn anonymous_client(start: TlsStart) -> Result<Arc<ClientConfig>, Error> {
    client(None, start)
}

/// The name for SNI: the peer's domain, never the SRV target (RFC 7590 §3.5, XEP-0368 §3). `None` for a domain that is
/// too long for DNS.
pub fn server_name(domain: &Domain) -> Option<ServerName<'static>> {
    ServerName::try_from(domain.to_ascii()).ok()
}

fn server(key: &Arc<CertifiedKey>, start: TlsStart) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_client_cert_verifier(HoldsKey::of_any())
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key))));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if start == TlsStart::Direct {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    Ok(Arc::new(config))
}

fn client(key: Option<&Arc<CertifiedKey>>, start: TlsStart) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        // Not dangerous here: the collected chain is verified before the peer counts as authenticated.
        .with_custom_certificate_verifier(HoldsKey::of_any());
    let mut config = match key {
        Some(key) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key))))
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    if start == TlsStart::Direct {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
