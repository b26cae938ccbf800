//! `XmppProbeReport`: what a user saw who connected to a federation from outside (docs/probers.md). A kind of its own, so that
//! the right to report is not the right to change the federation (docs/decisions/0027).

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message;

/// Most streams of a report: every domain at the first address, one at every other one, on both ports.
pub const MAX_STREAMS: usize = 96;
/// Longest quotation of what a server sends, in characters.
pub const MAX_DETAIL: usize = 300;

/// Results of a probe that a user made from outside the cluster.
// Words and addresses are texts, whose values the schema restricts: a report that an operator of another version cannot read
// must not end its watch on all of them.
#[expect(
    clippy::duplicated_attributes,
    reason = "each column of kubectl get has a type and a path"
)]
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "xmppfederation.dev",
    version = "v1alpha1",
    kind = "XmppProbeReport",
    plural = "xmppprobereports",
    shortname = "xfedreport",
    category = "xmpp",
    namespaced,
    doc = "What a user saw who connected to a federation from outside the cluster. kubectl xfed probe creates it.",
    derive = "PartialEq",
    printcolumn(name = "Federation", type_ = "string", json_path = ".spec.federation"),
    printcolumn(name = "Reporter", type_ = "string", json_path = ".spec.reporter"),
    printcolumn(name = "Vantage", type_ = "string", json_path = ".spec.vantage"),
    printcolumn(name = "Outcomes", type_ = "string", json_path = ".spec.results[*].outcome"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("self == oldSelf").message(message::REPORT_CHANGED))]
#[serde(rename_all = "camelCase")]
pub struct XmppProbeReportSpec {
    /// Name of the `XmppFederation`, in the same namespace.
    #[schemars(length(min = 1, max = 52))]
    pub federation: String,
    /// User who reports, as the API server knows the user. The chart's `ValidatingAdmissionPolicy` refuses any other value.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\P{C}+$"))]
    pub reporter: String,
    /// From where the user probed, in the user's own words.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^\P{C}+$"))]
    pub vantage: String,
    /// Local address of the connections. A probe from an address of the cluster is no evidence from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 45))]
    pub source: Option<String>,
    /// One result for each stream.
    #[schemars(length(min = 1, max = 96))]
    pub results: Vec<ReportedStream>,
}

/// One stream that was opened from outside.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedStream {
    /// Address and port of the connection; absent if the host has no address there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub address: Option<String>,
    /// The domain that the stream is addressed to.
    #[schemars(length(min = 1, max = 254))]
    pub domain: String,
    /// How the stream is secured.
    #[schemars(with = "ReportedMode")]
    pub mode: String,
    /// How far the stream came.
    #[schemars(with = "ReportedOutcome")]
    pub outcome: String,
    /// The step that failed, or the error of the system or the TLS library.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 300), regex(pattern = r"^\P{Cc}*$"))]
    pub detail: String,
    /// Condition of the stream error, if the outcome is `StreamError`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64), regex(pattern = "^[a-z-]*$"))]
    pub condition: String,
    /// The server's own words in a stream error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 300), regex(pattern = r"^\P{Cc}*$"))]
    pub text: String,
    /// Version of TLS, if the outcome is Reached.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 16), regex(pattern = r"^[A-Za-z0-9._]*$"))]
    pub tls: String,
    /// SHA-256 of the server's certificate in hexadecimal, if the outcome is Reached.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64), regex(pattern = "^[0-9a-f]*$"))]
    pub certificate: String,
    /// Names in the server's certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 300), regex(pattern = r"^\P{Cc}*$")))]
    pub names: Vec<String>,
}

/// How a stream is secured.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
enum ReportedMode {
    #[schemars(rename = "STARTTLS")]
    StartTls,
    #[schemars(rename = "DirectTLS")]
    DirectTls,
}

/// How far a stream from outside came: the words of a prober's answer.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
enum ReportedOutcome {
    NoAddress,
    NotAllowed,
    Refused,
    TimedOut,
    NoRoute,
    ConnectFailed,
    Reset,
    Stalled,
    NotXmpp,
    StartTlsNotOffered,
    HandshakeFailed,
    StreamError,
    Reached,
}
