//! `Certificate` of cert-manager.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::federation::tls::IssuerRef;

/// A certificate that cert-manager keeps in a Secret.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "cert-manager.io",
    version = "v1",
    kind = "Certificate",
    plural = "certificates",
    namespaced,
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSpec {
    /// Secret that cert-manager writes.
    pub secret_name: String,
    /// Domains in A-label form.
    pub dns_names: Vec<String>,
    /// The issuer.
    pub issuer_ref: IssuerRef,
    /// Key usages, in cert-manager's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usages: Vec<String>,
    /// How the private key is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<CertificatePrivateKey>,
}

/// How cert-manager makes a private key.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificatePrivateKey {
    /// ECDSA, RSA or Ed25519.
    pub algorithm: String,
    /// Size in bits.
    pub size: i32,
    /// Whether each issuance gets a new key: Always or Never.
    pub rotation_policy: String,
}
