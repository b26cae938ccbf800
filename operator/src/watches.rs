//! Watches on all objects that may affect a federation. They keep the stores current, and trigger a reconcile of the
//! federation.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use crds::XmppFederation;
use crds::federation::reference::BundleRef;
use crds::federation::tls::CertificateSource;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{self, ConfigMap, Pod, Secret};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::build::metadata::{FEDERATION_LABEL, MANAGED_BY_SELECTOR};
use crate::build::{bundles, components};
use crate::causes::Causes;
use crate::children::{Metadata, Writer};
use crate::context::{Context, FederationRef};
use crate::evidence::cluster::ABOUT_SERVICES;
use crate::federation::names;
use crate::objects::{Feed, Health};
use crate::relist::Relist;

/// Shortest name, in bytes, that cert-manager keeps of a Certificate in the names of other objects.
const SHORTENED: usize = 40;

/// Triggers reconciles of federations.
pub type Wake = mpsc::Sender<FederationRef>;

/// Watches one kind of child of which only the metadata is needed.
pub async fn children(
    context: Arc<Context>,
    namespace: String,
    resource: ApiResource,
    mut writer: Writer,
    wake: Wake,
) {
    let Some(mut changes) = context.kinds.changes(&resource) else {
        return follow_metadata(&context, &namespace, &resource, &mut writer, &wake).await;
    };
    loop {
        if changes.wait_for(|exists| *exists).await.is_err() {
            return;
        }
        all(&context, &wake).await;
        let mut gone = changes.clone();
        let gone = async move { gone.wait_for(|exists| !*exists).await.is_ok() };
        tokio::select! {
            () = follow_metadata(&context, &namespace, &resource, &mut writer, &wake) => {}
            _ = gone => {
                // The kind was removed, and all its objects with it.
                for event in [Event::Init, Event::InitDone] {
                    writer.apply_watcher_event(&event);
                }
                all(&context, &wake).await;
            }
        }
    }
}

async fn follow_metadata(
    context: &Context,
    namespace: &str,
    resource: &ApiResource,
    writer: &mut Writer,
    wake: &Wake,
) {
    let api = metadata_of(context, namespace, resource);
    let events = watcher(api, managed()).default_backoff().modify(strip);
    let health = Health::default();
    let keep = |event: &Event<Metadata>| writer.apply_watcher_event(event);
    wake_for_each(events, &resource.kind, wake, &health, keep, owners).await;
}

/// Watches one kind of child that verdicts depend on.
pub async fn whole_children<K>(
    context: Arc<Context>,
    namespace: String,
    mut writer: Writer,
    mut feed: Feed<K>,
    wake: Wake,
) where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    follow_whole(&context, &namespace, &mut writer, &mut feed, &wake).await;
}

/// As [`whole_children`], for a kind that may not exist: watches it while it does.
pub async fn optional_children<K>(
    context: Arc<Context>,
    namespace: String,
    mut writer: Writer,
    mut feed: Feed<K>,
    wake: Wake,
) where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    let Some(mut changes) = context.kinds.changes(&ApiResource::erase::<K>(&())) else { return };
    loop {
        if changes.wait_for(|exists| *exists).await.is_err() {
            return;
        }
        all(&context, &wake).await;
        let mut gone = changes.clone();
        let gone = async move { gone.wait_for(|exists| !*exists).await.is_ok() };
        tokio::select! {
            () = follow_whole(&context, &namespace, &mut writer, &mut feed, &wake) => {}
            _ = gone => {
                // The kind was removed, and all its objects with it.
                for event in [Event::Init, Event::InitDone] {
                    writer.apply_watcher_event(&event);
                }
                for event in [Event::Init, Event::InitDone] {
                    feed.writer.apply_watcher_event(&event);
                }
                all(&context, &wake).await;
            }
        }
    }
}

async fn follow_whole<K>(
    context: &Context,
    namespace: &str,
    writer: &mut Writer,
    feed: &mut Feed<K>,
    wake: &Wake,
) where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    let events = watcher(every::<K>(context, namespace), managed())
        .default_backoff()
        .modify(|child| child.managed_fields_mut().clear());
    let Feed { writer: objects, health } = feed;
    let keep = |event: &Event<K>| {
        writer.apply_watcher_event(&metadata_event(event));
        objects.apply_watcher_event(event);
    };
    wake_for_each(events, &K::kind(&()), wake, health, keep, owners).await;
}

fn managed() -> watcher::Config {
    watcher::Config::default().labels(MANAGED_BY_SELECTOR)
}

fn strip(child: &mut Metadata) {
    child.managed_fields_mut().clear();
    child.annotations_mut().clear();
}

/// The same event with the object's metadata alone.
fn metadata_event<K: Resource>(event: &Event<K>) -> Event<Metadata> {
    let metadata = |object: &K| {
        let mut metadata =
            Metadata { metadata: object.meta().clone(), types: None, _phantom: PhantomData };
        strip(&mut metadata);
        metadata
    };
    match event {
        Event::Apply(object) => Event::Apply(metadata(object)),
        Event::Delete(object) => Event::Delete(metadata(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(metadata(object)),
        Event::InitDone => Event::InitDone,
    }
}

fn owners(child: &impl ResourceExt) -> Vec<FederationRef> {
    let namespace = child.namespace().unwrap_or_default();
    let owners = child
        .owner_references()
        .iter()
        .filter(|owner| owner.kind == XmppFederation::kind(&()) && owner.controller == Some(true));
    let mut names: Vec<&str> = owners.map(|owner| owner.name.as_str()).collect();
    // An object that lost its owner still has the label.
    names.extend(child.labels().get(FEDERATION_LABEL).map(String::as_str));
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| FederationRef::new(name).within(&namespace)).collect()
}

/// Watches the engine's pods. They belong to `ReplicaSets` and name their federation by a label.
pub async fn pods(context: Arc<Context>, namespace: String, feed: Feed<Pod>, wake: Wake) {
    let Feed { mut writer, health } = feed;
    let events = watcher(
        every::<Pod>(&context, &namespace),
        watcher::Config::default().labels(FEDERATION_LABEL),
    )
    .default_backoff()
    .modify(|pod| pod.managed_fields_mut().clear());
    let keep = |event: &Event<Pod>| writer.apply_watcher_event(event);
    wake_for_each(events, "Pod", &wake, &health, keep, |pod: &Pod| {
        let namespace = pod.namespace().unwrap_or_default();
        let named = pod.labels().get(FEDERATION_LABEL).into_iter();
        named.map(|name| FederationRef::new(name).within(&namespace)).collect()
    })
    .await;
}

/// Watches the events about Services. Load balancer controllers report only there.
pub async fn service_events(
    context: Arc<Context>,
    namespace: String,
    feed: Feed<v1::Event>,
    wake: Wake,
) {
    let Feed { mut writer, health } = feed;
    let about = watcher::Config::default().fields(ABOUT_SERVICES);
    let events = watcher(every::<v1::Event>(&context, &namespace), about)
        .default_backoff()
        .modify(|event| event.managed_fields_mut().clear());
    let keep = |event: &Event<v1::Event>| writer.apply_watcher_event(event);
    wake_for_each(events, "Event", &wake, &health, keep, |event: &v1::Event| {
        // The outer Service has the federation's name.
        let name = event.involved_object.name.as_deref().unwrap_or_default();
        let federation = FederationRef::new(name).within(&event.namespace().unwrap_or_default());
        context.federations.get(&federation).map(|_| federation).into_iter().collect()
    })
    .await;
}

/// Watches one kind of object that cert-manager creates for a Certificate. Waits until cert-manager is installed.
pub async fn issuance(context: Arc<Context>, namespace: String, resource: ApiResource, wake: Wake) {
    if context.kinds.certificate_changes().wait_for(|exists| *exists).await.is_err() {
        return;
    }
    let api = metadata_of(&context, &namespace, &resource);
    let events = watcher(api, watcher::Config::default()).default_backoff();
    wake_for_each(
        events,
        &resource.kind,
        &wake,
        &Health::default(),
        |_| (),
        |object: &Metadata| referring(&context, object, is_issued_for),
    )
    .await;
}

/// Watches Secrets that a federation refers to.
pub async fn secrets(
    context: Arc<Context>,
    namespace: String,
    feed: Feed<PartialObjectMeta<Secret>>,
    wake: Wake,
) {
    referenced(&context, &namespace, feed, refers_to_secret, &wake).await;
}

/// Watches `ConfigMaps` that a federation refers to.
pub async fn config_maps(
    context: Arc<Context>,
    namespace: String,
    feed: Feed<PartialObjectMeta<ConfigMap>>,
    wake: Wake,
) {
    referenced(&context, &namespace, feed, refers_to_config_map, &wake).await;
}

/// Watches one kind of object that a federation refers to.
async fn referenced<K>(
    context: &Context,
    namespace: &str,
    feed: Feed<K>,
    refers: fn(&XmppFederation, &str) -> bool,
    wake: &Wake,
) where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    let Feed { mut writer, health } = feed;
    let events = watcher(every::<K>(context, namespace), watcher::Config::default())
        .default_backoff()
        .modify(bare);
    let keep = |event: &Event<K>| writer.apply_watcher_event(event);
    let concerned = |object: &K| referring(context, object, refers);
    wake_for_each(events, &K::kind(&()), wake, &health, keep, concerned).await;
}

/// Only name and version are needed, and there may be many.
fn bare(object: &mut impl ResourceExt) {
    object.managed_fields_mut().clear();
    object.annotations_mut().clear();
    object.labels_mut().clear();
}

/// The metadata of the objects of a kind, of one namespace or of all.
fn metadata_of(context: &Context, namespace: &str, resource: &ApiResource) -> Api<Metadata> {
    let client = context.client.clone();
    if namespace.is_empty() {
        Api::all_with(client, resource)
    } else {
        Api::namespaced_with(client, namespace, resource)
    }
}

fn every<K>(context: &Context, namespace: &str) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    let client = context.client.clone();
    if namespace.is_empty() { Api::all(client) } else { Api::namespaced(client, namespace) }
}

/// Gives each event to `keep`. For each object that is created, changed or deleted, triggers a reconcile of the federations
/// that it affects; also for those that are missing from a new listing, because they were deleted while the watch was broken.
async fn wake_for_each<K>(
    events: impl Stream<Item = Result<Event<K>, watcher::Error>>,
    kind: &str,
    wake: &Wake,
    health: &Health,
    mut keep: impl FnMut(&Event<K>),
    concerned: impl Fn(&K) -> Vec<FederationRef>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = std::pin::pin!(events);
    let mut relist = Relist::default();
    let mut failing = false;
    while let Some(event) = events.next().await {
        let was_failing = std::mem::replace(&mut failing, event.is_err());
        match event {
            Ok(event) => {
                health.works();
                keep(&event);
                for federation in relist.affected(&event, &concerned) {
                    if wake.send(federation).await.is_err() {
                        return;
                    }
                }
            }
            // One warning for failures in a row: the kind may have been removed.
            Err(_) if was_failing => health.fails(),
            Err(error) => {
                health.fails();
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

/// Triggers a reconcile of every federation of a namespace.
pub async fn all_of(context: &Context, namespace: String, wake: &Wake) {
    for federation in context.federations.state() {
        let reference = FederationRef::from_obj(federation.as_ref());
        if reference.namespace.as_ref() == Some(&namespace) && wake.send(reference).await.is_err() {
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
    let component = components::references(spec).any(|(_, secret)| secret.name == name);
    certificate || issued || dialback || bundle || component
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
