//! The engine's configuration file, with files in place of the resource's references.

use std::net::{Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;

use crds::engine_file::{
    ControlFiles, DialbackFiles, EngineFile, FileBackend, FileBackendCa, FileClaimCheck,
    FileComponent, FileDnssec, FileDomain, FileListen, FilePeer, FileServer, FileTls, KeyPairFiles,
    SplitHorizon, TrustFiles,
};
use crds::federation::backend::Attachment;
use crds::federation::verification::VerificationSpec;
use k8s_openapi::api::core::v1::ConfigMap;

use super::bundles::Bundles;
use super::{BuildError, Given, components, metadata, paths, ports};
use crate::federation::names;
use crate::federation::validated::Validated;

/// ConfigMap with the file.
///
/// # Errors
/// When the file cannot be written as YAML.
pub fn build(federation: &Validated, given: &Given) -> Result<ConfigMap, BuildError> {
    let text = serde_saphyr::to_string(&file(federation, given))
        .map_err(|error| BuildError::EngineFile(error.to_string()))?;
    Ok(ConfigMap {
        metadata: metadata::child(federation, names::engine_config(&federation.name)),
        data: Some([(paths::CONFIG_KEY.to_owned(), text)].into()),
        ..ConfigMap::default()
    })
}

/// What the file says.
pub(super) fn file(federation: &Validated, given: &Given) -> EngineFile {
    let spec = &federation.spec;
    let bundles = Bundles::of(spec);
    let backends = spec.backends.iter().map(|backend| match &backend.attachment {
        Attachment::Server(server) => FileBackend {
            name: backend.name.clone(),
            server: Some(FileServer {
                host: server.host.to_string(),
                port: NonZeroU16::new(server.port),
                authentication: server.authentication,
                trust: Some(TrustFiles {
                    system_roots: false,
                    bundles: vec![server.trust.as_ref().map_or_else(
                        || file_in(paths::BACKEND_CA, paths::CA_CRT),
                        |bundle| bundles.path(bundle),
                    )],
                }),
            }),
            component: None,
        },
        Attachment::Component(component) => FileBackend {
            name: backend.name.clone(),
            server: None,
            component: Some(FileComponent {
                secret_file: components::secret_file(&component.secret_ref),
            }),
        },
    });
    let control = key_pair(paths::CONTROL);
    let with_backends = !spec.backends.is_empty();
    EngineFile {
        host: Some(federation.host.clone()),
        domains: spec
            .domains
            .iter()
            .map(|domain| FileDomain {
                name: domain.name.clone(),
                backend: spec.backend_of(domain).map(|backend| backend.name.clone()),
                contact: domain.contact.clone(),
                show_version: domain.show_version,
            })
            .collect(),
        backends: backends.collect(),
        tls: FileTls {
            certificates: vec![key_pair(paths::TLS)],
            trust: TrustFiles {
                system_roots: spec.tls.trust.system_roots,
                bundles: spec.tls.trust.bundles.iter().map(|b| bundles.path(b)).collect(),
            },
        },
        backend_ca: with_backends.then(backend_ca),
        dialback: Some(DialbackFiles {
            secret_file: file_in(paths::DIALBACK, paths::SECRET),
            previous_secret_file: Some(file_in(paths::DIALBACK, paths::PREVIOUS)),
        }),
        peer_defaults: bundles.settings(&spec.peer_defaults),
        peers: spec
            .peers
            .iter()
            .map(|peer| FilePeer::new(peer.domain.clone(), bundles.settings(&peer.settings)))
            .collect(),
        policy: spec.policy.clone(),
        limits: spec.limits.clone(),
        timeouts: spec.timeouts.clone(),
        egress: spec.egress.clone(),
        listen: FileListen {
            s2s: Some(any(ports::S2S)),
            s2s_tls: spec.service.direct_tls.then(|| any(ports::S2S_TLS)),
            proxy_protocol: Some(spec.service.proxy_protocol.clone())
                .filter(|protocol| !protocol.trusted_sources.is_empty()),
            backend: with_backends.then(|| any(ports::BACKEND)),
            component: components::any(spec).then(|| any(ports::COMPONENT)),
            dns: with_backends.then(|| any(ports::DNS)),
            admin: Some(any(ports::ADMIN)),
            control: Some(ControlFiles {
                address: any(ports::CONTROL),
                certificate_file: control.certificate_file,
                private_key_file: control.private_key_file,
                token_file: file_in(paths::CONTROL, paths::TOKEN),
            }),
        },
        // Host names of backends are still looked up by the resolvers of the pod, which know the cluster's Services.
        resolvers: spec.dns.resolvers.iter().map(|resolver| resolver.0).collect(),
        dnssec: FileDnssec { mode: spec.dns.dnssec, trust_anchors: None },
        claim_check: claim_check(&spec.verification),
        observability: spec.observability.clone(),
        split_horizon: given
            .backend_ip
            .filter(|_| with_backends)
            .zip(NonZeroU16::new(ports::S2S))
            .map(|(address, port)| SplitHorizon {
                address,
                port,
                clients: given.dns_clients.clone(),
            }),
    }
}

fn claim_check(verification: &VerificationSpec) -> FileClaimCheck {
    let peers = verification.claim_check.iter().flat_map(|check| check.peers.clone());
    FileClaimCheck { peers: peers.collect() }
}

fn any(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

fn file_in(folder: &str, key: &str) -> PathBuf {
    PathBuf::from(format!("{folder}/{key}"))
}

fn backend_ca() -> FileBackendCa {
    FileBackendCa {
        certificate_file: file_in(paths::BACKEND_CA, paths::TLS_CRT),
        private_key_file: file_in(paths::BACKEND_CA, paths::TLS_KEY),
        signs_from_file: Some(file_in(paths::BACKEND_CA, paths::SIGNS_FROM)),
    }
}

fn key_pair(folder: &str) -> KeyPairFiles {
    KeyPairFiles {
        certificate_file: file_in(folder, paths::TLS_CRT),
        private_key_file: file_in(folder, paths::TLS_KEY),
    }
}
