//! Keeps [`Networks`] current: a paged watch of nodes, of which only addresses and pod networks are kept, and a list of
//! `ServiceCIDRs` now and then. A Node object is 14 kB on a usual cluster, most of it names of images.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures::StreamExt;
use ipnet::IpNet;
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::Deserialize;

use super::networks::{ClusterNetworks, Gap, Networks};
use crate::causes::Causes;

/// Nodes in one response of the API server. A response is held in memory as a whole.
const PAGE_SIZE: u32 = 100;
/// Pause between two listings of `ServiceCIDRs`, which an administrator adds by hand.
const SERVICE_CIDRS_INTERVAL: Duration = Duration::from_mins(15);
/// The same while they could not be listed: an API server that has just started may refuse it for a moment.
const SERVICE_CIDRS_RETRY: Duration = Duration::from_mins(1);
/// Time after which the nodes count as unknown while the watch fails. They come and go, but their networks rarely change.
const NODES_TTL: Duration = Duration::from_mins(2);

/// Addresses of a node and of its pods.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeNetworks {
    /// Networks of its pods.
    pub pods: Vec<IpNet>,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
}

/// A Node of which only the needed fields are read.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SlimNode {
    metadata: SlimMetadata,
    #[serde(default)]
    spec: SlimSpec,
    #[serde(default)]
    status: SlimStatus,
}

/// Metadata without labels, annotations and field managers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "NameAndVersion")]
struct SlimMetadata(ObjectMeta);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NameAndVersion {
    name: Option<String>,
    resource_version: Option<String>,
}

impl From<NameAndVersion> for SlimMetadata {
    fn from(known: NameAndVersion) -> Self {
        let NameAndVersion { name, resource_version } = known;
        Self(ObjectMeta { name, resource_version, ..ObjectMeta::default() })
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SlimSpec {
    #[serde(default, rename = "podCIDRs")]
    pod_cidrs: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct SlimStatus {
    #[serde(default)]
    addresses: Vec<SlimAddress>,
}

#[derive(Clone, Debug, Deserialize)]
struct SlimAddress {
    address: String,
}

impl Resource for SlimNode {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind(dt: &()) -> Cow<'_, str> {
        Node::kind(dt)
    }

    fn group(dt: &()) -> Cow<'_, str> {
        Node::group(dt)
    }

    fn version(dt: &()) -> Cow<'_, str> {
        Node::version(dt)
    }

    fn plural(dt: &()) -> Cow<'_, str> {
        Node::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata.0
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata.0
    }
}

impl SlimNode {
    fn networks(&self) -> NodeNetworks {
        let addresses = &self.status.addresses;
        NodeNetworks {
            pods: self.spec.pod_cidrs.iter().filter_map(|cidr| cidr.parse().ok()).collect(),
            addresses: addresses.iter().filter_map(|a| a.address.parse().ok()).collect(),
        }
    }
}

/// What is known about the nodes and the `ServiceCIDRs`. Pure.
#[derive(Debug, Default)]
struct Inventory {
    /// `None` before the first listing is complete.
    nodes: Option<BTreeMap<String, NodeNetworks>>,
    /// The listing in progress.
    listing: BTreeMap<String, NodeNetworks>,
    /// Since when the watch of nodes fails.
    failing: Option<Instant>,
    /// `None` if they cannot be listed.
    services: Option<Vec<IpNet>>,
}

impl Inventory {
    /// Takes an event. Returns whether it changed something: a node reports its state every few minutes, and nearly always
    /// the same networks.
    fn take(&mut self, event: Event<SlimNode>) -> bool {
        let was_failing = self.failing.take().is_some();
        let known =
            |node: &SlimNode| (node.metadata.0.name.clone().unwrap_or_default(), node.networks());
        let changed = match event {
            Event::Init => {
                self.listing.clear();
                false
            }
            Event::InitApply(node) => {
                self.listing.extend([known(&node)]);
                false
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listing);
                let changed = self.nodes.as_ref() != Some(&listed);
                self.nodes = Some(listed);
                changed
            }
            Event::Apply(node) => {
                let (name, networks) = known(&node);
                let nodes = self.nodes.get_or_insert_default();
                let changed = nodes.get(&name) != Some(&networks);
                nodes.insert(name, networks);
                changed
            }
            Event::Delete(node) => {
                let (name, _) = known(&node);
                self.nodes.as_mut().is_some_and(|nodes| nodes.remove(&name).is_some())
            }
        };
        changed || was_failing
    }

    /// The watch failed.
    fn fails(&mut self, now: Instant) {
        self.failing.get_or_insert(now);
    }

    /// The networks, with the first gap.
    fn networks(&self, now: Instant) -> ClusterNetworks {
        let mut networks = ClusterNetworks { inside: Vec::new(), gap: None };
        for (name, node) in self.nodes.iter().flatten() {
            networks.add(name, node);
        }
        let outdated = self.failing.is_some_and(|since| now.duration_since(since) >= NODES_TTL);
        if self.nodes.is_none() || outdated {
            networks.gap = Some(Gap::Nodes);
        }
        match &self.services {
            Some(services) => networks.inside.extend(services),
            None => {
                networks.gap.get_or_insert(Gap::ServiceCidrs);
            }
        }
        networks
    }
}

/// Follows the nodes and the `ServiceCIDRs` until the task is dropped.
pub async fn follow(client: Client, networks: &Networks) {
    let config = watcher::Config::default().page_size(PAGE_SIZE);
    let events = watcher(Api::<SlimNode>::all(client.clone()), config).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut inventory =
        Inventory { services: service_cidrs(&client).await, ..Inventory::default() };
    let mut listed = tokio::time::Instant::now();
    loop {
        let pause = match inventory.services {
            Some(_) => SERVICE_CIDRS_INTERVAL,
            None => SERVICE_CIDRS_RETRY,
        };
        let changed = tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => inventory.take(event),
                Some(Err(error)) => {
                    if inventory.failing.is_none() {
                        let why = Causes(&error);
                        tracing::warn!(%why, "cannot watch nodes; their addresses may be outdated");
                    }
                    inventory.fails(Instant::now());
                    true
                }
                None => return,
            },
            () = tokio::time::sleep_until(listed + pause) => {
                listed = tokio::time::Instant::now();
                let found = service_cidrs(&client).await;
                let changed = found.is_some() && found != inventory.services;
                // The last list stays, because the ranges hardly ever change.
                inventory.services = found.or(inventory.services.take());
                changed
            }
        };
        if changed {
            networks.set(inventory.networks(Instant::now()));
        }
    }
}

/// Lists the networks of Services. Returns `None` if the API server lacks the kind `ServiceCIDR`, or does not permit listing it.
async fn service_cidrs(client: &Client) -> Option<Vec<IpNet>> {
    match Api::<ServiceCIDR>::all(client.clone()).list(&ListParams::default()).await {
        Ok(ranges) => {
            let cidrs = ranges.items.into_iter().filter_map(|range| range.spec?.cidrs).flatten();
            Some(cidrs.filter_map(|cidr| cidr.parse().ok()).collect())
        }
        Err(error) => {
            tracing::debug!(%error, "cannot list ServiceCIDRs");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, address: &str) -> SlimNode {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "resourceVersion": "7", "labels": {"a": "b"}},
            "spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"]},
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": address},
                    {"type": "Hostname", "address": name},
                ],
                "images": [{"names": ["registry.example/image"], "sizeBytes": 1}],
            },
        }))
        .unwrap()
    }

    #[test]
    fn only_what_is_needed_of_a_node_is_kept() {
        let node = node("a", "192.168.1.5");
        assert_eq!(node.meta().labels, None);
        let networks = node.networks();
        assert_eq!(networks.pods, ["10.244.0.0/24".parse().unwrap()]);
        assert_eq!(networks.addresses, ["192.168.1.5".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn nodes_are_unknown_before_the_first_listing_and_after_a_long_failure() {
        let begun = Instant::now();
        let mut inventory = Inventory { services: Some(Vec::new()), ..Inventory::default() };
        assert_eq!(inventory.networks(begun).gap, Some(Gap::Nodes));
        for event in [Event::Init, Event::InitApply(node("a", "192.168.1.5"))] {
            assert!(!inventory.take(event));
        }
        assert!(inventory.take(Event::InitDone));
        assert_eq!(inventory.networks(begun).gap, None);
        assert!(!inventory.take(Event::Apply(node("a", "192.168.1.5"))), "the same again");
        assert!(inventory.take(Event::Apply(node("a", "192.168.1.6"))));
        inventory.fails(begun);
        assert_eq!(inventory.networks(begun).gap, None);
        inventory.fails(begun + NODES_TTL);
        let outdated = inventory.networks(begun + NODES_TTL);
        assert_eq!(outdated.gap, Some(Gap::Nodes));
        assert!(outdated.contains("192.168.1.6".parse().unwrap()), "the last known ones stay");
        assert!(inventory.take(Event::Apply(node("a", "192.168.1.6"))), "the watch works again");
        assert!(inventory.take(Event::Delete(node("a", "192.168.1.6"))));
        assert!(!inventory.networks(begun).contains("192.168.1.6".parse().unwrap()));
    }

    #[test]
    fn a_kind_that_cannot_be_listed_is_a_gap() {
        let inventory = Inventory { nodes: Some(BTreeMap::new()), ..Inventory::default() };
        assert_eq!(inventory.networks(Instant::now()).gap, Some(Gap::ServiceCidrs));
    }
}
