//! Types of the custom resources `XmppFederation` and `XmppProbeReport`, of the engine's configuration file, and those that the two share.
//!
//! The shared types (domains, peer settings, policy, limits) and the file itself depend neither on Kubernetes nor on I/O;
//! without the feature `kube`, the crate has only these.

#![cfg_attr(
    feature = "kube",
    allow(unreachable_pub, reason = "KubeSchema copies each public struct into a function body")
)]

pub mod backend;
pub mod contact;
pub mod dnssec;
pub mod domain;
pub mod effective;
pub mod egress;
pub mod engine_file;
pub mod impossible;
pub mod limits;
mod named;
mod not_in_effect;
pub mod observability;
pub mod pattern;
pub mod peer;
pub mod policy;
pub mod proxy_protocol;
pub mod rules;
pub mod target;
mod text;
pub mod word;
pub mod xmpp;

#[cfg(feature = "kube")]
pub mod condition;
#[cfg(feature = "kube")]
pub mod external;
#[cfg(feature = "kube")]
pub mod federation;
#[cfg(feature = "kube")]
pub mod help;
#[cfg(feature = "kube")]
pub mod manifest;
#[cfg(feature = "kube")]
pub mod message;
#[cfg(feature = "kube")]
pub mod probe_report;
#[cfg(feature = "kube")]
pub mod reason;
#[cfg(feature = "kube")]
pub mod status;
#[cfg(feature = "kube")]
pub mod validate;

#[cfg(feature = "kube")]
pub use federation::{XmppFederation, XmppFederationSpec};
#[cfg(feature = "kube")]
pub use probe_report::{XmppProbeReport, XmppProbeReportSpec};
#[cfg(feature = "kube")]
pub use status::XmppFederationStatus;

/// API group of the resource.
#[cfg(feature = "kube")]
pub const GROUP: &str = "xmppfederation.dev";
/// Field manager of everything that the operator applies, and value of `app.kubernetes.io/managed-by`.
#[cfg(feature = "kube")]
pub const FIELD_MANAGER: &str = "xmpp-federation-operator";

/// Annotation of an `XmppFederation`: with the value `true`, the operator deletes a Service that cannot be changed in place,
/// and creates it anew.
#[cfg(feature = "kube")]
pub const ALLOW_SERVICE_REPLACEMENT: &str = "xmppfederation.dev/allow-service-replacement";

/// Annotation of an `XmppFederation`: the class of the operators that may serve it.
#[cfg(feature = "kube")]
pub const CLASS: &str = "xmppfederation.dev/class";
/// Class of a federation without the annotation [`CLASS`], and of an operator that is given none.
#[cfg(feature = "kube")]
pub const DEFAULT_CLASS: &str = "default";

/// For `default`: a setting that is on by default.
const fn yes() -> bool {
    true
}

/// For `skip_serializing_if`: a section with only default values is left out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
