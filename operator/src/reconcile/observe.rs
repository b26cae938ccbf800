//! Observes what the verdicts depend on, except the network. Each source gives its own result: what cannot be read is a
//! [`Problem`], and everything else is judged all the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::core::DynamicObject;
use tokio::time::timeout;

use super::contents::Contents;
use super::dereference::{Dereferenced, dereference};
use super::problem::{Problem, Step};
use crate::children::is_controlled_by;
use crate::context::{Context, FederationRef};
use crate::evidence::cluster::{
    self, ClusterEvidence, DnsEndpointEvidence, EnginePod, ServiceEvents,
};
use crate::federation::names;
use crate::federation::validated::Validated;

/// Time limit for reading all Secrets and `ConfigMaps`, and for the events about a Service.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the events about a Service without an address are used while their watch fails, and those about a pod without a
/// container.
const EVENTS_TTL: Duration = Duration::from_secs(5);
/// Age of a pod without a container from which its events are read: most pods have one by then.
const CREATED_WITHIN: SignedDuration = SignedDuration::from_secs(6);
/// Pods whose events are read in one pass. What keeps one pod from its container mostly keeps all.
const MAX_PODS_WITH_EVENTS: usize = 2;

/// The objects in the cluster, and those that could not be read.
pub async fn cluster(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
) -> (ClusterEvidence, Vec<Problem>) {
    let (namespace, name) = (federation.namespace.as_str(), federation.name.as_str());
    let (client, objects, uid) = (&context.client, &context.objects, &federation.owner.uid);
    let mut problems = Vec::new();
    let (own, backend_name) = (names::own(name), names::backend_service(name));
    let (deployment, pods, outer, inner) = tokio::join!(
        objects.deployments.get(client, namespace, &own),
        objects.engine_pods(client, namespace, name),
        objects.services.get(client, namespace, &own),
        objects.services.get(client, namespace, &backend_name),
    );
    // What could not be read is as it was: its conditions are not judged by it, but the engines are still queried, and the
    // address is still the one that DNS must have.
    let last = |name: &str| objects.services.last(namespace, name);
    let deployment = kept(deployment, &mut problems, || objects.deployments.last(namespace, &own));
    let (outer, inner) = (
        kept(outer, &mut problems, || last(&own)),
        kept(inner, &mut problems, || last(&backend_name)),
    );
    // An object of someone else says nothing about this federation; applying reports it.
    let deployment = deployment.filter(|deployment| is_controlled_by(&**deployment, uid));
    let outer = outer.filter(|service| is_controlled_by(&**service, uid));
    let inner = inner.filter(|service| is_controlled_by(&**service, uid));
    let pods = pods.unwrap_or_else(|problem| {
        problems.push(problem);
        objects.last_engine_pods(namespace, name)
    });
    let mut service = outer.as_deref().map(cluster::outer_service);
    if let (Some(found), Some(object)) = (service.as_mut(), outer.as_deref())
        && found.address.is_none()
    {
        found.events = service_events(context, reference, object).await;
    }
    let mut pods: Vec<EnginePod> = pods.iter().map(|pod| cluster::engine_pod(pod)).collect();
    pod_warnings(context, reference, &mut pods, Timestamp::now()).await;
    let evidence = ClusterEvidence {
        workload: deployment.as_deref().map(cluster::workload),
        pods,
        service,
        backend_ip: inner.as_deref().and_then(cluster::cluster_ip),
        dns_endpoint: dns_endpoint(context, federation).await,
    };
    (evidence, problems)
}

fn kept<K>(
    result: Result<Option<Arc<K>>, Problem>,
    problems: &mut Vec<Problem>,
    last: impl FnOnce() -> Option<Arc<K>>,
) -> Option<Arc<K>> {
    result.unwrap_or_else(|problem| {
        problems.push(problem);
        last()
    })
}

async fn dns_endpoint(context: &Context, federation: &Validated) -> DnsEndpointEvidence {
    let mut evidence = DnsEndpointEvidence {
        kind_exists: context.kinds.dns_endpoint(),
        ..DnsEndpointEvidence::default()
    };
    if !evidence.kind_exists {
        return evidence;
    }
    let name = names::dns_endpoint(&federation.name);
    let objects = &context.objects.dns_endpoints;
    let found = match objects.get(&context.client, &federation.namespace, &name).await {
        Ok(found) => found,
        Err(problem) => {
            tracing::debug!(message = %problem.message, "cannot read a DNSEndpoint");
            context.kinds.suspect();
            objects.last(&federation.namespace, &name)
        }
    };
    if let Some(found) = found {
        let observed = found.status.as_ref().and_then(|status| status.observed_generation);
        evidence.exists = is_controlled_by(&*found, &federation.owner.uid);
        evidence.created = found.creation_timestamp().map(|time| time.0);
        evidence.observed = observed.is_some();
    }
    evidence
}

async fn service_events(
    context: &Context,
    reference: &FederationRef,
    service: &Service,
) -> ServiceEvents {
    if let Some(store) = context.objects.service_events.current() {
        let about = store.state_filter(|event| event.involved_object.uid == service.metadata.uid);
        return ServiceEvents::of(about.iter().map(AsRef::as_ref));
    }
    let last = context.remember(reference, |memory| memory.service_events.clone());
    if let Some((at, events)) = &last
        && at.elapsed() < EVENTS_TTL
    {
        return events.clone();
    }
    let read = timeout(READ_TIMEOUT, cluster::events_about(&context.client, service)).await;
    // Without the events, the status of the Service is judged alone.
    let events = match read {
        Ok(Ok(events)) => events,
        Ok(Err(_)) | Err(_) => last.map(|(_, events)| events).unwrap_or_default(),
    };
    context.remember(reference, |memory| {
        memory.service_events = Some((Instant::now(), events.clone()));
    });
    events
}

/// Adds to the pods without a container what the kubelet warns of. A pod that waits long is looked at less often: the events
/// of all pods of a cluster are too many to watch.
async fn pod_warnings(
    context: &Context,
    reference: &FederationRef,
    pods: &mut [EnginePod],
    now: Timestamp,
) {
    let waiting = |pod: &&mut EnginePod| {
        let old = pod.created.is_some_and(|at| now.duration_since(at) >= CREATED_WITHIN);
        pod.is_being_created() && !pod.terminating && old
    };
    let mut known = context.remember(reference, |memory| std::mem::take(&mut memory.pod_warnings));
    let mut current = HashMap::new();
    for pod in pods.iter_mut().filter(waiting).take(MAX_PODS_WITH_EVENTS) {
        let age = pod.created.map_or(Duration::ZERO, |at| now.duration_since(at).unsigned_abs());
        let last = known.remove(&pod.uid);
        let (at, warning) = match last {
            Some((at, warning)) if at.elapsed() < EVENTS_TTL.max(age / 4) => (at, warning),
            last => {
                let namespace = reference.namespace.as_deref().unwrap_or_default();
                let read = cluster::warning_about_pod(&context.client, namespace, &pod.uid);
                // Without the events, the status of the pod is judged alone.
                let warning = match timeout(READ_TIMEOUT, read).await {
                    Ok(Ok(warning)) => warning,
                    Ok(Err(_)) | Err(_) => last.and_then(|(_, warning)| warning),
                };
                (Instant::now(), warning)
            }
        };
        pod.warning.clone_from(&warning);
        current.insert(pod.uid.clone(), (at, warning));
    }
    context.remember(reference, |memory| memory.pod_warnings = current);
}

/// Adds the objects that were sent just now, because the stores lag behind.
pub fn overlay(cluster: &mut ClusterEvidence, federation: &Validated, sent: &[DynamicObject]) {
    let own = names::own(&federation.name);
    for object in sent.iter().filter(|object| object.name_any() == own) {
        let kind = object.types.as_ref().map_or("", |types| types.kind.as_str());
        match kind {
            "Deployment" => {
                let Ok(deployment) = object.clone().try_parse() else { continue };
                let newer = cluster::workload(&deployment);
                // The controller has not seen a change that was sent just now.
                if cluster.workload.is_none() || !newer.observed {
                    cluster.workload = Some(newer);
                }
            }
            "Service" if cluster.service.is_none() => {
                let Ok(service) = object.clone().try_parse::<Service>() else { continue };
                cluster.service = Some(cluster::outer_service(&service));
            }
            _ => {}
        }
    }
}

/// The content of the Secrets and `ConfigMaps`. What has not changed is not read again.
///
/// # Errors
/// When the API server does not return it.
pub async fn content(
    context: &Context,
    reference: &FederationRef,
    federation: &Validated,
    now: Timestamp,
) -> Result<Dereferenced, Problem> {
    let kept = context.remember(reference, |memory| memory.contents.clone());
    let contents = Contents::new(context, &federation.namespace, kept);
    let reading = dereference(&contents, federation, context.kinds.certificate(), now);
    let Ok(read) = timeout(READ_TIMEOUT, Box::pin(reading)).await else {
        let message = format!("the API server did not answer within {READ_TIMEOUT:?}");
        return Err(Problem::failed(Step::Read, "Secret", "", message));
    };
    read.map_err(|error| Problem::of(Step::Read, "Secret", "", &error))
}
