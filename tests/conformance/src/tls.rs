//! TLS without certificate verification: the suite checks certificates itself, and a target may have a certificate from
//! any authority.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use s2s_peer::authority::Identity;
use s2s_peer::error::Result;
use s2s_peer::unverified::anybody;

/// The ALPN name of XMPP between servers (XEP-0368 §4).
const ALPN: &[u8] = b"xmpp-server";

/// The TLS configuration of our client, and whether the server requested a certificate.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// The configuration for one connection.
    pub config: Arc<ClientConfig>,
    asked: Arc<AtomicBool>,
}

impl Client {
    /// A client with that certificate, or without one.
    pub(crate) fn new(identity: Option<&Identity>, direct: bool) -> Result<Self> {
        let (provider, anybody) = anybody();
        let key = match identity {
            Some(identity) => Some(Arc::new(CertifiedKey::new(
                identity.chain(),
                provider.key_provider.load_private_key(identity.key())?,
            ))),
            None => None,
        };
        let asked = Arc::new(AtomicBool::new(false));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(anybody)
            .with_client_cert_resolver(Arc::new(Ours { key, asked: Arc::clone(&asked) }));
        if direct {
            config.alpn_protocols.push(ALPN.to_vec());
        }
        Ok(Self { config: Arc::new(config), asked })
    }

    /// Whether the server requested a certificate.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Ours {
    key: Option<Arc<CertifiedKey>>,
    asked: Arc<AtomicBool>,
}

impl ResolvesClientCert for Ours {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    // Always true: rustls reports a certificate request only to a client that has a certificate.
    fn has_certs(&self) -> bool {
        true
    }
}
