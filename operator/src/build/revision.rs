//! Which pods an operator builds, as annotations of the Deployment. After an upgrade of the operator they say which federations
//! have the pods of the new version, and whether the spec has changed since the pods of a federation were built.

use data_encoding::HEXLOWER;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Child, Settings, deployment};
use crate::federation::validated::Validated;

/// [`revision`] of the operator that built the pods.
pub const REVISION: &str = "xmppfederation.dev/engine-revision";
/// Generation of the federation that the pods were built from.
pub const GENERATION: &str = "xmppfederation.dev/generation";
/// Hexadecimal digits of a revision.
const LENGTH: usize = 16;

/// Identifies the pods that an operator with these settings builds. It changes with the image, and with whatever another
/// version of the operator builds from the same federation.
pub fn revision(settings: &Settings) -> String {
    let template = sample().and_then(|sample| deployment::build(&sample, settings).spec);
    let bytes = serde_json::to_vec(&template).unwrap_or_default();
    let mut revision = HEXLOWER.encode(&Sha256::digest(&bytes));
    revision.truncate(LENGTH);
    revision
}

/// Annotates a Deployment.
pub fn mark(deployment: &mut Child, settings: &Settings, generation: Option<i64>) {
    let annotations = deployment.object.annotations_mut();
    annotations.insert(REVISION.to_owned(), revision(settings));
    annotations.extend(generation.map(|number| (GENERATION.to_owned(), number.to_string())));
}

/// A federation with everything that its pods depend on.
fn sample() -> Option<Validated> {
    let spec = json!({
        "domains": [{"name": "example.com"}, {"name": "bot.example.com", "backend": "bot"}],
        "backends": [
            {"name": "im", "server": {"host": "im", "trust": {"configMapRef": {"name": "ca"}}}},
            {"name": "bot", "component": {"secretRef": {"name": "bot"}}}
        ],
        "tls": {"trust": {"bundles": [{"configMapRef": {"name": "ca"}}]}}
    });
    Some(Validated {
        namespace: "sample".to_owned(),
        name: "sample".to_owned(),
        owner: OwnerReference::default(),
        generation: None,
        rotation: None,
        ca_rotation: None,
        replace_service: false,
        created: None,
        host: "example.com".parse().ok()?,
        spec: serde_json::from_value(spec).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::settings;

    #[test]
    fn a_revision_is_stable_and_changes_with_the_image() {
        assert!(sample().is_some());
        let other = Settings { engine_image: "federation-engine:2".to_owned(), ..settings() };
        assert_eq!(revision(&settings()), revision(&settings()));
        assert_ne!(revision(&settings()), revision(&other));
        assert_eq!(revision(&other).len(), LENGTH);
    }
}
