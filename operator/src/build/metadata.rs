//! Metadata that every child has.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::federation::validated::Validated;

/// Label with the name of the federation that an object belongs to.
pub const FEDERATION_LABEL: &str = "xmppfederation.dev/federation";
/// Selects all objects that the operator created.
pub const MANAGED_BY_SELECTOR: &str = "app.kubernetes.io/managed-by=xmpp-federation-operator";

/// Metadata of a child: name, namespace, labels, and the federation as its controller.
pub fn child(federation: &Validated, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(federation.namespace.clone()),
        labels: Some(labels(&federation.name)),
        owner_references: Some(vec![federation.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// The recommended labels, and the federation's own.
pub fn labels(name: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "federation-engine"),
        ("app.kubernetes.io/instance", name),
        ("app.kubernetes.io/component", "engine"),
        ("app.kubernetes.io/part-of", "xmpp-federation"),
        ("app.kubernetes.io/managed-by", crds::FIELD_MANAGER),
        (FEDERATION_LABEL, name),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Labels that select the engine's pods. A Deployment's selector cannot change, so it has only two labels.
pub fn selector_labels(name: &str) -> BTreeMap<String, String> {
    [("app.kubernetes.io/component", "engine"), (FEDERATION_LABEL, name)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// [`selector_labels`] in the notation of `kubectl get -l`.
pub fn selector_text(name: &str) -> String {
    let labels = selector_labels(name).into_iter().map(|(key, value)| format!("{key}={value}"));
    labels.collect::<Vec<_>>().join(",")
}

/// [`selector_labels`] as a selector.
pub fn selector(name: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(selector_labels(name)), match_expressions: None }
}
