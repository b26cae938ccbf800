//! The private CA between engine and backends, and its replacement without an interruption. Pure; time is an argument.
//!
//! Backends trust what key ca.crt of the ConfigMap contains, and load it with some delay. So a new CA is in the ConfigMap
//! for [`LEAD`] before it signs, and the last one stays there as long as a certificate that it issued may be in use.

use std::collections::BTreeMap;

use federation_engine::tls::certs::LocalCertificate;
use federation_engine::tls::issue::{self, PemPair};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use s2s_proto::certificate::facts::CertificateFacts;

use super::stored::{MaterialError, pair_of, text, unix};
use crate::build::paths;

/// Time for which a new CA is in the ConfigMap before it signs.
pub const LEAD: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Validity. Backends may be slow to load a new one, so it is long.
const LIFETIME: SignedDuration = SignedDuration::from_hours(3650 * 24);
/// How long before the expiry of a CA the next one is issued.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How long the last CA stays in the ConfigMap: the longest validity of a certificate that it issued.
const PREVIOUS_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Most previous CAs that are kept.
const MAX_PREVIOUS: usize = 3;

/// Annotation on the resource: a new value requests a new backend CA. On the Secret: the last value acted on.
pub const ROTATE: &str = "xmppfederation.dev/rotate-backend-ca";
/// Annotation on the Secret: since when the next CA is in the ConfigMap.
const NEXT_SINCE: &str = "xmppfederation.dev/next-ca-since";
/// Annotation on the Secret: when the last CA was replaced.
const REPLACED_AT: &str = "xmppfederation.dev/ca-replaced-at";

/// The CA that signs, its successor and its predecessors.
#[derive(Clone)]
pub struct BackendCa {
    /// The CA that signs.
    pub signing: PemPair,
    /// The CA that signs next; already in the ConfigMap.
    pub next: Option<PemPair>,
    /// Certificates of CAs that no longer sign, the newest first.
    pub previous: Vec<String>,
    /// Engines that still have the last CA sign with it until then.
    pub signs_from: Option<Timestamp>,
    /// Annotations of the Secret.
    pub annotations: BTreeMap<String, String>,
    /// When backends must have loaded the ConfigMap again: a CA that they may not trust yet signs from then on. Without
    /// such a CA, when there will be one in the ConfigMap.
    pub renewal: Timestamp,
}

impl BackendCa {
    /// All certificates that backends and engine must trust.
    pub fn bundle(&self) -> String {
        let next = self.next.as_ref().map(|next| next.certificate.as_str());
        let previous = self.previous.iter().map(String::as_str);
        [self.signing.certificate.as_str()].into_iter().chain(next).chain(previous).collect()
    }
}

/// What the cluster has of it.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    /// The Secret with the keys.
    pub secret: Option<&'a Secret>,
    /// The ConfigMap with the certificates.
    pub public: Option<&'a ConfigMap>,
}

/// Keeps the CA, prepares its successor, or lets that one sign.
///
/// # Errors
/// When no CA can be issued.
pub fn complete(
    known: Known<'_>,
    name: &str,
    rotation: Option<&str>,
    now: Timestamp,
) -> Result<BackendCa, MaterialError> {
    let issue = || {
        issue::new_ca(name, LIFETIME.unsigned_abs(), unix(now))
            .map_err(|source| MaterialError::Issue { what: "backend CA", source })
    };
    let mut annotations: BTreeMap<String, String> =
        rotation.map(|value| (ROTATE.to_owned(), value.to_owned())).into_iter().collect();
    let stored = |certificate, key| {
        let pair = known.secret.and_then(|secret| pair_of(secret, certificate, key))?;
        let end = expiry(&pair)?;
        (end > now).then_some((pair, end))
    };
    let Some((mut signing, mut end)) = stored(paths::TLS_CRT, paths::TLS_KEY) else {
        // The key is lost. Engines that still have it continue to sign with it while backends load the new CA.
        let public = known.public.and_then(|map| map.data.as_ref()?.get(paths::CA_CRT));
        let previous = public.map(|pem| valid(pem, &[], now)).unwrap_or_default();
        let new = issue()?;
        let signs_from = (!previous.is_empty()).then(|| now + LEAD);
        if signs_from.is_some() {
            annotations.insert(REPLACED_AT.to_owned(), now.to_string());
        }
        let renewal = signs_from.unwrap_or(now + LIFETIME - RENEW_BEFORE);
        return Ok(BackendCa {
            signing: new,
            next: None,
            previous,
            signs_from,
            annotations,
            renewal,
        });
    };
    let secret = known.secret;
    let annotation = |key: &str| {
        secret.and_then(|secret| secret.metadata.annotations.as_ref()?.get(key)).cloned()
    };
    let moment = |key: &str| annotation(key).and_then(|at| at.parse::<Timestamp>().ok());
    let mut next = stored(paths::NEXT_CRT, paths::NEXT_KEY);
    let mut next_since = moment(NEXT_SINCE).filter(|_| next.is_some());
    let mut replaced_at = moment(REPLACED_AT);
    if let Some((successor, successor_end)) = &next
        && next_since.is_none_or(|since| now.duration_since(since) >= LEAD)
    {
        (signing, end) = (successor.clone(), *successor_end);
        (next, next_since, replaced_at) = (None, None, Some(now));
    }
    let wanted = rotation.is_some() && annotation(ROTATE).as_deref() != rotation;
    if next.is_none() && (wanted || end.duration_since(now) <= RENEW_BEFORE) {
        next = Some((issue()?, now + LIFETIME));
        next_since = Some(now);
    }
    let next = next.map(|(pair, _)| pair);
    let kept = replaced_at.is_some_and(|at| now.duration_since(at) < PREVIOUS_KEPT);
    let bundle = secret.and_then(|secret| text(secret, paths::CA_CRT)).filter(|_| kept);
    let current: Vec<&str> =
        [Some(&signing), next.as_ref()].into_iter().flatten().map(|ca| &*ca.certificate).collect();
    let previous = bundle.map(|pem| valid(&pem, &current, now)).unwrap_or_default();
    let signs_from = secret
        .and_then(|secret| text(secret, paths::SIGNS_FROM))
        .and_then(|at| at.parse::<Timestamp>().ok())
        .filter(|at| *at > now);
    for (key, at) in [(NEXT_SINCE, next_since), (REPLACED_AT, replaced_at.filter(|_| kept))] {
        annotations.extend(at.map(|at| (key.to_owned(), at.to_string())));
    }
    let renewal = next_since.map(|since| since + LEAD).or(signs_from).unwrap_or(end - RENEW_BEFORE);
    Ok(BackendCa { signing, next, previous, signs_from, annotations, renewal })
}

/// The end of a CA; `None` if it is not one, or its key is another's.
fn expiry(pair: &PemPair) -> Option<Timestamp> {
    let (certificate, key) = (pair.certificate.as_bytes(), pair.private_key.as_bytes());
    let read = LocalCertificate::from_pem(certificate, paths::TLS_CRT, key, paths::TLS_KEY).ok()?;
    Some(read.facts().not_after)
}

/// The certificates of a bundle that are valid and not among `current`, each as PEM.
fn valid(bundle: &str, current: &[&str], now: Timestamp) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    bundle
        .split_inclusive(END)
        .filter_map(|pem| {
            pem.find("-----BEGIN CERTIFICATE-----").and_then(|start| pem.get(start..))
        })
        .filter(|pem| {
            CertificateDer::from_pem_slice(pem.as_bytes())
                .ok()
                .and_then(|der| CertificateFacts::of(&der).ok())
                .is_some_and(|facts| facts.not_after > now)
        })
        .filter(|pem| !current.iter().any(|other| other.trim() == *pem))
        .map(|pem| format!("{pem}\n"))
        .take(MAX_PREVIOUS)
        .collect()
}

#[cfg(test)]
mod tests;
