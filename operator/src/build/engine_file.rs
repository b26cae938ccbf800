//! The engine's configuration file, with the field names of the resource and files in place of references.

use std::net::IpAddr;
use std::path::PathBuf;

use crds::backend::BackendAuthentication;
use crds::contact::Contact;
use crds::dnssec::DnssecMode;
use crds::domain::Domain;
use crds::egress::Egress;
use crds::federation::backend::Attachment;
use crds::limits::{Limits, Timeouts};
use crds::pattern::DomainPattern;
use crds::peer::PeerSettings;
use crds::policy::Policy;
use crds::target::RouteHost;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Serialize;

use super::bundles::Bundles;
use super::{BuildError, Given, metadata, paths, ports};
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

fn file(federation: &Validated, given: &Given) -> File {
    let spec = &federation.spec;
    let bundles = Bundles::of(spec);
    let backends = spec.backends.iter().map(|backend| match &backend.attachment {
        Attachment::Server(server) => FileBackend {
            name: backend.name.clone(),
            server: Some(FileServer {
                host: server.host.clone(),
                port: server.port,
                authentication: server.authentication,
                trust: Some(FileTrust {
                    system_roots: false,
                    bundles: vec![server.trust.as_ref().map_or_else(
                        || file_in(paths::BACKEND_CA, paths::TLS_CRT),
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
                // Not in effect yet: the secret is not mounted, and the engine does not listen for components.
                secret_file: file_in("/etc/xmpp-federation/components", &component.secret_ref.name),
            }),
        },
    });
    let with_backends = !spec.backends.is_empty();
    File {
        host: federation.host.clone(),
        domains: spec
            .domains
            .iter()
            .map(|domain| FileDomain {
                name: domain.name.clone(),
                backend: spec.backend_of(domain).map(|backend| backend.name.clone()),
                contact: domain.contact.clone(),
            })
            .collect(),
        backends: backends.collect(),
        tls: FileTls {
            certificates: vec![key_pair(paths::TLS)],
            trust: FileTrust {
                system_roots: spec.tls.trust.system_roots,
                bundles: spec.tls.trust.bundles.iter().map(|b| bundles.path(b)).collect(),
            },
        },
        backend_ca: with_backends.then(|| key_pair(paths::BACKEND_CA)),
        dialback: FileDialback {
            secret_file: file_in(paths::DIALBACK, paths::SECRET),
            previous_secret_file: file_in(paths::DIALBACK, paths::PREVIOUS),
        },
        peer_defaults: bundles.settings(&spec.peer_defaults),
        peers: spec
            .peers
            .iter()
            .map(|peer| FilePeer {
                domain: peer.domain.clone(),
                settings: bundles.settings(&peer.settings),
            })
            .collect(),
        policy: spec.policy.clone(),
        limits: spec.limits.clone(),
        timeouts: spec.timeouts.clone(),
        egress: spec.egress.clone(),
        listen: FileListen {
            s2s: any(ports::S2S),
            s2s_tls: spec.service.direct_tls.then(|| any(ports::S2S_TLS)),
            backend: with_backends.then(|| any(ports::BACKEND)),
            dns: with_backends.then(|| any(ports::DNS)),
            admin: any(ports::ADMIN),
            control: FileControl {
                address: any(ports::CONTROL),
                pair: key_pair(paths::CONTROL),
                token_file: file_in(paths::CONTROL, paths::TOKEN),
            },
        },
        dnssec: FileDnssec { mode: spec.dns.dnssec },
        split_horizon: given.backend_ip.filter(|_| with_backends).map(|address| FileSplitHorizon {
            address,
            port: ports::S2S,
            clients: given.dns_clients.clone(),
        }),
    }
}

fn any(port: u16) -> String {
    format!("[::]:{port}")
}

fn file_in(folder: &str, key: &str) -> PathBuf {
    PathBuf::from(format!("{folder}/{key}"))
}

fn key_pair(folder: &str) -> FileKeyPair {
    FileKeyPair {
        certificate_file: file_in(folder, paths::TLS_CRT),
        private_key_file: file_in(folder, paths::TLS_KEY),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    host: Domain,
    domains: Vec<FileDomain>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    backends: Vec<FileBackend>,
    tls: FileTls,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend_ca: Option<FileKeyPair>,
    dialback: FileDialback,
    peer_defaults: PeerSettings<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    peers: Vec<FilePeer>,
    policy: Policy,
    limits: Limits,
    timeouts: Timeouts,
    egress: Egress,
    listen: FileListen,
    dnssec: FileDnssec,
    #[serde(skip_serializing_if = "Option::is_none")]
    split_horizon: Option<FileSplitHorizon>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileDomain {
    name: Domain,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<String>,
    #[serde(skip_serializing_if = "Contact::is_empty")]
    contact: Contact,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileBackend {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<FileServer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<FileComponent>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileServer {
    host: RouteHost,
    port: u16,
    authentication: BackendAuthentication,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<FileTrust>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileComponent {
    secret_file: PathBuf,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileTls {
    certificates: Vec<FileKeyPair>,
    trust: FileTrust,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileTrust {
    system_roots: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bundles: Vec<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileKeyPair {
    certificate_file: PathBuf,
    private_key_file: PathBuf,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileDialback {
    secret_file: PathBuf,
    previous_secret_file: PathBuf,
}

#[derive(Serialize)]
struct FilePeer {
    domain: DomainPattern,
    #[serde(flatten)]
    settings: PeerSettings<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileListen {
    s2s: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    s2s_tls: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<String>,
    admin: String,
    control: FileControl,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileControl {
    address: String,
    #[serde(flatten)]
    pair: FileKeyPair,
    token_file: PathBuf,
}

#[derive(Serialize)]
struct FileDnssec {
    mode: DnssecMode,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileSplitHorizon {
    address: IpAddr,
    port: u16,
    clients: Vec<IpNet>,
}
