//! Addresses of the cluster itself: a connection from one of them shows nothing about reachability from outside.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::api::ListParams;
use kube::{Api, Client};

/// How long an answer is cached: nodes come and go, but their networks rarely change.
const NETWORKS_TTL: Duration = Duration::from_mins(2);

/// The networks that are known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClusterNetworks {
    /// Node addresses, pod and Service networks, and what the spec adds.
    pub inside: Vec<IpNet>,
    /// The operator could list nodes; otherwise the list is incomplete.
    pub complete: bool,
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

    /// The networks of the cluster. If some cannot be read, `complete` is false.
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
        if let (false, Some((_, last))) = (networks.complete, &kept) {
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
    let mut networks = ClusterNetworks::default();
    match Api::<Node>::all(client.clone()).list(&everything).await {
        Ok(nodes) => {
            networks.complete = true;
            for node in nodes {
                let cidrs = node.spec.and_then(|spec| spec.pod_cidrs);
                networks
                    .inside
                    .extend(cidrs.iter().flatten().filter_map(|cidr| cidr.parse::<IpNet>().ok()));
                let addresses = node.status.and_then(|status| status.addresses);
                let addresses = addresses.iter().flatten();
                networks.inside.extend(
                    addresses.filter_map(|a| a.address.parse::<IpAddr>().ok()).map(IpNet::from),
                );
            }
        }
        Err(error) => tracing::warn!(%error, "cannot list nodes, so their addresses are unknown"),
    }
    // The oldest supported API server does not have this kind yet.
    match Api::<ServiceCIDR>::all(client.clone()).list(&everything).await {
        Ok(ranges) => {
            let cidrs = ranges.items.into_iter().filter_map(|range| range.spec?.cidrs).flatten();
            networks.inside.extend(cidrs.filter_map(|cidr| cidr.parse::<IpNet>().ok()));
        }
        Err(error) => tracing::debug!(%error, "cannot list ServiceCIDRs"),
    }
    networks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_mapped_address_of_a_pod_is_inside() {
        let networks =
            ClusterNetworks { inside: vec!["198.18.128.0/18".parse().unwrap()], complete: true };
        assert!(networks.contains("::ffff:198.18.130.7".parse().unwrap()));
        assert!(networks.contains("127.0.0.1".parse().unwrap()));
        assert!(!networks.contains("198.18.0.2".parse().unwrap()));
    }
}
