//! Keys and certificates that the operator issues: it reads them back from their Secrets, and issues them again before
//! they expire or when they no longer match the spec.

use std::collections::BTreeMap;
use std::fmt;

use crds::domain::Domain;
use crds::federation::tls::CertificateSource;
use data_encoding::HEXLOWER;
use federation_engine::tls::certs::LocalCertificate;
use federation_engine::tls::issue::{self, PemPair};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use rand::TryRngCore;
use rand::rngs::OsRng;

use super::backend_ca::{self, BackendCa, Known};
use super::stored::{MaterialError, pair, text, unix};
use super::validated::Validated;
use crate::build::paths;

/// Octets of randomness in tokens and dialback secrets.
const RANDOM_OCTETS: usize = 32;
/// Shortest token or dialback secret that is accepted as one of ours.
const MIN_SECRET: usize = 32;
/// How long after a rotation keys of the previous dialback secret are still confirmed.
pub const PREVIOUS_ACCEPTED: SignedDuration = SignedDuration::from_hours(1);

/// Annotation on the resource: a new value requests a new dialback secret. On the Secret: the last value acted on.
pub const ROTATE: &str = "xmppfederation.dev/rotate-dialback";
/// Annotation on the Secret: when it was last rotated.
pub const ROTATED_AT: &str = "xmppfederation.dev/rotated-at";

/// Validity, and how long before expiry a certificate is renewed.
struct Life {
    total: SignedDuration,
    renew_before: SignedDuration,
}

const fn days(total: i64, renew_before: i64) -> Life {
    Life {
        total: SignedDuration::from_hours(24 * total),
        renew_before: SignedDuration::from_hours(24 * renew_before),
    }
}

const BACKEND_LEAF: Life = days(90, 30);
const SELF_SIGNED: Life = days(365, 60);
const CONTROL: Life = days(365, 60);

/// All keys and certificates that the operator issues for one federation.
#[derive(Clone)]
pub struct Material {
    /// Opens the engine's control port.
    pub control: ControlMaterial,
    /// Dialback secret; `None` if the resource names its own.
    pub dialback: Option<DialbackMaterial>,
    /// Backend CA and the certificates that it issued; `None` without backends.
    pub backend: Option<BackendMaterial>,
    /// Certificate of the outer leg; `None` if the resource names a Secret with its own.
    pub self_signed: Option<PemPair>,
}

impl fmt::Debug for Material {
    // Keys never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").finish_non_exhaustive()
    }
}

/// Certificate and token of the control port.
#[derive(Clone)]
pub struct ControlMaterial {
    /// Certificate that the operator pins, and its key.
    pub pair: PemPair,
    /// Bearer token.
    pub token: String,
}

/// Dialback secret, shared by all replicas (XEP-0185).
#[derive(Clone)]
pub struct DialbackMaterial {
    /// New dialback keys are generated with it.
    pub secret: String,
    /// The previous one, while peers may still verify its keys.
    pub previous: Option<String>,
    /// Annotations of the Secret.
    pub annotations: BTreeMap<String, String>,
}

/// The private CA between engine and backends.
#[derive(Clone)]
pub struct BackendMaterial {
    /// The CA.
    pub ca: BackendCa,
    /// A certificate for each server that is a backend, issued by the CA for the domains of that backend only: none can
    /// speak for the domains of another one.
    pub leaves: Vec<BackendLeaf>,
}

/// The certificate for one backend.
#[derive(Clone)]
pub struct BackendLeaf {
    /// Name of its Secret.
    pub secret: String,
    /// Certificate and key.
    pub pair: PemPair,
}

/// The Secrets as they exist in the cluster; only those that the federation owns.
#[derive(Clone, Default)]
pub struct Existing {
    /// `<name>-control`.
    pub control: Option<Secret>,
    /// `<name>-dialback`.
    pub dialback: Option<Secret>,
    /// `<name>-backend-ca`.
    pub backend_ca: Option<Secret>,
    /// The ConfigMap `<name>-backend-ca`.
    pub backend_ca_public: Option<ConfigMap>,
    /// `<name>-backend-tls`, and those of further backends, by name.
    pub backend_tls: BTreeMap<String, Secret>,
    /// `<name>-tls-self-signed`.
    pub self_signed: Option<Secret>,
    /// `<name>-tls-serving`.
    pub serving: Option<Secret>,
}

/// Keeps what is still valid and issues what is missing.
///
/// # Errors
/// See [`MaterialError`].
pub fn complete(
    existing: &Existing,
    federation: &Validated,
    now: Timestamp,
) -> Result<Material, MaterialError> {
    let spec = &federation.spec;
    let domains: Vec<Domain> = spec.domains.iter().map(|domain| domain.name.clone()).collect();
    Ok(Material {
        control: control(existing.control.as_ref(), federation, now)?,
        dialback: match &spec.dialback {
            Some(_) => None,
            None => {
                Some(dialback(existing.dialback.as_ref(), federation.rotation.as_deref(), now)?)
            }
        },
        backend: if spec.backends.is_empty() {
            None
        } else {
            Some(backend(existing, federation, now)?)
        },
        self_signed: match &spec.tls.certificate {
            Some(CertificateSource::Secret(_)) => None,
            // It is served until the issuer has issued the first one.
            Some(CertificateSource::Issuer(_)) | None => Some(
                match existing.self_signed.as_ref().and_then(pair).filter(|old| {
                    facts(old).is_some_and(|found| {
                        found.lives(&SELF_SIGNED, now) && found.names(&domains)
                    })
                }) {
                    Some(good) => good,
                    None => issue::self_signed(&domains, unsigned(SELF_SIGNED.total), unix(now))
                        .map_err(|source| MaterialError::Issue {
                            what: "self-signed certificate",
                            source,
                        })?,
                },
            ),
        },
    })
}

fn control(
    existing: Option<&Secret>,
    federation: &Validated,
    now: Timestamp,
) -> Result<ControlMaterial, MaterialError> {
    let old = existing.and_then(|secret| Some((pair(secret)?, text(secret, paths::TOKEN)?)));
    if let Some((pair, token)) = old
        && token.len() >= MIN_SECRET
        && facts(&pair).is_some_and(|found| found.lives(&CONTROL, now))
    {
        return Ok(ControlMaterial { pair, token });
    }
    let name = format!("{}.{}.svc", federation.name, federation.namespace);
    let domain = Domain::parse(&name).map_err(|source| MaterialError::Name { name, source })?;
    let pair =
        issue::self_signed(&[domain], unsigned(CONTROL.total), unix(now)).map_err(|source| {
            MaterialError::Issue { what: "certificate of the control port", source }
        })?;
    Ok(ControlMaterial { pair, token: random()? })
}

fn dialback(
    existing: Option<&Secret>,
    wanted_rotation: Option<&str>,
    now: Timestamp,
) -> Result<DialbackMaterial, MaterialError> {
    let old = existing
        .and_then(|secret| text(secret, paths::SECRET))
        .filter(|secret| secret.len() >= MIN_SECRET);
    let annotation = |key: &str| {
        existing.and_then(|secret| secret.metadata.annotations.as_ref()?.get(key)).cloned()
    };
    let mut annotations: BTreeMap<String, String> =
        wanted_rotation.map(|value| (ROTATE.to_owned(), value.to_owned())).into_iter().collect();
    let Some(old) = old else {
        return Ok(DialbackMaterial { secret: random()?, previous: None, annotations });
    };
    if wanted_rotation.is_some() && annotation(ROTATE).as_deref() != wanted_rotation {
        annotations.insert(ROTATED_AT.to_owned(), now.to_string());
        return Ok(DialbackMaterial { secret: random()?, previous: Some(old), annotations });
    }
    let rotated_at = annotation(ROTATED_AT).and_then(|at| at.parse::<Timestamp>().ok());
    let previous = rotated_at
        .filter(|at| now.duration_since(*at) < PREVIOUS_ACCEPTED)
        .and_then(|_| existing.and_then(|secret| text(secret, paths::PREVIOUS)));
    if let Some(at) = rotated_at.filter(|_| previous.is_some()) {
        annotations.insert(ROTATED_AT.to_owned(), at.to_string());
    }
    Ok(DialbackMaterial { secret: old, previous, annotations })
}

fn backend(
    existing: &Existing,
    federation: &Validated,
    now: Timestamp,
) -> Result<BackendMaterial, MaterialError> {
    let known =
        Known { secret: existing.backend_ca.as_ref(), public: existing.backend_ca_public.as_ref() };
    let name = format!("{}.{} backend CA", federation.name, federation.namespace);
    let ca = backend_ca::complete(known, &name, federation.ca_rotation.as_deref(), now)?;
    let leaf = |(secret, domains): (String, Vec<Domain>)| {
        let old = existing.backend_tls.get(&secret).and_then(pair).filter(|old| {
            // The chain ends with the CA's certificate: a leaf of an earlier CA does not.
            old.certificate.ends_with(ca.signing.certificate.as_str())
                && facts(old)
                    .is_some_and(|found| found.lives(&BACKEND_LEAF, now) && found.names(&domains))
        });
        let pair = match old {
            Some(good) => good,
            None => issue::issue(&ca.signing, &domains, unsigned(BACKEND_LEAF.total), unix(now))
                .map_err(|source| MaterialError::Issue {
                    what: "certificate for the backend",
                    source,
                })?,
        };
        Ok(BackendLeaf { secret, pair })
    };
    let leaves = federation.backend_certificates().map(leaf).collect::<Result<_, _>>()?;
    Ok(BackendMaterial { ca, leaves })
}

/// The facts that decide whether a certificate is kept.
struct Facts {
    names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Facts {
    fn lives(&self, life: &Life, now: Timestamp) -> bool {
        self.not_before <= now && self.not_after.duration_since(now) > life.renew_before
    }

    fn names(&self, domains: &[Domain]) -> bool {
        let mut wanted: Vec<String> = domains.iter().map(Domain::to_ascii).collect();
        let mut found = self.names.clone();
        wanted.sort_unstable();
        found.sort_unstable();
        wanted == found
    }
}

/// `None` if this is not a matching pair of certificate and key; it is issued again.
fn facts(pair: &PemPair) -> Option<Facts> {
    let certificate = LocalCertificate::from_pem(
        pair.certificate.as_bytes(),
        paths::TLS_CRT,
        pair.private_key.as_bytes(),
        paths::TLS_KEY,
    )
    .ok()?;
    let found = certificate.facts();
    Some(Facts {
        names: found.names.clone(),
        not_before: found.not_before,
        not_after: found.not_after,
    })
}

/// Hexadecimal, so that it needs no escaping in a header or a file.
fn random() -> Result<String, MaterialError> {
    let mut octets = [0_u8; RANDOM_OCTETS];
    OsRng.try_fill_bytes(&mut octets).map_err(|error| MaterialError::Random(error.to_string()))?;
    Ok(HEXLOWER.encode(&octets))
}

fn unsigned(duration: SignedDuration) -> std::time::Duration {
    duration.unsigned_abs()
}

#[cfg(test)]
mod tests;
