//! Deployment, pods and Services of a federation, as the API server has them.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod, Service};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::engine::Replica;
use crate::build::Address;
use crate::build::deployment::{CONTAINER, TLS_VOLUME};

/// Label of the Deployment's controller on pods, with a hash of their template.
const REVISION_LABEL: &str = "pod-template-hash";

/// The evidence from objects in the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterEvidence {
    /// The engine's Deployment, once it exists.
    pub workload: Option<Workload>,
    /// Its pods.
    pub pods: Vec<EnginePod>,
    /// The outer Service, once it exists.
    pub service: Option<OuterService>,
    /// `ClusterIP` of the Service for the backend.
    pub backend_ip: Option<IpAddr>,
    /// The `DNSEndpoint`.
    pub dns_endpoint: DnsEndpointEvidence,
}

/// State of the Deployment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Workload {
    /// The controller has seen the last change.
    pub observed: bool,
    /// Replicas that the Deployment requests.
    pub wanted: i32,
    /// Pods of the current template.
    pub updated: i32,
    /// Ready pods of any template.
    pub ready: i32,
    /// All pods.
    pub total: i32,
    /// Why pods cannot be created, as reported by the API server.
    pub replica_failure: Option<String>,
    /// The pods of the current template have not become ready within the Deployment's progress deadline.
    pub stuck: bool,
}

/// One pod of the engine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an observation of its own")]
pub struct EnginePod {
    /// UID of the pod.
    pub uid: String,
    /// Name of the pod.
    pub name: String,
    /// Its address.
    pub ip: Option<IpAddr>,
    /// It is ready and not terminating.
    pub ready: bool,
    /// It is terminating.
    pub terminating: bool,
    /// Creation of the pod.
    pub created: Option<Timestamp>,
    /// When its container was started last.
    pub started: Option<Timestamp>,
    /// When it last became ready or stopped being so.
    pub turned: Option<Timestamp>,
    /// Why it cannot be scheduled.
    pub unschedulable: Option<String>,
    /// Reason and message of a waiting container.
    pub waiting: Option<(String, String)>,
    /// Reason and message of the last event about it, if that is a warning; only queried while its container is not created.
    pub warning: Option<(String, String)>,
    /// Exit code and termination message of the container's last run.
    pub ended: Option<(i32, String)>,
    /// The kernel ended the last run because it exceeded the memory limit.
    pub out_of_memory: bool,
    /// The memory limit of the container.
    pub memory_limit: Option<String>,
    /// The certificate is mounted with `subPath`, so the kubelet never updates it.
    pub certificate_frozen: bool,
    /// Number of restarts of the container.
    pub restarts: i32,
    /// Hash of the pod template, as the Deployment's controller labels it.
    pub revision: Option<String>,
}

/// The Service that remote servers connect to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OuterService {
    /// The address that the load balancer assigned.
    pub address: Option<Address>,
    /// Its node ports, in the order of its ports; none on a Service of type `ClusterIP`.
    pub node_ports: Vec<i32>,
    /// Creation of the Service.
    pub created: Option<Timestamp>,
    /// The events about it; only queried while there is no address.
    pub events: ServiceEvents,
}

/// The `DNSEndpoint` with the SRV records.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DnsEndpointEvidence {
    /// The kind exists.
    pub kind_exists: bool,
    /// The object exists.
    pub exists: bool,
    /// Creation of the object.
    pub created: Option<Timestamp>,
    /// external-dns has read the last change.
    pub observed: bool,
}

impl ClusterEvidence {
    /// The pods that can be queried.
    pub fn replicas(&self) -> Vec<Replica> {
        self.pods
            .iter()
            .filter(|pod| pod.ready)
            .filter_map(|pod| {
                Some(Replica { uid: pod.uid.clone(), name: pod.name.clone(), ip: pod.ip? })
            })
            .collect()
    }

    /// The address that the load balancer assigned.
    pub fn address(&self) -> Option<&Address> {
        self.service.as_ref()?.address.as_ref()
    }
}

/// The cluster IP of a Service; `None` for a headless one.
pub fn cluster_ip(service: &Service) -> Option<IpAddr> {
    service.spec.as_ref()?.cluster_ip.as_deref()?.parse().ok()
}

/// The state of the engine's Deployment.
pub fn workload(deployment: &Deployment) -> Workload {
    let Some(status) = &deployment.status else { return Workload::default() };
    let failure = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True");
    Workload {
        observed: status.observed_generation >= deployment.metadata.generation,
        wanted: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        updated: status.updated_replicas.unwrap_or_default(),
        ready: status.ready_replicas.unwrap_or_default(),
        total: status.replicas.unwrap_or_default(),
        replica_failure: failure.and_then(|condition| condition.message.clone()),
        stuck: status.conditions.iter().flatten().any(|condition| {
            condition.type_ == "Progressing"
                && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
        }),
    }
}

/// The state of one pod.
pub fn engine_pod(pod: &Pod) -> EnginePod {
    let status = pod.status.as_ref();
    let condition = |type_: &str| {
        status?.conditions.iter().flatten().find(move |condition| condition.type_ == type_)
    };
    let container = status.and_then(|status| {
        status.container_statuses.iter().flatten().find(|container| container.name == CONTAINER)
    });
    let state = container.and_then(|container| container.state.as_ref());
    let waiting = state.and_then(|state| state.waiting.as_ref()).map(|waiting| {
        (waiting.reason.clone().unwrap_or_default(), waiting.message.clone().unwrap_or_default())
    });
    // A limit under what the runtime itself needs ends the container before the engine starts.
    let killed_at_start = waiting.as_ref().is_some_and(|(_, message)| is_killed_at_start(message));
    let last = container
        .and_then(|container| container.last_state.as_ref()?.terminated.as_ref())
        .or_else(|| state.and_then(|state| state.terminated.as_ref()));
    let ended = last.map(|end| (end.exit_code, end.message.clone().unwrap_or_default()));
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let specified = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.containers.iter().find(|container| container.name == CONTAINER));
    EnginePod {
        uid: pod.uid().unwrap_or_default(),
        name: pod.name_any(),
        ip: status.and_then(|status| status.pod_ip.as_deref()?.parse().ok()),
        ready: !terminating && condition("Ready").is_some_and(|ready| ready.status == "True"),
        terminating,
        created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        started: state
            .and_then(|state| state.running.as_ref()?.started_at.as_ref())
            .map(|time| time.0),
        turned: condition("Ready")
            .and_then(|ready| ready.last_transition_time.as_ref())
            .map(|time| time.0),
        unschedulable: condition("PodScheduled")
            .filter(|scheduled| scheduled.status == "False")
            .and_then(|scheduled| scheduled.message.clone()),
        waiting,
        warning: None,
        ended,
        out_of_memory: killed_at_start
            || last.is_some_and(|end| {
                end.reason.as_deref() == Some("OOMKilled")
                    || end.message.as_deref().is_some_and(is_killed_at_start)
            }),
        memory_limit: specified.and_then(|container| {
            Some(container.resources.as_ref()?.limits.as_ref()?.get("memory")?.0.clone())
        }),
        certificate_frozen: specified.is_some_and(|container| {
            container.volume_mounts.iter().flatten().any(|mount| {
                let part = mount.sub_path.as_ref().or(mount.sub_path_expr.as_ref());
                mount.name == TLS_VOLUME && part.is_some_and(|part| !part.is_empty())
            })
        }),
        restarts: container.map_or(0, |container| container.restart_count),
        revision: pod.labels().get(REVISION_LABEL).cloned(),
    }
}

impl EnginePod {
    /// Its container is not created yet. The status of the pod does not say why; the kubelet reports that only in events.
    pub fn is_being_created(&self) -> bool {
        self.waiting.as_ref().is_some_and(|(reason, _)| reason == "ContainerCreating")
    }
}

/// The words of runc about a container whose own start exceeded the memory limit.
pub fn is_killed_at_start(message: &str) -> bool {
    message.contains("OOM-killed") || message.contains("memory limit too low")
}

/// The state of the outer Service, without its events.
pub fn outer_service(service: &Service) -> OuterService {
    let ingress =
        service.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    let ips: Vec<IpAddr> = ingress
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ip.as_deref()?.parse().ok())
        .collect();
    let hostname = ingress.into_iter().flatten().find_map(|entry| entry.hostname.clone());
    OuterService {
        address: match hostname {
            _ if !ips.is_empty() => Some(Address::Ips(ips)),
            Some(name) if !name.is_empty() => Some(Address::Hostname(name)),
            _ => None,
        },
        node_ports: service
            .spec
            .iter()
            .flat_map(|spec| spec.ports.iter().flatten())
            .filter_map(|port| port.node_port)
            .collect(),
        created: service.metadata.creation_timestamp.as_ref().map(|time| time.0),
        events: ServiceEvents::default(),
    }
}

/// What the events about a Service say. Load balancer controllers report only there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServiceEvents {
    /// A controller has reported something.
    pub any: bool,
    /// Reason and message of the latest warning.
    pub warning: Option<(String, String)>,
}

/// The field by which events about Services are selected.
pub const ABOUT_SERVICES: &str = "involvedObject.kind=Service";

/// Reads the events about a Service.
///
/// # Errors
/// When the call to the API server fails.
pub async fn events_about(
    client: &Client,
    service: &Service,
) -> Result<ServiceEvents, kube::Error> {
    let Some(uid) = service.uid() else { return Ok(ServiceEvents::default()) };
    let namespace = service.namespace().unwrap_or_default();
    Ok(ServiceEvents::of(events_of(client, &namespace, &uid).await?.iter()))
}

/// Reads the events about a pod. Returns reason and message of the last one if it is a warning: what the kubelet could not
/// do before it went on says nothing about now.
///
/// # Errors
/// When the call to the API server fails.
pub async fn warning_about_pod(
    client: &Client,
    namespace: &str,
    uid: &str,
) -> Result<Option<(String, String)>, kube::Error> {
    Ok(last_warning(events_of(client, namespace, uid).await?.iter()))
}

async fn events_of(client: &Client, namespace: &str, uid: &str) -> Result<Vec<Event>, kube::Error> {
    let events = Api::<Event>::namespaced(client.clone(), namespace);
    let about = ListParams::default().fields(&format!("involvedObject.uid={uid}")).limit(50);
    Ok(events.list(&about).await?.items)
}

fn last_warning<'a>(events: impl Iterator<Item = &'a Event>) -> Option<(String, String)> {
    let is_warning = |event: &Event| event.type_.as_deref() == Some("Warning");
    // The kubelet's times have no fractions of a second, and the scheduler's have.
    let order = |event: &&Event| (time_of(event).map(Timestamp::as_second), is_warning(event));
    let last = events.max_by_key(order).filter(|last| is_warning(last))?;
    Some((last.reason.clone().unwrap_or_default(), quotable(last.message.as_deref())))
}

/// A kubelet's message without what differs in each attempt, and without the words of the call that it made.
fn quotable(message: Option<&str>) -> String {
    const COMBINED: &str = "(combined from similar events): ";
    const CALL: &str = "rpc error: code = Unknown desc = ";
    let message = message.unwrap_or_default();
    let message = message.strip_prefix(COMBINED).unwrap_or(message).replace(CALL, "");
    let mut text = String::new();
    for word in message.split_whitespace() {
        match container_id(word) {
            Some(end) if !text.ends_with(end) => text.push_str(end),
            Some(_) => {}
            None if text.is_empty() => text.push_str(word),
            None => text.extend([" ", word]),
        }
    }
    text
}

/// For the ID of a container or sandbox, which is 64 hexadecimal digits with or without quotes: the punctuation after it.
fn container_id(word: &str) -> Option<&str> {
    let quoted = word.trim_end_matches([':', ',']);
    let digits = quoted.trim_matches('"');
    let is_id = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| word.strip_prefix(quoted).unwrap_or_default())
}

impl ServiceEvents {
    /// What events about one Service say.
    pub fn of<'a>(events: impl Iterator<Item = &'a Event>) -> Self {
        let mut all = Self::default();
        let mut latest = None;
        for event in events {
            all.any = true;
            let at = time_of(event);
            if event.type_.as_deref() != Some("Warning") || latest.is_some_and(|latest| at < latest)
            {
                continue;
            }
            latest = Some(at);
            let word = |text: &Option<String>| text.clone().unwrap_or_default();
            all.warning = Some((word(&event.reason), word(&event.message)));
        }
        all
    }
}

/// When an event was observed last.
fn time_of(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    series
        .or(event.event_time.as_ref())
        .map(|time| time.0)
        .max(event.last_timestamp.as_ref().map(|time| time.0))
}

#[cfg(test)]
mod tests;
