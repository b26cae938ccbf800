//! References to objects in the federation's own namespace.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message;

/// An object by name.
#[derive(
    Clone, Debug, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Deserialize, Serialize,
)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// CA certificates (PEM) in one key of an object.
#[derive(
    Clone, Debug, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Deserialize, Serialize,
)]
#[serde(rename_all = "camelCase")]
pub struct BundleKey {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key with the PEM text.
    #[serde(default = "ca_crt")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A shared secret in one key of a Secret.
#[derive(
    Clone, Debug, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Deserialize, Serialize,
)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key with the secret.
    #[serde(default = "secret")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn ca_crt() -> String {
    "ca.crt".into()
}

fn secret() -> String {
    "secret".into()
}

/// Source of CA certificates.
#[derive(
    Clone, Debug, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Deserialize, Serialize,
)]
#[serde(try_from = "BundleReference", into = "BundleReference")]
pub enum BundleRef {
    /// A key of a ConfigMap.
    ConfigMap(BundleKey),
    /// A key of a Secret.
    Secret(BundleKey),
}

/// [`BundleRef`] as written in the resource.
#[derive(Clone, Debug, KubeSchema, Deserialize, Serialize)]
#[x_kube(
    validation = Rule::new("has(self.configMapRef) != has(self.secretRef)").message(message::ONE_BUNDLE_SOURCE)
)]
#[serde(rename_all = "camelCase")]
struct BundleReference {
    /// A key of a ConfigMap. Set exactly one of configMapRef and secretRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config_map_ref: Option<BundleKey>,
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_ref: Option<BundleKey>,
}

impl TryFrom<BundleReference> for BundleRef {
    type Error = &'static str;

    fn try_from(reference: BundleReference) -> Result<Self, Self::Error> {
        match (reference.config_map_ref, reference.secret_ref) {
            (Some(key), None) => Ok(Self::ConfigMap(key)),
            (None, Some(key)) => Ok(Self::Secret(key)),
            _ => Err(message::ONE_BUNDLE_SOURCE),
        }
    }
}

impl From<BundleRef> for BundleReference {
    fn from(bundle: BundleRef) -> Self {
        match bundle {
            BundleRef::ConfigMap(key) => Self { config_map_ref: Some(key), secret_ref: None },
            BundleRef::Secret(key) => Self { config_map_ref: None, secret_ref: Some(key) },
        }
    }
}
