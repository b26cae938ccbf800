//! Reads the objects that a federation refers to, and those issued for it before. The first step of a reconcile; all I/O.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crds::federation::reference::{BundleRef, SecretKey};
use crds::reason::ResolvedRefsReason;
use federation_engine::prober::signature::{MIN_TOKEN, Token};
use federation_engine::tls::issue::PemPair;
use federation_engine::tls::roots;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use s2s_proto::certificate::trust::Trust;

use crate::build::{bundles, components, paths};
use crate::children::is_controlled_by;
use crate::evidence::certificate::{self, CertificateSeen};
use crate::evidence::prober::KnownProber;
use crate::evidence::references::{self, ReferenceError, References};
use crate::federation::material::{Existing, Material};
use crate::federation::names;
use crate::federation::serving::{Offer, Offers, Source};
use crate::federation::validated::Validated;

use super::contents::Contents;
use super::issued::{self, Issued};

/// The public roots, which peers are expected to have.
static PUBLIC_ROOTS: LazyLock<Trust> = LazyLock::new(roots::system);

/// The Secrets that the operator issued, and the state of the references.
#[derive(Clone, Default)]
pub struct Dereferenced {
    /// What the operator issued before.
    pub existing: Existing,
    /// What the spec refers to.
    pub references: References,
    /// The certificate of the Secret that the spec refers to, with its key, if it can be served.
    pub certificate: Option<Offer>,
    /// What cert-manager keeps for the federation.
    pub issued: Issued,
    /// The certificate that cert-manager issued, with its key, if it can be served.
    pub issued_offer: Option<Offer>,
    /// The public roots and those that the spec adds.
    pub trust: Trust,
    /// The probers of the spec whose token could be read.
    pub probers: Vec<KnownProber>,
}

/// Reads everything. `cert_manager`: the API server has the kind Certificate.
///
/// # Errors
/// When a call to the API server fails. A reference that the operator is not permitted to read is a finding instead.
pub async fn dereference(
    contents: &Contents<'_>,
    federation: &Validated,
    cert_manager: bool,
    now: Timestamp,
) -> Result<Dereferenced, kube::Error> {
    let name = federation.name.as_str();
    let own = |name: String| async move {
        let found = contents.secret(&name).await?;
        // A foreign Secret of that name is not read; applying reports it.
        Ok::<_, kube::Error>(found.filter(|s| is_controlled_by(s, &federation.owner.uid)))
    };
    let public = async {
        let found = contents.config_map(&names::backend_ca(name)).await?.map(Arc::unwrap_or_clone);
        Ok::<_, kube::Error>(found.filter(|map| is_controlled_by(map, &federation.owner.uid)))
    };
    let of_backends = async {
        let mut all = BTreeMap::new();
        for (name, _) in federation.backend_certificates() {
            all.extend(own(name.clone()).await?.map(|secret| (name, secret)));
        }
        Ok::<_, kube::Error>(all)
    };
    let (control, dialback, backend_ca, backend_ca_public, backend_tls, self_signed, serving) = tokio::try_join!(
        own(names::control(name)),
        own(names::dialback(name)),
        own(names::backend_ca(name)),
        public,
        of_backends,
        own(names::self_signed(name)),
        own(names::serving(name)),
    )?;
    let existing = Existing {
        control,
        dialback,
        backend_ca,
        backend_ca_public,
        backend_tls,
        self_signed,
        serving,
    };
    let mut all = Dereferenced { existing, ..Dereferenced::default() };
    let served = all.existing.serving.as_ref().map(Source::of);
    if federation.issuer().is_some() || matches!(served, Some(Source::Certificate(_))) {
        all.issued = issued::read(contents, federation, cert_manager).await?;
    }
    all.read_references(contents, federation, now).await?;
    all.read_issued(federation, now);
    Ok(all)
}

impl Dereferenced {
    /// The certificate that pods serve from now on.
    pub fn serving(
        &self,
        federation: &Validated,
        material: &Material,
        now: Timestamp,
    ) -> Option<Offer> {
        let domains: Vec<_> = federation.domains().cloned().collect();
        let own = material.self_signed.clone();
        let kept = self.existing.serving.as_ref();
        let kept = kept.and_then(|secret| Offer::kept(secret, &domains, &self.trust, now));
        let offers = Offers {
            referenced: self.certificate.clone(),
            issued: self.issued_offer.clone(),
            self_signed: own
                .and_then(|own| Offer::of(own, Source::SelfSigned, &domains, &self.trust, now)),
            kept: kept.clone(),
        };
        let chosen = offers.choose(federation.spec.tls.certificate.as_ref(), now)?;
        // While the federation is paused, a certificate is renewed, but not replaced by one from elsewhere.
        let other = kept.filter(|kept| federation.spec.paused && kept.source != chosen.source);
        Some(other.unwrap_or(chosen))
    }

    /// Judges the Secret that cert-manager wrote.
    fn read_issued(&mut self, federation: &Validated, now: Timestamp) {
        let field = "spec.tls.certificate.issuerRef";
        let is_wanted = federation.issuer().is_some();
        if is_wanted {
            self.references.issuance = self.issued.issuance.clone();
            self.references.problems.extend(self.issued.problems.iter().cloned());
        }
        let Some(secret) = &self.issued.secret else { return };
        let name = names::issued(&federation.name);
        match judge(field, &name, secret, federation, &self.trust, now) {
            Ok((seen, pair)) => {
                let source = Source::Certificate(name);
                self.issued_offer =
                    seen.readable().cloned().map(|readable| Offer { pair, source, readable });
                if is_wanted {
                    self.references.certificate = Some(seen);
                }
            }
            Err(problem) if is_wanted => self.references.problems.push(problem),
            Err(_) => {}
        }
    }

    async fn read_references(
        &mut self,
        contents: &Contents<'_>,
        federation: &Validated,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let reader = Reader { contents, namespace: &federation.namespace };
        let spec = &federation.spec;
        let mut of_bundles = Vec::new();
        self.trust = PUBLIC_ROOTS.clone();
        for (index, bundle) in bundles::references(spec).enumerate() {
            match reader.bundle(bundle).await? {
                // The first ones are those of the outer leg.
                Ok(pem) if index < spec.tls.trust.bundles.len() => {
                    let own = Trust::from_pem(&pem, "").unwrap_or_default();
                    self.trust = self.trust.and(&own);
                }
                Ok(_) => {}
                Err(problem) => of_bundles.push(problem),
            }
        }
        let all = &mut self.references;
        if let Some(name) = federation.certificate_secret() {
            match reader.certificate(name, federation, &self.trust, now).await? {
                Ok((seen, pair)) => {
                    self.certificate = seen.readable().cloned().map(|readable| Offer {
                        pair,
                        source: Source::Secret(name.to_owned()),
                        readable,
                    });
                    all.certificate = Some(seen);
                }
                Err(problem) => all.problems.push(problem),
            }
        }
        all.problems.extend(of_bundles);
        if let Some(dialback) = &spec.dialback {
            let (name, key) = (&dialback.secret_ref.name, &dialback.secret_ref.key);
            let field = "spec.dialback.secretRef";
            let checked = match reader.secret_key(field, name, key).await? {
                Ok(secret) => references::dialback_secret(&secret).map_err(|what| {
                    invalid(
                        ResolvedRefsReason::SecretInvalid,
                        format!("{field}: key {key} of Secret {name} {what}"),
                    )
                }),
                Err(problem) => Err(problem),
            };
            all.problems.extend(checked.err());
        }
        for (backend, SecretKey { name, key }) in components::references(spec) {
            let field = format!("spec.backends[{backend}].component.secretRef");
            let checked = match reader.secret_key(&field, name, key).await? {
                Ok(secret) => references::component_secret(&secret).map_err(|what| {
                    invalid(
                        ResolvedRefsReason::SecretInvalid,
                        format!("{field}: key {key} of Secret {name} {what}"),
                    )
                }),
                Err(problem) => Err(problem),
            };
            all.problems.extend(checked.err());
        }
        for (field, prober) in spec.verification.probers() {
            let (name, key) = (&prober.secret_ref.name, &prober.secret_ref.key);
            let field = format!("{field}.secretRef");
            let token = reader.secret_key(&field, name, key).await?.and_then(|secret| {
                Token::new(&secret).ok_or_else(|| {
                    invalid(
                        ResolvedRefsReason::SecretInvalid,
                        format!("{field}: key {key} of Secret {name} has fewer than {MIN_TOKEN} bytes; a token of a prober needs more"),
                    )
                })
            });
            match token {
                Ok(token) => self.probers.push(KnownProber { url: prober.url.clone(), token }),
                Err(problem) => self.references.problems.push(problem),
            }
        }
        Ok(())
    }
}

fn invalid(reason: ResolvedRefsReason, message: String) -> ReferenceError {
    ReferenceError { reason, message }
}

/// The certificate and the key of a Secret.
fn judge(
    field: &str,
    name: &str,
    secret: &Secret,
    federation: &Validated,
    trust: &Trust,
    now: Timestamp,
) -> Result<(CertificateSeen, PemPair), ReferenceError> {
    let key = |key: &str| {
        secret.data.as_ref().and_then(|data| data.get(key)).ok_or_else(|| {
            invalid(
                ResolvedRefsReason::SecretInvalid,
                format!(
                    "{field}: Secret {name} has no key {key}; a Secret of type kubernetes.io/tls needs tls.crt and tls.key"
                ),
            )
        })
    };
    let (ByteString(certificate), ByteString(private_key)) =
        (key(paths::TLS_CRT)?, key(paths::TLS_KEY)?);
    let object = format!("Secret {name}");
    let domains: Vec<_> = federation.domains().cloned().collect();
    let seen = certificate::read(&object, certificate, private_key, &domains, trust, now)
        .map_err(|error| invalid(ResolvedRefsReason::SecretInvalid, format!("{field}: {error}")))?;
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    Ok((seen, PemPair { certificate: text(certificate), private_key: text(private_key) }))
}

struct Reader<'a> {
    contents: &'a Contents<'a>,
    namespace: &'a str,
}

/// The outer error ends the reconcile, the inner one is a finding.
type Found<T> = Result<Result<T, ReferenceError>, kube::Error>;

impl Reader<'_> {
    async fn certificate(
        &self,
        name: &str,
        federation: &Validated,
        trust: &Trust,
        now: Timestamp,
    ) -> Found<(CertificateSeen, PemPair)> {
        let field = "spec.tls.certificate.secretRef";
        let secret = self.secret(field, name).await?;
        Ok(secret.and_then(|secret| judge(field, name, &secret, federation, trust, now)))
    }

    /// The PEM text of a bundle.
    async fn bundle(&self, bundle: &BundleRef) -> Found<Vec<u8>> {
        match bundle {
            BundleRef::Secret(reference) => {
                let (name, key) = (&reference.name, &reference.key);
                Ok(match self.secret_key("a CA bundle", name, key).await? {
                    Ok(pem) => references::bundle(&pem).map(|()| pem).map_err(|what| {
                        invalid(
                            ResolvedRefsReason::SecretInvalid,
                            format!(
                                "A CA bundle: key {key} of Secret {name} {what}; {PUT_CERTIFICATES}"
                            ),
                        )
                    }),
                    Err(problem) => Err(problem),
                })
            }
            BundleRef::ConfigMap(reference) => {
                let (name, key) = (&reference.name, &reference.key);
                let found = self.contents.config_map(name).await;
                let map = match permitted("ConfigMap", name, found)? {
                    Ok(Some(map)) => map,
                    Ok(None) => {
                        return Ok(Err(invalid(
                            ResolvedRefsReason::ConfigMapNotFound,
                            format!(
                                "A CA bundle: ConfigMap {name} does not exist in namespace {}; create it",
                                self.namespace
                            ),
                        )));
                    }
                    Err(problem) => return Ok(Err(problem)),
                };
                let text = map.data.as_ref().and_then(|data| data.get(key)).map(String::as_bytes);
                let binary = map.binary_data.as_ref().and_then(|data| data.get(key));
                let found = match text.or(binary.map(|octets| octets.0.as_slice())) {
                    Some(pem) => references::bundle(pem).map(|()| pem.to_owned()),
                    None => Err("does not exist".to_owned()),
                };
                Ok(found.map_err(|what| {
                    invalid(
                        ResolvedRefsReason::ConfigMapInvalid,
                        format!(
                            "A CA bundle: key {key} of ConfigMap {name} {what}; {PUT_CERTIFICATES}"
                        ),
                    )
                }))
            }
        }
    }

    async fn secret_key(&self, field: &str, name: &str, key: &str) -> Found<Vec<u8>> {
        Ok(self.secret(field, name).await?.and_then(|secret| {
            let content = secret.data.as_ref().and_then(|data| data.get(key));
            content.map(|ByteString(octets)| octets.clone()).ok_or_else(|| {
                invalid(
                    ResolvedRefsReason::SecretInvalid,
                    format!("{field}: Secret {name} has no key {key}"),
                )
            })
        }))
    }

    async fn secret(&self, field: &str, name: &str) -> Found<Secret> {
        let found = self.contents.secret(name).await;
        Ok(permitted("Secret", name, found)?.and_then(|found| {
            found.ok_or_else(|| {
                invalid(
                    ResolvedRefsReason::SecretNotFound,
                    format!(
                        "{field}: Secret {name} does not exist in namespace {}; create it",
                        self.namespace
                    ),
                )
            })
        }))
    }
}

/// What to do about a bundle without certificates.
const PUT_CERTIFICATES: &str = "put the certificates of the CAs there, as PEM blocks";

/// A request that the API server forbids is a finding about the reference, not a failed reconcile.
fn permitted<T>(
    kind: &str,
    name: &str,
    result: Result<T, kube::Error>,
) -> Result<Result<T, ReferenceError>, kube::Error> {
    match result {
        Ok(found) => Ok(Ok(found)),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(Err(invalid(
            ResolvedRefsReason::RefNotPermitted,
            format!(
                "The operator is not permitted to read {kind} {name} ({}); bind the chart's role to its service account",
                status.message
            ),
        ))),
        Err(error) => Err(error),
    }
}
