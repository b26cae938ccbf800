//! Objects that several tests begin with.

use crds::XmppFederation;
use serde_json::{Value, json};

use crate::reconcile::validate::{Validated, validate};

/// A resource as the API server hands it out.
pub(crate) fn federation(spec: &Value) -> XmppFederation {
    serde_json::from_value(json!({
        "apiVersion": "xmppfederation.dev/v1alpha1",
        "kind": "XmppFederation",
        "metadata": {
            "name": "example",
            "namespace": "im",
            "uid": "5f0c1d2e-0000-4000-8000-000000000001",
            "generation": 1,
            "creationTimestamp": "2026-06-01T00:00:00Z"
        },
        "spec": spec
    }))
    .unwrap()
}

/// The smallest useful spec: one domain, one backend.
pub(crate) fn smallest() -> Value {
    json!({
        "domains": [{"name": "example.com"}],
        "backends": [{"name": "im", "server": {"host": "prosody.im.svc"}}]
    })
}

/// A spec that has passed validation.
pub(crate) fn validated(spec: &Value) -> Validated {
    validate(&federation(spec), &[]).unwrap()
}
