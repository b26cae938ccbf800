//! The certificates a peer presented, as it sent them.

use std::sync::Arc;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;

use super::facts::CertificateFacts;

/// Certificates kept of a presented chain. The deepest path that is accepted has eight; the rest cannot matter.
const MAX_CERTIFICATES: usize = 24;

/// The chain a peer presented in the TLS handshake, leaf first, not judged. Cheap to clone; empty when the peer presented
/// no certificate or the stream has no TLS.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PeerChain(Arc<[CertificateDer<'static>]>);

impl PeerChain {
    /// From `peer_certificates()` of a rustls connection.
    pub fn presented(certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let certificates = certificates.unwrap_or_default();
        Self(
            certificates
                .iter()
                .take(MAX_CERTIFICATES)
                .map(|c| CertificateDer::from(c.as_ref().to_vec()))
                .collect(),
        )
    }

    /// No certificate was presented.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The peer's own certificate.
    pub fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.0.first()
    }

    /// Leaf, and what the peer sent after it.
    pub(crate) fn split(&self) -> Option<(&CertificateDer<'static>, &[CertificateDer<'static>])> {
        self.0.split_first()
    }

    /// End of validity of the leaf.
    pub fn not_after(&self) -> Option<Timestamp> {
        CertificateFacts::of(self.leaf()?).ok().map(|facts| facts.not_after)
    }

    /// When the first certificate of the chain expires: a stream that it authenticated ends then (RFC 6120 §13.7.2.3).
    pub fn first_expiry(&self) -> Option<Timestamp> {
        self.0.iter().filter_map(|der| CertificateFacts::of(der).ok()).map(|f| f.not_after).min()
    }
}
