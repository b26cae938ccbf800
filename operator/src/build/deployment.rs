//! Deployment of the engine: `restricted` pod security, no API token, read-only root.
//!
//! Nothing in the pod template depends on the content of configuration, certificates or secrets: the engine reloads
//! them when they change, and a restart would break every authenticated stream.

use std::collections::BTreeMap;

use federation_engine::log::FEDERATION_VARIABLE;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, HTTPGetAction,
    KeyToPath, LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
    ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext,
    TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::bundles::Bundles;
use super::{Settings, components, metadata, paths, ports};
use crate::federation::names;
use crate::federation::validated::Validated;

/// Time for graceful shutdown after SIGTERM, in seconds. The engine needs up to 38 s.
const GRACE_SECONDS: i64 = 40;
/// Time that a pod may take to become ready, in seconds, before the rollout counts as stuck.
const PROGRESS_DEADLINE_SECONDS: i32 = 120;
/// Memory limit of a pod unless the spec sets one.
pub const DEFAULT_MEMORY_LIMIT: &str = "512Mi";
/// Name of the container.
pub const CONTAINER: &str = "engine";
/// Name of the volume with the certificate.
pub const TLS_VOLUME: &str = "tls";

/// The Deployment.
pub fn build(federation: &Validated, settings: &Settings) -> Deployment {
    let pod = &federation.spec.pod;
    let mut labels = pod.labels.clone();
    // The operator's own labels select the pods; the user's never replace them.
    labels.extend(metadata::labels(&federation.name));
    let annotations = Some(pod.annotations.clone()).filter(|all| !all.is_empty());
    Deployment {
        metadata: metadata::child(federation, names::own(&federation.name)),
        spec: Some(DeploymentSpec {
            replicas: Some(i32::from(federation.spec.replicas)),
            selector: metadata::selector(&federation.name),
            // A new replica is ready before an old one terminates, so that the port is always served, even with one replica.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            revision_history_limit: Some(2),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations,
                    ..ObjectMeta::default()
                }),
                spec: Some(pod_spec(federation, settings)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn pod_spec(federation: &Validated, settings: &Settings) -> PodSpec {
    let wanted = &federation.spec.pod;
    let (volumes, mounts): (Vec<_>, Vec<_>) = volumes(federation).into_iter().unzip();
    let pull_secrets = &wanted.image_pull_secrets;
    PodSpec {
        service_account_name: Some(names::own(&federation.name)),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        // No user and no group: OpenShift assigns them from the range of the namespace and refuses others. Elsewhere
        // the image's numeric user applies.
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![container(federation, settings, mounts)],
        volumes: Some(volumes),
        node_selector: Some(wanted.node_selector.clone()).filter(|all| !all.is_empty()),
        tolerations: Some(wanted.tolerations.clone()).filter(|all| !all.is_empty()),
        affinity: wanted.affinity.clone(),
        topology_spread_constraints: Some(if wanted.topology_spread_constraints.is_empty() {
            ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
                .map(|key| spread(key, &federation.name))
                .into()
        } else {
            wanted.topology_spread_constraints.clone()
        }),
        priority_class_name: wanted.priority_class_name.clone(),
        image_pull_secrets: Some(
            pull_secrets
                .iter()
                .map(|secret| LocalObjectReference { name: secret.name.clone() })
                .collect::<Vec<_>>(),
        )
        .filter(|all| !all.is_empty()),
        ..PodSpec::default()
    }
}

fn container(
    federation: &Validated,
    settings: &Settings,
    volume_mounts: Vec<VolumeMount>,
) -> Container {
    let mut container_ports = vec![
        port("s2s", "TCP", ports::S2S),
        port("s2s-tls", "TCP", ports::S2S_TLS),
        port("admin", "TCP", ports::ADMIN),
        port("control", "TCP", ports::CONTROL),
    ];
    if !federation.spec.backends.is_empty() {
        container_ports.extend([
            port("backend", "TCP", ports::BACKEND),
            port("dns", "UDP", ports::DNS),
            port("dns-tcp", "TCP", ports::DNS),
        ]);
    }
    if components::any(&federation.spec) {
        container_ports.push(port("component", "TCP", ports::COMPONENT));
    }
    Container {
        name: CONTAINER.to_owned(),
        image: Some(settings.engine_image.clone()),
        image_pull_policy: Some(settings.pull_policy.as_str().to_owned()),
        args: Some(vec![
            "--config".to_owned(),
            format!("{}/{}", paths::CONFIG, paths::CONFIG_KEY),
            "--log-format".to_owned(),
            "json".to_owned(),
        ]),
        env: Some(vec![EnvVar {
            name: FEDERATION_VARIABLE.to_owned(),
            value: Some(format!("{}/{}", federation.namespace, federation.name)),
            ..EnvVar::default()
        }]),
        ports: Some(container_ports),
        // The kubelet reports the last log lines of a terminated container.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        startup_probe: Some(probe("/livez", 1, 60)),
        liveness_probe: Some(probe("/livez", 10, 3)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        resources: Some(federation.spec.pod.resources.clone().unwrap_or_else(default_resources)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(volume_mounts),
        ..Container::default()
    }
}

fn default_resources() -> ResourceRequirements {
    let quantity = |text: &str| Quantity(text.to_owned());
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".to_owned(), quantity("50m")),
            ("memory".to_owned(), quantity("64Mi")),
        ])),
        // No CPU limit: throttling would delay handshakes exactly when many peers reconnect.
        limits: Some(BTreeMap::from([("memory".to_owned(), quantity(DEFAULT_MEMORY_LIMIT))])),
        claims: None,
    }
}

fn volumes(federation: &Validated) -> Vec<(Volume, VolumeMount)> {
    let name = &federation.name;
    let mut all = vec![
        (
            Volume {
                name: "config".to_owned(),
                config_map: Some(ConfigMapVolumeSource {
                    name: names::engine_config(name),
                    ..ConfigMapVolumeSource::default()
                }),
                ..Volume::default()
            },
            mount("config", paths::CONFIG),
        ),
        // Optional: an engine without a certificate starts and reports it; a pending pod would hide the problem.
        secret(TLS_VOLUME, names::serving(name), paths::TLS, true, &[]),
        secret("control", names::control(name), paths::CONTROL, false, &[]),
    ];
    let (dialback, items) = match &federation.spec.dialback {
        Some(own) => (
            own.secret_ref.name.clone(),
            vec![(own.secret_ref.key.clone(), paths::SECRET.to_owned())],
        ),
        None => (names::dialback(name), Vec::new()),
    };
    all.push(secret("dialback", dialback, paths::DIALBACK, false, &items));
    if !federation.spec.backends.is_empty() {
        let ca = names::backend_ca(name);
        all.push(secret("backend-ca", ca, paths::BACKEND_CA, false, &[]));
    }
    for (index, (name, keys)) in components::secrets(&federation.spec).into_iter().enumerate() {
        let items: Vec<_> = keys.iter().map(|key| ((*key).to_owned(), (*key).to_owned())).collect();
        let directory = components::directory(name);
        // Optional, so that an engine without one secret still serves all other backends and reports the missing file.
        all.push(secret(&format!("component-{index}"), name.to_owned(), &directory, true, &items));
    }
    all.extend(Bundles::of(&federation.spec).volumes());
    all
}

fn secret(
    volume: &str,
    secret: String,
    path: &str,
    optional: bool,
    items: &[(String, String)],
) -> (Volume, VolumeMount) {
    let items = items
        .iter()
        .map(|(key, path)| KeyToPath { key: key.clone(), path: path.clone(), mode: None })
        .collect::<Vec<_>>();
    let source = SecretVolumeSource {
        secret_name: Some(secret),
        optional: optional.then_some(true),
        items: Some(items).filter(|items| !items.is_empty()),
        // The user is the image's or one that the platform assigns, so neither owner nor group is known. Only the
        // engine's container mounts the volume.
        default_mode: Some(0o444),
    };
    let volume_source =
        Volume { name: volume.to_owned(), secret: Some(source), ..Volume::default() };
    (volume_source, mount(volume, path))
}

fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn port(name: &str, protocol: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some(protocol.to_owned()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(i32::from(ports::ADMIN)),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

fn spread(topology_key: &str, name: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology_key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(metadata::selector(name)),
        ..TopologySpreadConstraint::default()
    }
}
