//! The certificates that a peer presented, as far as they can matter.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest as _, Sha256};

use super::facts::{self, parse};
use super::identity::Identity;
use super::pin::Pin;
use super::trust::Trust;
use super::verdicts::{PathVerdict, Verdicts};
use crate::Domain;

/// Maximum certificates of a presented chain that are examined.
const MAX_CERTIFICATES: usize = 16;
/// Maximum intermediates on a path; the deepest accepted path has fewer.
const MAX_INTERMEDIATES: usize = 8;
/// Maximum of those whose subject another one has as well. Every path through each of them is tried until one leads to
/// a root: cross-signed roots need two, and a peer can send any number.
const MAX_SAME_SUBJECT: usize = 2;

/// The chain that a peer presented in the TLS handshake, leaf first, not verified. Cheap to clone; empty when the peer
/// presented no certificate or the stream has no TLS.
#[derive(Clone, Debug, Default)]
pub struct PeerChain(Arc<Presented>);

#[derive(Debug, Default)]
struct Presented {
    /// The leaf, and the certificates that may lead from it to a root.
    certificates: Vec<CertificateDer<'static>>,
    /// Why no other certificate was kept beside the leaf.
    excess: Option<Excess>,
    identity: OnceLock<Identity>,
    not_after: OnceLock<Option<Timestamp>>,
    verdicts: Verdicts,
}

/// More certificates than any legitimate server presents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Excess {
    /// Too many intermediates.
    TooMany,
    /// Too many of them share a subject.
    SameSubject,
}

impl PartialEq for PeerChain {
    fn eq(&self, other: &Self) -> bool {
        (&self.0.certificates, self.0.excess) == (&other.0.certificates, other.0.excess)
    }
}

impl Eq for PeerChain {}

impl PeerChain {
    /// From `peer_certificates()` of a rustls connection.
    pub fn presented(certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let Some((leaf, rest)) = certificates.and_then(<[_]>::split_first) else {
            return Self::default();
        };
        let (intermediates, excess) = match relevant(leaf, rest) {
            Ok(intermediates) => (intermediates, None),
            Err(excess) => (Vec::new(), Some(excess)),
        };
        let owned = |der: &CertificateDer<'_>| CertificateDer::from(der.as_ref().to_vec());
        let certificates = std::iter::once(leaf).chain(intermediates).map(owned).collect();
        Self(Arc::new(Presented { certificates, excess, ..Presented::default() }))
    }

    /// No certificate was presented.
    pub fn is_empty(&self) -> bool {
        self.0.certificates.is_empty()
    }

    /// The peer's own certificate.
    pub fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.0.certificates.first()
    }

    /// SHA-256 of the leaf.
    pub fn fingerprint(&self) -> Option<[u8; 32]> {
        self.leaf().map(|leaf| Sha256::digest(leaf).into())
    }

    /// Leaf, and the certificates that the peer sent after it.
    pub(crate) fn split(&self) -> Option<(&CertificateDer<'static>, &[CertificateDer<'static>])> {
        self.0.certificates.split_first()
    }

    /// Why the chain has nothing beside its leaf.
    pub(crate) fn excess(&self) -> Option<Excess> {
        self.0.excess
    }

    /// Whether the leaf has the name of this domain. This authenticates nothing.
    pub fn has_name(&self, domain: &Domain) -> bool {
        self.identity().matches(domain)
    }

    /// The names of the leaf; none when it cannot be parsed.
    pub(super) fn identity(&self) -> &Identity {
        self.0.identity.get_or_init(|| {
            self.leaf().and_then(|leaf| Identity::of_der(leaf).ok()).unwrap_or_default()
        })
    }

    /// The verdict of `judge` about the path, computed once for the same roots, pins and dates.
    pub(super) fn path_verdict(
        &self,
        trust: &Trust,
        pins: &[Pin],
        now: UnixTime,
        judge: impl FnOnce() -> PathVerdict,
    ) -> PathVerdict {
        self.0.verdicts.get(&self.0.certificates, trust, pins, now, judge)
    }

    /// End of validity of the leaf, read once: every pair of a stream reports it.
    pub fn not_after(&self) -> Option<Timestamp> {
        *self.0.not_after.get_or_init(|| facts::not_after(self.leaf()?).ok())
    }

    /// See [`first_expiry`].
    pub fn first_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        first_expiry(&self.0.certificates, now)
    }
}

/// The certificates that may lead from the leaf to a root, by the names of issuers and subjects, each once.
fn relevant<'a, 'b>(
    leaf: &CertificateDer<'_>,
    rest: &'a [CertificateDer<'b>],
) -> Result<Vec<&'a CertificateDer<'b>>, Excess> {
    let Ok(leaf) = parse(leaf) else { return Ok(Vec::new()) };
    let mut rest: Vec<_> = rest.iter().take(MAX_CERTIFICATES).collect();
    rest.dedup();
    let mut left: Vec<_> = rest.iter().filter_map(|der| Some((*der, parse(der).ok()?))).collect();
    let mut wanted = vec![leaf.issuer().as_raw().to_vec()];
    let (mut found, mut subjects) = (Vec::new(), Vec::new());
    while let Some(name) = wanted.pop() {
        let (above, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|(_, ca)| ca.subject().as_raw() == name);
        left = others;
        for (der, ca) in above {
            if !found.contains(&der) {
                wanted.push(ca.issuer().as_raw().to_vec());
                subjects.push(name.clone());
                found.push(der);
            }
        }
    }
    let alike = |name: &Vec<u8>| subjects.iter().filter(|other| *other == name).count();
    let most = subjects.iter().map(alike).max().unwrap_or_default();
    let total = subjects.len();
    subjects.sort_unstable();
    subjects.dedup();
    if most > MAX_SAME_SUBJECT || total - subjects.len() > MAX_SAME_SUBJECT {
        return Err(Excess::SameSubject);
    }
    if total > MAX_INTERMEDIATES {
        return Err(Excess::TooMany);
    }
    Ok(found)
}

/// When the first certificate of a chain expires: a stream that it authenticated must close then (RFC 6120 §13.7.2.3).
/// A certificate that expired before `now` is ignored, because the stream does not depend on it. Many servers send such
/// old cross-signatures.
pub fn first_expiry(chain: &[CertificateDer<'_>], now: Timestamp) -> Option<Timestamp> {
    let ends = chain.iter().filter_map(|der| facts::not_after(der).ok());
    ends.filter(|end| *end > now).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::testing::{Ca, chain};

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

    /// Paths over these certificates by names, in the order of path building.
    fn paths(of: &[CertificateDer<'_>], issuer: &[u8], used: &mut Vec<usize>) -> usize {
        let mut count = 1;
        for (index, der) in of.iter().enumerate() {
            let ca = parse(der).unwrap();
            if !used.contains(&index) && ca.subject().as_raw() == issuer {
                used.push(index);
                count += paths(of, ca.issuer().as_raw(), used);
                used.pop();
            }
        }
        count
    }

    #[test]
    fn no_chain_of_a_stranger_has_many_paths() {
        let root = Ca::root("Root");
        // Many certificates on each level, all of one name, each issued by the name above.
        for levels in
            [&[24][..], &[3], &[2, 2, 2, 2], &[2; 12], &[3, 1, 3], &[1; 12], &[2, 1, 2], &[1, 2, 1]]
        {
            let mut above = &root;
            let mut made: Vec<&'static [Ca]> = Vec::new();
            for (level, number) in levels.iter().enumerate() {
                let name = format!("Level {level}");
                let cas: Vec<_> = (0..*number).map(|_| above.intermediate(&name)).collect();
                let cas: &'static [Ca] = cas.leak();
                made.push(cas);
                above = &cas[0];
            }
            let (leaf, _) = above.leaf(&["peer.example"], |_| {});
            let mut certificates = vec![&leaf];
            certificates.extend(made.iter().rev().copied().flatten().map(|ca| &ca.certificate));
            let presented = chain(&certificates);
            let (leaf, intermediates) = presented.split().unwrap();
            let issuer = parse(leaf).unwrap().issuer().as_raw().to_vec();
            let paths = paths(intermediates, &issuer, &mut Vec::new());
            assert!(paths <= 24, "{levels:?}: {paths}");
            assert_eq!(presented.excess().is_some(), intermediates.is_empty(), "{levels:?}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_not_kept_and_costs_an_honest_chain_nothing() {
        let root = Ca::root("Root");
        let intermediate = root.intermediate("Intermediate");
        let (leaf, _) = intermediate.leaf(&["peer.example"], |_| {});
        let others: Vec<_> = (0..12).map(|n| Ca::root(&format!("Other {n}"))).collect();
        let mut certificates = vec![&leaf];
        certificates.extend(others.iter().map(|ca| &ca.certificate));
        certificates.extend([&intermediate.certificate, &root.certificate]);
        let presented = chain(&certificates);
        assert_eq!(presented.excess(), None);
        let (_, kept) = presented.split().unwrap();
        assert_eq!(kept, [intermediate.certificate.der().clone(), root.certificate.der().clone()]);
    }
}
