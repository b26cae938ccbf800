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

use super::material;
use crate::evidence::certificate::{self, Purpose, Readable};

/// Annotation on the Secret with the source of its certificate.
pub const SOURCE: &str = "xmppfederation.dev/certificate-source";
/// Value of [`SOURCE`] for the operator's own certificate.
const SELF_SIGNED: &str = "SelfSigned";
/// Prefix of the value of [`SOURCE`] for the certificate of a Secret.
const SECRET: &str = "Secret/";

/// The source of a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// The operator issued it.
    SelfSigned,
    /// A Secret of that name.
    Secret(String),
}

impl Source {
    /// The value of the annotation [`SOURCE`].
    pub fn annotation(&self) -> String {
        match self {
            Self::SelfSigned => SELF_SIGNED.to_owned(),
            Self::Secret(name) => format!("{SECRET}{name}"),
        }
    }

    fn of_annotation(value: &str) -> Self {
        value.strip_prefix(SECRET).map_or(Self::SelfSigned, |name| Self::Secret(name.to_owned()))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfSigned => f.write_str("the operator's self-signed certificate"),
            Self::Secret(name) => write!(f, "the certificate from Secret {name}"),
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
        let annotations = secret.metadata.annotations.as_ref();
        let source = annotations.and_then(|all| all.get(SOURCE)).map(String::as_str);
        let source = Source::of_annotation(source.unwrap_or_default());
        Self::of(material::pair(secret)?, source, domains, trust, now)
    }

    /// Higher is better: first validity for accepting streams now, then the number of domains, then a complete chain.
    fn quality(&self, now: Timestamp) -> (bool, usize, bool) {
        let Readable { facts, covers, purpose, missing_issuer } = &self.readable;
        let is_valid = facts.not_before <= now && now < facts.not_after;
        (is_valid && *purpose != Purpose::NotServer, covers.len(), missing_issuer.is_none())
    }
}

/// The certificates that may be served.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    /// The one that the spec refers to, if it can be served.
    pub referenced: Option<Offer>,
    /// The operator's own, if the spec names no Secret.
    pub self_signed: Option<Offer>,
    /// The certificate that the pods serve now.
    pub kept: Option<Offer>,
}

impl Offers {
    /// Chooses the wanted certificate, unless the one that is served now is better. A certificate with a defect is
    /// served only if there is none without: peers that authenticate by dialback accept any.
    pub fn choose(self, wanted: Option<&CertificateSource>, now: Timestamp) -> Option<Offer> {
        let Self { referenced, self_signed, kept } = self;
        let (preferred, other) = match wanted {
            None => (self_signed, kept),
            Some(CertificateSource::Secret(_)) => (referenced, kept),
            // Issuers have no effect yet. The operator's own certificate is kept only until it must be renewed.
            Some(CertificateSource::Issuer(_)) => {
                match kept.filter(|kept| kept.source != Source::SelfSigned) {
                    Some(kept) => (Some(kept), self_signed),
                    None => (self_signed, None),
                }
            }
        };
        match (preferred, other) {
            (Some(preferred), Some(other)) if other.quality(now) > preferred.quality(now) => {
                Some(other)
            }
            (preferred, other) => preferred.or(other),
        }
    }
}

#[cfg(test)]
mod tests;
