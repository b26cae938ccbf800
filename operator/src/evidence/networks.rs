//! Addresses of the cluster itself: a connection from one of them shows nothing about reachability from outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::sync::watch;

use super::inventory::NodeNetworks;

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

/// The networks, kept current by [`super::inventory`].
#[derive(Debug)]
pub struct Networks {
    known: watch::Sender<Option<Arc<ClusterNetworks>>>,
}

impl Networks {
    /// An operator for one namespace has no permission to list nodes.
    pub fn new(cluster_wide: bool) -> Self {
        let known = (!cluster_wide).then(Arc::default);
        Self { known: watch::Sender::new(known) }
    }

    /// The networks as they are known now.
    pub fn last(&self) -> Arc<ClusterNetworks> {
        self.known.borrow().clone().unwrap_or_default()
    }

    /// Waits until the nodes were listed once, or cannot be listed.
    pub async fn first(&self) -> Arc<ClusterNetworks> {
        let mut known = self.known.subscribe();
        // An error means that nothing will be known any more.
        let _ = known.wait_for(Option::is_some).await;
        self.last()
    }

    /// From now on, these are the networks.
    pub(super) fn set(&self, networks: ClusterNetworks) {
        self.known.send_if_modified(|known| {
            let changed = known.as_deref() != Some(&networks);
            if changed {
                *known = Some(Arc::new(networks));
            }
            changed
        });
    }
}

impl ClusterNetworks {
    /// Adds the addresses of a node and of its pods.
    pub(super) fn add(&mut self, name: &str, node: &NodeNetworks) {
        let lone = node.pods.is_empty();
        self.inside.extend(node.addresses.iter().map(|address| {
            match *address {
                // IPv6 addresses of pods are routed on the internet, and pods share the node's network.
                IpAddr::V6(_) if lone => IpNet::new(*address, NODE_NETWORK_V6)
                    .map_or_else(|_| IpNet::from(*address), |network| network.trunc()),
                _ => IpNet::from(*address),
            }
        }));
        if lone {
            self.gap.get_or_insert_with(|| Gap::PodCidrs { node: name.to_owned() });
        }
        self.inside.extend(&node.pods);
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
        let node = |cidrs: &[&str], address: &str| NodeNetworks {
            pods: cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect(),
            addresses: vec![address.parse().unwrap()],
        };
        let inside = |networks: &ClusterNetworks| -> Vec<String> {
            networks.inside.iter().map(ToString::to_string).collect()
        };
        let mut networks = ClusterNetworks { inside: Vec::new(), gap: None };
        networks.add("a", &node(&["10.244.0.0/24"], "192.168.1.5"));
        assert_eq!(networks.gap, None);
        assert_eq!(inside(&networks), ["192.168.1.5/32", "10.244.0.0/24"]);
        networks.add("b", &node(&[], "192.168.1.6"));
        networks.add("c", &node(&[], "2001:db8:7::6"));
        assert_eq!(networks.gap, Some(Gap::PodCidrs { node: "b".into() }));
        assert_eq!(inside(&networks)[2..], ["192.168.1.6/32", "2001:db8:7::/64"]);
        assert!(networks.contains("2001:db8:7::abcd".parse().unwrap()));
    }
}
