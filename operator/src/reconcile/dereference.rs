//! Reads the objects that a federation refers to, and those issued for it before. The first step of a reconcile; all I/O.

use crds::domain::Domain;
use crds::federation::reference::BundleRef;
use crds::federation::tls::CertificateSource;
use crds::reason::ResolvedRefsReason;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

use crate::build::{bundles, paths};
use crate::children::is_controlled_by;
use crate::evidence::references::{self, ReferenceProblem, References};
use crate::federation::material::Existing;
use crate::federation::names;
use crate::federation::validated::Validated;

/// The Secrets that the operator issued, and the state of the references.
#[derive(Clone, Default)]
pub struct Dereferenced {
    /// What the operator issued before.
    pub existing: Existing,
    /// What the spec refers to.
    pub references: References,
}

/// Reads everything.
///
/// # Errors
/// When a call to the API server fails. A reference that the operator is not permitted to read is a finding instead.
pub async fn dereference(
    client: &Client,
    federation: &Validated,
) -> Result<Dereferenced, kube::Error> {
    let name = federation.name.as_str();
    let secrets = Api::<Secret>::namespaced(client.clone(), &federation.namespace);
    let own = |name: String| {
        let secrets = secrets.clone();
        async move {
            let found = secrets.get_opt(&name).await?;
            // A foreign Secret of that name is not read; applying reports it.
            Ok::<_, kube::Error>(found.filter(|s| is_controlled_by(s, &federation.owner.uid)))
        }
    };
    let (control, dialback, backend_ca, backend_tls, self_signed) = tokio::try_join!(
        own(names::control(name)),
        own(names::dialback(name)),
        own(names::backend_ca(name)),
        own(names::backend_tls(name)),
        own(names::self_signed(name)),
    )?;
    Ok(Dereferenced {
        existing: Existing { control, dialback, backend_ca, backend_tls, self_signed },
        references: References::read(client, federation).await?,
    })
}

impl References {
    async fn read(client: &Client, federation: &Validated) -> Result<Self, kube::Error> {
        let reader = Reader { client, namespace: &federation.namespace };
        let spec = &federation.spec;
        let mut all = Self::default();
        if let Some(CertificateSource::Secret(reference)) = &spec.tls.certificate {
            let domains: Vec<Domain> = federation.domains().cloned().collect();
            match reader.certificate(&reference.name, &domains).await? {
                Ok(seen) => all.certificate = Some(seen),
                Err(problem) => all.problems.push(problem),
            }
        }
        for bundle in bundles::references(spec) {
            all.problems.extend(reader.bundle(bundle).await?.err());
        }
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
        Ok(all)
    }
}

fn invalid(reason: ResolvedRefsReason, message: String) -> ReferenceProblem {
    ReferenceProblem { reason, message }
}

struct Reader<'a> {
    client: &'a Client,
    namespace: &'a str,
}

/// The outer error ends the reconcile, the inner one is a finding.
type Found<T> = Result<Result<T, ReferenceProblem>, kube::Error>;

impl Reader<'_> {
    async fn certificate(
        &self,
        name: &str,
        domains: &[Domain],
    ) -> Found<references::CertificateSeen> {
        let field = "spec.tls.certificate.secretRef";
        let secret = match self.secret(field, name).await? {
            Ok(secret) => secret,
            Err(problem) => return Ok(Err(problem)),
        };
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
            match (key(paths::TLS_CRT), key(paths::TLS_KEY)) {
                (Ok(certificate), Ok(private_key)) => (certificate, private_key),
                (Err(problem), _) | (_, Err(problem)) => return Ok(Err(problem)),
            };
        let object = format!("Secret {name}");
        Ok(references::certificate(&object, certificate, private_key, domains).map_err(|error| {
            invalid(ResolvedRefsReason::SecretInvalid, format!("{field}: {error}"))
        }))
    }

    async fn bundle(&self, bundle: &BundleRef) -> Found<()> {
        match bundle {
            BundleRef::Secret(reference) => {
                let (name, key) = (&reference.name, &reference.key);
                Ok(match self.secret_key("a CA bundle", name, key).await? {
                    Ok(pem) => references::bundle(&pem).map_err(|what| {
                        invalid(
                            ResolvedRefsReason::SecretInvalid,
                            format!("A CA bundle: key {key} of Secret {name} {what}"),
                        )
                    }),
                    Err(problem) => Err(problem),
                })
            }
            BundleRef::ConfigMap(reference) => {
                let (name, key) = (&reference.name, &reference.key);
                let maps = Api::<ConfigMap>::namespaced(self.client.clone(), self.namespace);
                let map = match permitted("ConfigMap", name, maps.get_opt(name).await)? {
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
                    Some(pem) => references::bundle(pem),
                    None => Err("does not exist".to_owned()),
                };
                Ok(found.map_err(|what| {
                    invalid(
                        ResolvedRefsReason::ConfigMapInvalid,
                        format!("A CA bundle: key {key} of ConfigMap {name} {what}"),
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
        let secrets = Api::<Secret>::namespaced(self.client.clone(), self.namespace);
        Ok(permitted("Secret", name, secrets.get_opt(name).await)?.and_then(|found| {
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

/// A request that the API server forbids is a finding about the reference, not a failed reconcile.
fn permitted<T>(
    kind: &str,
    name: &str,
    result: Result<T, kube::Error>,
) -> Result<Result<T, ReferenceProblem>, kube::Error> {
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
