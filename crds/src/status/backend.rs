//! Backends, in the reports of the operator.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backend::ServerSoftware;

/// A backend.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    /// Name of the backend in the spec.
    #[schemars(length(max = 40))]
    pub name: String,
    /// Address of the DNS server that the backend must use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub dns_server: Option<String>,
    /// ConfigMap with the CA (ca.crt) that the backend must trust for server-to-server streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub ca_config_map: Option<String>,
    /// Secret with a certificate that this CA issued for the domains of this backend, for a backend without its own
    /// certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub tls_secret: Option<String>,
    /// When the CA is renewed: a new one is added to the ConfigMap, or, if it is there already, begins to sign. The backend must
    /// load the ConfigMap again before that second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_renewal_time: Option<Time>,
    /// The server that answers the engine's pings, by its own words. Absent while no ping has come back, and if the server reports
    /// no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<BackendServerStatus>,
    /// How to configure the backend: the settings of the server that was found, or of every known server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub configure: Option<String>,
    /// Whether the backend works.
    pub state: BackendState,
    /// Reason of the state; a reason of the condition `BackendReady`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub reason: Option<String>,
    /// The observation and the action that it calls for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// The server that was found behind a backend.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendServerStatus {
    /// The known server of that name.
    #[serde(rename = "type")]
    pub type_: ServerSoftware,
    /// The name that it reports.
    #[schemars(length(max = 64))]
    pub name: String,
    /// The version that it reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,
}

/// Whether a backend works.
#[derive(Clone, Copy, Debug, Eq, JsonSchema, PartialEq, Deserialize, Serialize)]
pub enum BackendState {
    /// A round trip succeeded for every domain.
    Connected,
    /// At least one domain fails.
    Failed,
    /// Not tried yet, or not known.
    #[serde(other)]
    Unknown,
}
