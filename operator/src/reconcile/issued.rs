//! Reads what cert-manager keeps for a federation: the Certificate, the objects of an issuance, and the Secret with the
//! result.

use crds::federation::tls::IssuerRef;
use crds::reason::ResolvedRefsReason;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt};

use crate::build::metadata::FEDERATION_LABEL;
use crate::children::is_controlled_by;
use crate::evidence::issuance::{self, Chain, Issuance, Progress};
use crate::evidence::references::ReferenceError;
use crate::federation::names;
use crate::federation::serving::Source;
use crate::federation::validated::Validated;
use crate::reconcile::contents::Contents;

/// Annotation by which cert-manager marks the Secret of a Certificate.
const CERTIFICATE_NAME: &str = "cert-manager.io/certificate-name";
/// Maximum objects of one kind that are read: a namespace may have Challenges of many other Certificates.
const MAX_OBJECTS: u32 = 500;

/// What cert-manager keeps for a federation.
#[derive(Clone, Debug, Default)]
pub struct Issued {
    /// The Certificate, if the federation owns it.
    pub certificate: Option<DynamicObject>,
    /// The Secret, if cert-manager wrote it for the Certificate.
    pub secret: Option<Secret>,
    /// Progress of an issuance.
    pub issuance: Issuance,
    /// What the user must correct.
    pub problems: Vec<ReferenceError>,
    /// A Secret of that name exists and is not cert-manager's.
    pub is_taken: bool,
}

impl Issued {
    /// cert-manager works on the Certificate, or has not seen it yet.
    pub fn is_in_progress(&self) -> bool {
        match &self.certificate {
            Some(certificate) => issuance::is_in_progress(certificate),
            None => self.issuance.kind_exists && self.secret.is_none(),
        }
    }

    /// The issuer for which a Certificate should exist. A Certificate that is still served keeps its issuer, so that it is
    /// renewed until its replacement is valid.
    pub fn issuer(&self, federation: &Validated, served: Option<&Source>) -> Option<IssuerRef> {
        if !self.issuance.kind_exists || self.is_taken {
            return None;
        }
        let is_served = matches!(served, Some(Source::Certificate(_)));
        federation.issuer().cloned().or_else(|| {
            self.certificate.as_ref().filter(|_| is_served).and_then(issuance::issuer_of)
        })
    }
}

/// Reads everything.
///
/// # Errors
/// When a call to the API server fails. What the operator is not permitted to read is left out.
pub async fn read(
    contents: &Contents<'_>,
    federation: &Validated,
    kind_exists: bool,
) -> Result<Issued, kube::Error> {
    let name = names::issued(&federation.name);
    let found = contents.secret(&name).await?;
    let is_of_certificate =
        |secret: &Secret| secret.annotations().get(CERTIFICATE_NAME) == Some(&name);
    let is_taken = found.as_ref().is_some_and(|secret| !is_of_certificate(secret));
    let mut all = Issued {
        secret: found.filter(|_| !is_taken),
        issuance: Issuance { kind_exists, report: None },
        is_taken,
        ..Issued::default()
    };
    if is_taken {
        all.problems.push(ReferenceError {
            reason: ResolvedRefsReason::SecretInvalid,
            message: format!(
                "spec.tls.certificate.issuerRef: cert-manager would overwrite Secret {name}, which exists and was not issued for Certificate {name}; delete or rename the Secret"
            ),
        });
    }
    if kind_exists {
        all.certificate = certificate(contents, federation, &name).await?;
    }
    if let Some(certificate) = &all.certificate
        && issuance::is_in_progress(certificate)
    {
        let chain = chain(contents.client(), federation).await?;
        all.issuance.report = issuance::deepest(certificate, &chain);
    }
    if let (Some(issuer), Some(report)) = (federation.issuer(), &all.issuance.report)
        && report.progress == Progress::IssuerNotFound
    {
        all.problems.push(ReferenceError {
            reason: ResolvedRefsReason::IssuerNotFound,
            message: format!(
                "spec.tls.certificate.issuerRef: {} {}: {}; create {} {}, or correct the reference",
                report.kind, report.name, report.message, issuer.kind, issuer.name
            ),
        });
    }
    Ok(all)
}

/// The Certificate. A foreign one of that name is not read; applying reports it.
async fn certificate(
    contents: &Contents<'_>,
    federation: &Validated,
    name: &str,
) -> Result<Option<DynamicObject>, kube::Error> {
    match contents.certificate(name).await {
        Ok(found) => Ok(found.filter(|found| is_controlled_by(found, &federation.owner.uid))),
        // Applying the Certificate reports the missing permission.
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The objects of issuances. cert-manager copies the labels of a Certificate to its `CertificateRequests` and Orders, and
/// not to Challenges.
async fn chain(client: &Client, federation: &Validated) -> Result<Chain, kube::Error> {
    let labelled = ListParams::default().labels(&format!("{FEDERATION_LABEL}={}", federation.name));
    let list = |kind: ApiResource, parameters: ListParams| {
        let api =
            Api::<DynamicObject>::namespaced_with(client.clone(), &federation.namespace, &kind);
        async move {
            match api.list(&parameters.limit(MAX_OBJECTS)).await {
                Ok(found) => Ok(found.items),
                Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        }
    };
    let [requests, orders, challenges] = chain_kinds();
    let (requests, orders, challenges) = tokio::try_join!(
        list(requests, labelled.clone()),
        list(orders, labelled),
        list(challenges, ListParams::default()),
    )?;
    Ok(Chain { requests, orders, challenges })
}

/// The kinds below a Certificate: `CertificateRequest`, Order, Challenge.
pub fn chain_kinds() -> [ApiResource; 3] {
    [
        resource("cert-manager.io", "CertificateRequest", "certificaterequests"),
        resource("acme.cert-manager.io", "Order", "orders"),
        resource("acme.cert-manager.io", "Challenge", "challenges"),
    ]
}

fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
}
