//! Watches on all objects that may affect a federation. They receive only metadata, and only trigger a reconcile of the
//! federation.

use std::fmt::Debug;
use std::sync::Arc;

use crds::XmppFederation;
use crds::federation::reference::BundleRef;
use crds::federation::tls::CertificateSource;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::build::bundles;
use crate::build::metadata::{FEDERATION_LABEL, MANAGED_BY_SELECTOR};
use crate::causes::Causes;
use crate::children::{Metadata, Writer};
use crate::context::{Context, FederationRef};
use crate::federation::names;

/// Shortest name, in bytes, that cert-manager keeps of a Certificate in the names of other objects.
const SHORTENED: usize = 40;

/// Triggers reconciles of federations.
pub type Wake = mpsc::Sender<FederationRef>;

/// Watches one kind of child, updates its store, and triggers a reconcile of the owner. Waits until an optional kind exists.
pub async fn children(
    context: Arc<Context>,
    namespace: String,
    resource: ApiResource,
    writer: Writer,
    wake: Wake,
) {
    if let Some(mut changes) = context.kinds.changes(&resource) {
        if changes.wait_for(|exists| *exists).await.is_err() {
            return;
        }
        all(&context, &wake).await;
    }
    let client = context.client.clone();
    let api: Api<Metadata> = if namespace.is_empty() {
        Api::all_with(client, &resource)
    } else {
        Api::namespaced_with(client, &namespace, &resource)
    };
    let events = watcher(api, watcher::Config::default().labels(MANAGED_BY_SELECTOR))
        .default_backoff()
        .modify(|child| {
            child.managed_fields_mut().clear();
            child.annotations_mut().clear();
        })
        .reflect(writer);
    wake_for_each(events, &resource.kind, &wake, |child: &Metadata| {
        let namespace = child.namespace().unwrap_or_default();
        let owners = child.owner_references().iter().filter(|owner| {
            owner.kind == XmppFederation::kind(&()) && owner.controller == Some(true)
        });
        owners.map(|owner| FederationRef::new(&owner.name).within(&namespace)).collect()
    })
    .await;
}

/// Watches the engine's pods. They belong to `ReplicaSets` and name their federation by a label.
pub async fn pods(context: Arc<Context>, namespace: String, wake: Wake) {
    let api = metadata_of::<Pod>(&context, &namespace);
    let events =
        watcher(api, watcher::Config::default().labels(FEDERATION_LABEL)).default_backoff();
    wake_for_each(events, "Pod", &wake, |pod: &PartialObjectMeta<Pod>| {
        let namespace = pod.namespace().unwrap_or_default();
        let named = pod.labels().get(FEDERATION_LABEL).into_iter();
        named.map(|name| FederationRef::new(name).within(&namespace)).collect()
    })
    .await;
}

/// Watches one kind of object that cert-manager creates for a Certificate. Waits until cert-manager is installed.
pub async fn issuance(context: Arc<Context>, namespace: String, resource: ApiResource, wake: Wake) {
    if context.kinds.certificate_changes().wait_for(|exists| *exists).await.is_err() {
        return;
    }
    let client = context.client.clone();
    let api: Api<Metadata> = if namespace.is_empty() {
        Api::all_with(client, &resource)
    } else {
        Api::namespaced_with(client, &namespace, &resource)
    };
    let events = watcher(api, watcher::Config::default()).default_backoff();
    wake_for_each(events, &resource.kind, &wake, |object: &Metadata| {
        referring(&context, object, is_issued_for)
    })
    .await;
}

/// Watches Secrets that a federation refers to.
pub async fn secrets(context: Arc<Context>, namespace: String, wake: Wake) {
    let api = metadata_of::<Secret>(&context, &namespace);
    let events = watcher(api, watcher::Config::default()).default_backoff();
    wake_for_each(events, "Secret", &wake, |secret: &PartialObjectMeta<Secret>| {
        referring(&context, secret, refers_to_secret)
    })
    .await;
}

/// Watches `ConfigMaps` that a federation refers to.
pub async fn config_maps(context: Arc<Context>, namespace: String, wake: Wake) {
    let api = metadata_of::<ConfigMap>(&context, &namespace);
    let events = watcher(api, watcher::Config::default()).default_backoff();
    wake_for_each(events, "ConfigMap", &wake, |map: &PartialObjectMeta<ConfigMap>| {
        referring(&context, map, refers_to_config_map)
    })
    .await;
}

fn metadata_of<K>(context: &Context, namespace: &str) -> Api<PartialObjectMeta<K>>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    let client = context.client.clone();
    if namespace.is_empty() { Api::all(client) } else { Api::namespaced(client, namespace) }
}

/// For each object that is created, changed or deleted, triggers a reconcile of the federations that it affects.
async fn wake_for_each<K>(
    events: impl Stream<Item = Result<Event<K>, watcher::Error>>,
    kind: &str,
    wake: &Wake,
    concerned: impl Fn(&K) -> Vec<FederationRef>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = std::pin::pin!(events);
    let mut failing = false;
    while let Some(event) = events.next().await {
        let was_failing = std::mem::replace(&mut failing, event.is_err());
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) => {
                for federation in concerned(&object) {
                    if wake.send(federation).await.is_err() {
                        return;
                    }
                }
            }
            Ok(Event::Init | Event::InitDone) => {}
            // One warning for failures in a row: the kind may have been removed.
            Err(_) if was_failing => {}
            Err(error) => {
                let why = Causes(&error);
                tracing::warn!(%kind, %why, "watch failed; restarting it");
            }
        }
    }
}

fn referring(
    context: &Context,
    object: &impl ResourceExt,
    refers: fn(&XmppFederation, &str) -> bool,
) -> Vec<FederationRef> {
    let (namespace, name) = (object.namespace(), object.name_any());
    let all = context.federations.state();
    let concerned = all.iter().filter(|federation| {
        federation.namespace() == namespace
            && federation.0.as_ref().is_ok_and(|federation| refers(federation, &name))
    });
    concerned.map(|federation| FederationRef::from_obj(federation.as_ref())).collect()
}

/// Triggers a reconcile of every federation.
async fn all(context: &Context, wake: &Wake) {
    for federation in context.federations.state() {
        if wake.send(FederationRef::from_obj(federation.as_ref())).await.is_err() {
            return;
        }
    }
}

fn refers_to_secret(federation: &XmppFederation, name: &str) -> bool {
    let spec = &federation.spec;
    let certificate = match &spec.tls.certificate {
        Some(CertificateSource::Secret(reference)) => reference.name == name,
        Some(CertificateSource::Issuer(_)) | None => false,
    };
    // It may be served after the spec refers to something else.
    let issued = names::issued(&federation.name_any()) == name;
    let dialback = spec.dialback.as_ref().is_some_and(|own| own.secret_ref.name == name);
    let bundle = bundles::references(spec).any(|bundle| match bundle {
        BundleRef::Secret(key) => key.name == name,
        BundleRef::ConfigMap(_) => false,
    });
    certificate || issued || dialback || bundle
}

/// The names of the objects of an issuance begin with that of the Certificate, which cert-manager may truncate. A wrong
/// match only causes a reconcile.
fn is_issued_for(federation: &XmppFederation, name: &str) -> bool {
    let certificate = names::issued(&federation.name_any());
    certificate.get(..SHORTENED.min(certificate.len())).is_some_and(|start| name.starts_with(start))
}

fn refers_to_config_map(federation: &XmppFederation, name: &str) -> bool {
    bundles::references(&federation.spec).any(|bundle| match bundle {
        BundleRef::ConfigMap(key) => key.name == name,
        BundleRef::Secret(_) => false,
    })
}
