//! The objects that verdicts depend on, kept current by watches, so that a reconcile without changes sends no request for
//! them. A store that is not current is not used: the object is read from the API server instead.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::XmppProbeReport;
use crds::external::dns_endpoint::DNSEndpoint;
use futures::FutureExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret, Service};
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{self, ObjectRef, Store, store};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::build::metadata::FEDERATION_LABEL;
use crate::reconcile::problem::{Problem, Step};

/// Time limit for reading one object from the API server.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// Time after the last failure of a watch during which its store is not used. Longer than the pause between two attempts. A watch
/// that works again says nothing until an object changes.
const FAILURE_TTL: Duration = Duration::from_secs(45);

/// Whether a watch works.
#[derive(Debug, Default)]
pub struct Health {
    failed: Mutex<Option<Instant>>,
}

impl Health {
    /// The watch delivered something.
    pub fn works(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The watch failed.
    pub fn fails(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The watch failed not long ago, and has delivered nothing since.
    pub fn is_failing(&self) -> bool {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|at| at.elapsed() < FAILURE_TTL)
    }
}

/// A store, and whether its watch works.
#[derive(Debug)]
pub struct Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store: Store<K>,
    health: Arc<Health>,
}

impl<K> Clone for Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), health: Arc::clone(&self.health) }
    }
}

/// Fills a [`Watched`].
pub struct Feed<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// The store's writer.
    pub writer: store::Writer<K>,
    /// Whether the watch works.
    pub health: Arc<Health>,
}

impl<K> Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// An empty store, which is not current yet, and what fills it.
    pub fn new() -> (Self, Feed<K>) {
        let (store, writer) = reflector::store();
        let health = Arc::new(Health::default());
        (Self { store, health: Arc::clone(&health) }, Feed { writer, health })
    }

    /// The store, if it has received its first listing and its watch works.
    pub fn current(&self) -> Option<&Store<K>> {
        let ready = matches!(self.store.wait_until_ready().now_or_never(), Some(Ok(())));
        (ready && !self.health.is_failing()).then_some(&self.store)
    }

    /// All objects as the store has them, current or not.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.store.state()
    }

    /// The object as the store has it, current or not.
    pub fn last(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name).within(namespace))
    }
}

impl<K> Watched<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + 'static,
{
    /// An object, from the store if that is current.
    ///
    /// # Errors
    /// When the store is not current and the API server does not return the object.
    pub async fn get(
        &self,
        client: &Client,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<K>>, Problem> {
        if let Some(store) = self.current() {
            return Ok(store.get(&ObjectRef::new(name).within(namespace)));
        }
        let api = Api::<K>::namespaced(client.clone(), namespace);
        let found = within(&K::kind(&()), name, api.get_opt(name)).await?;
        Ok(found.map(Arc::new))
    }
}

async fn within<T>(
    kind: &str,
    name: &str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(READ_TIMEOUT, call).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(Problem::of(Step::Read, kind, name, &error)),
        Err(_) => {
            let message = format!("the API server did not answer within {READ_TIMEOUT:?}");
            Err(Problem::failed(Step::Read, kind, name, message))
        }
    }
}

/// All stores.
#[derive(Clone, Debug)]
pub struct Objects {
    /// Workloads that the operator created.
    pub deployments: Watched<Deployment>,
    /// Services that the operator created.
    pub services: Watched<Service>,
    /// SRV records that the operator created.
    pub dns_endpoints: Watched<DNSEndpoint>,
    /// Pods of the engine.
    pub pods: Watched<Pod>,
    /// Events about Services.
    pub service_events: Watched<Event>,
    /// Metadata of every Secret.
    pub secrets: Watched<PartialObjectMeta<Secret>>,
    /// Metadata of every `ConfigMap`.
    pub config_maps: Watched<PartialObjectMeta<ConfigMap>>,
    /// Probes that users reported.
    pub probe_reports: Watched<XmppProbeReport>,
}

/// Fills [`Objects`].
pub struct Feeds {
    /// Of [`Objects::deployments`].
    pub deployments: Feed<Deployment>,
    /// Of [`Objects::services`].
    pub services: Feed<Service>,
    /// Of [`Objects::dns_endpoints`].
    pub dns_endpoints: Feed<DNSEndpoint>,
    /// Of [`Objects::pods`].
    pub pods: Feed<Pod>,
    /// Of [`Objects::service_events`].
    pub service_events: Feed<Event>,
    /// Of [`Objects::secrets`].
    pub secrets: Feed<PartialObjectMeta<Secret>>,
    /// Of [`Objects::config_maps`].
    pub config_maps: Feed<PartialObjectMeta<ConfigMap>>,
    /// Of [`Objects::probe_reports`].
    pub probe_reports: Feed<XmppProbeReport>,
}

impl Objects {
    /// Empty stores, and what fills them.
    pub fn new() -> (Self, Feeds) {
        let (deployments, deployment_feed) = Watched::new();
        let (services, service_feed) = Watched::new();
        let (dns_endpoints, dns_endpoint_feed) = Watched::new();
        let (pods, pod_feed) = Watched::new();
        let (service_events, service_event_feed) = Watched::new();
        let (secrets, secret_feed) = Watched::new();
        let (config_maps, config_map_feed) = Watched::new();
        let (probe_reports, probe_report_feed) = Watched::new();
        let objects = Self {
            deployments,
            services,
            dns_endpoints,
            pods,
            service_events,
            secrets,
            config_maps,
            probe_reports,
        };
        let feeds = Feeds {
            deployments: deployment_feed,
            services: service_feed,
            dns_endpoints: dns_endpoint_feed,
            pods: pod_feed,
            service_events: service_event_feed,
            secrets: secret_feed,
            config_maps: config_map_feed,
            probe_reports: probe_report_feed,
        };
        (objects, feeds)
    }

    /// The reported probes of a federation, as the store has them: without its watch, the last known ones count until they expire.
    pub fn probe_reports_of(&self, namespace: &str, name: &str) -> Vec<Arc<XmppProbeReport>> {
        let mut all = self.probe_reports.all();
        all.retain(|report| {
            report.metadata.namespace.as_deref() == Some(namespace)
                && report.spec.federation == name
        });
        all
    }

    /// The engine's pods of a federation.
    ///
    /// # Errors
    /// When the store is not current and the API server does not return them.
    pub async fn engine_pods(
        &self,
        client: &Client,
        namespace: &str,
        name: &str,
    ) -> Result<Vec<Arc<Pod>>, Problem> {
        if self.pods.current().is_some() {
            return Ok(self.last_engine_pods(namespace, name));
        }
        let selector = ListParams::default().labels(&format!("{FEDERATION_LABEL}={name}"));
        let api = Api::<Pod>::namespaced(client.clone(), namespace);
        let found = within("Pod", "", api.list(&selector)).await?;
        Ok(found.items.into_iter().map(Arc::new).collect())
    }

    /// The engine's pods of a federation as the store has them, current or not.
    pub fn last_engine_pods(&self, namespace: &str, name: &str) -> Vec<Arc<Pod>> {
        self.pods.store.state_filter(|pod| {
            pod.metadata.namespace.as_deref() == Some(namespace)
                && pod.labels().get(FEDERATION_LABEL).is_some_and(|label| label == name)
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;
    use kube::runtime::watcher;
    use serde_json::json;

    use super::*;
    use crate::reconcile::problem::Cause;

    /// An API server that refuses everything.
    fn refusing() -> Client {
        let answer = |_: Request<Body>| async {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
                "reason": "Forbidden",
                "message": "pods is forbidden: User \"x\" cannot list resource \"pods\""
            });
            Response::builder().status(403).body(Body::from(serde_json::to_vec(&status).unwrap()))
        };
        Client::new(tower::service_fn(answer), "im")
    }

    fn pod() -> Pod {
        serde_json::from_value(json!({"metadata": {
            "name": "example-1", "namespace": "im", "labels": {FEDERATION_LABEL: "example"}
        }}))
        .unwrap()
    }

    #[tokio::test]
    async fn a_store_is_used_only_while_its_watch_works() {
        let (objects, mut feeds) = Objects::new();
        let client = refusing();
        let look = || objects.engine_pods(&client, "im", "example");
        assert_eq!(look().await.unwrap_err().cause, Cause::NotPermitted, "no listing yet");
        for event in
            [watcher::Event::Init, watcher::Event::InitApply(pod()), watcher::Event::InitDone]
        {
            feeds.pods.writer.apply_watcher_event(&event);
        }
        assert_eq!(look().await.unwrap().len(), 1);
        feeds.pods.health.fails();
        assert_eq!(look().await.unwrap_err().cause, Cause::NotPermitted, "the watch fails");
        feeds.pods.health.works();
        assert_eq!(look().await.unwrap().len(), 1);
    }
}
