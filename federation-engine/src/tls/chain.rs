//! The certificates a peer presented, as it sent them.

use std::sync::Arc;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;

use super::facts::{self, CertificateFacts};

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

    /// See [`first_expiry`].
    pub fn first_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        first_expiry(&self.0, now)
    }
}

/// When the first certificate of a chain expires: a stream that it authenticated ends then (RFC 6120 §13.7.2.3). One that
/// has expired before `now` is not what a stream of today rests on, as the old cross-signatures that many servers send.
pub(crate) fn first_expiry(chain: &[CertificateDer<'_>], now: Timestamp) -> Option<Timestamp> {
    let ends = chain.iter().filter_map(|der| facts::not_after(der).ok());
    ends.filter(|end| *end > now).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Ca, chain};

    #[test]
    fn rfc6120_13_7_2_3_the_first_end_that_is_still_to_come_counts() {
        let second = |year: i64| Timestamp::from_second((year - 1970) * 31_556_952).unwrap();
        let until = |year: i32| {
            move |params: &mut rcgen::CertificateParams| {
                params.not_after = rcgen::date_time_ymd(year, 1, 1);
            }
        };
        let root = Ca::root("Root");
        let old = root.intermediate_with("Old", until(2020));
        let intermediate = root.intermediate_with("Intermediate", until(2040));
        let (leaf, _) = intermediate.leaf(&["peer.example"], until(2050));
        let presented = chain(&[&leaf, &intermediate.certificate, &old.certificate]);
        let year = |now| presented.first_expiry(second(now)).map(|end| end.to_string());
        assert_eq!(year(2030).as_deref(), Some("2040-01-01T00:00:00Z"));
        assert_eq!(year(2045).as_deref(), Some("2050-01-01T00:00:00Z"));
        assert_eq!(year(2055), None);
        assert_eq!(PeerChain::default().first_expiry(second(2030)), None);
    }
}
