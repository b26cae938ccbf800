//! Selects the certificate that the engine pods serve. They mount a Secret of the operator. The operator copies the
//! certificate that the spec refers to into it once that certificate is valid. A changed reference, or a change of the
//! referenced Secret, therefore never removes a working certificate (decision 0023). Pure.

use std::fmt;

use crds::domain::Domain;
use crds::federation::tls::CertificateSource;
use federation_engine::tls::issue::PemPair;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use s2s_proto::certificate::trust::Trust;

use super::stored;
use crate::evidence::certificate::{self, Purpose, Readable};

/// Annotation on the Secret with the source of its certificate.
pub const SOURCE: &str = "xmppfederation.dev/certificate-source";
/// Value of [`SOURCE`] for the operator's own certificate.
const SELF_SIGNED: &str = "SelfSigned";
/// Prefix of the value of [`SOURCE`] for the certificate of a Secret.
const SECRET: &str = "Secret/";
/// Prefix of the value of [`SOURCE`] for a certificate that cert-manager issued.
const CERTIFICATE: &str = "Certificate/";

/// The source of a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// The operator issued it.
    SelfSigned,
    /// A Secret of that name.
    Secret(String),
    /// cert-manager issued it for a Certificate of that name.
    Certificate(String),
}

impl Source {
    /// The value of the annotation [`SOURCE`].
    pub fn annotation(&self) -> String {
        match self {
            Self::SelfSigned => SELF_SIGNED.to_owned(),
            Self::Secret(name) => format!("{SECRET}{name}"),
            Self::Certificate(name) => format!("{CERTIFICATE}{name}"),
        }
    }

    /// The source of the certificate in a Secret that the operator wrote.
    pub fn of(secret: &Secret) -> Self {
        let value = secret.metadata.annotations.as_ref().and_then(|all| all.get(SOURCE));
        let value = value.map(String::as_str).unwrap_or_default();
        if let Some(name) = value.strip_prefix(SECRET) {
            Self::Secret(name.to_owned())
        } else if let Some(name) = value.strip_prefix(CERTIFICATE) {
            Self::Certificate(name.to_owned())
        } else {
            Self::SelfSigned
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfSigned => f.write_str("the operator's self-signed certificate"),
            Self::Secret(name) => write!(f, "the certificate from Secret {name}"),
            Self::Certificate(name) => {
                write!(f, "the certificate that cert-manager issued for Certificate {name}")
            }
        }
    }
}

/// A certificate that can be served.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The chain and its key.
    pub pair: PemPair,
    /// Its source.
    pub source: Source,
    /// The facts about it.
    pub readable: Readable,
}

impl Offer {
    /// A certificate and its key; `None` if they cannot be served.
    pub fn of(
        pair: PemPair,
        source: Source,
        domains: &[Domain],
        trust: &Trust,
        now: Timestamp,
    ) -> Option<Self> {
        let (chain, key) = (pair.certificate.as_bytes(), pair.private_key.as_bytes());
        let seen = certificate::read("", chain, key, domains, trust, now).ok()?;
        let readable = seen.readable()?.clone();
        Some(Self { pair, source, readable })
    }

    /// The certificate that the pods serve now.
    pub fn kept(
        secret: &Secret,
        domains: &[Domain],
        trust: &Trust,
        now: Timestamp,
    ) -> Option<Self> {
        Self::of(stored::pair(secret)?, Source::of(secret), domains, trust, now)
    }

    /// Higher is better: first validity for accepting streams now, then the number of domains, then a complete chain.
    fn quality(&self, now: Timestamp) -> (bool, usize, bool) {
        let Readable { facts, covers, purpose, missing_issuer } = &self.readable;
        let is_valid = facts.not_before <= now && now < facts.not_after;
        (is_valid && *purpose != Purpose::NotServer, covers.len(), missing_issuer.is_none())
    }

    /// Valid for accepting streams now, for at least one domain.
    fn is_usable(&self, now: Timestamp) -> bool {
        let (is_valid, covered, _) = self.quality(now);
        is_valid && covered > 0
    }

    fn is_issued(&self) -> bool {
        matches!(self.source, Source::Certificate(_))
    }
}

/// The certificates that may be served.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    /// The one from the Secret that the spec refers to, if it can be served.
    pub referenced: Option<Offer>,
    /// The one that cert-manager issued for the federation's Certificate, if it can be served.
    pub issued: Option<Offer>,
    /// The operator's own, if the spec names no Secret.
    pub self_signed: Option<Offer>,
    /// The certificate that the pods serve now.
    pub kept: Option<Offer>,
}

impl Offers {
    /// Chooses the wanted certificate, unless the one that is served now is better. A certificate with a defect is
    /// served only if there is none without: peers that authenticate by dialback accept any.
    pub fn choose(self, wanted: Option<&CertificateSource>, now: Timestamp) -> Option<Offer> {
        let Self { referenced, issued, self_signed, kept } = self;
        // Renewals of a certificate of cert-manager are served for as long as it is.
        let kept = match kept {
            Some(kept) if kept.is_issued() => better(issued.clone(), Some(kept), now),
            other => other,
        };
        match wanted {
            None => better(self_signed, kept, now),
            Some(CertificateSource::Secret(_)) => better(referenced, kept, now),
            Some(CertificateSource::Issuer(_)) => {
                // The operator's own certificate is kept only until it must be renewed. It covers every domain, but
                // does not replace a certificate that peers verify, even if that covers fewer.
                let kept = kept.filter(|kept| kept.source != Source::SelfSigned);
                match better(issued, kept, now) {
                    Some(best) if best.is_usable(now) => Some(best),
                    defective => self_signed.or(defective),
                }
            }
        }
    }
}

/// The preferred one, unless the other is better.
fn better(preferred: Option<Offer>, other: Option<Offer>, now: Timestamp) -> Option<Offer> {
    match (preferred, other) {
        (Some(preferred), Some(other)) if other.quality(now) > preferred.quality(now) => {
            Some(other)
        }
        (preferred, other) => preferred.or(other),
    }
}

#[cfg(test)]
mod tests;
