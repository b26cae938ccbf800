//! Addresses of the cluster itself: a connection from one of them shows nothing about reachability from outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

/// How long an answer is cached: nodes come and go, but their networks rarely change.
const NETWORKS_TTL: Duration = Duration::from_mins(2);

/// Networks that are not routed on the internet: loopback, private use (RFC 1918, RFC 4193), shared (RFC 6598), link-local,
/// benchmarking (RFC 2544) and class E, all of which some clusters use as pod networks.
pub const UNROUTED: [IpNet; 10] = [
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([240, 0, 0, 0], 4),
    v6(0xfc00, 7),
    v6(0xfe80, 10),
];

const fn v4(octets: [u8; 4], length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), length))
}

const fn v6(first: u16, length: u8) -> IpNet {
    let address = Ipv6Addr::from_segments([first, 0, 0, 0, 0, 0, 0, 0]);
    IpNet::V6(Ipv6Net::new_assert(address, length))
}

/// True for an address that is not routed on the internet.
pub fn is_unrouted(address: IpAddr) -> bool {
    let address = address.to_canonical();
    UNROUTED.iter().any(|network| network.contains(&address))
}

/// Length of the IPv6 network that a node shares with its pods if it reports none of its own.
const NODE_NETWORK_V6: u8 = 64;

/// Networks of the cluster that cannot be read, and why; completes a sentence after "because".
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Gap {
    /// Neither nodes nor their pod networks are known.
    #[error("the operator cannot list nodes")]
    Nodes,
    /// The node's pods have addresses of a network that no object names, as on EKS and with some network plugins.
    #[error("node {node} reports no spec.podCIDRs")]
    PodCidrs {
        /// The node.
        node: String,
    },
    /// The API server does not have the kind, or refuses to list it.
    #[error("the operator cannot list ServiceCIDRs")]
    ServiceCidrs,
}

/// The networks that are known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClusterNetworks {
    /// Node addresses, pod and Service networks, and what the spec adds.
    pub inside: Vec<IpNet>,
    /// What the list lacks.
    pub gap: Option<Gap>,
}

impl Default for ClusterNetworks {
    /// Nothing is known.
    fn default() -> Self {
        Self { inside: Vec::new(), gap: Some(Gap::Nodes) }
    }
}

impl ClusterNetworks {
    /// The address belongs to the cluster.
    pub fn contains(&self, address: IpAddr) -> bool {
        // A dual-stack listener shows IPv4 peers as IPv4-mapped IPv6 addresses.
        let address = address.to_canonical();
        address.is_loopback() || self.inside.iter().any(|network| network.contains(&address))
    }
}

/// Queries the API server at most once every two minutes.
#[derive(Debug)]
pub struct Networks {
    cluster_wide: bool,
    kept: RwLock<Option<(Instant, Arc<ClusterNetworks>)>>,
}

impl Networks {
    /// An operator for one namespace has no permission to list nodes.
    pub fn new(cluster_wide: bool) -> Self {
        Self { cluster_wide, kept: RwLock::default() }
    }

    /// The networks as they were read last.
    pub fn last(&self) -> Arc<ClusterNetworks> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().map(|(_, networks)| Arc::clone(networks)).unwrap_or_default()
    }

    /// The networks of the cluster. If some cannot be read, they have a gap.
    pub async fn get(&self, client: &Client) -> Arc<ClusterNetworks> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, networks)) = &kept
            && at.elapsed() < NETWORKS_TTL
        {
            return Arc::clone(networks);
        }
        let mut networks = ClusterNetworks::default();
        if self.cluster_wide {
            networks = read(client).await;
        }
        if let (Some(Gap::Nodes), Some((_, last))) = (&networks.gap, &kept) {
            // If the API server does not answer, the last known networks stay.
            networks.inside.extend(&last.inside);
            networks.inside = IpNet::aggregate(&networks.inside);
        }
        let networks = Arc::new(networks);
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), Arc::clone(&networks)));
        networks
    }
}

async fn read(client: &Client) -> ClusterNetworks {
    let everything = ListParams::default();
    let mut networks = ClusterNetworks { inside: Vec::new(), gap: None };
    match Api::<Node>::all(client.clone()).list(&everything).await {
        Ok(nodes) => nodes.items.iter().for_each(|node| networks.add(node)),
        Err(error) => {
            tracing::warn!(%error, "cannot list nodes, so their addresses are unknown");
            networks.gap = Some(Gap::Nodes);
        }
    }
    // The oldest supported API server does not have this kind yet.
    match Api::<ServiceCIDR>::all(client.clone()).list(&everything).await {
        Ok(ranges) => {
            let cidrs = ranges.items.into_iter().filter_map(|range| range.spec?.cidrs).flatten();
            networks.inside.extend(cidrs.filter_map(|cidr| cidr.parse::<IpNet>().ok()));
        }
        Err(error) => {
            tracing::debug!(%error, "cannot list ServiceCIDRs");
            networks.gap.get_or_insert(Gap::ServiceCidrs);
        }
    }
    networks
}

impl ClusterNetworks {
    /// Adds the addresses of a node and of its pods.
    fn add(&mut self, node: &Node) {
        let cidrs = node.spec.iter().flat_map(|spec| spec.pod_cidrs.iter().flatten());
        let cidrs: Vec<IpNet> = cidrs.filter_map(|cidr| cidr.parse().ok()).collect();
        let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
        let addresses = addresses.filter_map(|address| address.address.parse::<IpAddr>().ok());
        let lone = cidrs.is_empty();
        self.inside.extend(addresses.map(|address| {
            match address {
                // IPv6 addresses of pods are routed on the internet, and pods share the node's network.
                IpAddr::V6(_) if lone => IpNet::new(address, NODE_NETWORK_V6)
                    .map_or_else(|_| IpNet::from(address), |network| network.trunc()),
                _ => IpNet::from(address),
            }
        }));
        if lone {
            self.gap.get_or_insert_with(|| Gap::PodCidrs { node: node.name_any() });
        }
        self.inside.extend(cidrs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_mapped_address_of_a_pod_is_inside() {
        let networks =
            ClusterNetworks { inside: vec!["198.18.128.0/18".parse().unwrap()], gap: None };
        assert!(networks.contains("::ffff:198.18.130.7".parse().unwrap()));
        assert!(networks.contains("127.0.0.1".parse().unwrap()));
        assert!(!networks.contains("198.18.0.2".parse().unwrap()));
    }

    #[test]
    fn a_node_without_pod_networks_leaves_a_gap() {
        let node = |name: &str, cidrs: &[&str], address: &str| -> Node {
            serde_json::from_value(serde_json::json!({
                "metadata": {"name": name},
                "spec": {"podCIDRs": cidrs},
                "status": {"addresses": [
                    {"type": "InternalIP", "address": address},
                    {"type": "Hostname", "address": name},
                ]},
            }))
            .unwrap()
        };
        let inside = |networks: &ClusterNetworks| -> Vec<String> {
            networks.inside.iter().map(ToString::to_string).collect()
        };
        let mut networks = ClusterNetworks { inside: Vec::new(), gap: None };
        networks.add(&node("a", &["10.244.0.0/24"], "192.168.1.5"));
        assert_eq!(networks.gap, None);
        assert_eq!(inside(&networks), ["192.168.1.5/32", "10.244.0.0/24"]);
        networks.add(&node("b", &[], "192.168.1.6"));
        networks.add(&node("c", &[], "2001:db8:7::6"));
        assert_eq!(networks.gap, Some(Gap::PodCidrs { node: "b".into() }));
        assert_eq!(inside(&networks)[2..], ["192.168.1.6/32", "2001:db8:7::/64"]);
        assert!(networks.contains("2001:db8:7::abcd".parse().unwrap()));
    }
}
