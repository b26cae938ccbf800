//! Webhooks that the tests register with an API server.

use serde_json::json;

/// A webhook for requests about a resource in one namespace, except those of the administrator.
#[must_use]
pub fn validating(name: &str, namespace: &str, group: &str, resource: &str, url: &str) -> String {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{
            "name": format!("{name}.example.com"),
            "clientConfig": {"url": url},
            "rules": [{
                "apiGroups": [group], "apiVersions": ["v1"], "resources": [resource],
                "operations": ["CREATE", "UPDATE"]
            }],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "matchConditions": [{
                "name": "not-the-administrator", "expression": "request.userInfo.username != 'admin'"
            }],
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "timeoutSeconds": 10,
            "admissionReviewVersions": ["v1"]
        }]
    })
    .to_string()
}
