//! Faults that `ResolvedRefs` names: what the spec refers to.

use serde_json::json;

use super::fault::{Fault, lost};
use super::fixture::{CERTIFICATE, Fixture};
use super::stage::Stage;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the Secret with the certificate was deleted",
        fixture: Fixture::Certified,
        inject: |stage| stage.delete("secret", CERTIFICATE),
        expected: lost("ResolvedRefs", "SecretNotFound", "Secret.* public", "[Cc]reate"),
        consequences: &[],
        repair: |stage| stage.put_certificate(&stage.good_certificate()?),
    },
    Fault {
        name: "the Secret contains no certificate",
        fixture: Fixture::Certified,
        inject: |stage| stage.put_pem("no certificate", "no key"),
        expected: lost("ResolvedRefs", "SecretInvalid", "Secret.* public.*tls\\.crt", "PEM"),
        consequences: &[],
        repair: |stage| stage.put_certificate(&stage.good_certificate()?),
    },
    Fault {
        name: "a bundle of CA certificates does not exist",
        fixture: Fixture::Plain,
        inject: |stage| bundle(stage, "partners"),
        expected: lost("ResolvedRefs", "ConfigMapNotFound", "ConfigMap.* partners", "[Cc]reate"),
        consequences: &[],
        repair: Stage::restore_spec,
    },
    Fault {
        name: "a bundle of CA certificates contains none",
        fixture: Fixture::Plain,
        inject: |stage| {
            stage.apply(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "empty"},
                "data": {"ca.crt": "soon"},
            }))?;
            bundle(stage, "empty")
        },
        expected: lost(
            "ResolvedRefs",
            "ConfigMapInvalid",
            "key ca\\.crt of ConfigMap empty",
            "put the certificates of the CAs there",
        ),
        consequences: &[],
        repair: |stage| {
            stage.restore_spec()?;
            stage.delete("configmap", "empty")
        },
    },
    Fault {
        name: "the Secret with the dialback secret does not exist",
        fixture: Fixture::Plain,
        inject: |stage| stage.respec(&json!({"dialback": {"secretRef": {"name": "shared"}}})),
        expected: lost("ResolvedRefs", "SecretNotFound", "Secret.* shared", "[Cc]reate"),
        consequences: &[],
        repair: Stage::restore_spec,
    },
];

fn bundle(stage: &Stage, name: &str) -> crate::error::Result<()> {
    stage.respec(&json!({"tls": {"trust": {"bundles": [{"configMapRef": {"name": name}}]}}}))
}
