//! The federation's certificate, and which certificates of peers it trusts.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reference::{BundleRef, LocalRef};
use crate::message;

/// Certificate and trust of the outer leg.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsSpec {
    /// Certificate for all local domains. If absent, the operator issues a self-signed one, which is enough for peers that use
    /// dialback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateSource>,
    /// Which certificates of peers are trusted.
    #[serde(default, skip_serializing_if = "crate::is_default")]
    pub trust: TrustSpec,
}

/// Which certificates of peers are trusted.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustSpec {
    /// Trust the public certification authorities.
    #[serde(default = "crate::yes")]
    pub system_roots: bool,
    /// Additional CA certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub bundles: Vec<BundleRef>,
}

impl Default for TrustSpec {
    fn default() -> Self {
        Self { system_roots: true, bundles: Vec::new() }
    }
}

/// Source of the certificate.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "CertificateEntry", into = "CertificateEntry")]
pub enum CertificateSource {
    /// A Secret of type `kubernetes.io/tls` that the operator does not manage.
    Secret(LocalRef),
    /// A cert-manager issuer; the operator creates the Certificate.
    Issuer(IssuerRef),
}

/// A cert-manager issuer.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuerRef {
    /// Name of the issuer.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Kind of the issuer.
    #[serde(default = "issuer_kind")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// API group of the issuer.
    #[serde(default = "issuer_group")]
    #[schemars(length(min = 1, max = 253))]
    pub group: String,
}

fn issuer_kind() -> String {
    "Issuer".into()
}

fn issuer_group() -> String {
    "cert-manager.io".into()
}

/// [`CertificateSource`] as written in the resource.
#[derive(Clone, Debug, KubeSchema, Deserialize, Serialize)]
#[x_kube(
    validation = Rule::new("has(self.secretRef) != has(self.issuerRef)").message(message::ONE_CERTIFICATE_SOURCE)
)]
#[serde(rename_all = "camelCase")]
struct CertificateEntry {
    /// A Secret with tls.crt and tls.key. Set exactly one of secretRef and issuerRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_ref: Option<LocalRef>,
    /// A cert-manager issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer_ref: Option<IssuerRef>,
}

impl TryFrom<CertificateEntry> for CertificateSource {
    type Error = &'static str;

    fn try_from(entry: CertificateEntry) -> Result<Self, Self::Error> {
        match (entry.secret_ref, entry.issuer_ref) {
            (Some(secret), None) => Ok(Self::Secret(secret)),
            (None, Some(issuer)) => Ok(Self::Issuer(issuer)),
            _ => Err(message::ONE_CERTIFICATE_SOURCE),
        }
    }
}

impl From<CertificateSource> for CertificateEntry {
    fn from(source: CertificateSource) -> Self {
        match source {
            CertificateSource::Secret(secret) => {
                Self { secret_ref: Some(secret), issuer_ref: None }
            }
            CertificateSource::Issuer(issuer) => {
                Self { secret_ref: None, issuer_ref: Some(issuer) }
            }
        }
    }
}
