//! Secrets whose content the operator generates or copies, and the public part of the backend CA.

use std::collections::BTreeMap;

use federation_engine::tls::issue::PemPair;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::{Given, metadata, paths};
use crate::federation::material::BackendLeaf;
use crate::federation::names;
use crate::federation::serving::{SOURCE, Source};
use crate::federation::validated::Validated;

/// Secret of the dialback keys; `None` if the resource names its own.
pub fn dialback(federation: &Validated, given: &Given) -> Option<Secret> {
    let material = given.material.dialback.as_ref()?;
    let mut data = BTreeMap::from([entry(paths::SECRET, material.secret.as_bytes())]);
    if let Some(previous) = &material.previous {
        data.extend([entry(paths::PREVIOUS, previous.as_bytes())]);
    }
    let mut secret = secret(federation, names::dialback(&federation.name), "Opaque", data);
    secret.metadata.annotations =
        Some(material.annotations.clone()).filter(|annotations| !annotations.is_empty());
    Some(secret)
}

/// Secret with the credentials for the engine's control port.
pub fn control(federation: &Validated, given: &Given) -> Secret {
    let material = &given.material.control;
    let mut data = pair(&material.pair);
    data.extend([entry(paths::TOKEN, material.token.as_bytes())]);
    secret(federation, names::control(&federation.name), "Opaque", data)
}

/// Secret of the backend CA, with its successor and all certificates to trust; `None` without backends.
pub fn backend_ca(federation: &Validated, given: &Given) -> Option<Secret> {
    let ca = &given.material.backend.as_ref()?.ca;
    let name = names::backend_ca(&federation.name);
    let mut data = pair(&ca.signing);
    data.extend([entry(paths::CA_CRT, ca.bundle().as_bytes())]);
    if let Some(next) = &ca.next {
        data.extend([
            entry(paths::NEXT_CRT, next.certificate.as_bytes()),
            entry(paths::NEXT_KEY, next.private_key.as_bytes()),
        ]);
    }
    data.extend(ca.signs_from.map(|at| entry(paths::SIGNS_FROM, at.to_string().as_bytes())));
    let mut secret = secret(federation, name, "kubernetes.io/tls", data);
    secret.metadata.annotations =
        Some(ca.annotations.clone()).filter(|annotations| !annotations.is_empty());
    Some(secret)
}

/// ConfigMap with the certificates of the backend CA, to be mounted into the backend.
pub fn backend_ca_public(federation: &Validated, given: &Given) -> Option<ConfigMap> {
    let ca = &given.material.backend.as_ref()?.ca;
    Some(ConfigMap {
        metadata: metadata::child(federation, names::backend_ca(&federation.name)),
        data: Some([(paths::CA_CRT.to_owned(), ca.bundle())].into()),
        ..ConfigMap::default()
    })
}

/// Secrets with a certificate for the S2S listener of each backend.
pub fn backend_tls(federation: &Validated, given: &Given) -> Vec<Secret> {
    let Some(material) = &given.material.backend else { return Vec::new() };
    let of = |leaf: &BackendLeaf| {
        let mut data = pair(&leaf.pair);
        let combined = format!("{}{}", leaf.pair.private_key, leaf.pair.certificate);
        data.extend([
            entry(paths::CA_CRT, material.ca.bundle().as_bytes()),
            entry(paths::TLS_COMBINED, combined.as_bytes()),
        ]);
        secret(federation, leaf.secret.clone(), "kubernetes.io/tls", data)
    };
    material.leaves.iter().map(of).collect()
}

/// Secret with the self-signed certificate, used if the user configures none.
pub fn self_signed(federation: &Validated, given: &Given) -> Option<Secret> {
    let material = given.material.self_signed.as_ref()?;
    let name = names::self_signed(&federation.name);
    Some(secret(federation, name, "kubernetes.io/tls", pair(material)))
}

/// Secret with the certificate that the pods serve, copied from where the spec says.
pub fn serving(federation: &Validated, given: &Given) -> Option<Secret> {
    let offer = given.serving.as_ref()?;
    let name = names::serving(&federation.name);
    let mut secret = secret(federation, name, "kubernetes.io/tls", pair(&offer.pair));
    let source = (SOURCE.to_owned(), offer.source.annotation());
    secret.metadata.annotations = Some([source].into());
    Some(secret)
}

/// Whether [`serving`] is a copy of [`self_signed`].
pub fn is_self_signed(given: &Given) -> bool {
    given.serving.as_ref().is_some_and(|offer| offer.source == Source::SelfSigned)
}

fn pair(pair: &PemPair) -> BTreeMap<String, ByteString> {
    [
        entry(paths::TLS_CRT, pair.certificate.as_bytes()),
        entry(paths::TLS_KEY, pair.private_key.as_bytes()),
    ]
    .into()
}

fn entry(key: &str, value: &[u8]) -> (String, ByteString) {
    (key.to_owned(), ByteString(value.to_vec()))
}

fn secret(
    federation: &Validated,
    name: String,
    type_: &str,
    data: BTreeMap<String, ByteString>,
) -> Secret {
    Secret {
        metadata: metadata::child(federation, name),
        type_: Some(type_.to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}
