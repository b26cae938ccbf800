//! Watches on all objects that may affect a federation. They keep the stores current, and trigger a reconcile of the
//! federation.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use crds::federation::reference::BundleRef;
use crds::federation::tls::CertificateSource;
use crds::{XmppFederation, XmppProbeReport};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{self, ConfigMap, Pod, Secret};
use kube::core::{ApiResource, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

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

/// An object of a namespace, of a kind that is known at compile time.
pub trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + Debug
    + Send
    + Sync
    + 'static
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// The stores of one kind of child.
trait Children: Send {
    /// Keeps them current, as long as the kind exists.
    fn follow(
        &mut self,
        context: &Context,
        namespace: &str,
        wake: &Wake,
    ) -> impl Future<Output = ()> + Send;

    /// The kind was removed, and all its objects with it.
    fn forget(&mut self);
}

/// A kind of which only the metadata is needed.
struct Outlines {
    resource: ApiResource,
    writer: Writer,
}

impl Children for Outlines {
    async fn follow(&mut self, context: &Context, namespace: &str, wake: &Wake) {
        let Self { resource, writer } = self;
        let api = metadata_of(context, namespace, resource);
        let events = watcher(api, managed()).default_backoff().modify(strip);
        let health = Health::default();
        let keep = |event: &Event<Metadata>| writer.apply_watcher_event(event);
        wake_for_each(events, &resource.kind, wake, &health, keep, owners).await;
    }

    fn forget(&mut self) {
        for event in [Event::Init, Event::InitDone] {
            self.writer.apply_watcher_event(&event);
        }
    }
}

/// A kind that verdicts depend on.
struct Whole<K: Object> {
    writer: Writer,
    feed: Feed<K>,
}

impl<K: Object> Children for Whole<K> {
    async fn follow(&mut self, context: &Context, namespace: &str, wake: &Wake) {
        let Self { writer, feed: Feed { writer: objects, health } } = self;
        let clear = |child: &mut K| child.managed_fields_mut().clear();
        let events = selected(context, namespace, managed(), clear);
        let keep = |event: &Event<K>| {
            writer.apply_watcher_event(&metadata_event(event));
            objects.apply_watcher_event(event);
        };
        wake_for_each(events, &K::kind(&()), wake, health, keep, owners).await;
    }

    fn forget(&mut self) {
        for event in [Event::Init, Event::InitDone] {
            self.writer.apply_watcher_event(&event);
        }
        for event in [Event::Init, Event::InitDone] {
            self.feed.writer.apply_watcher_event(&event);
        }
    }
}

/// Watches one kind of child of which only the metadata is needed.
pub async fn children(
    context: Arc<Context>,
    namespace: String,
    resource: ApiResource,
    writer: Writer,
    wake: Wake,
) {
    let changes = context.kinds.changes(&resource);
    let mut outlines = Outlines { resource, writer };
    match changes {
        Some(changes) => while_it_exists(changes, &context, &namespace, outlines, &wake).await,
        None => outlines.follow(&context, &namespace, &wake).await,
    }
}

/// Watches one kind of child that verdicts depend on.
pub async fn whole_children<K: Object>(
    context: Arc<Context>,
    namespace: String,
    writer: Writer,
    feed: Feed<K>,
    wake: Wake,
) {
    Whole { writer, feed }.follow(&context, &namespace, &wake).await;
}

/// As [`whole_children`], for a kind that may not exist: watches it while it does.
pub async fn optional_children<K: Object>(
    context: Arc<Context>,
    namespace: String,
    writer: Writer,
    feed: Feed<K>,
    wake: Wake,
) {
    let Some(changes) = context.kinds.changes(&ApiResource::erase::<K>(&())) else { return };
    while_it_exists(changes, &context, &namespace, Whole { writer, feed }, &wake).await;
}

/// Follows a kind while it exists. When it comes or goes, every federation is reconciled.
async fn while_it_exists(
    mut changes: watch::Receiver<bool>,
    context: &Context,
    namespace: &str,
    mut children: impl Children,
    wake: &Wake,
) {
    loop {
        if changes.wait_for(|exists| *exists).await.is_err() {
            return;
        }
        all(context, wake).await;
        let mut gone = changes.clone();
        let gone = async move { gone.wait_for(|exists| !*exists).await.is_ok() };
        tokio::select! {
            () = children.follow(context, namespace, wake) => {}
            _ = gone => {
                children.forget();
                all(context, wake).await;
            }
        }
    }
}

fn managed() -> watcher::Config {
    watcher::Config::default().labels(MANAGED_BY_SELECTOR)
}

/// The content of an object as kubectl applied it, which can be large.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Labels and annotations stay, because others may change those that the operator sets.
fn strip(child: &mut Metadata) {
    child.managed_fields_mut().clear();
    child.annotations_mut().remove(LAST_APPLIED);
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
    let labelled = watcher::Config::default().labels(FEDERATION_LABEL);
    let clear = |pod: &mut Pod| pod.managed_fields_mut().clear();
    let events = selected(&context, &namespace, labelled, clear);
    let keep = |event: &Event<Pod>| writer.apply_watcher_event(event);
    wake_for_each(events, "Pod", &wake, &health, keep, |pod: &Pod| {
        let namespace = pod.namespace().unwrap_or_default();
        let named = pod.labels().get(FEDERATION_LABEL).into_iter();
        named.map(|name| FederationRef::new(name).within(&namespace)).collect()
    })
    .await;
}

/// Watches the probes that users report. They name their federation.
pub async fn probe_reports(
    context: Arc<Context>,
    namespace: String,
    feed: Feed<XmppProbeReport>,
    wake: Wake,
) {
    let Feed { mut writer, health } = feed;
    let clear = |report: &mut XmppProbeReport| report.managed_fields_mut().clear();
    let events = selected(&context, &namespace, watcher::Config::default(), clear);
    let keep = |event: &Event<XmppProbeReport>| writer.apply_watcher_event(event);
    wake_for_each(events, "XmppProbeReport", &wake, &health, keep, |report: &XmppProbeReport| {
        let namespace = report.namespace().unwrap_or_default();
        let federation = FederationRef::new(&report.spec.federation).within(&namespace);
        context.federations.get(&federation).map(|_| federation).into_iter().collect()
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
    let clear = |event: &mut v1::Event| event.managed_fields_mut().clear();
    let events = selected(&context, &namespace, about, clear);
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
async fn referenced<K: Object>(
    context: &Context,
    namespace: &str,
    feed: Feed<K>,
    refers: fn(&XmppFederation, &str) -> bool,
    wake: &Wake,
) {
    let Feed { mut writer, health } = feed;
    let events = selected(context, namespace, watcher::Config::default(), bare);
    let keep = |event: &Event<K>| writer.apply_watcher_event(event);
    let concerned = |object: &K| referring(context, object, refers);
    wake_for_each(events, &K::kind(&()), wake, &health, keep, concerned).await;
}

/// Only name and version are needed, and there may be many.
fn bare<K: ResourceExt>(object: &mut K) {
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

/// The events about the selected objects of a kind, each without what nobody reads.
fn selected<K: Object>(
    context: &Context,
    namespace: &str,
    which: watcher::Config,
    strip: impl FnMut(&mut K) + Send,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send {
    let client = context.client.clone();
    let api: Api<K> =
        if namespace.is_empty() { Api::all(client) } else { Api::namespaced(client, namespace) };
    watcher(api, which).default_backoff().modify(strip)
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

/// Follows the definition of the resource. The status of every federation says how it differs from the operator's own.
pub async fn definition(context: Arc<Context>, wake: Wake) {
    context.definition.follow(&context.client, || all(&context, &wake)).await;
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
