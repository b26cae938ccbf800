//! DANE for the streams that we open (RFC 7673, RFC 6698, RFC 7671): the facts that DNSSEC authenticates about the
//! server behind an SRV record, and whether its certificate matches them. Pure: records, chain, trust and time are
//! arguments.

use rustls_pki_types::{TrustAnchor, UnixTime};
use webpki::{anchor_from_trusted_cert, spki_for_anchor};

use super::chain::PeerChain;
use super::facts::parse;
use super::identity::{Forms, Identity};
use super::judge::{Candidate, References, forms, judge_references};
use super::pin::Pin;
use super::tlsa::{Association, Usage};
use super::trust::Trust;
use crate::Domain;
use crate::reason::CertificateReason;

/// The target of a secure SRV record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delegation {
    /// The owner domain of the SRV record. The record authenticates nothing for another domain.
    pub domain: Domain,
    /// The server's name: the certificate may have it instead of the domain (RFC 7673 §4.1). `None` if no certificate
    /// can have the name.
    pub host: Option<Domain>,
    /// Owner of its TLSA records: `_port._tcp.host` (RFC 7673 §3.3).
    pub owner: String,
    /// Their content.
    pub associations: Associations,
}

/// The TLSA records of a server, as far as DNSSEC authenticates them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Associations {
    /// There are none, or they are not secure.
    None,
    /// None of them is usable: TLS is required, and the certificate is verified as without them (RFC 7673 §4.1).
    Unusable,
    /// One of these must match; never empty.
    Usable(Vec<Association>),
}

impl Delegation {
    /// DNS shows that the server offers TLS, so the stream must be encrypted (RFC 7673 §3.4).
    pub fn requires_tls(&self) -> bool {
        self.associations != Associations::None
    }

    /// DNS determines the certificate.
    pub fn names_certificate(&self) -> bool {
        matches!(self.associations, Associations::Usable(_))
    }
}

/// Verifies whether `chain` authenticates the server's domain.
///
/// Usable TLSA records decide alone (RFC 6698 §4.1), unless `pins` are set: those are the local configuration for this
/// very key, and take precedence over the peer's records.
///
/// # Errors
/// As [`super::judge::judge`], and [`CertificateReason::DaneMismatch`]. If a record matches the chain but another
/// requirement fails, that requirement is reported instead of the mismatch.
pub fn judge(
    chain: &PeerChain,
    server: &Delegation,
    trust: &Trust,
    pins: &[Pin],
    now: UnixTime,
) -> Result<(), CertificateReason> {
    let names = References { domain: &server.domain, host: server.host.as_ref() };
    let associations = match &server.associations {
        Associations::Usable(associations) if pins.is_empty() => associations,
        _ => return judge_references(chain, &names, trust, pins, now),
    };
    let (leaf, intermediates) = chain.split().ok_or(CertificateReason::Missing)?;
    let parsed = parse(leaf).map_err(|error| super::judge::invalid(&error))?;
    let excess = chain.excess();
    let candidate = Candidate { leaf, parsed: &parsed, intermediates, excess, now };
    let mut lacking = None;
    for association in associations {
        match candidate.satisfies(association, &names, trust) {
            Some(Ok(())) => return Ok(()),
            Some(Err(reason)) => lacking = lacking.or(Some(reason)),
            None => {}
        }
    }
    Err(lacking.unwrap_or_else(|| CertificateReason::DaneMismatch { owner: server.owner.clone() }))
}

impl Candidate<'_> {
    /// `None` when the record matches no certificate of this chain.
    fn satisfies(
        &self,
        association: &Association,
        names: &References<'_>,
        trust: &Trust,
    ) -> Option<Result<(), CertificateReason>> {
        match association.usage {
            // RFC 7673 §4.2, RFC 7671 §5.1: neither names nor dates are checked.
            Usage::DaneEe => self.is_leaf(association).then_some(Ok(())),
            Usage::PkixEe => self.is_leaf(association).then(|| {
                let forms = self
                    .lead_to(trust.anchors(), trust.holds(self.leaf))
                    .map_err(|error| self.explain(&error))?;
                self.is_named(names, forms)
            }),
            Usage::DaneTa => self.anchored(association, names),
            Usage::PkixTa => self.constrained(association, names, trust),
        }
    }

    fn is_leaf(&self, association: &Association) -> bool {
        association.matches(self.leaf, self.parsed.public_key().raw)
    }

    /// RFC 7671 §5.2: a certificate of the chain that matches the record stands for the root.
    fn anchored(
        &self,
        association: &Association,
        names: &References<'_>,
    ) -> Option<Result<(), CertificateReason>> {
        let of_record = association.certificate();
        let presented = std::iter::once(self.leaf)
            .chain(self.intermediates)
            .filter(|der| parse(der).is_ok_and(|ca| association.matches(der, ca.public_key().raw)));
        let anchors: Vec<TrustAnchor<'_>> = presented
            .chain(&of_record)
            .filter_map(|der| anchor_from_trusted_cert(der).ok())
            .collect();
        if anchors.is_empty() {
            return None;
        }
        match self.lead_to(&anchors, self.is_leaf(association)) {
            Ok(forms) => Some(self.is_named(names, forms)),
            Err(error) => Some(Err(self.explain(&error))),
        }
    }

    /// RFC 6698 §2.1.1, usage 0: the path to one of our roots contains the certificate that matches the record.
    fn constrained(
        &self,
        association: &Association,
        names: &References<'_>,
        trust: &Trust,
    ) -> Option<Result<(), CertificateReason>> {
        let of_presented = |spki: &[u8]| {
            self.intermediates.iter().any(|der| {
                parse(der)
                    .is_ok_and(|ca| ca.public_key().raw == spki && association.matches(der, spki))
            })
        };
        let path = self.path(trust.anchors(), |path| {
            let above = path.intermediate_certificates().any(|ca| {
                let der = ca.der();
                parse(&der).is_ok_and(|ca| association.matches(&der, ca.public_key().raw))
            });
            let root = spki_for_anchor(path.anchor());
            // Only the key of a root is kept; its certificate is available only if the peer sends it.
            let root = association.matches_key(root.as_ref()) || of_presented(root.as_ref());
            Ok((above || root, forms(path)))
        });
        match path {
            Ok((true, forms)) => Some(self.is_named(names, forms)),
            Ok((false, _)) => None,
            Err(error) => Some(Err(self.explain(&error))),
        }
    }

    fn is_named(&self, names: &References<'_>, forms: Forms) -> Result<(), CertificateReason> {
        names.check(&Identity::of(self.parsed), forms)
    }
}

#[cfg(test)]
mod tests;
